/* Joins two streams: bytes both ways, each direction's end on its own (half-close), back-pressure both ways. A failure on one
 * side resets the other, so that nobody takes a cut for an end.
 */
#ifndef STILE_AGENT_SPLICE_H
#define STILE_AGENT_SPLICE_H

#include "loop/stream.h"

struct splice;

struct splice_result {
    int err; /* 0: both directions ended in order */
    struct diag diag;
    uint64_t bytes_up;   /* from a to b */
    uint64_t bytes_down; /* from b to a */
};

/* Both are taken on success: ready, not reading. on_done: once, when both are closed; the splice is gone afterwards. */
int splice_new(struct stream *a, struct stream *b,
               void (*on_done)(void *arg, const struct splice_result *result), void *arg,
               struct splice **ret);
/* Resets both; no event. */
void splice_abort(struct splice *r);

#endif
