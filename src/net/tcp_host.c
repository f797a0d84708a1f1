#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/table.h"
#include "net/tcp_internal.h"

#define MTU_MIN          1280
#define RING_MIN         65536
#define WINDOW_MAX       (UINT32_C(1) << 30) /* RFC 7323 §2.3 */
#define LENGTH_SPARE     120 /* headers, so that a superpacket's length fits the IP header */
#define BLOCKED_RETRY_NS (10 * NS_PER_MS) /* after ERR_AGAIN, if nobody calls tcp_flush earlier */
#define REORDER_WINDOWS  16 /* kept out of order by all flows together: so many windows */

void tcp_config_defaults(struct tcp_config *ret_config)
{
    *ret_config = (struct tcp_config){
        .mtu = 1500,
        .receive_window_max = 1U << 20,
        .send_ring_size = 1U << 19,
        .max_rings = 256,
        .max_flows = 16384,
        .max_pending = 1024,
        .max_time_wait = 4096,
        .max_refused = 4096,
        .refused_ns = 3 * NS_PER_S,
        .time_wait_ns = 10 * NS_PER_S,
        .rto_min_ns = 100 * NS_PER_MS,
        .rto_max_ns = 5 * NS_PER_S,
        .give_up_ns = 60 * NS_PER_S,
        .keepalive_ns = 75 * NS_PER_S,
        .pending_first_ns = 4 * NS_PER_S,
    };
}

static bool config_is_good(const struct tcp_config *c)
{
    return c->mtu >= MTU_MIN && c->receive_window_max >= c->mtu &&
           c->receive_window_max <= WINDOW_MAX && c->send_ring_size >= RING_MIN &&
           c->send_ring_size <= WINDOW_MAX && (c->send_ring_size & (c->send_ring_size - 1)) == 0 &&
           c->max_flows > 0 && c->rto_min_ns > 0 && c->rto_max_ns >= c->rto_min_ns &&
           c->pending_first_ns > 0;
}

static uint64_t load_u64(const uint8_t *p)
{
    struct rd r = rd_init(slice_of(p, 8));
    return rd_u64le(&r);
}

static int init_table(struct tcp_host *h)
{
    const uint64_t secret[2] = {load_u64(h->config.secret), load_u64(h->config.secret + 8)};
    h->isn_secret[0] = siphash13(secret, SLICE_LIT("sequence numbers 0"));
    h->isn_secret[1] = siphash13(secret, SLICE_LIT("sequence numbers 1"));
    return tcp_table_init(&h->table, secret);
}

int tcp_host_new(const struct tcp_config *config, const struct tcp_events *events, void *arg,
                 struct tcp_host **ret_host)
{
    if (!config_is_good(config))
        return ERR_INVAL;
    struct tcp_host *h = NEW(struct tcp_host);
    if (h == NULL)
        return ERR_NOMEM;
    h->config = *config;
    h->config.gso_max = MIN(config->gso_max, UINT16_MAX - LENGTH_SPARE);
    h->events = events;
    h->arg = arg;
    if (init_table(h) < 0) {
        mem_free(h);
        return ERR_NOMEM;
    }
    while (config->receive_window_max >> h->rcv_shift > UINT16_MAX)
        h->rcv_shift++;
    h->reordered.max = REORDER_WINDOWS * config->receive_window_max;
    tcp_ring_pool_init(&h->rings, config->send_ring_size, config->max_rings);
    tcp_ghost_queue_init(&h->time_wait, config->max_time_wait, config->time_wait_ns);
    tcp_ghost_queue_init(&h->refused, config->max_refused, config->refused_ns);
    list_init(&h->flush_list);
    list_init(&h->dead);
    *ret_host = h;
    return 0;
}

static void empty_table(struct tcp_host *h, bool reset)
{
    for (struct tcp_entry *e; (e = tcp_table_any(&h->table)) != NULL;) {
        if (e->kind != TCP_ENTRY_FLOW) {
            tcp_ghost_remove(h, CONTAINER_OF(e, struct tcp_ghost, entry));
            continue;
        }
        if (reset)
            tcp_output_reset(tcp_flow_of_entry(e));
        tcp_flow_end(tcp_flow_of_entry(e));
    }
}

void tcp_host_abort_all(struct tcp_host *host, uint64_t now)
{
    host->now = now;
    empty_table(host, true);
}

void tcp_host_trim(struct tcp_host *host)
{
    tcp_ring_pool_trim(&host->rings);
}

void tcp_host_free(struct tcp_host *host)
{
    if (host == NULL)
        return;
    empty_table(host, false);
    tcp_table_release(&host->table);
    tcp_heap_release(&host->timers);
    tcp_ring_pool_release(&host->rings);
    mem_wipe(host->config.secret, sizeof host->config.secret);
    mem_free(host);
}

