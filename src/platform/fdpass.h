/* One message and file descriptors over a local socket (SCM_RIGHTS on AF_UNIX SOCK_SEQPACKET).
 *
 * A message arrives whole or not at all: a longer one than the room, or more descriptors than the
 * room, is refused and every descriptor that came with it is closed. Received descriptors are
 * close-on-exec. Neither function waits on a non-blocking socket: ERR_AGAIN.
 */
#ifndef STILE_PLATFORM_FDPASS_H
#define STILE_PLATFORM_FDPASS_H

#include "base/slice.h"

#define FDPASS_MAX 32 /* descriptors in one message */

/* The descriptors stay the caller's (the peer gets duplicates). ERR_CLOSED when the peer is gone,
 * ERR_AGAIN, ERR_INVAL. */
int fdpass_send(int sock, struct slice message, const int *fds, size_t fd_count);

/* ERR_CLOSED at the end, ERR_TOOBIG, ERR_AGAIN. Written on success only; the descriptors are then
 * the caller's. */
int fdpass_recv(int sock, void *message, size_t size, size_t *ret_len, int *fds, size_t max_fds,
                size_t *ret_fd_count);

/* The same, of someone who isn't trusted: *ret_fd_count descriptors are the caller's whatever is returned, since closing them
 * may wait for a file system that is his. */
int fdpass_take(int sock, void *message, size_t size, size_t *ret_len, int fds[FDPASS_MAX],
                size_t *ret_fd_count);

/* What a descriptor of someone else is. Asks the kernel alone: looking at a file, or closing it, may wait for a file system that is
 * his. */
enum fdpass_kind {
    FDPASS_OTHER,
    FDPASS_STREAM,   /* a Unix socket, SOCK_STREAM */
    FDPASS_MESSAGES, /* a Unix socket, SOCK_SEQPACKET */
    FDPASS_PIPE,
};
enum fdpass_kind fdpass_kind_of(int fd);

/* Closes each and writes -1 in its place. */
void fdpass_close(int *fds, size_t count);

#endif
