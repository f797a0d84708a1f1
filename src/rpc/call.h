/* A call on the serving side. Internal to rpc; handlers see rpc/server.h.
 *
 *   RECEIVING ──(request whole)──► HANDLED ──(reply, finish, fail)──► ANSWERED
 *       └──────(refused, expired)──────────────────────────────────────┘
 *
 * In HANDLED the handler owns the call. If the caller goes meanwhile, or gets its status from us (deadline), the call is `gone`
 * and stays in HANDLED until the handler answers. In the other states it is freed when its HTTP/2 stream closes, or when the connection's patience ends.
 */
#ifndef STILE_RPC_CALL_H
#define STILE_RPC_CALL_H

#include "rpc/metadata.h"
#include "rpc/server.h"
#include "rpc/transport.h"

enum call_state { CALL_RECEIVING, CALL_HANDLED, CALL_ANSWERED };

struct rpc_call {
    struct rpc_exchange x; /* first */
    enum call_state state;
    struct rpc_server_conn *conn; /* NULL: closed */
    const struct rpc_handler *handler;
    ProtobufCMessage *request; /* owned */
    uint64_t timeout_ns;       /* the caller's; 0: none */
    bool post;                 /* the request is a POST */
    bool content_type_ok;
    bool timeout_bad;
    bool responding; /* headers of the response are submitted */
    bool gone;
    enum rpc_status status; /* for the trailers */
    char text[RPC_TEXT_SIZE];
    void (*on_cancel)(void *arg);
    void *cancel_arg;
    void (*on_drain)(void *arg);
    void *drain_arg;
};

/* For the connection. */
void rpc_call_header(struct rpc_exchange *x, struct slice name, struct slice value);
int rpc_call_trailers(struct rpc_exchange *x);
void rpc_call_ready(struct rpc_exchange *x);
/* The connection is gone: takes the call off it, tells the handler. */
void rpc_call_disconnect(struct rpc_call *call);

/* Of the connection. */
const struct rpc_handler *rpc_server_conn_find(const struct rpc_server_conn *conn,
                                               struct slice path);
void *rpc_server_conn_arg(const struct rpc_server_conn *conn);
size_t rpc_server_conn_message_max(const struct rpc_server_conn *conn);
uint64_t
rpc_server_conn_patience(const struct rpc_server_conn *conn); /* when it ends, counted from now */

#endif
