/* The proxies' own ports of all policies of an endpoint. Plain memory. Pure.
 */
#ifndef STILE_POLICY_NFT_PORTS_H
#define STILE_POLICY_NFT_PORTS_H

#include "policy/l4_policy.h"
#include "policy/nft_text.h"

struct nft_ports {
    uint8_t bits[(UINT16_MAX + 1) / 8]; /* bit n: port n is one */
};

void nft_ports_add(struct nft_ports *ports, uint16_t port); /* 0 does nothing */
/* Of both directions of the policies that have any of these protocols. */
void nft_ports_of(struct nft_ports *ports, const struct l4_policies *l, unsigned protocols);
/* The first one after `port`; 0: no more. */
uint16_t nft_ports_next(const struct nft_ports *ports, uint16_t port);
/* "15001", "{ 15001, 15006, 15007 }": as nft prints a set. Nothing if there is none. */
void nft_ports_put(struct nft_text *t, const struct nft_ports *ports);

#endif
