/* The policies themselves, remembered by the kernel: as comments of the rules of the chain
 * `policies`, which no hook and no rule leads to.
 *
 * Their JSON (l4_json.h, ASCII alone) is cut into pieces of NFT_RECORD_PIECE bytes. A comment of
 * the JSON's own quotes could not be read back by nft, so " is written as ' (and ', which occurs
 * only inside strings, as \u0027). The first comment says how many bytes there are and their sum:
 * what somebody has changed or cut by hand is noticed.
 */
#ifndef STILE_POLICY_NFT_RECORD_H
#define STILE_POLICY_NFT_RECORD_H

#include "policy/l4_policy.h"
#include "policy/nft_text.h"

#define NFT_RECORD_CHAIN "policies"
#define NFT_RECORD_PIECE 120 /* nft takes 128 */

/* The chain, with the policies in the order of l. ERR_TOOBIG (over what l4_json_read takes),
 * ERR_NOMEM. */
int nft_record_write(const struct l4_policies *l, struct nft_text *t, struct diag *d);

/* Reading: the comments of the chain's rules, one after the other, then the end. */
struct nft_record {
    struct buf text; /* of the JSON so far */
    bool has_first;
    size_t length;
    uint64_t sum;
};

void nft_record_init(struct nft_record *r);
void nft_record_release(struct nft_record *r);
/* ERR_FORMAT, ERR_TOOBIG, ERR_NOMEM */
int nft_record_add(struct nft_record *r, struct slice comment);
/* ERR_FORMAT: not what has been written once. */
int nft_record_end(struct nft_record *r, struct l4_policies *ret, struct diag *d);

#endif
