/* What a flow sends: lost bytes first, then new ones, then a bare ACK if nothing else has carried it. */
#include "base/clock.h"
#include "base/err.h"
#include "net/tcp_internal.h"

#define CHALLENGE_GAP_NS (10 * NS_PER_MS) /* between two of a flow */

/* The window to promise: its right edge moves only by what a client can use (RFC 9293 §3.8.6.2.2), and never back
 * (but by less than the unit of a scaled window, RFC 7323 §2.4). *ret_edge is what it comes to. */
static uint16_t window_field(const struct tcp_flow *f, uint8_t shift, uint32_t *ret_edge)
{
    uint32_t edge = f->rcv_adv;
    uint32_t crumb = MIN(f->mss, (uint32_t)(f->host->config.receive_window_max / 2));
    if (seq_geq(f->room_edge, f->rcv_adv + crumb))
        edge = f->room_edge;
    uint32_t field = MIN((edge - f->rcv_nxt) >> shift, (uint32_t)UINT16_MAX);
    *ret_edge = seq_max(f->rcv_adv, f->rcv_nxt + (field << shift));
    return (uint16_t)field;
}

static struct slice sack_option(const struct tcp_flow *f, uint8_t memory[TCP_OPTIONS_MAX])
{
    struct tcp_block blocks[TCP_SACK_MAX];
    if (!f->sack_ok || tcp_reorder_is_empty(&f->reorder))
        return slice_of(memory, 0);
    size_t count = tcp_reorder_blocks(&f->reorder, blocks, TCP_SACK_MAX);
    return slice_of(memory, count == 0 ? 0 : tcp_options_write_sack(memory, blocks, count));
}

/* Sends, completed with what every segment after the SYN carries; on success the ACK has been made. */
static int send_fields(struct tcp_flow *f, struct tcp_fields *fields)
{
    uint32_t edge;
    fields->window = window_field(f, f->rcv_shift, &edge);
    fields->ack = f->rcv_nxt;
    fields->flags |= TCP_ACK;
    int r = tcp_packet_send(f->host, &f->head, fields);
    if (r < 0)
        return r;
    f->rcv_adv = edge;
    f->ack_due = false;
    return 0;
}

int tcp_output_ack(struct tcp_flow *f)
{
    uint8_t options[TCP_OPTIONS_MAX];
    struct tcp_fields fields = {.seq = f->snd_max, .options = sack_option(f, options)};
    return send_fields(f, &fields);
}

/* A number the client has acknowledged already, and nothing in it: RFC 1122 §4.2.3.6. */
int tcp_output_probe(struct tcp_flow *f)
{
    struct tcp_fields fields = {.seq = f->snd_una - 1};
    return send_fields(f, &fields);
}

void tcp_output_challenge(struct tcp_flow *f)
{
    if (f->host->now < f->challenge_at)
        return;
    f->challenge_at = f->host->now + CHALLENGE_GAP_NS;
    f->host->stats.challenges_out++;
    if (f->state == TCP_SYN_RCVD)
        (void)tcp_output_ack(f);
    else
        tcp_flow_ack_later(f);
}

void tcp_output_reset(struct tcp_flow *f)
{
    struct tcp_fields fields = {.seq = f->snd_max, .ack = f->rcv_nxt, .flags = TCP_RST | TCP_ACK};
    if (f->state == TCP_PENDING)
        fields.seq = 0;
    (void)tcp_packet_send(f->host, &f->head, &fields);
    f->host->stats.resets_out++;
}

void tcp_output_refusal(struct tcp_flow *f, uint32_t seq)
{
    struct tcp_fields fields = {.seq = seq, .flags = TCP_RST};
    (void)tcp_packet_send(f->host, &f->head, &fields);
    f->host->stats.resets_out++;
}

