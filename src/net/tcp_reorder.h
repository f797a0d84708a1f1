/* What arrived ahead of its turn: copies, in order, without overlap, and the SACK blocks that tell about them (RFC 2018).
 *
 * The caller passes only bytes inside the window it has promised, so a queue holds a window at most; the number of pieces
 * is bounded too, and a host-wide account bounds all queues together.
 */
#ifndef STILE_NET_TCP_REORDER_H
#define STILE_NET_TCP_REORDER_H

#include "base/list.h"
#include "base/slice.h"
#include "net/tcp_segment.h"

#define TCP_REORDER_PIECES 1024 /* per flow */

struct tcp_reorder_account {
    size_t bytes;  /* in all queues of a host */
    size_t pieces; /* they are in; each costs something besides */
    size_t max;    /* bytes, both together */
};

struct tcp_reorder {
    struct list pieces;
    size_t count;
    size_t recent_count;
    uint32_t
        recent[TCP_SACK_MAX]; /* a sequence number in each range that changed, the latest first */
};

struct tcp_reorder_piece {
    struct list node;
    uint32_t seq, end;
    uint8_t data[];
};

void tcp_reorder_init(struct tcp_reorder *q);
void tcp_reorder_release(struct tcp_reorder *q, struct tcp_reorder_account *account);
bool tcp_reorder_is_empty(const struct tcp_reorder *q);

/* Keeps a copy of what isn't there yet. ERR_LIMIT, ERR_NOMEM: not kept; the client will send it again. */
int tcp_reorder_add(struct tcp_reorder *q, struct tcp_reorder_account *account, uint32_t seq,
                    struct slice bytes);

/* The piece whose turn it is at `next`, or NULL; pieces that are all behind are dropped. The caller frees it
 * (mem_free). *ret_bytes is its part from `next` on. */
struct tcp_reorder_piece *tcp_reorder_take(struct tcp_reorder *q,
                                           struct tcp_reorder_account *account, uint32_t next,
                                           struct slice *ret_bytes);

/* The latest changed ranges first. How many, at most max. */
size_t tcp_reorder_blocks(const struct tcp_reorder *q, struct tcp_block *blocks, size_t max);

#endif
