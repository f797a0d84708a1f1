/* stile's own addresses and routes of one link, noted before a daemon does something to the link that takes some of them away, and
 * added again after it. With their tags, as they were. */
#ifndef STILE_NETCFG_LINK_CONTENTS_H
#define STILE_NETCFG_LINK_CONTENTS_H

#include "netcfg/rtnl.h"

#define LINK_ADDRESSES_MAX 16
#define LINK_ROUTES_MAX    64

struct link_contents {
    size_t address_count, route_count;
    struct rtnl_address addresses[LINK_ADDRESSES_MAX];
    struct rtnl_route routes[LINK_ROUTES_MAX];
    uint32_t index;
};

/* ERR_LIMIT: more than can be noted. */
int link_contents_save(uint32_t index, struct link_contents *ret, struct diag *d);

/* Adds what isn't there any more; ret_added is how many that were. Everything is tried; the first error is the result. */
int link_contents_restore(const struct link_contents *c, size_t *ret_added, struct diag *d);

#endif
