#include "net/ip.h"

#include <string.h>

#include "base/err.h"
#include "net/checksum.h"

/* Next-header values of the extension headers we step over (RFC 8200 §4). */
enum { EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_DESTINATION = 60 };

#define MAX_EXTENSIONS 8 /* headers in one packet; real ones have one or two */
#define JUMBO_OPTION   0xc2
#define PADDING_OPTION 0

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_u16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static bool header_sum_is_good(const uint8_t *header, size_t len)
{
    struct checksum c = {0};
    checksum_add(&c, slice_of(header, len));
    return checksum_is_good(&c);
}

static int parse_v4(struct slice s, struct ip_packet *p)
{
    if (s.len < IP4_HEADER_SIZE)
        return ERR_TRUNCATED;
    size_t header = (size_t)(s.data[0] & 15) * 4;
    size_t total = get_u16(s.data + 2);
    /* Linux leaves the length empty when a superpacket is longer than the field can say. */
    if (total == 0 && s.len > UINT16_MAX)
        total = s.len;
    if (header < IP4_HEADER_SIZE || total < header)
        return ERR_FORMAT;
    if (total > s.len)
        return ERR_TRUNCATED;
    if (!header_sum_is_good(s.data, header))
        return ERR_FORMAT;
    if ((get_u16(s.data + 6) & 0x3fff) != 0)
        return ERR_UNSUPPORTED;
    p->version = 4;
    p->protocol = s.data[9];
    p->hop_limit = s.data[8];
    p->src = ip_addr_from(4, s.data + 12);
    p->dst = ip_addr_from(4, s.data + 16);
    p->whole = slice_first(s, total);
    p->l4 = slice_from(p->whole, header);
    return 0;
}

/* The length a hop-by-hop header's jumbo option gives, 0 if it has none. */
static uint32_t jumbo_length(struct slice header)
{
    struct rd r = rd_init(slice_from(header, 2));
    while (!r.bad && rd_left(&r) > 0) {
        uint8_t type = rd_u8(&r);
        if (type == PADDING_OPTION)
            continue;
        uint8_t len = rd_u8(&r);
        if (type == JUMBO_OPTION && len == 4)
            return rd_u32(&r);
        rd_skip(&r, len);
    }
    return 0;
}

/* Extension headers can be stepped over if they ask for nothing: a route that is done, a fragment that is whole. */
static bool extension_is_harmless(uint8_t type, const uint8_t *header)
{
    if (type == EXT_ROUTING)
        return header[3] == 0;
    return type != EXT_FRAGMENT || (get_u16(header + 2) & 0xfff9) == 0;
}

static bool is_extension(uint8_t type)
{
    return type == EXT_HOP_BY_HOP || type == EXT_ROUTING || type == EXT_FRAGMENT ||
           type == EXT_DESTINATION;
}

/* Moves *next and *rest past all extension headers. */
static int skip_extensions(uint8_t *next, struct slice *rest)
{
    for (unsigned n = 0; is_extension(*next); n++) {
        if (n == MAX_EXTENSIONS)
            return ERR_FORMAT;
        if (rest->len < 8)
            return ERR_TRUNCATED;
        size_t len = *next == EXT_FRAGMENT ? 8 : ((size_t)rest->data[1] + 1) * 8;
        if (len > rest->len)
            return ERR_TRUNCATED;
        if (!extension_is_harmless(*next, rest->data))
            return ERR_UNSUPPORTED;
        *next = rest->data[0];
        *rest = slice_from(*rest, len);
    }
    return 0;
}

/* The payload length, wherever it is written. */
static int payload_length_v6(struct slice s, size_t *ret_len)
{
    *ret_len = get_u16(s.data + 4);
    if (*ret_len != 0 || s.data[6] != EXT_HOP_BY_HOP || s.len < IP6_HEADER_SIZE + 8)
        return 0;
    struct slice rest = slice_from(s, IP6_HEADER_SIZE);
    size_t len = ((size_t)rest.data[1] + 1) * 8;
    if (len > rest.len)
        return ERR_TRUNCATED;
    size_t jumbo = jumbo_length(slice_first(rest, len));
    if (jumbo <= UINT16_MAX)
        return ERR_FORMAT;
    *ret_len = jumbo;
    return 0;
}

static int parse_v6(struct slice s, struct ip_packet *p)
{
    if (s.len < IP6_HEADER_SIZE)
        return ERR_TRUNCATED;
    size_t len;
    int r = payload_length_v6(s, &len);
    if (r < 0)
        return r;
    if (len > s.len - IP6_HEADER_SIZE)
        return ERR_TRUNCATED;
    struct slice whole = slice_first(s, IP6_HEADER_SIZE + len);
    struct slice rest = slice_from(whole, IP6_HEADER_SIZE);
    uint8_t next = s.data[6];
    r = skip_extensions(&next, &rest);
    if (r < 0)
        return r;
    p->version = 6;
    p->protocol = next;
    p->hop_limit = s.data[7];
    p->src = ip_addr_from(6, s.data + 8);
    p->dst = ip_addr_from(6, s.data + 24);
    p->whole = whole;
    p->l4 = rest;
    return 0;
}

int ip_parse(struct slice packet, struct ip_packet *ret_packet)
{
    if (packet.len == 0)
        return ERR_TRUNCATED;
    struct ip_packet p;
    int r = ERR_FORMAT;
    if (packet.data[0] >> 4 == 4)
        r = parse_v4(packet, &p);
    else if (packet.data[0] >> 4 == 6)
        r = parse_v6(packet, &p);
    if (r == 0)
        *ret_packet = p;
    return r;
}

static size_t write_v4(uint8_t *h, const struct ip_addr *src, const struct ip_addr *dst,
                       uint8_t protocol, size_t l4_len)
{
    static const uint8_t start[12] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64};
    memcpy(h, start, sizeof start);
    put_u16(h + 2, IP4_HEADER_SIZE + l4_len);
    h[9] = protocol;
    memcpy(h + 12, src->bytes, 4);
    memcpy(h + 16, dst->bytes, 4);
    struct checksum c = {0};
    checksum_add(&c, slice_of(h, IP4_HEADER_SIZE));
    checksum_put(&c, h + 10);
    return IP4_HEADER_SIZE;
}

static size_t write_v6(uint8_t *h, const struct ip_addr *src, const struct ip_addr *dst,
                       uint8_t protocol, size_t l4_len)
{
    static const uint8_t start[8] = {0x60, 0, 0, 0, 0, 0, 0, 64};
    memcpy(h, start, sizeof start);
    put_u16(h + 4, l4_len);
    h[6] = protocol;
    memcpy(h + 8, src->bytes, 16);
    memcpy(h + 24, dst->bytes, 16);
    return IP6_HEADER_SIZE;
}

size_t ip_write_header(uint8_t dst_bytes[IP_HEADER_MAX], const struct ip_addr *src,
                       const struct ip_addr *dst, uint8_t protocol, size_t l4_len)
{
    if (src->version == 4)
        return write_v4(dst_bytes, src, dst, protocol, l4_len);
    return write_v6(dst_bytes, src, dst, protocol, l4_len);
}
