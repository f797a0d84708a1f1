/* Segments of a flow, in the order of RFC 9293 §3.10.7.4, with the checks of RFC 5961. */
#include "base/mem.h"
#include "net/tcp_internal.h"

static bool is_in_window(const struct tcp_flow *f, const struct tcp_segment *s)
{
    if (s->seq == s->end)
        return seq_geq(s->seq, f->rcv_nxt) && seq_leq(s->seq, f->rcv_adv);
    /* A FIN alone takes no room: a closed window doesn't keep it out. */
    if (s->payload.len == 0 && s->seq == f->rcv_nxt)
        return true;
    return seq_lt(s->seq, f->rcv_adv) && seq_gt(s->end, f->rcv_nxt);
}

/* Answered with an ACK, so that a client that is out of step finds back (also keepalives and window probes). Bare ACKs
 * are answered seldom, lest two ends talk past each other for ever. */
static void outside_window(struct tcp_flow *f, const struct tcp_segment *s)
{
    if (s->flags & TCP_RST)
        return;
    bool at_the_edge = s->seq == f->rcv_nxt && (s->flags & (TCP_ACK | TCP_SYN)) == TCP_ACK;
    if (at_the_edge && f->state != TCP_SYN_RCVD && !tcp_ack_input(f, s))
        return;
    if (s->payload.len > 0 || s->flags & TCP_FIN)
        tcp_flow_ack_later(f);
    else
        tcp_output_challenge(f);
}

/* RFC 5961 §3: only the exact number resets. */
static void reset_input(struct tcp_flow *f, const struct tcp_segment *s)
{
    if (s->seq == f->rcv_nxt)
        tcp_flow_finish(f, TCP_END_RESET);
    else
        tcp_output_challenge(f);
}

/* The ACK of our SYN. False if the segment ends here. */
static bool establish(struct tcp_flow *f, const struct tcp_segment *s)
{
    struct tcp_host *h = f->host;
    if (s->ack != f->snd_max) {
        tcp_output_refusal(f, s->ack);
        return false;
    }
    tcp_flow_become(f, TCP_ESTABLISHED);
    if (f->backoff == 0 && f->timing)
        tcp_timer_measured(f, h->now - f->rtt_at);
    f->timing = false;
    f->backoff = 0;
    f->synack_due = false;
    f->unanswered_since = TCP_NEVER;
    f->snd_una = s->ack;
    tcp_timer_stop_rexmit(f);
    if (h->config.keepalive_ns > 0)
        f->keepalive_at = h->now + h->config.keepalive_ns;
    tcp_timer_update(f);
    tcp_flow_flush_later(f);
    h->events->on_established(h->arg, f);
    return f->state != TCP_CLOSED;
}

/* Both return false if the application ended the flow. */
static bool deliver(struct tcp_flow *f, struct slice bytes)
{
    struct tcp_host *h = f->host;
    f->rcv_nxt += (uint32_t)bytes.len;
    f->bytes_in += bytes.len;
    h->events->on_data(h->arg, f, bytes);
    return f->state != TCP_CLOSED;
}

static bool deliver_reordered(struct tcp_flow *f)
{
    struct tcp_reorder_piece *p;
    struct slice bytes;
    bool alive = true;
    while (alive && (p = tcp_reorder_take(&f->reorder, &f->host->reordered, f->rcv_nxt, &bytes))) {
        alive = deliver(f, bytes);
        mem_free(p);
    }
    return alive;
}

static bool is_receiving(const struct tcp_flow *f)
{
    return f->state == TCP_ESTABLISHED || f->state == TCP_FIN_WAIT_1 || f->state == TCP_FIN_WAIT_2;
}

/* The client's FIN, when its turn has come. */
static void fin_input(struct tcp_flow *f)
{
    struct tcp_host *h = f->host;
    f->rcv_nxt++;
    f->rcv_adv = seq_max(f->rcv_adv, f->rcv_nxt);
    tcp_flow_ack_later(f);
    bool done = f->state == TCP_FIN_WAIT_2;
    if (!done)
        tcp_flow_become(f, f->state == TCP_ESTABLISHED ? TCP_CLOSE_WAIT : TCP_CLOSING);
    h->events->on_end(h->arg, f);
    if (done && f->state != TCP_CLOSED)
        tcp_flow_time_wait(f);
}

/* What is new of the payload: without what came before, without what is beyond the window or the FIN. */
static struct slice trim(const struct tcp_flow *f, const struct tcp_segment *s, uint32_t *seq)
{
    struct slice bytes = s->payload;
    *seq = s->seq;
    if (seq_lt(*seq, f->rcv_nxt)) {
        bytes = slice_from(bytes, f->rcv_nxt - *seq);
        *seq = f->rcv_nxt;
    }
    uint32_t end = f->rcv_adv;
    if (f->peer_fin)
        end = seq_min(end, f->peer_fin_seq);
    if (seq_gt(*seq + (uint32_t)bytes.len, end))
        bytes = slice_first(bytes, seq_gt(end, *seq) ? end - *seq : 0);
    return bytes;
}

static void note_fin(struct tcp_flow *f, const struct tcp_segment *s)
{
    uint32_t seq = s->seq + (uint32_t)s->payload.len;
    if (!(s->flags & TCP_FIN) || f->peer_fin || seq_lt(seq, f->rcv_nxt) || seq_gt(seq, f->rcv_adv))
        return;
    f->peer_fin = true;
    f->peer_fin_seq = seq;
}

static void set_aside(struct tcp_flow *f, uint32_t seq, struct slice bytes)
{
    (void)tcp_reorder_add(&f->reorder, &f->host->reordered, seq, bytes);
    tcp_flow_ack_later(f);
    /* Without SACK the client counts these (RFC 5681 §4.2): they may not be merged. */
    if (!f->sack_ok)
        (void)tcp_output_ack(f);
}

static void payload_input(struct tcp_flow *f, const struct tcp_segment *s)
{
    note_fin(f, s);
    uint32_t seq;
    struct slice bytes = trim(f, s, &seq);
    if (s->seq != s->end)
        tcp_flow_ack_later(f);
    if (bytes.len > 0 && seq != f->rcv_nxt)
        set_aside(f, seq, bytes);
    else if (bytes.len > 0 && !deliver(f, bytes))
        return;
    if (!tcp_reorder_is_empty(&f->reorder) && !deliver_reordered(f))
        return;
    if (f->peer_fin && f->rcv_nxt == f->peer_fin_seq)
        fin_input(f);
}

static void heard(struct tcp_flow *f)
{
    f->heard_at = f->host->now;
    f->keepalive_tries = 0;
}

void tcp_flow_input(struct tcp_flow *f, const struct tcp_segment *s)
{
    bool is_first_syn = f->state == TCP_SYN_RCVD && s->seq == f->irs &&
                        (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
    if (is_first_syn) {
        f->synack_due = true;
        tcp_flow_flush_later(f);
        return;
    }
    heard(f);
    if (!is_in_window(f, s)) {
        outside_window(f, s);
        return;
    }
    if (s->flags & (TCP_RST | TCP_SYN)) {
        if (s->flags & TCP_RST)
            reset_input(f, s);
        else
            tcp_output_challenge(f);
        return;
    }
    if (!(s->flags & TCP_ACK))
        return;
    if (f->state == TCP_SYN_RCVD && !establish(f, s))
        return;
    if (tcp_ack_input(f, s) && is_receiving(f))
        payload_input(f, s);
}
