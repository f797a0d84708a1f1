/* A session's network as objects of the host: the interface up, .1 of its first range and ::1 of its prefix on it, routes to the
 * ranges, and its zones asked of .2 and ::2.
 */
#ifndef STILE_BROKER_NETWORK_PLAN_H
#define STILE_BROKER_NETWORK_PLAN_H

#include "broker/messages.h"
#include "netcfg/plan.h"

struct prefix network_range(const struct broker_network *n, size_t i);
struct prefix network_prefix6(const struct broker_network *n);

/* flags: BROKER_NO_*, which families are off. The DNS object is there if there are zones; the names of the addresses themselves (zones
 * in in-addr.arpa and ip6.arpa) are among its zones where they are a few. ERR_LIMIT, ERR_NOMEM; ret is empty then. */
int network_plan(const struct broker_network *n, uint32_t flags, const char *interface_name,
                 uint32_t interface_index, struct plan *ret);

/* The DNS server's address, of IPv4 if that is on. */
struct ip_addr network_dns_server(const struct broker_network *n, uint32_t flags);

#endif
