#include "policy/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "policy/proc.h"
#include "policy/unseen.h"

#define NAMED_DIRECTORY "/run/netns"

#define PATH_SIZE 4096

/* Inode numbers that the kernel gives to its first namespaces: of users always, of the network
 * since Linux 6.18. */
#define FIRST_USER_INODE    0xEFFFFFFDu
#define FIRST_NETWORK_INODE 0xEFFFFFF9u

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- By path ---- */

static int explain_missing(const char *name, const char *path, int code, struct diag *d)
{
    if (code == ENOENT || code == ENOTDIR)
        return diag_set(d, ERR_NOTFOUND, code,
                        "There is no network namespace %s (%s does not exist). `ip netns list` "
                        "shows those that have a name, `stile policy lookup` finds a container's",
                        name, path);
    if (code == EACCES || code == EPERM)
        return diag_set(d, ERR_PERM, code,
                        "Not permitted to open %s: it needs root, or CAP_SYS_PTRACE for another "
                        "user's process",
                        path);
    return diag_set(d, err_from_errno(code), code, "Failed to open %s: %s", path, strerror(code));
}

static int not_a_namespace(const char *path, mode_t mode, struct diag *d)
{
    if (S_ISREG(mode))
        return diag_set(d, ERR_INVAL, 0,
                        "%s is a plain file: no network namespace is mounted there (any more)",
                        path);
    return diag_set(d, ERR_INVAL, 0, "%s is not a network namespace", path);
}

/* fd: opened with O_PATH, which touches nothing. Opens what it stands for, if that is a namespace
 * of any kind. */
