/* What of that which `nft list table` printed has drifted from what we would write. Pure but for
 * memory. The listing comes from a namespace whose administrator may be anybody: bounded, checked,
 * never trusted.
 */
#ifndef STILE_POLICY_NFT_COMPARE_H
#define STILE_POLICY_NFT_COMPARE_H

#include "policy/l4_policy.h"

/* Compares chains and rules (without handles and counters) with those of nft_rules_replace. A line
 * per difference in ret: "rule 3 of chain outbound is missing". ret_drifted says whether there was
 * any. */
int nft_compare(struct slice listing, const struct l4_policies *expected, struct buf *ret,
                bool *ret_drifted, struct diag *d);
/* The same with the block and nft_rules_block. */
int nft_compare_block(struct slice listing, struct buf *ret, bool *ret_drifted, struct diag *d);

#endif
