#include "loop/socket_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int last_error(void)
{
    return uv_translate_sys_error(errno);
}

long sys_code(int uv_code)
{
    return -uv_code;
}

size_t sys_address_len(const struct sockaddr *addr)
{
    return addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

bool sys_socket_is_tcp(uv_os_sock_t fd)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return true;
    return addr.ss_family != AF_UNIX;
}

void sys_socket_close(uv_os_sock_t fd)
{
    close(fd);
}

int sys_socket_new(int family, uv_os_sock_t *ret)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return last_error();
    *ret = fd;
    return 0;
}

int sys_socket_accept(uv_os_sock_t listener, uv_os_sock_t *ret)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return last_error();
    *ret = fd;
    return 0;
}

int sys_socket_set_nonblocking(uv_os_sock_t fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return last_error();
    return 0;
}

int sys_socket_connect(uv_os_sock_t fd, const struct sockaddr *addr)
{
    if (connect(fd, addr, (socklen_t)sys_address_len(addr)) == 0)
        return 0;
    return errno == EINPROGRESS || errno == EINTR ? UV_EAGAIN : last_error();
}

int sys_socket_pending_error(uv_os_sock_t fd)
{
    int code = 0;
    socklen_t len = sizeof(code);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        return last_error();
    return code == 0 ? 0 : uv_translate_sys_error(code);
}

int sys_socket_listen(uv_os_sock_t fd, const struct sockaddr *addr, int backlog)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, addr, (socklen_t)sys_address_len(addr)) < 0 || listen(fd, backlog) < 0)
        return last_error();
    return 0;
}

int sys_socket_port(uv_os_sock_t fd, uint16_t *ret_port)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
        return last_error();
    /* Both families have the port in the same place (RFC 3493 §3.3): getsockname wrote it.
     * NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage) */
    *ret_port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
    return 0;
}
