/* From policies to nftables: the one transaction that makes our table what it should be. Pure but
 * for memory.
 *
 * Theory of operation. Everything of ours is in the table `inet stile_policy` (and, for
 * endpoint_block, `inet stile_policy_block`). A change replaces the table whole, in one
 * transaction; a packet that meets the old table in one chain and the new one in the next goes
 * nowhere that neither lets it go. Connections that are
 * established keep the translation that conntrack holds for them. The chains (what each is for
 * stands at its maker in nft_rules.c): nat hooks redirect TCP (and UDP in redirect mode), a route
 * hook marks outbound UDP so that it comes back over lo, where tproxy hands it over, and the input
 * hook keeps the proxies' ports closed to other machines. An unhooked chain `policies` holds the
 * policies themselves: their JSON, cut into comments of its rules (nft takes 128 bytes per
 * comment), with ' for " so that `nft list ruleset` can be read back by nft.
 */
#ifndef STILE_POLICY_NFT_RULES_H
#define STILE_POLICY_NFT_RULES_H

#include "policy/l4_policy.h"

#define NFT_FAMILY      "inet"
#define NFT_TABLE       "stile_policy"
#define NFT_BLOCK_TABLE "stile_policy_block"

/* Of outbound UDP on its way to the proxy; set in and compared under the mask, other bits are other
 * people's. */
#define POLICY_MARK      0x00100000u
#define POLICY_MARK_MASK 0x00100000u
/* Of conntrack's alone: inbound UDP that a proxy was given. */
#define POLICY_TAKEN_MARK    0x00200000u
#define POLICY_ROUTES        57110 /* table of `local default dev lo`, both families */
#define POLICY_RULE_PRIORITY 5711  /* of `fwmark … lookup 57110` */

/* The commands for `nft -f -` (nft's own language: its JSON can't say `socket cgroupv2`). Policies
 * in the order of evaluation; they have passed l4_check. Also removes the block. */
int nft_rules_replace(const struct l4_policies *l, struct buf *ret, struct diag *d);
int nft_rules_remove(struct buf *ret, struct diag *d); /* both tables, be they there or not */
int nft_rules_block(struct buf *ret, struct diag *d);
bool nft_rules_want_udp_routes(const struct l4_policies *l);

#endif
