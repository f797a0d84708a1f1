/* What the resolver's parts share: questions, upstreams, and the two ways to reach one. */
#ifndef STILE_ENGINE_RESOLVER_INTERNAL_H
#define STILE_ENGINE_RESOLVER_INTERNAL_H

#include "base/list.h"
#include "base/table.h"
#include "engine/resolver.h"
#include "net/dns.h"

enum {
    PORTS_PER_UPSTREAM = 4,
    PORT_QUESTIONS_MAX = 256, /* a port is replaced after so many */
    TRY_MS = 1200,
    TRIES_MAX = 3,
};

struct question {
    struct resolver *resolver;
    struct list all;      /* resolver.questions, or unlinked */
    struct list trying;   /* resolver.trying: oldest first */
    struct list opening;  /* upstream.opening: until a port is open, or unlinked */
    uint64_t deadline_ns; /* of this try */
    unsigned tries;
    unsigned upstream;
    unsigned generation;    /* of the upstreams that `upstream` is one of */
    bool tcp;               /* this try is by TCP */
    struct port *port;      /* whose table holds it, or NULL */
    struct tcp_try *stream; /* or NULL */
    uint16_t id;            /* as sent; the port's key */
    uint16_t asker_id;
    size_t question_len;
    size_t len;
    resolver_done done;
    void *done_arg;
    uint8_t *message;  /* as sent */
    uint8_t *original; /* the question section in the asker's case */
};

struct upstream {
    struct resolver *resolver;
    unsigned index;
    bool is_opening; /* one socket at a time */
    struct port *ports[PORTS_PER_UPSTREAM];
    struct list opening; /* questions that wait for it */
};

struct resolver {
    struct loop *loop;
    const struct resolver_ops *ops;
    void *ops_arg;
    uv_timer_t timer;
    unsigned upstream_count;
    unsigned generation; /* of upstreams: changes with the list */
    unsigned preferred;  /* the upstream that answered last */
    struct upstream upstreams[RESOLVER_UPSTREAMS_MAX];
    struct list questions;
    struct list trying; /* by deadline: every try waits equally long */
    size_t question_count;
    unsigned refs; /* handles and opens that are still out, and the owner */
    bool freed;
};

void resolver_ref(struct resolver *r);
void resolver_unref(struct resolver *r);

/* An answer's bytes for this question: checks, restores, hands on. False: not its answer. */
bool question_answer(struct question *q, uint8_t *bytes, size_t len);
/* This try failed: the next one, or the end. */
void question_retry(struct question *q, int err);

/* UDP: sends now or as soon as a port is open. */
void port_send(struct upstream *u, struct question *q);
void port_forget(struct question *q); /* takes the question out of its port */
void port_close(struct port *p);      /* its questions must be gone */
void port_retire(struct port *p);     /* no new questions; closes after the last answer */

/* TCP: opens, sends, reads one answer. */
void tcp_try_start(struct upstream *u, struct question *q);
void tcp_try_forget(struct question *q);

#endif
