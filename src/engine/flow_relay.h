/* The bytes of one accepted flow, both ways: program ⇄ stream to the app.
 *
 * Theory of operation
 *
 *   up    a segment's payload goes from the packet buffer straight into stream_write. The stream is corked by the first segment of a
 *         burst and uncorked by flow_relays_settle at its end, so that records leave in few sends. What the stream couldn't send
 *         closes the program's window.
 *   down  the stream reads straight into the flow's send ring, which holds the bytes until the program's kernel has them. No
 *         room in the ring: the stream isn't read.
 *
 * Either side's end is passed on and the other direction lives on. A reset of one side resets the other. Between bursts a relay
 * holds no buffer. It belongs to one worker and is the flow's handler; stream and flow are its own until on_done.
 */
#ifndef STILE_ENGINE_FLOW_RELAY_H
#define STILE_ENGINE_FLOW_RELAY_H

#include "base/err.h"
#include "engine/stack.h"
#include "loop/stream.h"

/* What may wait for a stream: so much, unless the worker's relays together hold much; then less, and in the end just enough for each to
 * move. */
#define FLOW_RELAY_UP_MAX   ((size_t)1024 * 1024)
#define FLOW_RELAY_UP_SOME  ((size_t)128 * 1024)
#define FLOW_RELAY_UP_LEAST ((size_t)16 * 1024)
#define FLOW_RELAY_ALL_MAX  ((size_t)64 * 1024 * 1024)

/* The relays of one worker. Owned by it, initialised with flow_relays_init. */
struct flow_relays {
    struct list burst; /* relays to settle */
    size_t queued;     /* bytes that wait for all streams, as of their last settling */
};

enum flow_relay_end {
    FLOW_RELAY_DONE,         /* both directions ended in order */
    FLOW_RELAY_CLIENT_RESET, /* the program's side reset, or stopped answering */
    FLOW_RELAY_FAR_FAILED,   /* the stream failed: the program got RST */
};

struct flow_relay {
    struct flow_handler handler;
    struct tcp_flow *flow; /* NULL once closed */
    struct stream *stream; /* NULL once closed */
    struct flow_relays *all;
    size_t queued;    /* our part of all->queued */
    struct list node; /* in it while corked or with a changed room */
    bool gather;
    bool in_burst; /* in the list, and corked if gather */
    bool paused;   /* the stream isn't read: no room in the ring */
    uint64_t up;
    uint64_t down;
    void (*on_done)(
        void *arg, enum flow_relay_end end,
        const struct diag *d); /* once; relay's memory is the owner's again; d may be NULL */
    void *arg;
};

/* The flow was accepted; the stream is ready and not reading. Both are taken. gather: the stream makes records (TLS), which are to leave
 * together; a bare socket is better written at once. */
void flow_relay_start(struct flow_relay *r, struct tcp_flow *flow, struct stream *stream,
                      bool gather, struct flow_relays *all,
                      void (*on_done)(void *arg, enum flow_relay_end end, const struct diag *d),
                      void *arg);
void flow_relays_init(struct flow_relays *all);

/* Resets both sides; no event. */
void flow_relay_abort(struct flow_relay *r);

/* At the end of a burst: what was written leaves, windows are set. Before stack_flush. */
void flow_relays_settle(struct flow_relays *all);

#endif
