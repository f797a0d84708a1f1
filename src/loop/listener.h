/* A listening TCP or Unix socket, own or inherited. When descriptors or memory run out it pauses for a moment instead of
 * spinning, and says so at debug. */
#ifndef STILE_LOOP_LISTENER_H
#define STILE_LOOP_LISTENER_H

#include "base/err.h"
#include "loop/loop.h"

struct listener;

/* fd is taken on success. The accepted fd (non-blocking, close-on-exec) is the receiver's. */
typedef void listener_accept_fn(void *arg, uv_os_sock_t fd);
MUST_CHECK int listener_new(struct loop *loop, uv_os_sock_t fd, listener_accept_fn *on_accept,
                            void *arg, struct listener **ret);
void listener_close(struct listener *l); /* closes the fd; no event after this */
void listener_pause(struct listener *l); /* connections wait in the kernel's backlog */
void listener_resume(struct listener *l);

/* Opens one. host is an address ("127.0.0.1", "::1"), port 0 any. ret_port may be NULL. ERR_BUSY: in use (the diagnosis
 * says which port and what to do), ERR_PERM, ERR_INVAL (not an address). Blocks not at all. */
MUST_CHECK int listener_open_tcp(const char *host, uint16_t port, uv_os_sock_t *ret_fd,
                                 uint16_t *ret_port, struct diag *d);

#endif
