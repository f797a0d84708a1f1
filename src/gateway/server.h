/* The gateway as a whole: one TLS port, from which each connection goes to the access API (ALPN h2) or to the router
 * (stile-tcp).
 *
 * A server owns its listeners, its connections, the directory, the CA and the state, all in one loop. Connections that
 * don't get through their handshake are ended after TLS_HANDSHAKE_MS, and the oldest of them make room when there are too
 * many, so that silent clients keep nobody else out.
 */
#ifndef STILE_GATEWAY_SERVER_H
#define STILE_GATEWAY_SERVER_H

#include "gateway/config.h"
#include "loop/loop.h"

#define SERVER_HANDSHAKES_MAX 2048 /* at once */
#define SERVER_STRANGERS_MAX  256  /* API connections without a certificate */
#define SERVER_H2_MAX         4096 /* API connections */
#define SERVER_LISTENERS_MAX  8
#define SERVER_GRACE_MS       5000 /* how long a stop waits for connections to end */

struct server;

/* config is taken, also on failure. fds: listening sockets that are inherited, taken on success; with none, config->listen is opened.
 * Blocks (files, state). The diag names the remedy. */
int server_new(struct loop *loop, struct gateway_config *config, const int *fds, size_t fd_count,
               struct server **ret, struct diag *d);

/* The port of the first listener: for tests that listen on port 0. */
uint16_t server_port(const struct server *s);

/* Another configuration in place of the one there is, from the next connection on. config is taken on success. ERR_INVAL: the
 * cluster's name, the state or the address differ, which needs a restart (the old one stays). Blocks a little. */
int server_reload(struct server *s, struct gateway_config *config, struct diag *d);

/* Takes no more connections; waits up to SERVER_GRACE_MS for those there are, then resets them. stopped comes from the loop, and
 * the server is gone then. Again: doesn't wait any longer. */
void server_stop(struct server *s, void (*stopped)(void *arg), void *arg);

#endif
