/* Sockets: a stream over a connected one, and making connected ones.
 *
 * Theory of operation: bytes are read straight into the reader's memory, one large read at a time, and written straight
 * from the writer's memory; only what the kernel doesn't take at once is copied, and waits in one growing buffer that
 * leaves in one send. TCP sockets get TCP_NODELAY: batching is done above, by stream_cork.
 */
#ifndef STILE_LOOP_SOCKET_H
#define STILE_LOOP_SOCKET_H

#include "loop/stream.h"

/* A connected TCP or Unix stream socket. fd is taken on success (and made non-blocking); on failure it is still the
 * caller's. */
MUST_CHECK int socket_stream_new(struct loop *loop, uv_os_sock_t fd, struct stream **ret);

void socket_close(uv_os_sock_t fd);

/* Resolves host (a name, or an address; the system's resolver, in a pool thread) and connects to its addresses in turn,
 * dividing timeout_ms among those that are left. Names, address and reason stand in the diagnosis: ERR_NOTFOUND (no such
 * host), ERR_REFUSED, ERR_UNREACHABLE, ERR_TIMEOUT. done is called once unless cancelled; the fd (non-blocking,
 * close-on-exec) is the receiver's. The object is gone after done or cancel. */
struct socket_connect;
typedef void socket_connected_fn(void *arg, int err, uv_os_sock_t fd, const struct diag *d);
MUST_CHECK int socket_connect_start(struct loop *loop, const char *host, uint16_t port,
                                    unsigned timeout_ms, socket_connected_fn *done, void *arg,
                                    struct socket_connect **ret);
void socket_connect_cancel(struct socket_connect *c);

#endif
