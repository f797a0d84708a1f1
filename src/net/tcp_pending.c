/* The state in front: a SYN has come, and nothing is promised until the application knows that the far end answered. */
#include "base/clock.h"
#include "net/tcp_internal.h"

/* The next SYN comes after twice the last gap (Linux 6.5 and later: the same gap, for the first four). */
#define NEXT_SYN_SLACK NS_PER_S

void tcp_syn_input(struct tcp_host *h, const struct tcp_key *key, const struct ip_packet *packet,
                   const struct tcp_segment *syn, const uint32_t *isn_floor)
{
    struct tcp_flow *f = NULL;
    if (h->stats.flows < h->config.max_flows && h->stats.pending < h->config.max_pending)
        f = tcp_flow_new(h, key, packet, syn);
    if (f == NULL) {
        h->stats.syns_ignored++;
        return;
    }
    f->iss = tcp_host_isn(h, key, isn_floor);
    f->snd_una = f->iss;
    f->snd_max = f->iss;
    f->snd_end = f->iss + 1;
    f->snd_wl2 = f->iss;
    f->rexmit_at = h->now + h->config.pending_first_ns;
    tcp_timer_update(f);
    h->events->on_syn(h->arg, f);
}

static void absorb(struct tcp_flow *f)
{
    uint64_t now = f->host->now;
    uint64_t wait = 2 * (now - f->syn_at) + NEXT_SYN_SLACK;
    f->syns++;
    f->syn_at = now;
    f->rexmit_at = now + MAX(wait, f->host->config.pending_first_ns);
    tcp_timer_update(f);
}

/* As in LISTEN (RFC 9293 §3.10.7.2), but that a repeated SYN is known. */
void tcp_pending_input(struct tcp_flow *f, const struct ip_packet *packet,
                       const struct tcp_segment *s)
{
    struct tcp_host *h = f->host;
    if (s->flags & TCP_RST) {
        if (s->seq == f->irs || s->seq == f->irs + 1)
            tcp_flow_finish(f, TCP_END_GAVE_UP);
    } else if (s->flags & TCP_ACK) {
        tcp_packet_reset_reply(h, packet, s);
    } else if (!(s->flags & TCP_SYN)) {
        return;
    } else if (s->seq == f->irs) {
        absorb(f);
    } else {
        /* The same port, another connection: the client gave the first one up. */
        struct tcp_key key = f->entry.key;
        tcp_flow_finish(f, TCP_END_GAVE_UP);
        tcp_syn_input(h, &key, packet, s, NULL);
    }
}

void tcp_accept(struct tcp_flow *flow, uint64_t now)
{
    if (flow->state != TCP_PENDING)
        return;
    flow->host->now = now;
    tcp_flow_become(flow, TCP_SYN_RCVD);
    flow->snd_max = flow->iss + 1;
    flow->synack_due = true;
    tcp_timer_start_rexmit(flow);
    if (flow->host->blocked || tcp_output_synack(flow) < 0)
        tcp_flow_flush_later(flow);
}

void tcp_refuse(struct tcp_flow *flow, uint64_t now)
{
    struct tcp_host *h = flow->host;
    if (flow->state != TCP_PENDING)
        return;
    tcp_host_enter(h, now);
    tcp_output_reset(flow);
    tcp_flow_end(flow);
    tcp_ghost_add(h, TCP_ENTRY_REFUSED, flow);
    tcp_host_leave(h);
}
