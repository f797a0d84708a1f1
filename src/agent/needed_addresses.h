/* The addresses that a session must reach past its own tunnel: the host's resolvers and the gateways. A range of virtual addresses
 * may hold none of them.
 *
 * Names of gateways are looked up with the host's resolver, in pool threads, for NEEDED_ADDRESSES_MS at most: what isn't known by
 * then is left out.
 */
#ifndef STILE_AGENT_NEEDED_ADDRESSES_H
#define STILE_AGENT_NEEDED_ADDRESSES_H

#include "agent/clusters.h"
#include "netcfg/conflict.h"

#define NEEDED_ADDRESSES_MS  4000
#define NEEDED_ADDRESSES_MAX 64

struct needed_addresses;

/* done is called once, from the loop: `needed` is valid until needed_addresses_free. */
typedef void needed_addresses_fn(void *arg, const struct conflict_needed *needed, size_t count);

int needed_addresses_new(struct loop *loop, struct clusters *clusters, needed_addresses_fn *done,
                         void *arg, struct needed_addresses **ret);
void needed_addresses_free(
    struct needed_addresses *n); /* done isn't called any more; NULL is fine */

#endif
