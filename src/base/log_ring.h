/* The last lines of a log, in so much memory: when it is full the oldest lines go, whole. Thread-safe. */
#ifndef STILE_BASE_LOG_RING_H
#define STILE_BASE_LOG_RING_H

#include "base/buf.h"

struct log_ring;

int log_ring_new(size_t size, struct log_ring **ret); /* ERR_NOMEM */
void log_ring_free(struct log_ring *r);               /* NULL is fine */

/* A line that ends in '\n'. One that is longer than the ring is left out. */
void log_ring_put(struct log_ring *r, struct slice line);

/* Appends all lines, the oldest first. ERR_TOOBIG, ERR_NOMEM. */
int log_ring_copy(struct log_ring *r, struct buf *out);

#endif
