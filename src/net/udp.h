/* UDP datagrams: parsing and writing (RFC 768). */
#ifndef STILE_NET_UDP_H
#define STILE_NET_UDP_H

#include "net/ip.h"

#define UDP_HEADER_SIZE 8

struct udp_datagram {
    struct ip_endpoint src, dst;
    struct slice payload; /* borrowed */
};

/* The packet's protocol is IP_UDP. The checksum is not looked at (see checksum_l4_is_good).
 * ERR_TRUNCATED, ERR_FORMAT. */
MUST_CHECK int udp_parse(const struct ip_packet *packet, struct udp_datagram *ret_datagram);

/* Writes a whole packet, IP header and checksum included. ERR_TOOBIG if it doesn't fit into cap or
 * a datagram; ERR_INVAL if the addresses are of different versions. */
MUST_CHECK int udp_write(uint8_t *dst, size_t cap, const struct udp_datagram *datagram,
                         size_t *ret_len);

#endif
