/* Send rings and the pool they come from.
 *
 * A flow holds a ring only while it has bytes to send or unacknowledged ones. Rings are handed out last in, first out: the
 * one whose memory is still in the cache. There are at most max_big large ones; then flows get small ones, so that
 * many stalled clients can't starve the others.
 */
#ifndef STILE_NET_TCP_RING_H
#define STILE_NET_TCP_RING_H

#include "base/slice.h"

#define TCP_RING_SMALL 16384 /* bytes */

struct tcp_ring {
    struct tcp_ring *next; /* in the pool */
    uint8_t *data;         /* owned */
    size_t size;           /* a power of two */
    size_t head;           /* index of the first byte held */
    size_t len;            /* bytes held */
};

struct tcp_ring_pool {
    size_t big_size;
    size_t max_big;
    size_t big_used, small_used;
    struct tcp_ring *big_free, *small_free; /* owned */
    size_t big_idle, small_idle;            /* in these lists */
};

void tcp_ring_pool_init(struct tcp_ring_pool *p, size_t big_size, size_t max_big);
void tcp_ring_pool_release(struct tcp_ring_pool *p);
void tcp_ring_pool_trim(struct tcp_ring_pool *p);       /* frees the idle ones */
struct tcp_ring *tcp_ring_get(struct tcp_ring_pool *p); /* empty; NULL when memory runs out */
void tcp_ring_put(struct tcp_ring_pool *p, struct tcp_ring *ring);

size_t tcp_ring_room(const struct tcp_ring *r);
/* The free part, from where the next byte goes: up to two pieces. */
void tcp_ring_space(const struct tcp_ring *r, uint8_t *data[2], size_t len[2]);
void tcp_ring_commit(struct tcp_ring *r, size_t n);
void tcp_ring_consume(struct tcp_ring *r, size_t n); /* from the front */
/* n bytes from offset behind the first byte held. */
void tcp_ring_slices(const struct tcp_ring *r, size_t offset, size_t n, struct slice ret_slices[2]);

#endif
