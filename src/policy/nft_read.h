/* From what `nft list table` printed back to policies. Pure but for memory.
 * The listing comes from a namespace whose administrator may be anybody: bounded, checked, never
 * trusted.
 */
#ifndef STILE_POLICY_NFT_READ_H
#define STILE_POLICY_NFT_READ_H

#include "policy/l4_policy.h"

#define NFT_LISTING_MAX ((size_t)64 * 1024 * 1024)

/* The policies in the order in which they were added. No table: an empty list. ERR_FORMAT: the
 * table is there but what it remembers is damaged (then apply with a file repairs it, or clear). */
int nft_read_policies(struct slice listing, struct l4_policies *ret, struct diag *d);

#endif
