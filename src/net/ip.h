/* Addresses, and IPv4 and IPv6 packets: parsing one that came in, writing the header of one to go
 * out.
 *
 * Pure. A parsed packet borrows the buffer it was parsed from. RFC 791, RFC 8200, RFC 2675 (jumbo
 * payloads, which Linux uses for superpackets over 64 KiB), RFC 6946 (atomic fragments).
 */
#ifndef STILE_NET_IP_H
#define STILE_NET_IP_H

#include "base/slice.h"

struct ip_addr {
    uint8_t version;   /* 4 or 6; 0: no address */
    uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

struct ip_endpoint {
    struct ip_addr addr;
    uint16_t port; /* host order */
};

enum ip_protocol { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMP6 = 58 };

#define IP4_HEADER_SIZE 20
#define IP6_HEADER_SIZE 40
#define IP_HEADER_MAX   40 /* of the headers we write */

/* The longest texts, with the NUL. */
#define IP_ADDR_TEXT_SIZE     46
#define IP_ENDPOINT_TEXT_SIZE 54

struct ip_addr ip_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
struct ip_addr ip_addr_from(uint8_t version,
                            const uint8_t *bytes); /* 4 or 16 bytes, network order */
size_t ip_addr_len(const struct ip_addr *a);       /* 4 or 16 */
bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b);
int ip_addr_cmp(const struct ip_addr *a, const struct ip_addr *b); /* like memcmp, IPv4 first */
bool ip_addr_is_unspecified(const struct ip_addr *a);
bool ip_addr_is_loopback(const struct ip_addr *a);
bool ip_addr_is_multicast(const struct ip_addr *a); /* and IPv4's limited broadcast */
bool ip_addr_is_link_local(const struct ip_addr *a);

/* The whole text is one address, "10.0.0.1" or "fd00::1" (RFC 4291 §2.2; no zone, no brackets, no
 * leading zeros in IPv4). ERR_FORMAT. */
MUST_CHECK int ip_addr_parse(const char *text, struct ip_addr *ret_addr);
/* IPv6 as RFC 5952 wants it. Version 0 gives "-". */
void ip_addr_format(const struct ip_addr *a, char text[IP_ADDR_TEXT_SIZE]);

bool ip_endpoint_eq(const struct ip_endpoint *a, const struct ip_endpoint *b);
/* "10.0.0.1:80", "[fd00::1]:80"; the port is required. ERR_FORMAT, ERR_TOOBIG. */
MUST_CHECK int ip_endpoint_parse(const char *text, struct ip_endpoint *ret_endpoint);
void ip_endpoint_format(const struct ip_endpoint *e, char text[IP_ENDPOINT_TEXT_SIZE]);

/* One packet, borrowed. Options and extension headers have been stepped over. */
struct ip_packet {
    uint8_t version;  /* 4 or 6 */
    uint8_t protocol; /* of l4, see enum ip_protocol */
    uint8_t hop_limit;
    struct ip_addr src, dst;
    struct slice l4;    /* transport header and payload */
    struct slice whole; /* the packet from its IP header, without anything that followed its end */
};

/* Exact checks: lengths, header checksum (IPv4), bounded extension headers. Bytes after the
 * packet's own length are cut off. ERR_TRUNCATED (shorter than it says), ERR_FORMAT,
 * ERR_UNSUPPORTED (fragments; source routing that isn't done; an extension header we don't know).
 */
MUST_CHECK int ip_parse(struct slice packet, struct ip_packet *ret_packet);

/* Writes the header of a packet with l4_len bytes behind it: hop limit 64, don't fragment, IPv4
 * checksum filled in. Returns its length (20 or 40). src and dst have the same version; l4_len ≤
 * 65515 for IPv4, ≤ 65535 for IPv6. */
size_t ip_write_header(uint8_t dst_bytes[IP_HEADER_MAX], const struct ip_addr *src,
                       const struct ip_addr *dst, uint8_t protocol, size_t l4_len);

#endif
