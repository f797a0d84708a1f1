/* The objects of a plan on Linux: links, addresses and routes by rtnetlink, DNS by a back-end.
 *
 * What is ours is told apart exactly: a link is ours while it has the index and the name of the object; an address while it is
 * on that link with our tag; a route while table, destination, metric, link and our tag are all the same. Anything else at the
 * same place is FOREIGN to verify and LEFT by undo. A TUN goes with its descriptors and takes its addresses and routes with it:
 * GONE is then the ordinary result of undo.
 *
 * Links, addresses and routes don't survive a reboot. DNS may (a file), depending on the back-end that wrote the record.
 */
#ifndef STILE_NETCFG_OPS_LINUX_H
#define STILE_NETCFG_OPS_LINUX_H

#include "netcfg/dns_backend.h"
#include "netcfg/ops.h"
#include "netcfg/rtnl.h"

struct ops_linux {
    struct ops ops; /* what netcfg is given; good while this struct stays where it is */
    struct object_ops dns_ops;
    struct rtnl *rtnl;       /* owned */
    struct dns_backend *dns; /* borrowed */
};

/* dns: NULL for what needs none (recovery by hand: each record names its own back-end). */
int ops_linux_init(struct ops_linux *ret, struct dns_backend *dns, struct diag *d);
void ops_linux_release(struct ops_linux *o);

#endif
