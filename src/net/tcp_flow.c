#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tcp_internal.h"

#define SPACE_MIN      4096 /* less room than this in a ring isn't worth a read */
#define SPACE_RETRY_NS (50 * NS_PER_MS)
#define MSS_DEFAULT_V4 536 /* RFC 9293 §3.7.1 */
#define MSS_DEFAULT_V6 1220

static const char *const state_names[] = {
#define TCP_STATE_NAME(name) #name,
    TCP_STATE_LIST(TCP_STATE_NAME)
#undef TCP_STATE_NAME
};
static_assert(ARRAY_LEN(state_names) == TCP_STATE_COUNT, "a name for each state");

#define TO(name) (1U << TCP_##name)
/* Where each state may go; every state may go to CLOSED. */
static const unsigned next_states[TCP_STATE_COUNT] = {
    [TCP_PENDING] = TO(SYN_RCVD),
    [TCP_SYN_RCVD] = TO(ESTABLISHED),
    [TCP_ESTABLISHED] = TO(FIN_WAIT_1) | TO(CLOSE_WAIT),
    [TCP_FIN_WAIT_1] = TO(FIN_WAIT_2) | TO(CLOSING),
    [TCP_CLOSE_WAIT] = TO(LAST_ACK),
};
#undef TO

static void count_pending(struct tcp_flow *f, int sign)
{
    if (f->state == TCP_PENDING || f->state == TCP_SYN_RCVD)
        f->host->stats.pending += (size_t)sign;
}

void tcp_flow_become(struct tcp_flow *f, enum tcp_state state)
{
    assert(state == TCP_CLOSED || (next_states[f->state] & 1U << state) != 0);
    count_pending(f, -1);
    f->state = state;
    count_pending(f, 1);
}

static size_t window_max(const struct tcp_flow *f)
{
    size_t scaled = (size_t)UINT16_MAX << f->rcv_shift;
    return MIN(f->host->config.receive_window_max, scaled);
}

/* What we may send in one segment: what the client takes, but not more than the link does. */
static uint16_t mss_for(const struct tcp_host *h, uint8_t version, uint16_t offered)
{
    uint16_t headers = (version == 4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE) + TCP_HEADER_SIZE;
    uint16_t of_link = (uint16_t)(h->config.mtu - headers);
    uint16_t of_client = version == 4 ? MSS_DEFAULT_V4 : MSS_DEFAULT_V6;
    if (offered != 0)
        of_client = MAX(offered, TCP_MSS_MIN);
    return MIN(of_link, of_client);
}

static void init_from_syn(struct tcp_flow *f, const struct tcp_segment *syn)
{
    struct tcp_offer offer;
    tcp_options_parse_syn(syn->options, &offer);
    f->mss = mss_for(f->host, f->client.addr.version, offer.mss);
    f->sack_ok = offer.has_sack;
    f->snd_shift = offer.has_shift ? offer.shift : 0;
    f->rcv_shift = offer.has_shift ? f->host->rcv_shift : 0;
    f->has_shift = offer.has_shift;
    f->irs = syn->seq;
    f->rcv_nxt = syn->seq + 1;
    f->rcv_adv = f->rcv_nxt;
    f->room_edge = f->rcv_nxt + (uint32_t)window_max(f);
    f->snd_wnd = syn->window;
    f->snd_wnd_max = UINT16_MAX;
    f->snd_wl1 = syn->seq;
}

static void init_times(struct tcp_flow *f)
{
    f->rexmit_at = TCP_NEVER;
    f->keepalive_at = TCP_NEVER;
    f->space_at = TCP_NEVER;
    f->unanswered_since = TCP_NEVER;
    f->heard_at = f->host->now;
    f->syn_at = f->host->now;
    f->rto = MAX(f->host->config.rto_min_ns, MIN(200 * NS_PER_MS, f->host->config.rto_max_ns));
    tcp_heap_node_init(&f->timer);
}

