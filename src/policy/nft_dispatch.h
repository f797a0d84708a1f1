/* Which policy of a run takes which port, so that one look-up can stand for a rule of each. Pure
 * but for memory.
 *
 * A run is of consecutive policies that differ in the ports that they take and share none. Runs are
 * made one after the other, each beginning where no policy of an earlier one stands.
 */
#ifndef STILE_POLICY_NFT_DISPATCH_H
#define STILE_POLICY_NFT_DISPATCH_H

#include "policy/l4_policy.h"

struct nft_dispatch {
    uint16_t *taken_by; /* owned; by port: index + 1 of its policy. Those before `first` are of
                           earlier runs: free */
    size_t first;
    size_t ranges; /* of this run */
};

int nft_dispatch_init(struct nft_dispatch *x); /* ERR_NOMEM */
void nft_dispatch_release(struct nft_dispatch *x);
/* A new run, of policies from this one on. */
void nft_dispatch_begin(struct nft_dispatch *x, size_t first);
/* False: another policy of the run takes one of these ports, or they are very many; nothing was
 * added. */
bool nft_dispatch_add(struct nft_dispatch *x, const struct port_set *ports, size_t policy);
/* False: no policy of the run takes it. */
bool nft_dispatch_find(const struct nft_dispatch *x, uint32_t port, size_t *ret_policy);

#endif
