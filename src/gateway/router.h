/* Connections of ALPN stile-tcp: from a client's certificate to an app's target.
 *
 * Each connection is authorised anew, resumed sessions too: the certificate must be an app certificate that this gateway
 * issued and that has not been taken back, the app must exist, the user must be allowed to use it, the port must be one of
 * its ports. Then the target is connected, and only then the client is told, with the one status message
 * (tls/target_status.h), and the bytes flow. Every connection ends with one line in the log and one row in the state.
 */
#ifndef STILE_GATEWAY_ROUTER_H
#define STILE_GATEWAY_ROUTER_H

#include "gateway/claims.h"
#include "gateway/directory.h"
#include "gateway/state.h"
#include "loop/stream.h"

struct router;

/* A client after its handshake. */
struct router_client {
    struct stream *stream;      /* taken; not reading */
    char addr[STATE_ADDR_SIZE]; /* with its port, for logs */
    int err;                    /* of claims_read */
    struct claims claims;       /* with err 0 */
    char reason[128];           /* with err below 0: for the client */
};

int router_new(struct loop *loop, struct state *state, struct router **ret);

/* directory: the current one; a reference is taken. */
void router_accept(struct router *r, struct directory *directory,
                   const struct router_client *client);

size_t router_connections(const struct router *r);
/* Resets what is left. Some may still wait for the state: router_free when router_connections is 0. */
void router_abort(struct router *r);
void router_free(struct router *r); /* no connections are left; NULL is fine */
/* Called (once) when the last connection has gone; for a graceful stop. */
void router_on_idle(struct router *r, void (*idle)(void *arg), void *arg);

#endif
