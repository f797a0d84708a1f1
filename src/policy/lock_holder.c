#include "policy/lock_holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/str.h"
#include "policy/proc.h"
#include "policy/shown.h"

enum { TEXT_SIZE = 4096 };

struct wanted {
    char link[TEXT_SIZE]; /* what a descriptor of the file leads to */
    uint64_t inode, place;
};

static void close_directory(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static DIR *open_directory_at(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *opened = fd >= 0 ? fdopendir(fd) : NULL;

    if (opened == NULL)
        fd_closep(&fd);
    return opened;
}

/* By its link, as looking at the file itself could wait for a file system that doesn't answer. */
static bool leads_to(int fds, const char *name, const char *link)
{
    char text[TEXT_SIZE];
    ssize_t n = readlinkat(fds, name, text, sizeof(text) - 1);

    text[MAX(n, 0)] = '\0';
    return n > 0 && str_eq(text, link);
}

/* Cuts the number behind the last `before` off the line. */
static bool cut_number(char *line, char before, uint64_t *ret)
{
    char *at = strrchr(line, before);

    if (at == NULL || str_to_u64(at + 1, UINT64_MAX, ret) < 0)
        return false;
    *at = '\0';
    return true;
}

/* A line as "lock:\t1: OFDLCK  ADVISORY  WRITE -1 00:1a:1234 4026533000 4026533000": device and
 * inode, first and last byte. */
static bool is_held(char *line, const struct wanted *w)
{
    uint64_t inode, from, to;

    return str_starts(line, "lock:") && strstr(line, " OFDLCK ") != NULL &&
           strstr(line, " WRITE ") != NULL && cut_number(line, ' ', &to) &&
           cut_number(line, ' ', &from) && cut_number(line, ':', &inode) && inode == w->inode &&
           from <= w->place && w->place <= to;
}

static bool says_it_is_held(int infos, const char *name, const struct wanted *w)
{
    char text[TEXT_SIZE];
    CLEANUP(fd_closep) int fd = openat(infos, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    char *rest = NULL;
    text[MAX(n, 0)] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (is_held(line, w))
            return true;
    return false;
}

static bool holds(int process, const struct wanted *w)
{
    CLEANUP(fd_closep)
    int infos = openat(process, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close_directory) DIR *fds = open_directory_at(process, "fd");

    for (struct dirent *e; fds != NULL && infos >= 0 && (e = readdir(fds)) != NULL;)
        if (leads_to(dirfd(fds), e->d_name, w->link) && says_it_is_held(infos, e->d_name, w))
            return true;
    return false;
}

static void name_process(int process, const char *pid, char ret[LOCK_HOLDER_SIZE])
{
    char text[64];
    CLEANUP(fd_closep) int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    text[MAX(n, 0)] = '\0';
    text[strcspn(text, "\n")] = '\0';
    (void)str_format(ret, LOCK_HOLDER_SIZE, "process %.12s (%s)", pid, shown(text).text);
}

static bool describe(int fd, off_t place, struct wanted *ret)
{
    char path[64];
    struct stat st;

    (void)str_format(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, ret->link, sizeof(ret->link) - 1);
    if (n <= 0 || fstat(fd, &st) < 0)
        return false;
    ret->link[n] = '\0';
    ret->inode = st.st_ino;
    ret->place = (uint64_t)place;
    return true;
}

static bool is_pid(const char *name)
{
    return name[0] >= '1' && name[0] <= '9';
}

/* In the order of their numbers: a program comes before the children that it has given the lock
 * to. */
void lock_holder_name(int fd, off_t place, char ret[LOCK_HOLDER_SIZE])
{
    struct wanted w;
    struct diag ignored;
    uint64_t own = (uint64_t)getpid(), pid = 0;
    CLEANUP(fd_closep) int root = -1;

    (void)str_format(ret, LOCK_HOLDER_SIZE, "another program");
    if (!describe(fd, place, &w) || proc_open(&root, &ignored) < 0)
        return;
    CLEANUP(close_directory) DIR *all = open_directory_at(root, ".");
    for (struct dirent *e; all != NULL && (e = readdir(all)) != NULL;) {
        CLEANUP(fd_closep)
        int process =
            is_pid(e->d_name) ? openat(root, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (process < 0 || !holds(process, &w))
            continue;
        if (str_to_u64(e->d_name, INT32_MAX, &pid) == 0 && pid == own)
            (void)str_format(ret, LOCK_HOLDER_SIZE, "another thread of this program");
        else
            name_process(process, e->d_name, ret);
        return;
    }
}
