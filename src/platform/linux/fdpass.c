#include "platform/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

void fdpass_close(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

enum fdpass_kind fdpass_kind_of(int fd)
{
    int domain = 0;
    int type = 0;
    socklen_t len = sizeof(int);
    if (fcntl(fd, F_GETPIPE_SZ) >= 0)
        return FDPASS_PIPE;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX)
        return FDPASS_OTHER;
    len = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return FDPASS_OTHER;
    if (type == SOCK_STREAM)
        return FDPASS_STREAM;
    return type == SOCK_SEQPACKET ? FDPASS_MESSAGES : FDPASS_OTHER;
}

static void control_put(struct msghdr *msg, union control *control, const int *fds, size_t count)
{
    msg->msg_control = control->bytes;
    msg->msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
}

int fdpass_send(int sock, struct slice message, const int *fds, size_t fd_count)
{
    if (message.len == 0 || fd_count > FDPASS_MAX)
        return ERR_INVAL;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)message.data, .iov_len = message.len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;
    memset(&control, 0, sizeof(control));
    if (fd_count > 0)
        control_put(&msg, &control, fds, fd_count);
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_from_errno(errno);
    return (size_t)n == message.len ? 0 : ERR_IO;
}

/* Every descriptor the kernel installed, also those of a message that is then refused. */
static size_t control_take(struct msghdr *msg, int fds[FDPASS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && count < FDPASS_MAX; i++)
            memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

int fdpass_take(int sock, void *message, size_t size, size_t *ret_len, int fds[FDPASS_MAX],
                size_t *ret_fd_count)
{
    *ret_fd_count = 0;
    struct iovec iov = {.iov_base = message, .iov_len = size};
    union control control;
    memset(&control, 0, sizeof(control));
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_from_errno(errno);
    *ret_fd_count = control_take(&msg, fds);
    if (n == 0)
        return ERR_CLOSED;
    if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return ERR_TOOBIG;
    *ret_len = (size_t)n;
    return 0;
}

int fdpass_recv(int sock, void *message, size_t size, size_t *ret_len, int *fds, size_t max_fds,
                size_t *ret_fd_count)
{
    int got[FDPASS_MAX];
    size_t count = 0;
    size_t len = 0;
    int r = fdpass_take(sock, message, size, &len, got, &count);
    if (r == 0 && count > max_fds)
        r = ERR_TOOBIG;
    if (r < 0) {
        fdpass_close(got, count);
        return r;
    }
    memcpy(fds, got, count * sizeof(int));
    *ret_len = len;
    *ret_fd_count = count;
    return 0;
}
