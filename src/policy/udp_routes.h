/* The rule and route that bring marked UDP back over lo to the proxy (see nft_rules.h), both families, in a network namespace; through rtnetlink. They
 * touch nothing that has no mark. Tagged with RTNL_PROTOCOL, so that only ours are removed.
 */
#ifndef STILE_POLICY_UDP_ROUTES_H
#define STILE_POLICY_UDP_ROUTES_H

#include "base/buf.h"
#include "base/err.h"

/* netlink_fd: a NETLINK_ROUTE socket of the namespace. wanted: they are there afterwards; else they are not. dry_run: only looks. notes gets a
 * line for each thing done (or to be done). ret_changed: whether there was (would be) anything to do. */
int udp_routes_set(int netlink_fd, bool wanted, bool dry_run, struct buf *notes, bool *ret_changed,
                   struct diag *d);

#endif
