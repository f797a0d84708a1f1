/* The calling side of gRPC on one connection: HTTP/2 (RFC 9113) with the mapping of gRPC's PROTOCOL-HTTP2 document. Calls run at the same
 * time; those over the server's limit wait their turn within their own deadlines. One thread: that of the loop. Nothing
 * blocks.
 */
#ifndef STILE_RPC_CLIENT_H
#define STILE_RPC_CLIENT_H

#include "base/err.h"
#include "rpc/method.h"
#include "rpc/status.h"

struct loop;
struct stream;
struct rpc_client;
struct rpc_pending;

/* Open or waiting at once. */
#define RPC_CLIENT_CALLS_MAX 4096u

/* What becomes of a call. Never from inside rpc_client_call. reply is borrowed for the duration of the callback.
 *   unary: once; RPC_OK with the reply, or another status with NULL.
 *   streaming: RPC_OK with a reply for each message; at the end once more with NULL and the final status.
 * message is the server's text or our own, printable, never NULL, empty when there is nothing to say. */
typedef void rpc_on_reply(void *arg, enum rpc_status status, const char *message,
                          const ProtobufCMessage *reply);

/* stream: ready (handshake done), with nobody's events; taken on success. authority: what :authority says, e.g. the
 * server's host:port; copied; NULL: "localhost". on_closed: once, when the connection has ended from outside, after every pending
 * call got UNAVAILABLE; then call rpc_client_close (there is fine). */
MUST_CHECK int rpc_client_new(struct stream *stream, struct loop *loop, const char *authority,
                              void (*on_closed)(void *arg, int err, const struct diag *diag),
                              void *arg, struct rpc_client **ret_client);

/* Ends the connection now. Pending calls get CANCELLED before this returns; no on_closed. The client is gone. */
void rpc_client_close(struct rpc_client *client);

/* While calls are open, a server silent for this long gets a PING; as long again without a word, and the connection is lost with
 * ERR_TIMEOUT (calls: UNAVAILABLE). 0: never, the default. Other people's servers may think less than 5 minutes rude. */
void rpc_client_set_keepalive(struct rpc_client *client, unsigned ms);

/* Of a reply, packed; the default is RPC_MESSAGE_MAX. Before the first call. */
void rpc_client_set_message_max(struct rpc_client *client, size_t bytes);

/* request is packed before this returns. timeout_ms 0: no deadline. ret_pending may be NULL; it is valid until the last
 * callback. ERR_CLOSED: the connection has ended or the server takes no more calls. ERR_TOOBIG, ERR_LIMIT, ERR_NOMEM.
 * on_reply is called only if this returns 0. */
MUST_CHECK int rpc_client_call(struct rpc_client *client, const struct rpc_method *method,
                               const ProtobufCMessage *request, unsigned timeout_ms,
                               rpc_on_reply *on_reply, void *arg, struct rpc_pending **ret_pending);

/* The server is told; on_reply isn't called any more. */
void rpc_pending_cancel(struct rpc_pending *pending);

size_t rpc_client_calls(const struct rpc_client *client); /* open or waiting */

#endif