void tcp_host_enter(struct tcp_host *h, uint64_t now)
{
    h->depth++;
    h->now = now;
}

void tcp_host_leave(struct tcp_host *h)
{
    if (--h->depth > 0)
        return;
    for (struct list *node; (node = list_pop_front(&h->dead)) != NULL;)
        mem_free(LIST_ENTRY(node, struct tcp_flow, flush_node));
}

uint32_t tcp_host_isn(const struct tcp_host *h, const struct tcp_key *key, const uint32_t *floor)
{
    uint64_t hash = siphash13(h->isn_secret, slice_of(key->bytes, key->len));
    uint32_t ticks = (uint32_t)(h->now >> 12); /* of 4.096 µs */
    uint32_t isn = (uint32_t)hash + ticks;
    if (floor != NULL && seq_lt(isn, *floor + UINT16_MAX))
        isn = *floor + UINT16_MAX;
    return isn;
}

/* Addresses and ports that no connection can have. */
static bool is_sane(const struct ip_packet *p, const struct tcp_segment *s)
{
    bool same = s->src_port == s->dst_port && ip_addr_eq(&p->src, &p->dst);
    return s->src_port != 0 && s->dst_port != 0 && !same && !ip_addr_is_multicast(&p->src) &&
           !ip_addr_is_multicast(&p->dst) && !ip_addr_is_unspecified(&p->src);
}

static void unknown_input(struct tcp_host *h, const struct tcp_key *key,
                          const struct ip_packet *packet, const struct tcp_segment *s)
{
    uint8_t control = s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN);
    if (control == TCP_SYN)
        tcp_syn_input(h, key, packet, s, NULL);
    else if (control != (TCP_SYN | TCP_FIN))
        tcp_packet_reset_reply(h, packet, s);
}

static void dispatch(struct tcp_host *h, const struct ip_packet *packet,
                     const struct tcp_segment *s)
{
    struct tcp_key key;
    tcp_key_make(&key, &packet->src, s->src_port, &packet->dst, s->dst_port);
    struct tcp_entry *e = tcp_table_find(&h->table, &key);
    if (e == NULL)
        unknown_input(h, &key, packet, s);
    else if (e->kind != TCP_ENTRY_FLOW)
        tcp_ghost_input(h, CONTAINER_OF(e, struct tcp_ghost, entry), packet, s);
    else if (tcp_flow_of_entry(e)->state == TCP_PENDING)
        tcp_pending_input(tcp_flow_of_entry(e), packet, s);
    else
        tcp_flow_input(tcp_flow_of_entry(e), s);
}

int tcp_input(struct tcp_host *host, const struct ip_packet *packet, uint64_t now)
{
    struct tcp_segment s;
    int r = tcp_segment_parse(packet->l4, &s);
    if (r < 0)
        return r;
    if (!is_sane(packet, &s))
        return ERR_FORMAT;
    host->stats.segments_in++;
    tcp_host_enter(host, now);
    dispatch(host, packet, &s);
    tcp_host_leave(host);
    return 0;
}

int tcp_flush(struct tcp_host *host, uint64_t now)
{
    if (host->depth > 0)
        return 0;
    host->now = now;
    host->blocked = false;
    for (struct list *node; (node = list_pop_front(&host->flush_list)) != NULL;) {
        if (tcp_output_flush(LIST_ENTRY(node, struct tcp_flow, flush_node)) < 0) {
            list_push_front(&host->flush_list, node);
            return ERR_AGAIN;
        }
    }
    return 0;
}

uint64_t tcp_next_deadline(const struct tcp_host *host)
{
    const struct tcp_heap_node *first = tcp_heap_first(&host->timers);
    uint64_t at = MIN(first != NULL ? first->at : TCP_NEVER, tcp_ghost_deadline(host));
    if (host->blocked)
        at = MIN(at, host->now + BLOCKED_RETRY_NS);
    return at;
}

bool tcp_host_has(const struct tcp_host *host, const struct ip_packet *packet)
{
    struct tcp_segment s;
    if (tcp_segment_parse(packet->l4, &s) < 0)
        return false;
    struct tcp_key key;
    tcp_key_make(&key, &packet->src, s.src_port, &packet->dst, s.dst_port);
    return tcp_table_peek(&host->table, &key) != NULL;
}

void tcp_host_get_stats(const struct tcp_host *host, struct tcp_host_stats *ret_stats)
{
    *ret_stats = host->stats;
    ret_stats->time_wait = host->time_wait.count;
    ret_stats->refused = host->refused.count;
    ret_stats->rings = host->rings.big_used;
    ret_stats->small_rings = host->rings.small_used;
    ret_stats->reordered_bytes = host->reordered.bytes;
}
