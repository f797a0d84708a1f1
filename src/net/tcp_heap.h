/* Deadlines, the earliest first: a binary heap of nodes that are members of their owners. Setting a later deadline costs
 * nothing until the old one is reached: a node keeps its place, and its owner puts it back when it comes up early.
 */
#ifndef STILE_NET_TCP_HEAP_H
#define STILE_NET_TCP_HEAP_H

#include "base/compiler.h"

struct tcp_heap_node {
    uint64_t at;  /* ns; when it comes up */
    size_t index; /* in the heap; SIZE_MAX: not in */
};

struct tcp_heap {
    struct tcp_heap_node **nodes; /* owned */
    size_t count;
    size_t cap;
};

void tcp_heap_node_init(struct tcp_heap_node *node);
/* Room for count nodes, so that setting never fails. ERR_NOMEM. */
MUST_CHECK int tcp_heap_reserve(struct tcp_heap *h, size_t count);
void tcp_heap_release(struct tcp_heap *h);

/* Comes up at `at` or earlier. */
void tcp_heap_set(struct tcp_heap *h, struct tcp_heap_node *node, uint64_t at);
void tcp_heap_remove(struct tcp_heap *h, struct tcp_heap_node *node);
/* The earliest, NULL when empty. */
struct tcp_heap_node *tcp_heap_first(const struct tcp_heap *h);

#endif
