/* The rule and route that bring marked UDP back over lo to the proxy (see nft_rules.h), both
 * families, in a network namespace; through rtnetlink. They touch nothing that has no mark, and
 * nothing that is forwarded. Tagged with RTNL_PROTOCOL, so that only ours are removed. Linux.
 *
 * The route is added before its rule and removed after it, so the rule never leads to an empty
 * table. Where IPv6 is switched off on lo there is neither for IPv6.
 */
#ifndef STILE_POLICY_UDP_ROUTES_H
#define STILE_POLICY_UDP_ROUTES_H

#include "base/buf.h"
#include "base/err.h"

struct rtnl;

struct udp_routes {
    bool changed;           /* there was (would be) anything to do */
    bool route[2], rule[2]; /* IPv4, IPv6: this was (would be) added */
};

enum udp_routes_flags {
    UDP_ROUTES_DRY_RUN = 1, /* only looks */
    UDP_ROUTES_DRIFT =
        2, /* it should have been so already: notes tell how it is, not what is done */
};

/* rtnl: of the namespace (namespace_socket, rtnl_open_on). wanted: they are there afterwards; else
 * they are not. notes gets a line for each thing done (or to be done). When it fails, what it had
 * added is removed again. ERR_UNREACHABLE: lo is down. ERR_EXISTS: somebody else's route has the
 * place. ERR_PERM. */
int udp_routes_set(struct rtnl *rtnl, bool wanted, unsigned flags, struct buf *notes,
                   struct udp_routes *ret, struct diag *d);
/* Removes what was added. */
void udp_routes_undo(struct rtnl *rtnl, const struct udp_routes *added);

#endif
