#include "platform/program.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

struct search {
    const uint64_t *inodes;
    size_t count;
    size_t found;
    struct program *programs;
};

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* "socket:[12345]" → 12345; 0 for anything else. */
static uint64_t socket_inode(int dir, const char *name)
{
    char target[64];
    uint64_t inode = 0;
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
    if (n < 10 || memcmp(target, "socket:[", 8) != 0)
        return 0;
    target[n - 1] = '\0';
    return str_to_u64(target + 8, UINT64_MAX, &inode) < 0 ? 0 : inode;
}

static void read_path(int process, struct program *p)
{
    char path[4096];
    ssize_t n = readlinkat(process, "exe", path, sizeof(path) - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    size_t len = (size_t)n;
    size_t skip = len >= sizeof(p->path) ? len - sizeof(p->path) + 1 : 0;
    (void)str_format(p->path, sizeof(p->path), "%s", path + skip);
}

static void match(struct search *s, uint64_t inode, int process, uint32_t pid)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->inodes[i] != inode || s->programs[i].pid != 0)
            continue;
        s->programs[i].pid = pid;
        read_path(process, &s->programs[i]);
        s->found++;
    }
}

static void search_process(struct search *s, int process, uint32_t pid)
{
    int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close_dir) DIR *dir = fds >= 0 ? fdopendir(fds) : NULL;
    if (dir == NULL) {
        if (fds >= 0)
            close(fds);
        return;
    }
    for (struct dirent *e = readdir(dir); e != NULL && s->found < s->count; e = readdir(dir)) {
        uint64_t inode = socket_inode(fds, e->d_name);
        if (inode != 0)
            match(s, inode, process, pid);
    }
}

/* One of this user's processes, by its name in /proc. */
static void search_pid(struct search *s, int proc, const char *name)
{
    uint64_t pid = 0;
    struct stat st;
    if (str_to_u64(name, UINT32_MAX, &pid) < 0)
        return;
    int process = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return;
    if (fstat(process, &st) == 0 && st.st_uid == geteuid())
        search_process(s, process, (uint32_t)pid);
    close(process);
}

static bool search_everywhere(struct search *s, DIR *proc)
{
    for (struct dirent *e = readdir(proc); e != NULL && s->found < s->count; e = readdir(proc))
        search_pid(s, dirfd(proc), e->d_name);
    return true;
}

bool program_find(const uint64_t *inodes, size_t count, const uint32_t *likely, size_t likely_count,
                  bool everywhere, struct program *ret)
{
    struct search s = {.inodes = inodes, .count = count, .programs = ret};
    memset(ret, 0, count * sizeof(*ret));
    CLEANUP(close_dir) DIR *proc = opendir("/proc");
    if (proc == NULL)
        return false;
    for (size_t i = 0; i < likely_count && s.found < count; i++) {
        char name[16];
        (void)str_format(name, sizeof(name), "%u", likely[i]);
        search_pid(&s, dirfd(proc), name);
    }
    return s.found < count && everywhere && search_everywhere(&s, proc);
}
