#include "net/tcp_reorder.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/tcp_seq.h"

static struct tcp_reorder_piece *piece_of(struct list *node)
{
    return LIST_ENTRY(node, struct tcp_reorder_piece, node);
}

void tcp_reorder_init(struct tcp_reorder *q)
{
    list_init(&q->pieces);
    q->count = 0;
    q->recent_count = 0;
}

static void detach(struct tcp_reorder *q, struct tcp_reorder_account *account,
                   struct tcp_reorder_piece *p)
{
    list_remove(&p->node);
    q->count--;
    account->bytes -= p->end - p->seq;
    account->pieces--;
    if (q->count == 0)
        q->recent_count = 0;
}

void tcp_reorder_release(struct tcp_reorder *q, struct tcp_reorder_account *account)
{
    LIST_FOR_EACH (node, &q->pieces) {
        struct tcp_reorder_piece *p = piece_of(node);
        detach(q, account, p);
        mem_free(p);
    }
}

bool tcp_reorder_is_empty(const struct tcp_reorder *q)
{
    return q->count == 0;
}

/* The last node that starts at seq or before it, or the head. Nearly always the last one of all. */
static struct list *node_before(struct tcp_reorder *q, uint32_t seq)
{
    struct list *node = q->pieces.prev;
    while (node != &q->pieces && seq_gt(piece_of(node)->seq, seq))
        node = node->prev;
    return node;
}

/* Frees pieces behind `at` that [.., end) covers; returns the end, cut where a piece begins that goes further. */
static uint32_t make_way(struct tcp_reorder *q, struct tcp_reorder_account *account,
                         struct list *at, uint32_t end)
{
    while (at->next != &q->pieces) {
        struct tcp_reorder_piece *p = piece_of(at->next);
        if (seq_geq(p->seq, end))
            break;
        if (seq_gt(p->end, end))
            return p->seq;
        detach(q, account, p);
        mem_free(p);
    }
    return end;
}

/* The ends of the range without a hole that holds this node. */
static struct tcp_block range_around(const struct tcp_reorder *q, struct list *node)
{
    struct tcp_block b = {piece_of(node)->seq, piece_of(node)->end};
    for (struct list *n = node->prev; n != &q->pieces && piece_of(n)->end == b.start; n = n->prev)
        b.start = piece_of(n)->seq;
    for (struct list *n = node->next; n != &q->pieces && piece_of(n)->seq == b.end; n = n->next)
        b.end = piece_of(n)->end;
    return b;
}

static void remember_recent(struct tcp_reorder *q, struct list *node)
{
    struct tcp_block b = range_around(q, node);
    uint32_t kept[TCP_SACK_MAX] = {0};
    size_t n = 0;
    for (size_t i = 0; i < q->recent_count && n < TCP_SACK_MAX - 1; i++) {
        if (seq_lt(q->recent[i], b.start) || seq_geq(q->recent[i], b.end))
            kept[n++] = q->recent[i];
    }
    q->recent[0] = b.start;
    memcpy(q->recent + 1, kept, n * sizeof kept[0]);
    q->recent_count = n + 1;
}

static int store(struct tcp_reorder *q, struct tcp_reorder_account *account, struct list *at,
                 uint32_t seq, struct slice bytes)
{
    struct tcp_reorder_piece *p;
    size_t held = account->bytes + account->pieces * sizeof *p;
    if (q->count >= TCP_REORDER_PIECES || held + sizeof *p + bytes.len > account->max)
        return ERR_LIMIT;
    p = mem_alloc(sizeof *p + bytes.len);
    if (p == NULL)
        return ERR_NOMEM;
    p->seq = seq;
    p->end = seq + (uint32_t)bytes.len;
    memcpy(p->data, bytes.data, bytes.len);
    list_insert_before(at->next, &p->node);
    q->count++;
    account->bytes += bytes.len;
    account->pieces++;
    remember_recent(q, &p->node);
    return 0;
}

int tcp_reorder_add(struct tcp_reorder *q, struct tcp_reorder_account *account, uint32_t seq,
                    struct slice bytes)
{
    uint32_t end = seq + (uint32_t)bytes.len;
    struct list *at = node_before(q, seq);
    if (at != &q->pieces && seq_gt(piece_of(at)->end, seq)) {
        if (seq_geq(piece_of(at)->end, end)) {
            remember_recent(q, at);
            return 0;
        }
        uint32_t cut = piece_of(at)->end - seq;
        bytes = slice_from(bytes, cut);
        seq += cut;
    }
    uint32_t new_end = make_way(q, account, at, end);
    bytes = slice_first(bytes, new_end - seq);
    if (bytes.len == 0)
        return 0;
    return store(q, account, at, seq, bytes);
}

struct tcp_reorder_piece *tcp_reorder_take(struct tcp_reorder *q,
                                           struct tcp_reorder_account *account, uint32_t next,
                                           struct slice *ret_bytes)
{
    while (!list_empty(&q->pieces)) {
        struct tcp_reorder_piece *p = piece_of(q->pieces.next);
        if (seq_gt(p->seq, next))
            return NULL;
        detach(q, account, p);
        if (seq_gt(p->end, next)) {
            *ret_bytes = slice_of(p->data + (next - p->seq), p->end - next);
            return p;
        }
        mem_free(p);
    }
    return NULL;
}

/* The node of the piece that holds seq, or NULL. */
static struct list *node_with(const struct tcp_reorder *q, uint32_t seq)
{
    LIST_FOR_EACH (node, &q->pieces) {
        if (seq_leq(piece_of(node)->seq, seq) && seq_lt(seq, piece_of(node)->end))
            return node;
    }
    return NULL;
}

static bool has_block(const struct tcp_block *blocks, size_t count, struct tcp_block b)
{
    for (size_t i = 0; i < count; i++) {
        if (blocks[i].start == b.start)
            return true;
    }
    return false;
}

size_t tcp_reorder_blocks(const struct tcp_reorder *q, struct tcp_block *blocks, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < q->recent_count && count < max; i++) {
        struct list *node = node_with(q, q->recent[i]);
        if (node == NULL)
            continue;
        struct tcp_block b = range_around(q, node);
        if (!has_block(blocks, count, b))
            blocks[count++] = b;
    }
    return count;
}
