/* A SOCK_SEQPACKET socket with a name that root serves and every user may knock at.
 *
 * Nobody else can have the name: its directory belongs to root and only root writes in it, and whoever connects asks the kernel
 * whose process listens.
 */
#ifndef STILE_PLATFORM_SYSTEM_SOCKET_H
#define STILE_PLATFORM_SYSTEM_SOCKET_H

#include "base/err.h"

/* Makes the directory (root's, 0755) if it isn't there; what is there must be a directory of root that nobody else may write to
 * and no link: ERR_PERM, with the remedy. A socket that nobody serves any more is replaced. Non-blocking, mode 0666. ERR_BUSY:
 * somebody serves it. */
int system_socket_listen(const char *path, int *ret_fd, struct diag *d);

/* Takes the name away: for who serves it. */
void system_socket_remove(const char *path);

/* Non-blocking. ERR_NOTFOUND, ERR_REFUSED (nobody serves it), ERR_PERM (its owner isn't root), ERR_AGAIN (too many knock at once). */
int system_socket_connect(const char *path, int *ret_fd, struct diag *d);

#endif