int tcp_output_synack(struct tcp_flow *f)
{
    uint16_t headers = f->head.ip_len + TCP_HEADER_SIZE;
    const struct tcp_offer offer = {
        .mss = (uint16_t)(f->host->config.mtu - headers),
        .shift = f->rcv_shift,
        .has_shift = f->has_shift,
        .has_sack = f->sack_ok,
    };
    uint8_t options[TCP_OPTIONS_MAX];
    uint32_t edge;
    struct tcp_fields fields = {
        .seq = f->iss,
        .ack = f->rcv_nxt,
        .window = window_field(f, 0, &edge),
        .flags = TCP_SYN | TCP_ACK,
        .options = slice_of(options, tcp_options_write_syn(options, &offer)),
    };
    int r = tcp_packet_send(f->host, &f->head, &fields);
    if (r < 0)
        return r;
    f->rcv_adv = edge;
    f->synack_due = false;
    f->timing = true;
    f->rtt_at = f->host->now;
    return 0;
}

static uint32_t segment_max(const struct tcp_flow *f, size_t options_len)
{
    uint32_t mss = f->mss - (uint32_t)options_len;
    uint32_t gso_max = f->host->config.gso_max;
    return gso_max > mss ? gso_max / mss * mss : mss;
}

uint32_t tcp_output_segment_max(const struct tcp_flow *f)
{
    return segment_max(f, 0);
}

/* len bytes of the ring from seq on, and the FIN behind them. */
static int send_bytes(struct tcp_flow *f, uint32_t seq, uint32_t len, bool fin,
                      struct slice options)
{
    struct tcp_fields fields = {.seq = seq, .payload_len = len, .options = options};
    uint32_t mss = f->mss - (uint32_t)options.len;
    if (len > 0) {
        uint32_t base = f->snd_end - (uint32_t)f->ring->len;
        tcp_ring_slices(f->ring, seq - base, len, fields.payload);
        fields.gso_size = len > mss ? (uint16_t)mss : 0;
        if (seq + len == f->snd_end)
            fields.flags |= TCP_PSH;
    }
    if (fin)
        fields.flags |= TCP_FIN;
    int r = send_fields(f, &fields);
    if (r == 0)
        f->sent_place += len + (fin ? 1 : 0);
    return r;
}

static uint32_t pipe_of(const struct tcp_flow *f)
{
    uint32_t flight = tcp_flow_flight(f);
    return f->board == NULL ? flight : flight - f->board->sacked - f->board->lost;
}

/* From start on, not beyond end: how many bytes, and whether the FIN is among them. */
static uint32_t cut(const struct tcp_flow *f, uint32_t start, uint32_t end, uint32_t max, bool *fin)
{
    uint32_t len = seq_min(end, f->snd_end) - start;
    len = MIN(len, max);
    *fin = f->fin_sent && start + len == f->snd_end && seq_gt(end, f->snd_end);
    return len;
}

static int send_again(struct tcp_flow *f, uint32_t start, uint32_t end, uint32_t *ret_sent)
{
    uint8_t memory[TCP_OPTIONS_MAX];
    struct slice options = sack_option(f, memory);
    bool fin;
    uint32_t len = cut(f, start, end, segment_max(f, options.len), &fin);
    int r = send_bytes(f, start, len, fin, options);
    if (r < 0)
        return r;
    f->timing = false;
    f->retransmitted += len;
    f->host->stats.retransmits++;
    *ret_sent = len + (fin ? 1 : 0);
    return 0;
}

int tcp_output_front(struct tcp_flow *f)
{
    uint32_t sent;
    return send_again(f, f->snd_una, f->snd_max, &sent);
}

/* The next lost bytes. 1: sent some; 0: there are none, or enough is in flight. */
static int send_lost(struct tcp_flow *f)
{
    const struct tcp_range *lost = f->board == NULL ? NULL : tcp_board_first_lost(f->board);
    if (lost == NULL)
        return 0;
    uint32_t start = lost->start;
    /* The oldest goes in any case: nothing else moves without it. */
    bool beyond = seq_geq(start, f->snd_una + f->snd_wnd);
    if (start != f->snd_una && (beyond || pipe_of(f) >= f->flight_cap))
        return 0;
    uint32_t sent;
    int r = send_again(f, start, lost->end, &sent);
    if (r < 0)
        return r;
    tcp_board_sent_again(f->board, start, start + sent, f->sent_place);
    return 1;
}