static int open_found(int fd, const char *path, int *ret_fd, struct diag *d)
{
    struct statfs fs;
    struct stat found, st;
    char link[64];
    CLEANUP(fd_closep) int root = -1;

    if (fstat(fd, &found) < 0 || fstatfs(fd, &fs) < 0)
        return explain_missing(path, path, errno, d);
    if (fs.f_type != NSFS_MAGIC)
        return not_a_namespace(path, found.st_mode, d);
    int err = proc_open(&root, d);
    if (err < 0)
        return err;
    (void)str_format(link, sizeof(link), "thread-self/fd/%d", fd);
    CLEANUP(fd_closep) int opened = openat(root, link, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return explain_missing(path, path, errno, d);
    if (fstat(opened, &st) < 0 || !is_same(&st, &found))
        return diag_set(d, ERR_PERM, 0, "/proc does not lead to %s, but elsewhere", path);
    *ret_fd = fd_steal(&opened);
    return 0;
}

static int open_path(const char *name, const char *path, int *ret_fd, struct diag *d)
{
    CLEANUP(fd_closep) int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return explain_missing(name, path, errno, d);
    return open_found(fd, path, ret_fd, d);
}

static int open_name(const char *name, int *ret_fd, struct diag *d)
{
    char path[PATH_SIZE];

    if (strchr(name, '/') != NULL)
        return open_path(name, name, ret_fd, d);
    if (name[0] == '\0' || str_eq(name, ".") || str_eq(name, ".."))
        return diag_set(d, ERR_INVAL, 0, "\"%s\" is no name of a network namespace", name);
    if (str_format(path, sizeof(path), NAMED_DIRECTORY "/%s", name) < 0)
        return diag_set(d, ERR_INVAL, 0, "The name of the network namespace is too long");
    return open_path(name, path, ret_fd, d);
}

/* ---- By process ---- */

/* "1234" or "1234@567". start of 0: none given. */
static int parse_process(const char *text, int *ret_pid, uint64_t *ret_start, struct diag *d)
{
    char number[16];
    uint64_t pid, start = 0;
    const char *at = strchr(text, '@');
    size_t len = at != NULL ? (size_t)(at - text) : strlen(text);

    if (str_copy_slice(number, sizeof(number), slice_of(text, len)) < 0 ||
        str_to_u64(number, INT32_MAX, &pid) < 0 || pid == 0 ||
        (at != NULL && str_to_u64(at + 1, UINT64_MAX, &start) < 0))
        return diag_set(d, ERR_INVAL, 0,
                        "pid:%s names no process: it is pid:NUMBER, or pid:NUMBER@START with the "
                        "start time from /proc/NUMBER/stat",
                        text);
    *ret_pid = (int)pid;
    *ret_start = start;
    return 0;
}

static int explain_process(int pid, int code, struct diag *d)
{
    if (code == ENOENT || code == ESRCH)
        return diag_set(d, ERR_EXPIRED, code, "Process %d has ended", pid);
    if (code == EACCES || code == EPERM)
        return diag_set(d, ERR_PERM, code,
                        "Not permitted to look at the network of process %d: it needs root, or "
                        "CAP_SYS_PTRACE",
                        pid);
    return diag_set(d, err_from_errno(code), code, "Failed to open the network of process %d: %s",
                    pid, strerror(code));
}

/* Before and after, as a process keeps its start time for life, but its directory lives no longer
 * than itself. */
static int open_network_of(int dir, int pid, uint64_t start, int *ret_fd, struct diag *d)
{
    uint64_t now;
    CLEANUP(fd_closep) int namespaces = proc_open_at(dir, "ns", O_RDONLY | O_DIRECTORY);
    CLEANUP(fd_closep)
    int fd = namespaces >= 0 ? openat(namespaces, "net", O_PATH | O_CLOEXEC) : -1;

    if (fd < 0)
        return explain_process(pid, errno, d);
    if (!proc_start_time(dir, &now) || now != start)
        return explain_process(pid, ESRCH, d);
    char path[64];
    (void)str_format(path, sizeof(path), "/proc/%d/ns/net", pid);
    return open_found(fd, path, ret_fd, d);
}

static int open_process(const char *text, int *ret_fd, struct diag *d)
{
    int pid = 0;
    uint64_t wanted = 0, start = 0;
    CLEANUP(fd_closep) int root = -1;
    CLEANUP(fd_closep) int dir = -1;

    int err = parse_process(text, &pid, &wanted, d);
    if (err == 0)
        err = proc_open(&root, d);
    if (err == 0)
        err = proc_open_process(root, pid, &dir, &start, d);
    if (err < 0)
        return err;
    if (strchr(text, '@') != NULL && start != wanted)
        return diag_set(d, ERR_EXPIRED, 0,
                        "Process %d is another one now: it was started at %llu, not at %llu. The "
                        "one that was meant has ended",
                        pid, (unsigned long long)start, (unsigned long long)wanted);
    return open_network_of(dir, pid, start, ret_fd, d);
}

int namespace_name_of_pid(int pid, char *ret, size_t size, struct diag *d)
{
    uint64_t start = 0;
    CLEANUP(fd_closep) int root = -1;
    CLEANUP(fd_closep) int dir = -1;

    int err = proc_open(&root, d);
    if (err == 0)
        err = proc_open_process(root, pid, &dir, &start, d);
    if (err < 0)
        return err;
    if (str_format(ret, size, "pid:%d@%llu", pid, (unsigned long long)start) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The name of process %d is too long", pid);
    return 0;
}

/* ---- Children that tell a few bytes ---- */

/* What it has told by its end. The end of the pipe isn't waited for: children of other threads,
 * begun at this moment, may hold it open for as long as they live. */
static ssize_t told(pid_t child, int from, void *ret, size_t size)
{
    unseen_wait(child);
    return read(from, ret, size); /* doesn't block */
}

static void close_both(const int fds[2])
{
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* ---- Whether it is the host's ---- */

NORETURN static void tell_inode(int netns_fd, int out)
{
    struct stat st = {0};
    int code = unseen_enter(netns_fd);

    if (code == 0 && stat("/proc/self/net/dev", &st) == 0)
        (void)!write(out, &st.st_ino, sizeof(st.st_ino));
    _exit(0);
}

/* The inode of /proc/net/dev as seen from inside: every network namespace has files of its own
 * there. */
static bool inode_inside(int netns_fd, ino_t *ret)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    pid_t pid = unseen_fork(0);
    if (pid == 0)
        tell_inode(netns_fd, fds[1]);
    ssize_t n = pid > 0 ? told(pid, fds[0], ret, sizeof(*ret)) : -1;
    close_both(fds);
    return n == (ssize_t)sizeof(*ret);
}

static bool belongs_to_first_user_namespace(int netns_fd)
{
    struct stat st;
    CLEANUP(fd_closep) int owner = ioctl(netns_fd, NS_GET_USERNS);

    return owner < 0 || fstat(owner, &st) < 0 || st.st_ino == FIRST_USER_INODE;
}

enum answer { NO, YES, UNKNOWN };

/* Process 1 may be out of our reach (a security module, hidepid, a root without all capabilities, a
 * rootless user). */
static enum answer is_of_first_process(int root, int netns_fd, const struct stat *st)
{
    struct stat first;
    ino_t inside;

    if (fstatat(root, "1/ns/net", &first, 0) == 0)
        return is_same(&first, st) ? YES : NO;
    if (!belongs_to_first_user_namespace(netns_fd))
        return NO;
    if (fstatat(root, "1/net/dev", &first, 0) < 0 || !inode_inside(netns_fd, &inside))
        return UNKNOWN;
    return inside == first.st_ino ? YES : NO;
}

static int refuse(const char *name, const char *whose, const char *traffic, struct diag *d)
{
    return diag_set(d, ERR_DENIED, 0,
                    "%s is the network %s: policies there would catch %s. Say --host if that is "
                    "meant",
                    name, whose, traffic);
}

static int refuse_host(int netns_fd, const char *name, struct diag *d)
{
    struct stat st, own;
    CLEANUP(fd_closep) int root = -1;

    int err = proc_open(&root, d);
    if (err < 0)
        return err;
    if (fstat(netns_fd, &st) < 0 || fstatat(root, "self/ns/net", &own, 0) < 0)
        return diag_set(d, err_from_errno(errno), errno,
                        "Failed to compare %s with the network of this host: %s", name,
                        strerror(errno));
    enum answer first =
        st.st_ino == FIRST_NETWORK_INODE ? YES : is_of_first_process(root, netns_fd, &st);
    if (first == YES)
        return refuse(name, "of this host itself", "the traffic of the whole host", d);
    if (is_same(&st, &own))
        return refuse(name, "that this program itself runs in", "its own traffic", d);
    if (first == UNKNOWN)
        return diag_set(d, ERR_PERM, 0,
                        "Not permitted: run as root. Without, it can't be found out whether %s is "
                        "the network of this host itself",
                        name);
    return 0;
}

/* ---- */

static int check_type(int fd, const char *name, struct diag *d)
{
    int type = ioctl(fd, NS_GET_NSTYPE);

    if (type == CLONE_NEWNET)
        return 0;
    return diag_set(d, ERR_INVAL, 0, "%s is a namespace, but not a network namespace", name);
}

int namespace_open(const char *name, bool allow_host, int *ret_fd, struct diag *d)
{
    CLEANUP(fd_closep) int fd = -1;

    int err = str_starts(name, "pid:") ? open_process(name + strlen("pid:"), &fd, d)
                                       : open_name(name, &fd, d);
    if (err == 0)
        err = check_type(fd, name, d);
    if (err == 0 && !allow_host)
        err = refuse_host(fd, name, d);
    if (err < 0)
        return err;
    *ret_fd = fd_steal(&fd);
    return 0;
}

/* ---- Sockets ---- */

struct made {
    int fd, code;
};

/* Shares the table of descriptors with the parent, so what is opened here is open there. */
NORETURN static void make_socket(int netns_fd, const int what[3], int out)
{
    struct made made = {.fd = -1, .code = unseen_enter(netns_fd)};

    if (made.code == 0) {
        made.fd = socket(what[0], what[1] | SOCK_CLOEXEC, what[2]);
        made.code = made.fd < 0 ? errno : 0;
    }
    (void)!write(out, &made, sizeof(made));
    _exit(0);
}

int namespace_socket(int netns_fd, int domain, int type, int protocol, int *ret_fd, struct diag *d)
{
    const int what[] = {domain, type, protocol};
    struct made made = {.fd = -1, .code = EIO};
    int fds[2];

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to make a pipe: %s",
                        strerror(errno));
    pid_t pid = unseen_fork(CLONE_FILES);
    if (pid == 0)
        make_socket(netns_fd, what, fds[1]);
    if (pid < 0)
        made.code = -pid;
    else if (told(pid, fds[0], &made, sizeof(made)) != (ssize_t)sizeof(made))
        made = (struct made){.fd = -1, .code = EIO};
    close_both(fds);
    if (made.code == EPERM)
        return diag_set(
            d, ERR_PERM, EPERM,
            "Not permitted to enter the network namespace: it needs root (CAP_SYS_ADMIN "
            "and CAP_NET_ADMIN)");
    if (made.code != 0)
        return diag_set(d, err_from_errno(made.code), made.code,
                        "Failed to make a socket in the network namespace: %s",
                        strerror(made.code));
    *ret_fd = made.fd;
    return 0;
}