struct tcp_flow *tcp_flow_new(struct tcp_host *h, const struct tcp_key *key,
                              const struct ip_packet *packet, const struct tcp_segment *syn)
{
    if (tcp_heap_reserve(&h->timers, h->stats.flows + 1) < 0)
        return NULL;
    struct tcp_flow *f = NEW(struct tcp_flow);
    if (f == NULL)
        return NULL;
    f->host = h;
    f->entry.kind = TCP_ENTRY_FLOW;
    f->entry.key = *key;
    f->client = (struct ip_endpoint){packet->src, syn->src_port};
    f->server = (struct ip_endpoint){packet->dst, syn->dst_port};
    f->syns = 1;
    f->flight_cap = TCP_NO_CAP;
    list_init(&f->flush_node);
    tcp_reorder_init(&f->reorder);
    init_from_syn(f, syn);
    init_times(f);
    tcp_head_init(&f->head, &f->server, &f->client);
    tcp_table_put(&h->table, &f->entry);
    h->stats.flows++;
    h->stats.pending++;
    return f;
}

static void release_ring(struct tcp_flow *f)
{
    if (f->ring != NULL)
        tcp_ring_put(&f->host->rings, STEAL(f->ring));
}

void tcp_flow_end(struct tcp_flow *f)
{
    struct tcp_host *h = f->host;
    if (f->state == TCP_CLOSED)
        return;
    tcp_flow_become(f, TCP_CLOSED);
    h->stats.flows--;
    tcp_table_remove(&h->table, &f->entry);
    tcp_heap_remove(&h->timers, &f->timer);
    list_remove(&f->flush_node);
    tcp_reorder_release(&f->reorder, &h->reordered);
    tcp_board_free(STEAL(f->board));
    release_ring(f);
    if (h->depth > 0)
        list_push_back(&h->dead, &f->flush_node);
    else
        mem_free(f);
}

void tcp_flow_finish(struct tcp_flow *f, enum tcp_end why)
{
    tcp_flow_end(f);
    f->host->events->on_closed(f->host->arg, f, why);
}

void tcp_flow_time_wait(struct tcp_flow *f)
{
    if (f->ack_due)
        (void)tcp_output_ack(f);
    tcp_flow_end(f);
    tcp_ghost_add(f->host, TCP_ENTRY_TIME_WAIT, f);
    f->host->events->on_closed(f->host->arg, f, TCP_END_DONE);
}

void tcp_flow_flush_later(struct tcp_flow *f)
{
    if (list_empty(&f->flush_node))
        list_push_back(&f->host->flush_list, &f->flush_node);
}

void tcp_flow_ack_later(struct tcp_flow *f)
{
    f->ack_due = true;
    tcp_flow_flush_later(f);
}

uint32_t tcp_flow_flight(const struct tcp_flow *f)
{
    return f->snd_max - f->snd_una;
}

uint32_t tcp_flow_unsent(const struct tcp_flow *f)
{
    return f->fin_sent ? 0 : f->snd_end - f->snd_max;
}

bool tcp_flow_may_send(const struct tcp_flow *f)
{
    return f->state != TCP_PENDING && f->state != TCP_SYN_RCVD && f->state != TCP_CLOSED;
}

static bool may_receive(const struct tcp_flow *f)
{
    return f->state == TCP_ESTABLISHED || f->state == TCP_FIN_WAIT_1 || f->state == TCP_FIN_WAIT_2;
}

/* Tells the client about room that it hasn't been told of and can use: not in crumbs (RFC 9293 §3.8.6.2.2), but before
 * what it knows of is used up. */
void tcp_set_receive_room(struct tcp_flow *flow, size_t bytes)
{
    struct tcp_flow *f = flow;
    size_t max = window_max(f);
    f->room_edge = f->rcv_nxt + (uint32_t)MIN(bytes, max);
    if (!may_receive(f) || seq_leq(f->room_edge, f->rcv_adv))
        return;
    uint32_t more = f->room_edge - f->rcv_adv;
    uint32_t left = f->rcv_adv - f->rcv_nxt;
    if (more >= max / 4 || (more >= MIN(f->mss, max / 2) && left <= max / 4))
        tcp_flow_ack_later(f);
}

