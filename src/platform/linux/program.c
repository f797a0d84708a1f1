#include "platform/program.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

/* Of their numbers: a million processes. */
#define PIDS_CAP ((size_t)4 * 1024 * 1024)

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

/* If it is one of this user's processes. */
static void search_pid(struct search *s, int proc, uint32_t pid)
{
    char name[16];
    struct stat st;
    (void)str_format(name, sizeof(name), "%u", pid);
    int process = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return;
    if (fstat(process, &st) == 0 && st.st_uid == geteuid())
        search_process(s, process, pid);
    close(process);
}

static void list_pids(DIR *proc, struct buf *ret_pids)
{
    for (struct dirent *e = readdir(proc); e != NULL; e = readdir(proc)) {
        uint64_t pid = 0;
        if (str_to_u64(e->d_name, UINT32_MAX, &pid) == 0 &&
            buf_put(ret_pids, slice_of(&(uint32_t){(uint32_t)pid}, sizeof(uint32_t))) < 0)
            return;
    }
}

/* The kernel lists them by number, so the end has those that began last: programs that connect are often just begun, and soon
 * gone. */
static void search_everywhere(struct search *s, DIR *proc)
{
    CLEANUP(buf_release) struct buf pids;
    buf_init(&pids, PIDS_CAP);
    list_pids(proc, &pids);
    for (size_t at = buf_len(&pids); at > 0 && s->found < s->count; at -= sizeof(uint32_t)) {
        uint32_t pid = 0;
        memcpy(&pid, buf_slice(&pids).data + at - sizeof(pid), sizeof(pid));
        search_pid(s, dirfd(proc), pid);
    }
}

bool program_find(const uint64_t *inodes, size_t count, const uint32_t *likely, size_t likely_count,
                  bool everywhere, struct program *ret)
{
    struct search s = {.inodes = inodes, .count = count, .programs = ret};
    memset(ret, 0, count * sizeof(*ret));
    CLEANUP(close_dir) DIR *proc = opendir("/proc");
    if (proc == NULL)
        return false;
    for (size_t i = 0; i < likely_count && s.found < count; i++)
        search_pid(&s, dirfd(proc), likely[i]);
    if (s.found == count || !everywhere)
        return false;
    search_everywhere(&s, proc);
    return true;
}
