/* Policies from JSON in single quotes, the document that nft gets, and its chains. */
#ifndef STILE_TESTS_UNIT_NFT_WORLD_H
#define STILE_TESTS_UNIT_NFT_WORLD_H

#include <string.h>

#include "testing.h"

#include "policy/l4_json.h"
#include "policy/nft_listing.h"
#include "policy/nft_read.h"
#include "policy/nft_rules.h"

#define DOCUMENT_CAP ((size_t)64 * 1024 * 1024)

/* One policy's Settings, "'OutboundProxyPort':'15001'", several separated by '|'. */
static inline struct l4_policies policies_from(const char *settings)
{
    struct l4_policies l;
    struct diag d = {0};
    CLEANUP(buf_release) struct buf json;

    l4_policies_init(&l);
    buf_init(&json, L4_JSON_MAX);
    assert_int_equal(buf_put_str(&json, "[{\"Type\":\"L4WFPPROXY\",\"Settings\":{"), 0);
    for (const char *at = settings; *at != '\0'; at++) {
        if (*at == '|')
            assert_int_equal(buf_put_str(&json, "}},{\"Type\":\"L4WFPPROXY\",\"Settings\":{"), 0);
        else
            assert_int_equal(buf_put_u8(&json, *at == '\'' ? '"' : (uint8_t)*at), 0);
    }
    assert_int_equal(buf_put_str(&json, "}}]"), 0);
    if (l4_json_read(buf_slice(&json), &l, &d) < 0)
        fail_msg("%s", d.text);
    return l;
}

static inline void make_document(const struct l4_policies *l, struct buf *ret)
{
    struct diag d = {0};

    buf_init(ret, DOCUMENT_CAP);
    if (nft_rules_replace(l, ret, &d) < 0)
        fail_msg("%s", d.text);
}

static inline struct buf document_of(const char *settings)
{
    CLEANUP(l4_policies_release) struct l4_policies l = policies_from(settings);
    struct buf b;

    make_document(&l, &b);
    return b;
}

/* The document's table, which is what nft lists afterwards. */
static inline struct slice listing_of(const struct buf *document)
{
    struct slice text = buf_slice(document);
    const char *at = memmem(text.data, text.len, "table inet stile_policy {",
                            strlen("table inet stile_policy {"));

    assert_non_null(at);
    return slice_from(text, (size_t)((const uint8_t *)at - text.data));
}

/* The lines of a chain, each with '\n'; NULL: no such chain. Until the next call. */
static inline const char *chain_of(const struct buf *document, const char *name)
{
    static char text[65536];
    CLEANUP(nft_listing_release) struct nft_listing l;
    size_t len = 0;

    nft_listing_init(&l);
    assert_int_equal(nft_listing_parse(&l, listing_of(document), NFT_TABLE), 0);
    nft_listing_sort(&l);
    const struct nft_chain *chain = nft_listing_find(&l, slice_str(name));
    if (chain == NULL)
        return NULL;
    for (size_t i = 0; i < chain->count; i++) {
        struct slice line = l.lines[chain->first + i];
        assert_true(len + line.len + 2 < sizeof(text));
        memcpy(text + len, line.data, line.len);
        text[len + line.len] = '\n';
        len += line.len + 1;
    }
    text[len] = '\0';
    return text;
}

#endif
