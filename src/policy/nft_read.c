#include "policy/nft_read.h"

#include "policy/nft_listing.h"
#include "policy/nft_record.h"
#include "policy/nft_rules.h"

static int damaged(int err, struct diag *d)
{
    if (err == ERR_NOMEM)
        return diag_no_memory(d);
    return diag_set(d, ERR_FORMAT, 0,
                    "The nftables table " NFT_FAMILY " " NFT_TABLE
                    " was changed by someone else: the policies that it "
                    "remembers can't be read. Write them anew with apply and a file, or remove "
                    "them all with clear");
}

static int read_chain(const struct nft_listing *l, const struct nft_chain *chain,
                      struct nft_record *record)
{
    struct slice comment;

    for (size_t i = 0; i < chain->count; i++) {
        if (!nft_line_comment(l->lines[chain->first + i], &comment))
            return ERR_FORMAT;
        int err = nft_record_add(record, comment);
        if (err < 0)
            return err;
    }
    return 0;
}

static int read_record(const struct nft_listing *l, struct nft_record *record)
{
    for (size_t i = 0; i < l->chain_count; i++)
        if (slice_eq_str(l->chains[i].name, NFT_RECORD_CHAIN))
            return read_chain(l, &l->chains[i], record);
    return ERR_FORMAT;
}

int nft_read_policies(struct slice listing, struct l4_policies *ret, struct diag *d)
{
    CLEANUP(nft_listing_release) struct nft_listing l;
    CLEANUP(nft_record_release) struct nft_record record;
    struct l4_policies none;

    nft_listing_init(&l);
    nft_record_init(&record);
    int err = nft_listing_parse(&l, listing, NFT_TABLE);
    if (err == 0 && l.chain_count == 0 && listing.len == 0) {
        l4_policies_init(&none);
        *ret = none;
        return 0;
    }
    if (err == 0)
        err = read_record(&l, &record);
    if (err == 0)
        err = nft_record_end(&record, ret, d);
    return err < 0 ? damaged(err, d) : 0;
}
