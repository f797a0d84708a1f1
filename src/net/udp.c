#include "net/udp.h"

#include <string.h>

#include "base/err.h"
#include "net/checksum.h"

int udp_parse(const struct ip_packet *packet, struct udp_datagram *ret_datagram)
{
    struct rd r = rd_init(packet->l4);
    uint16_t src_port = rd_u16(&r);
    uint16_t dst_port = rd_u16(&r);
    uint16_t len = rd_u16(&r);
    rd_skip(&r, 2);
    if (r.bad)
        return ERR_TRUNCATED;
    if (len < UDP_HEADER_SIZE)
        return ERR_FORMAT;
    if (len > packet->l4.len)
        return ERR_TRUNCATED;
    *ret_datagram = (struct udp_datagram){
        .src = {packet->src, src_port},
        .dst = {packet->dst, dst_port},
        .payload = slice_from(slice_first(packet->l4, len), UDP_HEADER_SIZE),
    };
    return 0;
}

static void write_checksum(uint8_t *udp, size_t len, const struct udp_datagram *d)
{
    struct checksum c = {0};
    checksum_add_pseudo(&c, &d->src.addr, &d->dst.addr, IP_UDP, len);
    checksum_add(&c, slice_of(udp, len));
    checksum_put(&c, udp + 6);
    /* Zero means "none" (RFC 768); the other zero of ones' complement means zero. */
    if (udp[6] == 0 && udp[7] == 0)
        memset(udp + 6, 0xff, 2);
}

int udp_write(uint8_t *dst, size_t cap, const struct udp_datagram *datagram, size_t *ret_len)
{
    const struct udp_datagram *d = datagram;
    if (d->src.addr.version != d->dst.addr.version)
        return ERR_INVAL;
    size_t len = UDP_HEADER_SIZE + d->payload.len;
    size_t ip_len = d->src.addr.version == 4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
    if (d->payload.len > UINT16_MAX - UDP_HEADER_SIZE - IP4_HEADER_SIZE || ip_len + len > cap)
        return ERR_TOOBIG;
    (void)ip_write_header(dst, &d->src.addr, &d->dst.addr, IP_UDP, len);
    uint8_t *udp = dst + ip_len;
    struct wr w = wr_init(udp, len);
    wr_u16(&w, d->src.port);
    wr_u16(&w, d->dst.port);
    wr_u16(&w, (uint16_t)len);
    wr_u16(&w, 0);
    wr_bytes(&w, d->payload);
    write_checksum(udp, len, d);
    *ret_len = ip_len + len;
    return wr_end(&w);
}
