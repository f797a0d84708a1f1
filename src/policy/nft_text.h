/* nft's language, written line by line. An error sticks: the writer goes on in vain and is asked
 * once, at the end. */
#ifndef STILE_POLICY_NFT_TEXT_H
#define STILE_POLICY_NFT_TEXT_H

#include "base/buf.h"
#include "base/err.h"

struct nft_text {
    struct buf *out; /* borrowed */
    int err;         /* 0, ERR_NOMEM, ERR_TOOBIG */
};

PRINTF_LIKE(2, 3) void nft_put(struct nft_text *t, const char *fmt, ...);
PRINTF_LIKE(2, 3)
void nft_rule(struct nft_text *t, const char *fmt, ...); /* one rule: a line of its own */

#define NFT_CHAIN_SIZE 32

/* Every chain is ended before the next begins. header: what a base chain is ("type nat hook output
 * priority -110"), or NULL. */
void nft_chain_begin(struct nft_text *t, const char *name, const char *header);
void nft_chain_end(struct nft_text *t);

#endif
