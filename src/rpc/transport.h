/* One HTTP/2 connection on a stream, and the exchanges (HTTP/2 streams) on it: what client and server share. Internal to rpc.
 *
 * Theory of operation: bytes from the stream go into nghttp2, whose callbacks only note what came (headers to the owner, body
 * bytes into the exchange, ends) and put the exchange on the ready list. Afterwards, outside nghttp2, the ready list is
 * served: the owner's ready() looks at the exchange and calls handlers and callbacks, which may do anything, even close
 * the connection. Then what nghttp2 wants to say is written out. Calls from elsewhere (a handler that answers later) write
 * at once too, but never call back: failures met there are told in the next turn of the loop.
 *
 * A peer decides nothing: exchanges, header bytes, body bytes held, frames waiting to be sent, resets, pings and settings
 * are all capped, by the constants here or by nghttp2's own.
 *
 * Memory: the transport is a member of its owner, which frees itself in freed(), in a later turn than rpc_transport_close,
 * so that closing is safe anywhere.
 */
#ifndef STILE_RPC_TRANSPORT_H
#define STILE_RPC_TRANSPORT_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "loop/stream.h"
#include "loop/timer.h"
#include "rpc/message.h"

/* Of one exchange, either way; a header counts its name, its value and 32 (RFC 9113 section 10.5.1). */
#define RPC_HEADERS_MAX      64u
#define RPC_HEADER_BYTES_MAX 16384u

/* Body bytes that arrived and wait for the rest of their message, of all exchanges. */
#define RPC_HELD_MAX (8u * RPC_MESSAGE_MAX)
/* Packed messages that wait for the peer to take them, of all exchanges. */
#define RPC_UNSENT_MAX (16u * RPC_MESSAGE_MAX)

struct rpc_transport;

struct rpc_exchange {
    struct list node;                /* in the transport's exchanges */
    struct list ready;               /* in the transport's ready list */
    struct rpc_transport *transport; /* NULL: not on one (any more) */
    int32_t id;
    struct buf in;  /* body bytes not taken yet */
    struct buf out; /* body bytes not sent yet */
    size_t header_bytes;
    unsigned header_count;
    int in_err; /* why headers or body were dropped: ERR_TOOBIG, ERR_LIMIT, ERR_NOMEM; or 0 */
    uint32_t close_code;
    uint64_t deadline; /* monotonic ns, 0 none; see expired */
    bool headers_done; /* of the first block */
    bool in_ended;     /* END_STREAM came */
    bool out_ended;    /* nothing more will be put in out */
    bool out_waiting;  /* nghttp2 asked and out was empty */
    bool closed;       /* the HTTP/2 stream is gone, with close_code */
    bool expired;      /* the deadline has passed; told once */
    bool want_drained; /* tell when out is half empty again */
    bool drained;
};

struct rpc_transport_ops {
    /* Server: a new exchange, initialised by rpc_exchange_init, or NULL to refuse it. */
    struct rpc_exchange *(*open)(void *owner);
    /* In nghttp2's callback: note, no more. Also for trailers. */
    void (*header)(struct rpc_exchange *x, struct slice name, struct slice value);
    /* Server, in nghttp2's callback: out is at its end; submit the trailers. NULL: END_STREAM on the last data. */
    int (*trailers)(struct rpc_exchange *x);
    /* Something has changed. May free the exchange, and close the transport. */
    void (*ready)(struct rpc_exchange *x);
    /* The connection has ended from outside, once. Exchanges are still there. */
    void (*lost)(void *owner, int err, const struct diag *diag);
    void (*freed)(void *owner);
};