/* How many new bytes may go in one output. */
static uint32_t allowance(const struct tcp_flow *f, uint32_t max)
{
    uint32_t flight = tcp_flow_flight(f);
    uint32_t room = f->snd_wnd > flight ? f->snd_wnd - flight : 0;
    uint32_t unsent = tcp_flow_unsent(f);
    if (f->flight_cap != TCP_NO_CAP) {
        uint32_t pipe = pipe_of(f);
        room = MIN(room, f->flight_cap > pipe ? f->flight_cap - pipe : 0);
    }
    if (unsent <= room)
        return MIN(unsent, max);
    /* Not all of it fits: whole segments only, unless nothing else would ask the client for more. */
    room = MIN(room, max);
    if (room >= f->mss)
        return room - room % f->mss; /* never 0: NOLINT(clang-analyzer-core.DivideZero) */
    return flight == 0 || room >= f->snd_wnd_max / 2 ? room : 0;
}

static void sent_new(struct tcp_flow *f, uint32_t n, bool fin)
{
    uint32_t start = f->snd_max;
    bool first = tcp_flow_flight(f) == 0;
    f->snd_max += n;
    if (fin) {
        f->fin_sent = true;
        tcp_flow_become(f, f->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK);
    }
    if (f->board != NULL) {
        tcp_board_sent_new(f->board, start, f->snd_max, f->sent_place);
    } else if (!f->timing) {
        f->timing = true;
        f->rtt_seq = f->snd_max;
        f->rtt_at = f->host->now;
    }
    if (first || f->rexmit_at == TCP_NEVER)
        tcp_timer_start_rexmit(f);
}

/* New bytes, or the FIN. 1: sent some; 0: there are none, or no room for them. */
static int send_new(struct tcp_flow *f, bool whole_only)
{
    if (f->fin_sent)
        return 0;
    uint8_t memory[TCP_OPTIONS_MAX];
    struct slice options = sack_option(f, memory);
    uint32_t max = segment_max(f, options.len);
    uint32_t len = allowance(f, max);
    bool fin = f->fin_queued && len == tcp_flow_unsent(f);
    if ((len == 0 && !fin) || (whole_only && len < max))
        return 0;
    int r = send_bytes(f, f->snd_max, len, fin, options);
    if (r < 0)
        return r;
    sent_new(f, len + (fin ? 1 : 0), fin);
    return 1;
}

static int send_all(struct tcp_flow *f)
{
    int r;
    do {
        r = send_lost(f);
        if (r == 0)
            r = send_new(f, false);
    } while (r > 0);
    return r;
}

/* Nothing is in flight whose acknowledgment could bring news of the window: ask for it from time to time. */
static void probe_later(struct tcp_flow *f)
{
    if (tcp_flow_flight(f) == 0 && tcp_flow_unsent(f) > 0 && f->rexmit_at == TCP_NEVER)
        tcp_timer_start_rexmit(f);
}

static void return_ring(struct tcp_flow *f)
{
    if (f->ring != NULL && f->ring->len == 0)
        tcp_ring_put(&f->host->rings, STEAL(f->ring));
}

int tcp_output_flush(struct tcp_flow *f)
{
    if (f->state == TCP_SYN_RCVD && f->synack_due)
        return tcp_output_synack(f);
    if (!tcp_flow_may_send(f))
        return 0;
    int r = send_all(f);
    if (r == 0 && f->ack_due)
        r = tcp_output_ack(f);
    probe_later(f);
    return_ring(f);
    return r;
}

int tcp_output_bulk(struct tcp_flow *f)
{
    int r = 1;
    while (r > 0 && (f->board == NULL || f->board->lost == 0))
        r = send_new(f, true);
    return r;
}