static bool may_queue(const struct tcp_flow *f)
{
    return f->state != TCP_PENDING && f->state != TCP_CLOSED && !f->fin_queued;
}

static bool ensure_ring(struct tcp_flow *f)
{
    if (f->ring == NULL)
        f->ring = tcp_ring_get(&f->host->rings);
    if (f->ring != NULL)
        return true;
    f->space_at = f->host->now + SPACE_RETRY_NS;
    tcp_timer_update(f);
    return false;
}

size_t tcp_send_space(struct tcp_flow *flow, struct tcp_space ret_space[2])
{
    struct tcp_flow *f = flow;
    ret_space[0] = ret_space[1] = (struct tcp_space){0};
    if (!may_queue(f))
        return 0;
    if (!ensure_ring(f) || tcp_ring_room(f->ring) < SPACE_MIN) {
        f->wants_space = true;
        return 0;
    }
    /* If nothing is committed, tcp_flush takes the ring back. */
    tcp_flow_flush_later(f);
    uint8_t *data[2];
    size_t len[2];
    tcp_ring_space(f->ring, data, len);
    ret_space[0] = (struct tcp_space){data[0], len[0]};
    ret_space[1] = (struct tcp_space){data[1], len[1]};
    return len[0] + len[1];
}

void tcp_send_commit(struct tcp_flow *flow, size_t n, uint64_t now)
{
    struct tcp_flow *f = flow;
    if (!may_queue(f) || f->ring == NULL)
        return;
    n = MIN(n, tcp_ring_room(f->ring));
    tcp_ring_commit(f->ring, n);
    f->snd_end += (uint32_t)n;
    f->host->now = now;
    tcp_flow_flush_later(f);
    if (tcp_flow_may_send(f) && !f->host->blocked)
        (void)tcp_output_bulk(f);
}

void tcp_send_end(struct tcp_flow *flow, uint64_t now)
{
    if (!may_queue(flow))
        return;
    flow->fin_queued = true;
    flow->host->now = now;
    tcp_flow_flush_later(flow);
}

void tcp_flow_offer_space(struct tcp_flow *f)
{
    if (!f->wants_space || f->state == TCP_CLOSED || f->fin_queued)
        return;
    if (f->ring != NULL && tcp_ring_room(f->ring) < f->ring->size / 2)
        return;
    f->wants_space = false;
    f->space_at = TCP_NEVER;
    f->host->events->on_space(f->host->arg, f);
}

void tcp_drop(struct tcp_flow *flow)
{
    tcp_flow_end(flow);
}

void tcp_abort(struct tcp_flow *flow, uint64_t now)
{
    if (flow->state == TCP_PENDING) {
        tcp_refuse(flow, now);
    } else if (flow->state != TCP_CLOSED) {
        flow->host->now = now;
        tcp_output_reset(flow);
        tcp_flow_end(flow);
    }
}

const struct ip_endpoint *tcp_flow_client(const struct tcp_flow *flow)
{
    return &flow->client;
}

const struct ip_endpoint *tcp_flow_server(const struct tcp_flow *flow)
{
    return &flow->server;
}

void tcp_flow_set_user(struct tcp_flow *flow, void *user)
{
    flow->user = user;
}

void *tcp_flow_user(const struct tcp_flow *flow)
{
    return flow->user;
}

const char *tcp_flow_state_name(const struct tcp_flow *flow)
{
    return state_names[flow->state];
}

void tcp_flow_get_stats(const struct tcp_flow *flow, struct tcp_flow_stats *ret_stats)
{
    *ret_stats = (struct tcp_flow_stats){
        .bytes_in = flow->bytes_in,
        .bytes_out = flow->bytes_out,
        .retransmitted = flow->retransmitted,
        .srtt_ns = flow->srtt,
        .syns = flow->syns,
    };
}
