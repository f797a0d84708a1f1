/* One TCP segment as it came in, its options, and the options we write (RFC 9293 §3.1, RFC 7323, RFC 2018). */
#ifndef STILE_NET_TCP_SEGMENT_H
#define STILE_NET_TCP_SEGMENT_H

#include "base/slice.h"

enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
};

#define TCP_SACK_MAX    4  /* blocks in one segment without timestamps */
#define TCP_SHIFT_MAX   14 /* RFC 7323 §2.3 */
#define TCP_MSS_MIN     64 /* a smaller offer is raised to this: headers must not be all there is */
#define TCP_OPTIONS_MAX 40

struct tcp_segment {
    uint16_t src_port, dst_port; /* host order */
    uint32_t seq, ack;
    uint32_t end;    /* seq behind the payload and the SYN and FIN */
    uint16_t window; /* as in the header: not scaled */
    uint8_t flags;
    struct slice options;
    struct slice payload;
};

/* What a SYN offered. */
struct tcp_offer {
    uint16_t mss;  /* 0: not said */
    uint8_t shift; /* of its windows */
    bool has_shift;
    bool has_sack;
};

struct tcp_block { /* of sequence numbers: [start, end) */
    uint32_t start, end;
};

/* ERR_TRUNCATED, ERR_FORMAT. */
MUST_CHECK int tcp_segment_parse(struct slice l4, struct tcp_segment *ret_segment);

/* Broken options end the list; what came before them counts. */
void tcp_options_parse_syn(struct slice options, struct tcp_offer *ret_offer);
size_t tcp_options_parse_sack(struct slice options, struct tcp_block blocks[TCP_SACK_MAX]);

/* Both write a multiple of four bytes and return how many. */
size_t tcp_options_write_syn(uint8_t options[TCP_OPTIONS_MAX], const struct tcp_offer *offer);
size_t tcp_options_write_sack(uint8_t options[TCP_OPTIONS_MAX], const struct tcp_block *blocks,
                              size_t count);

#endif
