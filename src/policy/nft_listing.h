/* What `nft list table` printed, taken apart: chains and their rules, as lines. Pure but for
 * memory. The text comes from a namespace whose administrator may be anybody: every line is bounded
 * by the text itself, nothing is trusted.
 */
#ifndef STILE_POLICY_NFT_LISTING_H
#define STILE_POLICY_NFT_LISTING_H

#include "base/slice.h"

struct nft_chain {
    struct slice name;
    size_t first,
        count; /* its lines: for a base chain the header ("type … policy accept;") comes first */
};

/* Owned arrays; the slices borrow the listing. */
struct nft_listing {
    struct nft_chain *chains; /* in the listing's order, or by name after nft_listing_sort */
    size_t chain_count, chain_size;
    struct slice *lines; /* without indentation and "# handle" */
    size_t line_count, line_size;
    size_t others; /* sets, maps and other things that aren't chains */
};

void nft_listing_init(struct nft_listing *l);
void nft_listing_release(struct nft_listing *l);
/* The one table of this name. No such table (empty text): nothing, no error. ERR_FORMAT: not a
 * listing. ERR_TOOBIG, ERR_NOMEM. */
int nft_listing_parse(struct nft_listing *l, struct slice text, const char *table);
void nft_listing_sort(struct nft_listing *l); /* chains by name */
/* NULL: no such chain. In a sorted listing only. */
const struct nft_chain *nft_listing_find(const struct nft_listing *l, struct slice name);

/* The comment of a rule; false: it has none. */
bool nft_line_comment(struct slice line, struct slice *ret);

#endif
