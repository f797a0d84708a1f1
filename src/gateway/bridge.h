/* Two streams joined: what comes from one goes to the other, each direction ends by itself.
 *
 * Bytes are passed on from where they were read (the loop's shared buffer), many TLS records at a time; nothing is
 * allocated per read. A side that takes bytes more slowly than they come stops the other one, so that at most about
 * STREAM_QUEUE_HIGH and one read wait. A side that breaks resets the other: a cut is never passed on as an orderly end.
 */
#ifndef STILE_GATEWAY_BRIDGE_H
#define STILE_GATEWAY_BRIDGE_H

#include "loop/stream.h"

struct bridge_result {
    int err;             /* 0: both directions ended in order */
    const char *where;   /* "client" or "target": the side that broke; "" with err 0 */
    uint64_t bytes_up;   /* from the client */
    uint64_t bytes_down; /* to the client */
    const char *text;    /* what broke; borrowed */
};

struct bridge;

/* The streams are gone. Called once, not from inside bridge_start. */
typedef void bridge_ended_fn(void *arg, const struct bridge_result *result);

/* Takes both streams on success; neither is reading. Begins to read. */
int bridge_start(struct stream *client, struct stream *target, bridge_ended_fn *ended, void *arg,
                 struct bridge **ret);
/* Resets both sides; `ended` is called (ERR_CANCELED) before this returns. */
void bridge_abort(struct bridge *r);

#endif
