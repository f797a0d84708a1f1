/* Any bytes may be what nft lists: the administrator of the namespace may have made anything of our table. What is read from them is
 * policies, which written again are listed and read as the same and have not drifted. */
#include <stdlib.h>
#include <string.h>

#include "policy/nft_compare.h"
#include "policy/nft_listing.h"
#include "policy/nft_read.h"
#include "policy/nft_rules.h"

#define CAP ((size_t)64 * 1024 * 1024)

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct slice table_of(const struct buf *document)
{
    static const char table[] = "table " NFT_FAMILY " " NFT_TABLE " {";
    struct slice text = buf_slice(document);
    const uint8_t *at = memmem(text.data, text.len, table, strlen(table));

    require(at != NULL);
    return slice_from(text, (size_t)(at - text.data));
}

static void write_again(const struct l4_policies *l)
{
    CLEANUP(buf_release) struct buf document;
    CLEANUP(buf_release) struct buf differences;
    struct l4_policies again;
    bool drifted = true;

    buf_init(&document, CAP);
    buf_init(&differences, CAP);
    if (nft_rules_replace(l, &document, NULL) < 0)
        return;
    require(nft_read_policies(table_of(&document), &again, NULL) == 0);
    require(l4_policies_eq(l, &again));
    require(nft_compare(table_of(&document), l, &differences, &drifted, NULL) == 0 && !drifted);
    l4_policies_release(&again);
}

static void take_apart(struct slice bytes)
{
    CLEANUP(nft_listing_release) struct nft_listing l;
    struct slice comment;

    nft_listing_init(&l);
    (void)nft_listing_parse(&l, bytes, NFT_TABLE);
    nft_listing_sort(&l);
    for (size_t i = 0; i < l.chain_count; i++) {
        require(l.chains[i].first + l.chains[i].count <= l.line_count);
        require(nft_listing_find(&l, l.chains[i].name) != NULL);
    }
    for (size_t i = 0; i < l.line_count; i++)
        if (nft_line_comment(l.lines[i], &comment))
            require(comment.data >= bytes.data &&
                    comment.data + comment.len <= bytes.data + bytes.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    CLEANUP(buf_release) struct buf differences;
    struct l4_policies l;
    struct l4_policies none;
    bool drifted;

    take_apart(bytes);
    buf_init(&differences, CAP);
    l4_policies_init(&none);
    require(nft_compare(bytes, &none, &differences, &drifted, NULL) == 0);
    if (nft_read_policies(bytes, &l, NULL) < 0)
        return 0;
    if (l.count > 0)
        write_again(&l);
    l4_policies_release(&l);
    return 0;
}
