/* Time-outs: retransmission (RFC 6298), window probes (RFC 9293 §3.8.6.1), keepalive (RFC 9293 §3.8.4), clients that stay
 * away. A flow has one node in the heap; each fires when the earliest of the flow's times may have come. */
#include "base/clock.h"
#include "net/tcp_internal.h"

#define BACKOFF_MAX      16
#define KEEPALIVE_GAP_NS (10 * NS_PER_S) /* between probes that aren't answered */

static uint64_t deadline_of(const struct tcp_flow *f)
{
    return MIN(f->rexmit_at, MIN(f->keepalive_at, f->space_at));
}

void tcp_timer_update(struct tcp_flow *f)
{
    uint64_t at = deadline_of(f);
    if (at != TCP_NEVER)
        tcp_heap_set(&f->host->timers, &f->timer, at);
}

static uint64_t backed_off(const struct tcp_flow *f)
{
    return MIN(f->rto << MIN(f->backoff, BACKOFF_MAX), f->host->config.rto_max_ns);
}

void tcp_timer_start_rexmit(struct tcp_flow *f)
{
    f->rexmit_at = f->host->now + backed_off(f);
    tcp_timer_update(f);
}

void tcp_timer_stop_rexmit(struct tcp_flow *f)
{
    f->rexmit_at = TCP_NEVER;
}

void tcp_timer_measured(struct tcp_flow *f, uint64_t rtt_ns)
{
    if (f->srtt == 0) {
        f->srtt = MAX(rtt_ns, 1);
        f->rttvar = rtt_ns / 2;
    } else {
        uint64_t off = f->srtt > rtt_ns ? f->srtt - rtt_ns : rtt_ns - f->srtt;
        f->rttvar = (3 * f->rttvar + off) / 4;
        f->srtt = MAX((7 * f->srtt + rtt_ns) / 8, 1);
    }
    const struct tcp_config *c = &f->host->config;
    f->rto = MIN(MAX(f->srtt + 4 * f->rttvar, c->rto_min_ns), c->rto_max_ns);
}

static void give_up(struct tcp_flow *f)
{
    tcp_output_reset(f);
    tcp_flow_finish(f, TCP_END_TIMEOUT);
}

static void synack_due(struct tcp_flow *f)
{
    if (f->backoff >= TCP_SYNACK_TRIES) {
        give_up(f);
        return;
    }
    f->backoff++;
    f->synack_due = true;
    tcp_flow_flush_later(f);
    tcp_timer_start_rexmit(f);
}

static void data_due(struct tcp_flow *f)
{
    struct tcp_host *h = f->host;
    if (f->unanswered_since == TCP_NEVER)
        f->unanswered_since = h->now;
    else if (h->now - f->unanswered_since >= h->config.give_up_ns) {
        give_up(f);
        return;
    }
    f->backoff = (uint8_t)MIN(f->backoff + 1, BACKOFF_MAX);
    h->stats.timeouts++;
    bool only_fin = f->snd_una == f->snd_end;
    if (tcp_flow_flight(f) == 0 || (f->snd_wnd == 0 && !only_fin))
        (void)tcp_output_probe(f);
    else
        tcp_loss_timeout(f);
    tcp_timer_start_rexmit(f);
}

static void rexmit_due(struct tcp_flow *f)
{
    f->rexmit_at = TCP_NEVER;
    if (f->state == TCP_PENDING)
        tcp_flow_finish(f, TCP_END_GAVE_UP);
    else if (f->state == TCP_SYN_RCVD)
        synack_due(f);
    else if (tcp_flow_flight(f) > 0 || tcp_flow_unsent(f) > 0)
        data_due(f);
}

static void keepalive_due(struct tcp_flow *f)
{
    uint64_t idle = f->host->config.keepalive_ns;
    uint64_t now = f->host->now;
    if (f->heard_at + idle > now || tcp_flow_flight(f) > 0) {
        f->keepalive_at = MAX(f->heard_at, now - idle / 2) + idle;
        return;
    }
    if (f->keepalive_tries++ >= TCP_KEEPALIVE_TRIES) {
        give_up(f);
        return;
    }
    (void)tcp_output_probe(f);
    f->keepalive_at = now + MIN(idle, KEEPALIVE_GAP_NS);
}

static void space_due(struct tcp_flow *f)
{
    f->space_at = TCP_NEVER;
    tcp_flow_offer_space(f);
}

static void fire(struct tcp_flow *f)
{
    uint64_t now = f->host->now;
    if (f->rexmit_at <= now)
        rexmit_due(f);
    if (f->state != TCP_CLOSED && f->keepalive_at <= now)
        keepalive_due(f);
    if (f->state != TCP_CLOSED && f->space_at <= now)
        space_due(f);
    if (f->state != TCP_CLOSED)
        tcp_timer_update(f);
}

void tcp_timers(struct tcp_host *host, uint64_t now)
{
    tcp_host_enter(host, now);
    tcp_ghost_expire(host);
    struct tcp_heap_node *first;
    while ((first = tcp_heap_first(&host->timers)) != NULL && first->at <= now) {
        tcp_heap_remove(&host->timers, first);
        fire(CONTAINER_OF(first, struct tcp_flow, timer));
    }
    tcp_host_leave(host);
}
