/* The access API of one gateway: a connection that is made when it is needed, kept, and made again.
 *
 * Theory of operation: calls wait in a queue while there is no connection; the first one dials (name, TCP, TLS with ALPN
 * "h2", then gRPC). If dialling fails, all that wait fail with its reason. A kept connection that turns out to be dead is
 * replaced once, and the calls it took are made again: all of them may be repeated.
 */
#ifndef STILE_AGENT_ACCESS_H
#define STILE_AGENT_ACCESS_H

#include <openssl/ssl.h>
#include <protobuf-c/protobuf-c.h>

#include "base/err.h"

struct access;
struct loop;
struct profile;
struct rpc_method;

#define ACCESS_CALLS_MAX 4096 /* at once */

struct access_config {
    const char *gateway; /* host:port */
    SSL_CTX *ctx;        /* whom to trust; a reference is taken */
    X509 *cert;          /* referenced; NULL: not logged in yet */
    EVP_PKEY *key;
};

int access_new(struct loop *loop, const struct access_config *config, struct access **ret,
               struct diag *d);
/* The connection of a profile, trusting its CA alone. */
int access_new_for(struct loop *loop, const struct profile *profile, struct access **ret,
                   struct diag *d);
/* Calls that are open get ERR_CANCELED before this returns. NULL is fine. */
void access_free(struct access *a);

/* Once per call, never from inside access_call. reply is borrowed, NULL unless err is 0. Otherwise d says what failed and what
 * to do: ERR_UNREACHABLE (the gateway can't be reached), ERR_TLS and ERR_AUTH (it isn't whom we trust, or it doesn't know
 * us), ERR_EXPIRED (log in again), ERR_DENIED, ERR_NOTFOUND, ERR_LIMIT (too many tries), … */
typedef void access_done_fn(void *arg, int err, const ProtobufCMessage *reply,
                            const struct diag *d);

/* The request is borrowed until done. ERR_LIMIT, ERR_NOMEM: done isn't called. */
int access_call(struct access *a, const struct rpc_method *method, const ProtobufCMessage *request,
                access_done_fn *done, void *arg);

/* For commands: runs the loop until the answer is there. ret: a copy, for protobuf_c_message_free_unpacked. */
int access_ask(struct access *a, const struct rpc_method *method, const ProtobufCMessage *request,
               ProtobufCMessage **ret, struct diag *d);

#endif
