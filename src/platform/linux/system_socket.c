#include "platform/system_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

enum { BACKLOG = 1024 };

static int explain(struct diag *d, const char *what, const char *path, int code)
{
    return diag_set(d, err_from_errno(code), code, "Failed to %s %s: %s", what, path,
                    strerror(code));
}

static void close_keeping_errno(int fd)
{
    int code = errno;
    if (fd >= 0)
        (void)close(fd);
    errno = code;
}

/* The directory and the name in it. */
static int split(const char *path, char *dir, size_t size, const char **ret_name, struct diag *d)
{
    const char *slash = strrchr(path, '/');
    if (path[0] != '/' || slash == path || slash[1] == '\0' ||
        str_copy_slice(dir, size, slice_of(path, (size_t)(slash - path))) < 0)
        return diag_set(d, ERR_INVAL, 0, "%s is no absolute path of a socket", path);
    *ret_name = slash + 1;
    return 0;
}

static int check_directory(const char *dir, const struct stat *st, struct diag *d)
{
    if (!S_ISDIR(st->st_mode))
        return diag_set(
            d, ERR_PERM, 0,
            "%s is not a directory; somebody may have put it there. Remove it and start "
            "again",
            dir);
    if (st->st_uid != geteuid())
        return diag_set(
            d, ERR_PERM, 0,
            "The directory %s belongs to uid %u, who could take our place in it. Remove "
            "it and start again",
            dir, (unsigned)st->st_uid);
    if ((st->st_mode & 022) != 0)
        return diag_set(d, ERR_PERM, 0,
                        "Others may write to the directory %s (mode %04o) and so take our place in "
                        "it. Do: chmod 0755 %s",
                        dir, (unsigned)st->st_mode & 07777, dir);
    return 0;
}

static int open_directory(const char *dir, int *ret_fd, struct diag *d)
{
    struct stat st;
    mode_t mask = umask(022);
    int made = mkdir(dir, 0755);
    (void)umask(mask);
    if (made < 0 && errno != EEXIST)
        return explain(d, "make the directory", dir, errno);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return diag_set(d, ERR_PERM, errno,
                        "%s is not a directory of its own but a link or a file; somebody may have "
                        "put it there. Remove it and start again",
                        dir);
    if (fd < 0 || fstat(fd, &st) < 0) {
        close_keeping_errno(fd);
        return explain(d, "open the directory", dir, errno);
    }
    int r = check_directory(dir, &st, d);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

/* Through the directory's handle: what was checked is what is used. */
static int address_in(int dir_fd, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    return str_format(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* A leftover refuses; a living one takes the connection or has too many. */
static bool is_served(const struct sockaddr_un *addr)
{
    int fd = new_socket();
    if (fd < 0)
        return false;
    bool served = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN;
    (void)close(fd);
    return served;
}

static int listen_in(int dir_fd, const char *path, const char *name, int *ret_fd, struct diag *d)
{
    struct sockaddr_un addr;
    if (address_in(dir_fd, name, &addr) < 0)
        return diag_set(d, ERR_INVAL, 0, "The name %s is too long for a socket", path);
    if (is_served(&addr))
        return diag_set(d, ERR_BUSY, 0,
                        "Another broker serves %s already; end that one first (systemctl stop "
                        "stile-broker)",
                        path);
    int fd = new_socket();
    if (fd < 0)
        return explain(d, "make the socket", path, errno);
    if ((unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT) ||
        bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        fchmodat(dir_fd, name, 0666, 0) < 0 || listen(fd, BACKLOG) < 0) {
        close_keeping_errno(fd);
        return explain(d, "listen on", path, errno);
    }
    *ret_fd = fd;
    return 0;
}

int system_socket_listen(const char *path, int *ret_fd, struct diag *d)
{
    char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *name = path;
    int dir_fd = -1;
    int r = split(path, dir, sizeof(dir), &name, d);
    if (r == 0)
        r = open_directory(dir, &dir_fd, d);
    if (r < 0)
        return r;
    r = listen_in(dir_fd, path, name, ret_fd, d);
    (void)close(dir_fd);
    return r;
}

void system_socket_remove(const char *path)
{
    (void)unlink(path);
}

static int check_server(int fd, const char *path, struct diag *d)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof(peer))
        return explain(d, "ask who serves", path, errno);
    if (peer.uid != 0)
        return diag_set(d, ERR_PERM, 0,
                        "%s is served by uid %u and not by root: that is no broker. Tell the "
                        "administrator of this machine",
                        path, (unsigned)peer.uid);
    return 0;
}

static int explain_connect(struct diag *d, const char *path, int code)
{
    static const char remedy[] = "as root, start it (systemctl start stile-broker, or `stile "
                                 "broker`), or do without (`stile run`)";
    if (code == ENOENT || code == ENOTDIR)
        return diag_set(d, ERR_NOTFOUND, code, "No broker runs on this machine (no %s): %s", path,
                        remedy);
    if (code == ECONNREFUSED)
        return diag_set(d, ERR_REFUSED, code, "The broker isn't running any more (%s): %s", path,
                        remedy);
    if (code == EAGAIN)
        return diag_set(d, ERR_AGAIN, code, "The broker has too much to do (%s); try again", path);
    return explain(d, "connect to the broker at", path, code);
}

int system_socket_connect(const char *path, int *ret_fd, struct diag *d)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (str_copy(addr.sun_path, sizeof(addr.sun_path), path) < 0)
        return diag_set(d, ERR_INVAL, 0, "The name %s is too long for a socket", path);
    int fd = new_socket();
    if (fd < 0)
        return explain(d, "make a socket for", path, errno);
    int r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0
                ? explain_connect(d, path, errno)
                : check_server(fd, path, d);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}
