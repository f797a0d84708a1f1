/* The serving side of gRPC on one connection: HTTP/2 (RFC 9113) with the mapping of gRPC's PROTOCOL-HTTP2 document. Any
 * client that speaks gRPC with unary or server-streaming calls is served. One thread: that of the loop. Nothing blocks.
 *
 * A method's handler gets a call and a request, both valid until it answers, at once or later. It answers exactly once: a unary
 * call with rpc_call_reply or rpc_call_fail; a streaming one with any number of rpc_call_send, then rpc_call_finish or
 * rpc_call_fail. Answering takes the call. If the caller has gone meanwhile (deadline, cancelled, connection lost) the
 * handler must answer all the same; the answer then frees the call silently.
 */
#ifndef STILE_RPC_SERVER_H
#define STILE_RPC_SERVER_H

#include "base/err.h"
#include "rpc/method.h"
#include "rpc/status.h"

struct loop;
struct stream;
struct rpc_call;
struct rpc_server_conn;

struct rpc_handler {
    const struct rpc_method *method;
    void (*handle)(struct rpc_call *call, const ProtobufCMessage *request, void *service_arg);
};

/* What a connection serves, and its caps; 0 is the default of each. Copied, but not the handlers, which must outlive it. */
struct rpc_server_config {
    const struct rpc_handler *handlers;
    size_t handler_count;
    void *service_arg; /* given to handlers and on_closed */
    /* Once, when the connection has ended from outside: err ERR_CLOSED after an orderly end. Then call
     * rpc_server_conn_close (here is fine). May be NULL: it closes itself. */
    void (*on_closed)(void *service_arg, int err, const struct diag *diag);
    size_t message_max;  /* of a request, bytes; RPC_MESSAGE_MAX */
    unsigned calls_max;  /* open at once; 1024 */
    unsigned request_ms; /* for a request to come whole, for an answer to be taken; 60 000 */
    unsigned idle_ms;    /* without an open call, until the connection is ended; 0: no limit */
    /* While calls are open, silence of this length makes a PING, and as much again on_closed with ERR_TIMEOUT; 0: never. */
    unsigned keepalive_ms;
};

/* stream: ready (handshake done), with nobody's events; taken on success. */
MUST_CHECK int rpc_server_conn_new(struct stream *stream, struct loop *loop,
                                   const struct rpc_server_config *config,
                                   struct rpc_server_conn **ret_conn);

/* Ends the connection now: open calls are cancelled (their on_cancel runs before this returns); no on_closed. Memory is freed
 * when the last call has been answered. */
void rpc_server_conn_close(struct rpc_server_conn *conn);

/* GOAWAY: open calls may end, new ones go elsewhere. on_closed follows when none is left. */
void rpc_server_conn_shutdown(struct rpc_server_conn *conn);

size_t rpc_server_conn_calls(const struct rpc_server_conn *conn); /* open now */

/* Unary: the message and OK. A response that can't be packed or is over RPC_MESSAGE_MAX becomes an error to the caller; the call is
 * gone in any case. The return is for the log: 0, ERR_TOOBIG, ERR_NOMEM, or ERR_CLOSED when the caller had gone. */
int rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *response);

/* The call is gone. The text goes to the caller's people: no secrets, no paths. status isn't RPC_OK. */
PRINTF_LIKE(3, 4)
void rpc_call_fail(struct rpc_call *call, enum rpc_status status, const char *fmt, ...);

/* Streaming. ERR_AGAIN: the caller reads too slowly and RPC_SEND_QUEUE_MAX is queued; nothing was sent, on_drain tells when
 * to go on. ERR_CLOSED: the caller has gone. ERR_LIMIT: too much is queued on this connection. ERR_TOOBIG, ERR_NOMEM. The call stays the handler's. */
#define RPC_SEND_QUEUE_MAX (2u * RPC_MESSAGE_MAX)
MUST_CHECK int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *response);
void rpc_call_finish(struct rpc_call *call); /* OK; the call is gone */
void rpc_call_on_drain(struct rpc_call *call, void (*on_drain)(void *arg), void *arg);

/* on_cancel runs once if the caller goes before the answer; it may answer (and so free) the call. If the caller has gone already
 * it runs before this returns. */
void rpc_call_on_cancel(struct rpc_call *call, void (*on_cancel)(void *arg), void *arg);
bool rpc_call_canceled(const struct rpc_call *call);

/* NULL once the connection is closed. */
struct rpc_server_conn *rpc_call_conn(const struct rpc_call *call);
const struct rpc_method *rpc_call_method(const struct rpc_call *call);
uint64_t rpc_call_deadline(const struct rpc_call *call); /* monotonic ns; 0: none */

#endif
