#include "loop/socket_sys.h"

static int translate(int code)
{
    return code == WSAEWOULDBLOCK ? UV_EAGAIN : uv_translate_sys_error(code);
}

static int last_error(void)
{
    return translate(WSAGetLastError());
}

long sys_code(int uv_code)
{
    return uv_code;
}

size_t sys_address_len(const struct sockaddr *addr)
{
    return addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

bool sys_socket_is_tcp(uv_os_sock_t fd)
{
    (void)fd;
    return true;
}

void sys_socket_close(uv_os_sock_t fd)
{
    closesocket(fd);
}

int sys_socket_set_nonblocking(uv_os_sock_t fd)
{
    u_long on = 1;
    return ioctlsocket(fd, (long)FIONBIO, &on) == 0 ? 0 : last_error();
}

/* Handles are inherited unless this is said. */
static int prepare(uv_os_sock_t fd, uv_os_sock_t *ret)
{
    int r = sys_socket_set_nonblocking(fd);
    if (r == 0 && !SetHandleInformation((HANDLE)fd, HANDLE_FLAG_INHERIT, 0))
        r = uv_translate_sys_error((int)GetLastError());
    if (r < 0) {
        closesocket(fd);
        return r;
    }
    *ret = fd;
    return 0;
}

int sys_socket_new(int family, uv_os_sock_t *ret)
{
    /* Overlapped, as libuv's completion port needs it. */
    uv_os_sock_t fd = WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    return fd == INVALID_SOCKET ? last_error() : prepare(fd, ret);
}

int sys_socket_accept(uv_os_sock_t listener, uv_os_sock_t *ret)
{
    uv_os_sock_t fd = accept(listener, NULL, NULL);
    return fd == INVALID_SOCKET ? last_error() : prepare(fd, ret);
}

int sys_socket_connect(uv_os_sock_t fd, const struct sockaddr *addr)
{
    return connect(fd, addr, (int)sys_address_len(addr)) == 0 ? 0 : last_error();
}

int sys_socket_pending_error(uv_os_sock_t fd)
{
    int code = 0;
    int len = sizeof(code);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, (char *)&code, &len) != 0)
        return last_error();
    return code == 0 ? 0 : translate(code);
}

int sys_socket_listen(uv_os_sock_t fd, const struct sockaddr *addr, int backlog)
{
    /* SO_REUSEADDR would let another process take the port here; this is its opposite. */
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&on, sizeof(on)) != 0 ||
        bind(fd, addr, (int)sys_address_len(addr)) != 0 || listen(fd, backlog) != 0)
        return last_error();
    return 0;
}

int sys_socket_port(uv_os_sock_t fd, uint16_t *ret_port)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    int len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return last_error();
    /* Both families have the port in the same place (RFC 3493 §3.3). */
    *ret_port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
    return 0;
}
