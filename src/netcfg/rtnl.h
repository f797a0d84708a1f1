/* Links, addresses and routes of the calling process's network namespace, through rtnetlink (RFC 3549, rtnetlink(7)).
 *
 * Every call is one request and its acknowledgement; it blocks for as long as the kernel takes. One thread.
 */
#ifndef STILE_NETCFG_RTNL_H
#define STILE_NETCFG_RTNL_H

#include "base/err.h"
#include "net/prefix.h"

struct rtnl;

int rtnl_open(struct rtnl **ret, struct diag *d);
void rtnl_close(struct rtnl *r); /* NULL does nothing */

/* ERR_NOTFOUND if there is no such link. */
int rtnl_link_index(const char *name, unsigned *ret_index, struct diag *d);

/* mtu and queue_len (packets) of 0 stay as they are. */
int rtnl_link_up(struct rtnl *r, unsigned index, uint32_t mtu, uint32_t queue_len, struct diag *d);

/* The address alone, without a route to its neighbours; IPv6 without duplicate detection. ERR_EXISTS, ERR_UNSUPPORTED (the
 * family is switched off). */
int rtnl_add_address(struct rtnl *r, unsigned index, const struct ip_addr *addr, struct diag *d);

/* A route to dst on this link, with source as the preferred source address and connections over it controlled by cubic
 * (programs keep the host's default elsewhere; BBR without fq halves the speed of a TUN). */
int rtnl_add_route(struct rtnl *r, unsigned index, const struct prefix *dst,
                   const struct ip_addr *source, struct diag *d);

#endif
