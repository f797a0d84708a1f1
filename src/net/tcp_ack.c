/* What a segment says about our own bytes: acknowledgment, window, selective acknowledgment. */
#include "net/tcp_internal.h"

/* Our FIN has arrived. False if that was the end of the flow. */
static bool fin_acked(struct tcp_flow *f)
{
    switch (f->state) {
    case TCP_FIN_WAIT_1:
        tcp_flow_become(f, TCP_FIN_WAIT_2);
        return true;
    case TCP_CLOSING:
        tcp_flow_time_wait(f);
        return false;
    case TCP_LAST_ACK:
        tcp_flow_finish(f, TCP_END_DONE);
        return false;
    default:
        return true;
    }
}

static void consume_ring(struct tcp_flow *f)
{
    if (f->ring == NULL)
        return;
    uint32_t base = f->snd_end - (uint32_t)f->ring->len;
    uint32_t n = seq_min(f->snd_una, f->snd_end) - base;
    tcp_ring_consume(f->ring, n);
    f->bytes_out += n;
    if (f->ring->len == 0)
        tcp_flow_flush_later(f);
}

static void acked(struct tcp_flow *f, uint32_t ack)
{
    uint32_t n = ack - f->snd_una;
    f->snd_una = ack;
    f->backoff = 0;
    f->dupacks = 0;
    f->unanswered_since = TCP_NEVER;
    consume_ring(f);
    if (f->timing && seq_geq(ack, f->rtt_seq)) {
        f->timing = false;
        tcp_timer_measured(f, f->host->now - f->rtt_at);
    }
    tcp_loss_acked(f, n);
    if (tcp_flow_flight(f) > 0)
        tcp_timer_start_rexmit(f);
    else
        tcp_timer_stop_rexmit(f);
}

/* From segments that are newer than the last that was used (RFC 9293 §3.10.7.4). One that acknowledges something new is
 * newer, whatever its own number: else the window would slide on by an ACK that doesn't open it. */
static void update_window(struct tcp_flow *f, const struct tcp_segment *s, bool advanced)
{
    bool newer =
        seq_lt(f->snd_wl1, s->seq) || (f->snd_wl1 == s->seq && seq_leq(f->snd_wl2, s->ack));
    if (!newer && !advanced)
        return;
    uint32_t window = (uint32_t)s->window << f->snd_shift;
    f->snd_wl1 = s->seq;
    f->snd_wl2 = s->ack;
    /* Probing is over: what follows is measured afresh. */
    if (window > f->snd_wnd && tcp_flow_flight(f) == 0) {
        f->backoff = 0;
        tcp_timer_stop_rexmit(f);
    }
    f->snd_wnd = window;
    f->snd_wnd_max = MAX(f->snd_wnd_max, window);
}

/* RFC 5681 §2: the fourth alike ACK tells that the segment behind it is missing. */
static bool is_duplicate(const struct tcp_flow *f, const struct tcp_segment *s)
{
    return s->ack == f->snd_una && s->seq == s->end && tcp_flow_flight(f) > 0 &&
           (uint32_t)s->window << f->snd_shift == f->snd_wnd;
}

static void sack_input(struct tcp_flow *f, const struct tcp_segment *s)
{
    struct tcp_block blocks[TCP_SACK_MAX];
    size_t count = tcp_options_parse_sack(s->options, blocks);
    if (count > 0)
        tcp_loss_sacked(f, blocks, count);
}

static bool has_more(const struct tcp_flow *f)
{
    return tcp_flow_unsent(f) > 0 || (f->fin_queued && !f->fin_sent) ||
           (f->board != NULL && f->board->lost > 0);
}

bool tcp_ack_input(struct tcp_flow *f, const struct tcp_segment *s)
{
    if (seq_gt(s->ack, f->snd_max) || seq_lt(s->ack, f->snd_una - f->snd_wnd_max)) {
        tcp_output_challenge(f);
        return false;
    }
    if (seq_lt(s->ack, f->snd_una))
        return true;
    bool duplicate = is_duplicate(f, s);
    bool advanced = s->ack != f->snd_una;
    if (advanced)
        acked(f, s->ack);
    update_window(f, s, advanced);
    /* An answer to a window probe. */
    if (f->snd_wnd == 0 || tcp_flow_flight(f) == 0)
        f->unanswered_since = TCP_NEVER;
    if (s->options.len > 0 && f->sack_ok && tcp_flow_flight(f) > 0)
        sack_input(f, s);
    else if (duplicate && !f->sack_ok && f->dupacks < UINT8_MAX && ++f->dupacks == TCP_DUPACKS)
        tcp_loss_dupack(f);
    if (has_more(f))
        tcp_flow_flush_later(f);
    if (advanced && f->fin_sent && f->snd_una == f->snd_max && !fin_acked(f))
        return false;
    if (advanced)
        tcp_flow_offer_space(f);
    return f->state != TCP_CLOSED;
}
