/* The virtual addresses of one IPv4 range, handed out one by one and never taken back in the life
 * of a session.
 *
 * The first three addresses (network, TUN, DNS server) and the last (broadcast) are never handed
 * out. The start is random, so that a program that kept an address of an earlier session doesn't
 * meet another app there; the rest follow in order. An address of IPv6 embeds the IPv4 address:
 * prefix (48 bits), 48 zero bits, IPv4 (32 bits). Pure.
 */
#ifndef STILE_NET_POOL_H
#define STILE_NET_POOL_H

#include "net/prefix.h"

#define POOL_OFFSET_TUN   1
#define POOL_OFFSET_DNS   2
#define POOL_OFFSET_FIRST 3
/* Longer IPv4 prefixes have no room for an app. */
#define POOL_MAX_BITS 29

struct pool {
    struct prefix range;
    uint32_t size; /* addresses that may be handed out */
    uint32_t next; /* index of the next one, 0 … size - 1 */
    uint32_t taken;
};

/* random decides the start. ERR_INVAL: not IPv4, or longer than /29. */
int pool_init(struct pool *ret, const struct prefix *range, uint32_t random);
int pool_take(struct pool *p, struct ip_addr *ret); /* ERR_LIMIT: all are handed out */

struct ip_addr pool_tun(const struct pool *p);
struct ip_addr pool_dns(const struct pool *p);

/* Between the families; prefix6 is a /48. pool_unembed gives ERR_NOTFOUND for addresses that embed
 * nothing. */
struct ip_addr pool_embed(const struct prefix *prefix6, const struct ip_addr *v4);
int pool_unembed(const struct prefix *prefix6, const struct ip_addr *v6, struct ip_addr *ret_v4);

#endif
