/* One table of nftables without nft(8): for when that is gone, and what it had made is not, and for
 * what it takes long to say. Linux. */
#ifndef STILE_POLICY_NFT_TABLE_H
#define STILE_POLICY_NFT_TABLE_H

#include "base/err.h"

/* With all that is in it, in one transaction. No such table: 0. ERR_PERM, and what the kernel says.
 * Blocks for as long as the kernel takes. */
int nft_table_remove(int netns_fd, const char *name, struct diag *d);
/* False if in doubt: nft finds out, and has words for what is wrong. Blocks for as long as the
 * kernel takes. */
bool nft_table_is_missing(int netns_fd, const char *name);

#endif
