#include "platform/local_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

/* Through the directory's handle: any path fits, however long. */
static int address_of(const struct private_dir *dir, const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    return str_format(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir->fd, name);
}

/* Not every file system knows how to refuse to replace. */
static int rename_to_new(int dir, const char *from, const char *to)
{
    if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EINVAL ? renameat(dir, from, dir, to) : -1;
}

/* It gets its name when it listens: before, it would refuse connections, and be taken for a leftover and removed. */
static int listen_as(const struct private_dir *dir, int fd, const char *hidden,
                     const struct sockaddr_un *addr, const char *name)
{
    (void)unlinkat(dir->fd, hidden, 0); /* of one that was killed here */
    if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
        return -1;
    if (fchmodat(dir->fd, hidden, 0600, 0) == 0 && listen(fd, 16) == 0 &&
        rename_to_new(dir->fd, hidden, name) == 0)
        return 0;
    int e = errno;
    (void)unlinkat(dir->fd, hidden, 0);
    errno = e;
    return -1;
}

int local_socket_listen(const struct private_dir *dir, const char *name, int *ret_fd,
                        struct diag *d)
{
    struct sockaddr_un addr;
    char hidden[PRIVATE_NAME_SIZE];
    int r = str_format(hidden, sizeof(hidden), ".%s.%d", name, (int)getpid());
    if (r == 0)
        r = address_of(dir, hidden, &addr);
    if (r < 0)
        return diag_set(d, r, 0, "The name %s is too long", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || listen_as(dir, fd, hidden, &addr, name) < 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return diag_set(d, e == EADDRINUSE || e == EEXIST ? ERR_EXISTS : err_from_errno(e), e,
                        "Failed to listen on %s/%s: %s", dir->path, name, strerror(e));
    }
    *ret_fd = fd;
    return 0;
}

int local_socket_connect(const struct private_dir *dir, const char *name, int *ret_fd)
{
    struct sockaddr_un addr;
    int r = address_of(dir, name, &addr);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
        int e = errno;
        close(fd);
        return err_from_errno(e);
    }
    *ret_fd = fd;
    return 0;
}

bool local_socket_peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || len != sizeof(peer))
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}
