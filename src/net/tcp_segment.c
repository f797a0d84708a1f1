#include "net/tcp_segment.h"

#include "base/err.h"
#include "net/tcp.h"

enum { OPT_END = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_SHIFT = 3, OPT_SACK_OK = 4, OPT_SACK = 5 };

int tcp_segment_parse(struct slice l4, struct tcp_segment *ret_segment)
{
    if (l4.len < TCP_HEADER_SIZE)
        return ERR_TRUNCATED;
    const uint8_t *p = l4.data;
    size_t header = (size_t)(p[12] >> 4) * 4;
    if (header < TCP_HEADER_SIZE)
        return ERR_FORMAT;
    if (header > l4.len)
        return ERR_TRUNCATED;
    struct tcp_segment *s = ret_segment;
    s->src_port = (uint16_t)(p[0] << 8 | p[1]);
    s->dst_port = (uint16_t)(p[2] << 8 | p[3]);
    s->seq = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
    s->ack = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
    s->flags = p[13] & 0x1f;
    s->window = (uint16_t)(p[14] << 8 | p[15]);
    s->options = slice_of(p + TCP_HEADER_SIZE, header - TCP_HEADER_SIZE);
    s->payload = slice_of(p + header, l4.len - header);
    uint32_t flags_len = (s->flags & TCP_SYN ? 1U : 0U) + (s->flags & TCP_FIN ? 1U : 0U);
    s->end = s->seq + (uint32_t)s->payload.len + flags_len;
    return 0;
}

/* The next option's kind and body; false at the end of the list. */
static bool next_option(struct rd *r, uint8_t *ret_kind, struct slice *ret_body)
{
    uint8_t kind = OPT_NOP;
    while (kind == OPT_NOP && rd_left(r) > 0)
        kind = rd_u8(r);
    if (kind == OPT_END || kind == OPT_NOP)
        return false;
    uint8_t len = rd_u8(r);
    if (len < 2)
        return false;
    *ret_kind = kind;
    *ret_body = rd_bytes(r, len - 2U);
    return !r->bad;
}

void tcp_options_parse_syn(struct slice options, struct tcp_offer *ret_offer)
{
    *ret_offer = (struct tcp_offer){0};
    struct rd r = rd_init(options);
    uint8_t kind;
    struct slice body;
    while (next_option(&r, &kind, &body)) {
        if (kind == OPT_MSS && body.len == 2) {
            ret_offer->mss = (uint16_t)(body.data[0] << 8 | body.data[1]);
        } else if (kind == OPT_SHIFT && body.len == 1) {
            ret_offer->has_shift = true;
            ret_offer->shift = MIN(body.data[0], TCP_SHIFT_MAX);
        } else if (kind == OPT_SACK_OK && body.len == 0) {
            ret_offer->has_sack = true;
        }
    }
}

size_t tcp_options_parse_sack(struct slice options, struct tcp_block blocks[TCP_SACK_MAX])
{
    struct rd r = rd_init(options);
    uint8_t kind;
    struct slice body;
    while (next_option(&r, &kind, &body)) {
        if (kind != OPT_SACK || body.len % 8 != 0)
            continue;
        struct rd b = rd_init(body);
        size_t count = 0;
        for (; rd_left(&b) > 0 && count < TCP_SACK_MAX; count++) {
            blocks[count].start = rd_u32(&b);
            blocks[count].end = rd_u32(&b);
        }
        return count;
    }
    return 0;
}

size_t tcp_options_write_syn(uint8_t options[TCP_OPTIONS_MAX], const struct tcp_offer *offer)
{
    struct wr w = wr_init(options, TCP_OPTIONS_MAX);
    wr_u8(&w, OPT_MSS);
    wr_u8(&w, 4);
    wr_u16(&w, offer->mss);
    if (offer->has_shift) {
        wr_u8(&w, OPT_NOP);
        wr_u8(&w, OPT_SHIFT);
        wr_u8(&w, 3);
        wr_u8(&w, offer->shift);
    }
    if (offer->has_sack) {
        wr_u8(&w, OPT_NOP);
        wr_u8(&w, OPT_NOP);
        wr_u8(&w, OPT_SACK_OK);
        wr_u8(&w, 2);
    }
    return wr_len(&w);
}

size_t tcp_options_write_sack(uint8_t options[TCP_OPTIONS_MAX], const struct tcp_block *blocks,
                              size_t count)
{
    struct wr w = wr_init(options, TCP_OPTIONS_MAX);
    wr_u8(&w, OPT_NOP);
    wr_u8(&w, OPT_NOP);
    wr_u8(&w, OPT_SACK);
    wr_u8(&w, (uint8_t)(2 + 8 * count));
    for (size_t i = 0; i < count; i++) {
        wr_u32(&w, blocks[i].start);
        wr_u32(&w, blocks[i].end);
    }
    return wr_len(&w);
}
