/* One worker: a thread with its own loop, its own queue of the device, its own flows and their streams.
 *
 * A flow belongs to the worker that got its SYN; the kernel sends a flow's packets to the queue that it last got one from, so they
 * stay together. A segment that comes to a worker that doesn't know it is passed round the others once.
 */
#ifndef STILE_ENGINE_WORKER_H
#define STILE_ENGINE_WORKER_H

#include "engine/flow_relay.h"
#include "engine/shared.h"
#include "engine/signer.h"
#include "engine/stack.h"
#include "loop/timer.h"

#define WORKERS_MAX       CHANNEL_QUEUES_MAX
#define WORKER_TICK_MS    2000
#define WORKER_STRAYS_MAX 256 /* packets on their way between workers, per sender */

struct worker;

/* What becomes of flows that aren't DNS. */
struct worker_ops {
    void (*on_syn)(struct worker *w, struct tcp_flow *flow);
    void (*tick)(struct worker *w); /* each WORKER_TICK_MS while there are conns; may be NULL */
    void (*stop)(struct worker *w); /* resets and frees all that on_syn began */
};

struct worker {
    /* set before the thread starts */
    struct shared *shared;
    const struct worker_ops *ops;
    unsigned index;
    struct worker *const *peers; /* all workers of this engine, this one included */
    unsigned peer_count;
    struct link *link; /* owned */

    /* the thread's own */
    uv_thread_t thread;
    struct loop loop;
    struct mailbox mailbox; /* receiver: the worker */
    struct stack *stack;
    uv_poll_t poll;
    bool polling; /* the poll handle is open */
    int poll_events;
    uv_prepare_t prepare;
    struct timer timer;
    struct timer tick;
    uint64_t armed; /* what the timer waits for, monotonic ns */
    struct flow_relays relays;
    struct signers signers;
    struct list conns;     /* of ops */
    struct list dns_flows; /* of dns_flow */
    unsigned questions;    /* by UDP, with the control thread */
    atomic_uint strays;    /* of ours, with others */
    bool running;          /* the thread was started */
};

/* link is taken on success. Nothing runs yet; other threads may post to the mailbox already. */
int worker_new(struct shared *shared, const struct worker_ops *ops, struct link *link,
               unsigned index, struct worker **ret);
/* Starts the thread, which waits for worker_go. */
int worker_start(struct worker *w, struct worker *const *peers, unsigned peer_count);
/* Lets it read packets. Any thread. */
void worker_go(struct worker *w);
/* A quiet time has come: what is kept for reuse is given back. Any thread. */
void worker_trim(struct worker *w);
/* Every connection is reset, the thread ends and is joined. Control thread. Others may go on posting. */
void worker_stop(struct worker *w);
/* Stopped or never started, and nobody posts any more (the control thread's work is over). NULL is allowed. */
void worker_free(struct worker *w);

#endif
