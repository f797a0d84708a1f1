/* Stream sockets with a name in a private directory: how a user's commands reach his running processes. */
#ifndef STILE_PLATFORM_LOCAL_SOCKET_H
#define STILE_PLATFORM_LOCAL_SOCKET_H

#include "platform/private_dir.h"

/* A listening socket, mode 0600, non-blocking. The name is removed by the caller (private_dir_remove). ERR_EXISTS. */
int local_socket_listen(const struct private_dir *dir, const char *name, int *ret_fd,
                        struct diag *d);

/* ERR_REFUSED: nobody listens any more, the name is a leftover. ERR_NOTFOUND. */
int local_socket_connect(const struct private_dir *dir, const char *name, int *ret_fd);

/* Whether the process at the other end is this user's (or root's). */
bool local_socket_peer_allowed(int fd);

#endif
