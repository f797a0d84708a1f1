#include "net/tcp_ring.h"

#include "base/mem.h"

/* Rings kept for the next flow; more are given back to the system. */
#define IDLE_BIG   4
#define IDLE_SMALL 64

void tcp_ring_pool_init(struct tcp_ring_pool *p, size_t big_size, size_t max_big)
{
    *p = (struct tcp_ring_pool){.big_size = big_size, .max_big = max_big};
}

static void ring_free(struct tcp_ring *r)
{
    mem_free(r->data);
    mem_free(r);
}

static void free_list(struct tcp_ring *list)
{
    while (list != NULL) {
        struct tcp_ring *r = list;
        list = r->next;
        ring_free(r);
    }
}

void tcp_ring_pool_trim(struct tcp_ring_pool *p)
{
    free_list(STEAL(p->big_free));
    free_list(STEAL(p->small_free));
    p->big_idle = 0;
    p->small_idle = 0;
}

void tcp_ring_pool_release(struct tcp_ring_pool *p)
{
    tcp_ring_pool_trim(p);
    *p = (struct tcp_ring_pool){0};
}

static struct tcp_ring *ring_new(size_t size)
{
    struct tcp_ring *r = NEW(struct tcp_ring);
    if (r == NULL)
        return NULL;
    r->data = mem_alloc(size);
    r->size = size;
    if (r->data == NULL) {
        mem_free(r);
        return NULL;
    }
    return r;
}

static struct tcp_ring *take(struct tcp_ring **list, size_t *idle, size_t size)
{
    struct tcp_ring *r = *list;
    if (r == NULL)
        return ring_new(size);
    *list = r->next;
    (*idle)--;
    r->next = NULL;
    return r;
}

struct tcp_ring *tcp_ring_get(struct tcp_ring_pool *p)
{
    struct tcp_ring *r = NULL;
    if (p->big_used < p->max_big)
        r = take(&p->big_free, &p->big_idle, p->big_size);
    if (r != NULL) {
        p->big_used++;
        return r;
    }
    r = take(&p->small_free, &p->small_idle, TCP_RING_SMALL);
    if (r != NULL)
        p->small_used++;
    return r;
}

static void give(struct tcp_ring **list, size_t *idle, size_t max_idle, struct tcp_ring *r)
{
    if (*idle >= max_idle) {
        ring_free(r);
        return;
    }
    r->next = *list;
    r->head = 0;
    r->len = 0;
    *list = r;
    (*idle)++;
}

void tcp_ring_put(struct tcp_ring_pool *p, struct tcp_ring *ring)
{
    if (ring->size == TCP_RING_SMALL) {
        p->small_used--;
        give(&p->small_free, &p->small_idle, IDLE_SMALL, ring);
    } else {
        p->big_used--;
        give(&p->big_free, &p->big_idle, IDLE_BIG, ring);
    }
}

size_t tcp_ring_room(const struct tcp_ring *r)
{
    return r->size - r->len;
}

void tcp_ring_space(const struct tcp_ring *r, uint8_t *data[2], size_t len[2])
{
    size_t tail = (r->head + r->len) & (r->size - 1);
    size_t room = tcp_ring_room(r);
    data[0] = r->data + tail;
    len[0] = MIN(room, r->size - tail);
    data[1] = r->data;
    len[1] = room - len[0];
}

void tcp_ring_commit(struct tcp_ring *r, size_t n)
{
    r->len += n;
}

void tcp_ring_consume(struct tcp_ring *r, size_t n)
{
    r->head = (r->head + n) & (r->size - 1);
    r->len -= n;
}

void tcp_ring_slices(const struct tcp_ring *r, size_t offset, size_t n, struct slice ret_slices[2])
{
    size_t start = (r->head + offset) & (r->size - 1);
    size_t first = MIN(n, r->size - start);
    ret_slices[0] = slice_of(r->data + start, first);
    ret_slices[1] = slice_of(r->data, n - first);
}