struct rpc_transport {
    const struct rpc_transport_ops *ops;
    void *owner;
    struct stream *stream; /* owned */
    struct loop *loop;
    nghttp2_session *session; /* owned */
    struct list exchanges;
    struct list ready;
    size_t count;  /* of exchanges */
    size_t held;   /* bytes in all in */
    size_t unsent; /* bytes in all out */
    size_t body_max;
    struct defer turn;
    struct timer timer;
    uint64_t timer_at;   /* 0: not running */
    uint64_t idle_ns;    /* 0: may be idle for ever */
    uint64_t idle_since; /* while count is 0 */
    uint64_t ping_ns;    /* 0: never; see rpc_transport_set_keepalive */
    uint64_t heard_at;   /* bytes came last, or were first waited for */
    uint64_t pinged_at;  /* and not heard since; or 0 */
    uint64_t linger_end; /* 0: not lingering; see LINGER_NS */
    int send_err;        /* of the stream; the connection is lost in the next turn */
    ssize_t h2_err;      /* the same, of nghttp2 */
    bool server;
    bool busy;   /* in a turn: it will send */
    bool failed; /* lost was told */
    bool closed;
    char reason[160]; /* nghttp2's words for what the peer did wrong; "" */
};

struct rpc_transport_config {
    const struct rpc_transport_ops *ops;
    void *owner;
    bool server;
    unsigned calls_max; /* what a server allows */
    size_t message_max; /* of what comes in */
    unsigned idle_ms;
};

/* The stream is taken on success. On failure nothing is left and freed() isn't called. */
MUST_CHECK int rpc_transport_init(struct rpc_transport *t, struct stream *stream, struct loop *loop,
                                  const struct rpc_transport_config *config);
/* Exchanges must have been released. No event after this but freed(), in a later turn. */
void rpc_transport_close(struct rpc_transport *t);
/* While exchanges are open and nothing has come for so long, a PING goes out; as long again without a word, and the connection is
 * lost with ERR_TIMEOUT. 0: never. */
void rpc_transport_set_keepalive(struct rpc_transport *t, unsigned ms);
/* Of what comes in; for the exchanges that begin after this. */
void rpc_transport_set_message_max(struct rpc_transport *t, size_t bytes);
/* Sends what nghttp2 has to say, unless a turn will. */
void rpc_transport_flush(struct rpc_transport *t);
/* GOAWAY with this code; lost() follows when the last exchange has ended. */
void rpc_transport_goaway(struct rpc_transport *t, uint32_t code);

/* On a transport, from now on counted and found by it. */
void rpc_exchange_init(struct rpc_exchange *x, struct rpc_transport *t);
/* Takes it off its transport and frees its buffers. The HTTP/2 stream, if still there, is reset with this code. */
void rpc_exchange_release(struct rpc_exchange *x, uint32_t reset_code);
void rpc_exchange_set_deadline(struct rpc_exchange *x, uint64_t deadline);

/* Client. 0, ERR_CLOSED, ERR_NOMEM. out holds the whole body. */
MUST_CHECK int rpc_exchange_request(struct rpc_exchange *x, const nghttp2_nv *headers,
                                    size_t count);
/* Server. With body: out and what is put there later follow, then the trailers. Without: END_STREAM. */
MUST_CHECK int rpc_exchange_respond(struct rpc_exchange *x, const nghttp2_nv *headers, size_t count,
                                    bool body);
/* Packs a message at the end of out. ERR_TOOBIG, ERR_LIMIT (RPC_UNSENT_MAX), ERR_NOMEM. */
MUST_CHECK int rpc_exchange_put(struct rpc_exchange *x, const ProtobufCMessage *message);
/* Something was put in out, or out_ended was set. */
void rpc_exchange_resume(struct rpc_exchange *x);
/* n bytes of in were used. */
void rpc_exchange_take(struct rpc_exchange *x, size_t n);

nghttp2_nv rpc_header(const char *name, const char *value);

/* Between transport.c and exchange.c. */
/* Wakes the transport by then. */
void rpc_transport_arm(struct rpc_transport *t, uint64_t deadline);
/* The peer's silence counts from now. */
void rpc_transport_expect_word(struct rpc_transport *t);
/* Onto the ready list. */
void rpc_exchange_mark(struct rpc_exchange *x);

#endif
