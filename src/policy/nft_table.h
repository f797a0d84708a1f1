/* One table of nftables taken away without nft(8): for when that is gone, and what it had made is not. Linux. */
#ifndef STILE_POLICY_NFT_TABLE_H
#define STILE_POLICY_NFT_TABLE_H

#include "base/err.h"

/* With all that is in it, in one transaction. No such table: 0. ERR_PERM, and what the kernel says. Blocks for as long as the kernel
 * takes. */
int nft_table_remove(int netns_fd, const char *name, struct diag *d);

#endif
