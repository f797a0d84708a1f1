/* The scoreboard of a flow that has lost something: what of the bytes in flight has arrived, is lost, or is under way
 * again. A flow without losses has none.
 *
 * Losses are found as RFC 8985 (RACK) does, but by order of transmission, not by time: the link hardly reorders. Every
 * byte sent gets a place in the flow's count of bytes transmitted. When something is reported to have arrived, what was
 * sent well before it and hasn't arrived is lost, whether it was sent the first time or again. That covers RFC 6675's
 * rule and lost retransmissions alike.
 */
#ifndef STILE_NET_TCP_BOARD_H
#define STILE_NET_TCP_BOARD_H

#include "base/compiler.h"

#define TCP_BOARD_RANGES 1024 /* beyond, reports are ignored: more is sent again than needed */

enum tcp_range_state { TCP_RANGE_SENT, TCP_RANGE_SACKED, TCP_RANGE_LOST };

struct tcp_range { /* of sequence numbers: [start, end) */
    uint32_t start, end;
    enum tcp_range_state state;
    uint64_t sent_end; /* place of its last byte's latest transmission, plus one */
};

struct tcp_board {
    struct tcp_range
        *ranges; /* owned; in order, without gaps, from the oldest unacknowledged byte on */
    size_t count, cap;
    uint32_t sacked, lost; /* bytes in these states */
    uint64_t newest;       /* the latest place that is known to have arrived */
};

/* All of [start, end) is under way; its last byte's place is sent_end - 1. NULL when memory runs out. */
struct tcp_board *tcp_board_new(uint32_t start, uint32_t end, uint64_t sent_end);
void tcp_board_free(struct tcp_board *b);

/* More, at the end. */
void tcp_board_sent_new(struct tcp_board *b, uint32_t start, uint32_t end, uint64_t sent_end);
/* Of a lost range, from its start on: in any case it isn't lost any more. */
void tcp_board_sent_again(struct tcp_board *b, uint32_t start, uint32_t end, uint64_t sent_end);
void tcp_board_acked(struct tcp_board *b, uint32_t una);
/* Returns true if that was news. */
bool tcp_board_sacked(struct tcp_board *b, uint32_t start, uint32_t end);

/* Finds losses: what was sent `tolerance` bytes or more before the newest arrival. How many bytes are newly lost. */
uint32_t tcp_board_find_lost(struct tcp_board *b, uint32_t tolerance);
/* The first n bytes, if they are under way and were sent before place `before`. */
void tcp_board_lose_front(struct tcp_board *b, uint32_t n, uint64_t before);
/* Everything that isn't known to have arrived; with `forget` also what is (RFC 2018 §8: the receiver may discard it). */
void tcp_board_lose_all(struct tcp_board *b, bool forget);

/* The first lost range, NULL if there is none. */
const struct tcp_range *tcp_board_first_lost(const struct tcp_board *b);
/* Nothing lost, nothing sacked: the flow can do without. */
bool tcp_board_is_trivial(const struct tcp_board *b);

#endif
