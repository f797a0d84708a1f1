/* The access API (proto/stile/access/v1): log in, look up, issue.
 *
 * LogIn needs no certificate; everything else needs the one that LogIn issued, checked against the state at every call.
 */
#ifndef STILE_GATEWAY_ACCESS_H
#define STILE_GATEWAY_ACCESS_H

#include "gateway/ca.h"
#include "gateway/claims.h"
#include "gateway/directory.h"
#include "gateway/login.h"
#include "gateway/state.h"
#include "rpc/server.h"

#define ACCESS_REQUEST_MAX 65536 /* bytes */

/* What all calls share. Everything is borrowed and outlives the calls. */
struct access {
    struct loop *loop;
    struct state *state;
    struct login *login;
    const struct ca *ca;
    struct directory *directory; /* the current one; replaced on reload */
};

/* One client: the service_arg of its connection. Calls copy what they need and may outlive it. */
struct access_client {
    struct access *access;
    char addr[STATE_ADDR_SIZE]; /* with its port, for logs */
    char host[STATE_ADDR_SIZE]; /* without: what log-in tries are counted by */
    int err;                    /* of claims_read: ERR_AUTH when it showed no certificate */
    struct claims claims;       /* with err 0 */
    char reason[128];           /* with err below 0 */
};

extern const struct rpc_handler access_handlers[];
extern const size_t access_handler_count;

#endif
