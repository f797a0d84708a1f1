/* What sockets need of the operating system; socket_unix.c or socket_windows.c, chosen by the build. For loop/ alone.
 * Errors are returned as libuv's codes (negative), so that there is one translator, loop_err. */
#ifndef STILE_LOOP_SOCKET_SYS_H
#define STILE_LOOP_SOCKET_SYS_H

#include <uv.h>

#include "base/compiler.h"

bool sys_socket_is_tcp(uv_os_sock_t fd); /* else it is a Unix socket */
void sys_socket_close(uv_os_sock_t fd);
/* Non-blocking and close-on-exec, both. */
int sys_socket_new(int family, uv_os_sock_t *ret);
int sys_socket_accept(uv_os_sock_t listener, uv_os_sock_t *ret);
int sys_socket_set_nonblocking(uv_os_sock_t fd);
int sys_socket_connect(uv_os_sock_t fd, const struct sockaddr *addr); /* UV_EAGAIN: in progress */
int sys_socket_pending_error(uv_os_sock_t fd);                        /* SO_ERROR; 0 if none */
/* Binds (with the address reusable where that means restarting quickly) and listens. */
int sys_socket_listen(uv_os_sock_t fd, const struct sockaddr *addr, int backlog);
int sys_socket_port(uv_os_sock_t fd, uint16_t *ret_port);
size_t sys_address_len(const struct sockaddr *addr);
long sys_code(int uv_code); /* the operating system's own number, for diagnoses */

#endif
