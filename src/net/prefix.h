/* Address prefixes in CIDR notation, both families. Pure. */
#ifndef STILE_NET_PREFIX_H
#define STILE_NET_PREFIX_H

#include "net/ip.h"

struct prefix {
    struct ip_addr addr; /* host bits are zero */
    uint8_t bits;        /* 0–32 or 0–128 */
};

#define PREFIX_TEXT_SIZE 64

/* ERR_FORMAT: no address, no or bad length, or host bits set (100.64.0.1/10). */
int prefix_parse(const char *text, struct prefix *ret);
/* Clears the host bits. ERR_INVAL: a length over 32 or 128. */
int prefix_of(const struct ip_addr *addr, uint8_t bits, struct prefix *ret);
void prefix_format(const struct prefix *p, char text[PREFIX_TEXT_SIZE]);
bool prefix_contains(const struct prefix *p, const struct ip_addr *addr);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool prefix_eq(const struct prefix *a, const struct prefix *b);

/* The address at this distance from the first one; the caller keeps it inside the prefix. */
struct ip_addr prefix_at(const struct prefix *p, uint32_t offset);

#endif
