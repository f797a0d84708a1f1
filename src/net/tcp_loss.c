/* What a flow does when something was lost: it keeps a scoreboard, sends again what is missing, and has less in flight for
 * a while. There is no congestion on this link, but there are queues that can overflow: putting everything in flight
 * again at once would overflow them again. */
#include "net/tcp_internal.h"

/* Sent so many segments before something that arrived: lost (RFC 6675's DupThresh). */
#define TOLERANCE_SEGMENTS 3

static bool ensure_board(struct tcp_flow *f)
{
    if (f->board == NULL && tcp_flow_flight(f) > 0) {
        f->board = tcp_board_new(f->snd_una, f->snd_max, f->sent_place);
        f->recover = f->snd_max;
        f->recover_place = f->sent_place;
    }
    return f->board != NULL;
}

static void shrink(struct tcp_flow *f, uint32_t flight_cap)
{
    uint32_t least = MAX(2 * tcp_output_segment_max(f), 4U * f->mss);
    f->flight_cap = MAX(flight_cap, least);
    f->recover = f->snd_max;
    f->recover_place = f->sent_place;
}

/* Once per episode: losses of one overflow count as one. */
static void losses_found(struct tcp_flow *f)
{
    if (f->flight_cap == TCP_NO_CAP || seq_geq(f->snd_una, f->recover))
        shrink(f, tcp_flow_flight(f) / 4 * 3);
    tcp_flow_flush_later(f);
}

static void find_losses(struct tcp_flow *f)
{
    if (tcp_board_find_lost(f->board, TOLERANCE_SEGMENTS * (uint32_t)f->mss) > 0)
        losses_found(f);
}

void tcp_loss_sacked(struct tcp_flow *f, const struct tcp_block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct tcp_block *b = &blocks[i];
        bool sane =
            seq_lt(b->start, b->end) && seq_gt(b->start, f->snd_una) && seq_leq(b->end, f->snd_max);
        if (sane && ensure_board(f))
            (void)tcp_board_sacked(f->board, b->start, b->end);
    }
    if (f->board != NULL)
        find_losses(f);
}

void tcp_loss_dupack(struct tcp_flow *f)
{
    if (!ensure_board(f))
        return;
    tcp_board_lose_front(f->board, f->mss, f->sent_place);
    if (f->board->lost > 0)
        losses_found(f);
}

static void grow_cap(struct tcp_flow *f, uint32_t acked)
{
    if (f->flight_cap == TCP_NO_CAP)
        return;
    f->flight_cap += acked / 4;
    if (f->flight_cap >= f->host->config.send_ring_size)
        f->flight_cap = TCP_NO_CAP;
}

void tcp_loss_acked(struct tcp_flow *f, uint32_t acked)
{
    grow_cap(f, acked);
    if (f->board == NULL)
        return;
    tcp_board_acked(f->board, f->snd_una);
    /* Without SACK the next hole shows when the first is filled (RFC 6582). */
    if (!f->sack_ok && seq_lt(f->snd_una, f->recover))
        tcp_board_lose_front(f->board, f->mss, f->recover_place);
    find_losses(f);
    if (tcp_board_is_trivial(f->board) && seq_geq(f->snd_una, f->recover))
        tcp_board_free(STEAL(f->board));
}

void tcp_loss_timeout(struct tcp_flow *f)
{
    if (!ensure_board(f)) {
        (void)tcp_output_front(f);
        return;
    }
    tcp_board_lose_all(f->board, f->backoff >= 2);
    shrink(f, MIN(f->flight_cap, tcp_flow_flight(f)) / 2);
    tcp_flow_flush_later(f);
}
