/* The Internet checksum (RFC 1071) of IPv4, ICMP, UDP and TCP, over any number of pieces of any
 * length. */
#ifndef STILE_NET_CHECKSUM_H
#define STILE_NET_CHECKSUM_H

#include "net/ip.h"

/* Adding up. Start from {0}. */
struct checksum {
    uint64_t sum; /* of 16-bit words in the machine's own order, not folded */
    bool odd;     /* an odd number of bytes so far */
};

void checksum_add(struct checksum *c, struct slice bytes);
/* The pseudo-header of RFC 9293 §3.1 and RFC 8200 §8.1. */
void checksum_add_pseudo(struct checksum *c, const struct ip_addr *src, const struct ip_addr *dst,
                         uint8_t protocol, size_t l4_len);

/* Stores two bytes, network order: the checksum itself, and the bare folded sum (what a device that
 * finishes the checksum expects to find in the field). */
void checksum_put(const struct checksum *c, uint8_t field[2]);
void checksum_put_partial(const struct checksum *c, uint8_t field[2]);

/* True if what was added, its checksum field included, sums up to nothing. */
bool checksum_is_good(const struct checksum *c);

/* The transport checksum of a whole packet (TCP, UDP, ICMPv6 with the pseudo-header; ICMP without).
 * For packets that no device vouches for. A UDP checksum of zero is good in IPv4 only. Other
 * protocols have none: true. */
bool checksum_l4_is_good(const struct ip_packet *packet);

#endif
