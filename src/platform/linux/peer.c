#include "platform/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* Newer than Debian 12's headers. */
enum { OPTION_PEERPIDFD = 77 };

static const char gone[] = "The process that connected has ended";

static int open_process(uint32_t pid)
{
    char path[32];
    (void)str_format(path, sizeof(path), "/proc/%u", pid);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Field 22 of /proc/PID/stat. The name in field 2 may hold anything, so it is counted from its last parenthesis. */
static int parse_start_time(char *text, uint64_t *ret_time)
{
    char *s = strrchr(text, ')');
    for (int field = 2; s != NULL && field < 22; field++) {
        s = strchr(s, ' ');
        s = s != NULL ? s + 1 : NULL;
    }
    char *end = s != NULL ? strchr(s, ' ') : NULL;
    if (end == NULL)
        return ERR_FORMAT;
    *end = '\0';
    return str_to_u64(s, UINT64_MAX, ret_time);
}

static int start_time_at(int process, uint64_t *ret_time)
{
    char text[1024];
    int fd = openat(process, "stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0)
        return ERR_NOTFOUND;
    text[n] = '\0';
    return parse_start_time(text, ret_time);
}

static int start_time_of(uint32_t pid, uint64_t *ret_time)
{
    int process = open_process(pid);
    if (process < 0)
        return err_from_errno(errno);
    int r = start_time_at(process, ret_time);
    (void)close(process);
    return r;
}

static int pidfd_by_socket(int sock)
{
    int fd = -1;
    socklen_t len = sizeof(fd);
    if (getsockopt(sock, SOL_SOCKET, OPTION_PEERPIDFD, &fd, &len) < 0)
        return -1;
    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static int pidfd_by_pid(uint32_t pid)
{
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

static bool still_there(const struct peer *p)
{
    uint64_t now = 0;
    if (p->pidfd < 0)
        return start_time_of(p->pid, &now) == 0 && now == p->start_time;
    struct pollfd ended = {.fd = p->pidfd, .events = POLLIN};
    return poll(&ended, 1, 0) == 0;
}

int peer_identify(int sock, enum peer_hold first, struct peer *ret, struct diag *d)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof(cred))
        return diag_set(d, ERR_AUTH, errno, "Failed to ask the system who connected: %s",
                        strerror(errno));
    if (cred.pid <= 0 || cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1)
        return diag_set(d, ERR_AUTH, 0, "%s, or is of another container", gone);
    struct peer p = {.uid = cred.uid, .gid = cred.gid, .pid = (uint32_t)cred.pid, .pidfd = -1};
    if (first <= PEER_BY_SOCKET)
        p.pidfd = pidfd_by_socket(sock);
    if (p.pidfd < 0 && first <= PEER_BY_PID)
        p.pidfd = pidfd_by_pid(p.pid);
    int r = start_time_of(p.pid, &p.start_time);
    if (r < 0 || !still_there(&p)) {
        peer_release(&p);
        return r == ERR_LIMIT
                   ? diag_set(d, r, 0, "No descriptor is left to look at the caller with")
                   : diag_set(d, ERR_AUTH, 0, "%s", gone);
    }
    *ret = p;
    return 0;
}

void peer_release(struct peer *p)
{
    if (p->pidfd >= 0)
        (void)close(p->pidfd);
    *p = PEER_NONE;
}

static int explain_other(int process, struct diag *d)
{
    char path[256];
    ssize_t n = readlinkat(process, "exe", path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    return diag_set(d, ERR_VERSION, 0,
                    "The broker runs from another file than this command (%s): after an update, "
                    "restart the broker (systemctl restart stile-broker); else use the stile that "
                    "the broker was started from",
                    path);
}

/* Of a file system that isn't ours nothing more than its number is asked: what answers there may be the caller, who doesn't. */
static int stat_executable(int process, const struct stat *own, struct stat *ret)
{
    struct statx x;
    if (statx(process, "exe", AT_STATX_DONT_SYNC, 0, &x) < 0)
        return -1;
    *ret = (struct stat){.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor)};
    return ret->st_dev == own->st_dev ? fstatat(process, "exe", ret, 0) : 0;
}

int peer_check_executable(const struct peer *p, struct diag *d)
{
    struct stat own, theirs;
    if (stat("/proc/self/exe", &own) < 0)
        return diag_set(d, ERR_AUTH, errno, "Failed to look at the own program: %s",
                        strerror(errno));
    int process = open_process(p->pid);
    int seen = process >= 0 ? stat_executable(process, &own, &theirs) : -1;
    int code = errno;
    int r = 0;
    /* Asked last: what was read above is then of the process that connected. */
    if (seen < 0 || !still_there(p))
        r = diag_set(d, ERR_AUTH, seen < 0 ? code : 0, "Failed to look at the caller's program: %s",
                     seen < 0 ? strerror(code) : gone);
    else if (own.st_dev != theirs.st_dev || own.st_ino != theirs.st_ino)
        r = explain_other(process, d);
    if (process >= 0)
        (void)close(process);
    return r;
}

static bool contains(const gid_t *groups, size_t count, uint32_t gid)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

bool peer_in_group(int sock, uint32_t gid)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && cred.gid == gid)
        return true;
    gid_t few[32];
    len = sizeof(few);
    if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, few, &len) == 0)
        return contains(few, len / sizeof(*few), gid);
    if (errno != ERANGE)
        return false;
    CLEANUP(mem_freep) gid_t *groups = mem_zalloc(len);
    if (groups == NULL || getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    return contains(groups, len / sizeof(*groups), gid);
}
