/* 4-tuples remembered without a flow: TIME_WAIT (RFC 9293 §3.4.2, reuse by a new SYN as RFC 1122 §4.2.2.13 allows), and
 * refusals, because some clients repeat a SYN that got RST. Each kind lives for one fixed time, so a queue is in order of
 * its ends; when it is full, the oldest makes room. */
#include "base/mem.h"
#include "net/tcp_internal.h"

void tcp_ghost_queue_init(struct tcp_ghost_queue *q, size_t max, uint64_t ttl)
{
    list_init(&q->list);
    q->count = 0;
    q->max = max;
    q->ttl = ttl;
}

static struct tcp_ghost_queue *queue_of(struct tcp_host *h, enum tcp_entry_kind kind)
{
    return kind == TCP_ENTRY_REFUSED ? &h->refused : &h->time_wait;
}

static struct tcp_ghost *oldest(const struct tcp_ghost_queue *q)
{
    return list_empty(&q->list) ? NULL : LIST_ENTRY(q->list.next, struct tcp_ghost, node);
}

void tcp_ghost_remove(struct tcp_host *h, struct tcp_ghost *g)
{
    tcp_table_remove(&h->table, &g->entry);
    list_remove(&g->node);
    queue_of(h, g->entry.kind)->count--;
    mem_free(g);
}

/* Takes the place of the flow, which has left the table. Without memory nothing is remembered: repeated segments then
 * get what unknown ones get. */
void tcp_ghost_add(struct tcp_host *h, enum tcp_entry_kind kind, const struct tcp_flow *f)
{
    struct tcp_ghost_queue *q = queue_of(h, kind);
    if (q->max == 0)
        return;
    if (q->count >= q->max)
        tcp_ghost_remove(h, oldest(q));
    struct tcp_ghost *g = NEW(struct tcp_ghost);
    if (g == NULL)
        return;
    g->entry.kind = kind;
    g->entry.key = f->entry.key;
    g->until = h->now + q->ttl;
    g->snd_nxt = f->snd_max;
    g->rcv_nxt = f->rcv_nxt;
    tcp_table_put(&h->table, &g->entry);
    list_push_back(&q->list, &g->node);
    q->count++;
}

static void expire(struct tcp_host *h, struct tcp_ghost_queue *q)
{
    for (struct tcp_ghost *g = oldest(q); g != NULL && g->until <= h->now; g = oldest(q))
        tcp_ghost_remove(h, g);
}

void tcp_ghost_expire(struct tcp_host *h)
{
    expire(h, &h->time_wait);
    expire(h, &h->refused);
}

uint64_t tcp_ghost_deadline(const struct tcp_host *h)
{
    const struct tcp_ghost *a = oldest(&h->time_wait);
    const struct tcp_ghost *b = oldest(&h->refused);
    return MIN(a != NULL ? a->until : TCP_NEVER, b != NULL ? b->until : TCP_NEVER);
}

static void send_ack(struct tcp_host *h, const struct tcp_ghost *g, const struct ip_packet *packet,
                     const struct tcp_segment *s)
{
    struct ip_endpoint client = {packet->src, s->src_port};
    struct ip_endpoint server = {packet->dst, s->dst_port};
    struct tcp_head head;
    tcp_head_init(&head, &server, &client);
    struct tcp_fields fields = {.seq = g->snd_nxt, .ack = g->rcv_nxt, .flags = TCP_ACK};
    (void)tcp_packet_send(h, &head, &fields);
}

static void restart(struct tcp_host *h, struct tcp_ghost *g)
{
    g->until = h->now + h->time_wait.ttl;
    list_remove(&g->node);
    list_push_back(&h->time_wait.list, &g->node);
}

static void time_wait_input(struct tcp_host *h, struct tcp_ghost *g, const struct ip_packet *packet,
                            const struct tcp_segment *s)
{
    bool is_syn = (s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
    if (is_syn && seq_gt(s->seq, g->rcv_nxt)) {
        struct tcp_key key = g->entry.key;
        uint32_t floor = g->snd_nxt;
        tcp_ghost_remove(h, g);
        tcp_syn_input(h, &key, packet, s, &floor);
    } else if (s->flags & TCP_RST) {
        if (s->seq == g->rcv_nxt)
            tcp_ghost_remove(h, g);
    } else if (s->end != g->rcv_nxt || s->seq != g->rcv_nxt) {
        /* Its FIN once more: our last ACK was lost. A pure ACK in its place needs no answer. */
        if (s->flags & TCP_FIN)
            restart(h, g);
        send_ack(h, g, packet, s);
    }
}

void tcp_ghost_input(struct tcp_host *h, struct tcp_ghost *g, const struct ip_packet *packet,
                     const struct tcp_segment *s)
{
    if (g->until <= h->now) {
        struct tcp_key key = g->entry.key;
        tcp_ghost_remove(h, g);
        if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN)
            tcp_syn_input(h, &key, packet, s, NULL);
        else
            tcp_packet_reset_reply(h, packet, s);
    } else if (g->entry.kind == TCP_ENTRY_REFUSED) {
        tcp_packet_reset_reply(h, packet, s);
    } else {
        time_wait_input(h, g, packet, s);
    }
}
