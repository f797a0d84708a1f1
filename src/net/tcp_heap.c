#include "net/tcp_heap.h"

#include "base/err.h"
#include "base/mem.h"

#define NOWHERE SIZE_MAX

void tcp_heap_node_init(struct tcp_heap_node *node)
{
    node->at = UINT64_MAX;
    node->index = NOWHERE;
}

int tcp_heap_reserve(struct tcp_heap *h, size_t count)
{
    if (count <= h->cap)
        return 0;
    size_t cap = MAX(count, h->cap * 2);
    struct tcp_heap_node **nodes = mem_resize(h->nodes, cap, sizeof(struct tcp_heap_node *));
    if (nodes == NULL)
        return ERR_NOMEM;
    h->nodes = nodes;
    h->cap = cap;
    return 0;
}

void tcp_heap_release(struct tcp_heap *h)
{
    mem_free(h->nodes);
    *h = (struct tcp_heap){0};
}

static void place(struct tcp_heap *h, struct tcp_heap_node *node, size_t i)
{
    h->nodes[i] = node;
    node->index = i;
}

static void sift_up(struct tcp_heap *h, struct tcp_heap_node *node)
{
    size_t i = node->index;
    while (i > 0 && h->nodes[(i - 1) / 2]->at > node->at) {
        place(h, h->nodes[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    place(h, node, i);
}

static void sift_down(struct tcp_heap *h, struct tcp_heap_node *node)
{
    size_t i = node->index;
    for (size_t child = 2 * i + 1; child < h->count; child = 2 * i + 1) {
        if (child + 1 < h->count && h->nodes[child + 1]->at < h->nodes[child]->at)
            child++;
        if (h->nodes[child]->at >= node->at)
            break;
        place(h, h->nodes[child], i);
        i = child;
    }
    place(h, node, i);
}

void tcp_heap_set(struct tcp_heap *h, struct tcp_heap_node *node, uint64_t at)
{
    if (node->index == NOWHERE) {
        node->at = at;
        place(h, node, h->count++);
    } else if (at < node->at) {
        node->at = at;
    } else {
        return;
    }
    sift_up(h, node);
}

void tcp_heap_remove(struct tcp_heap *h, struct tcp_heap_node *node)
{
    if (node->index == NOWHERE)
        return;
    size_t i = node->index;
    struct tcp_heap_node *moved = h->nodes[--h->count];
    tcp_heap_node_init(node);
    if (moved == node)
        return;
    place(h, moved, i);
    sift_down(h, moved);
    sift_up(h, moved);
}

struct tcp_heap_node *tcp_heap_first(const struct tcp_heap *h)
{
    return h->count == 0 ? NULL : h->nodes[0];
}
