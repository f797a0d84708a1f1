#include "policy/nft_compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "policy/nft_listing.h"
#include "policy/nft_rules.h"

enum {
    DIFFERENCES_MAX = 100,
    EXPECTED_MAX = 64 * 1024 * 1024,
    DIFFERENCE_SIZE = 256,
    SHOWN_MAX = 100,
    TABLE_HEAD_SIZE = 64
};

struct comparison {
    const struct nft_listing *found, *expected;
    const char *of; /* what each line begins with */
    struct buf *out;
    size_t differences;
    int err;
};

/* ---- Lines that mean the same ---- */

/* The next word of a line, without quotes around it. Empty at the end. */
static struct slice next_word(struct slice *line)
{
    while (line->len > 0 && (line->data[0] == ' ' || line->data[0] == '\t'))
        *line = slice_from(*line, 1);
    size_t len = 0;
    while (len < line->len && line->data[len] != ' ' && line->data[len] != '\t')
        len++;
    struct slice word = slice_first(*line, len);
    *line = slice_from(*line, len);
    return word;
}

static struct slice without_quotes(struct slice word)
{
    if (word.len > 0 && word.data[0] == '"')
        word = slice_from(word, 1);
    if (word.len > 0 && word.data[word.len - 1] == '"')
        word.len--;
    return word;
}

/* The next one that counts: no counter's numbers, no handle. */
static struct slice next_meant(struct slice *line)
{
    struct slice word = next_word(line);

    while (slice_eq_str(word, "counter")) {
        for (int i = 0; i < 4; i++) /* packets N bytes N */
            (void)next_word(line);
        word = next_word(line);
    }
    return slice_eq_str(word, "#") ? slice_first(word, 0) : without_quotes(word);
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "0x00100000", "1048576" */
static bool is_number(struct slice word, uint64_t *ret)
{
    bool hex = word.len > 2 && word.data[0] == '0' && word.data[1] == 'x';
    struct slice digits = slice_from(word, hex ? 2 : 0);
    uint64_t n = 0;

    if (digits.len == 0 || digits.len > 12)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        int v = digit(digits.data[i]);
        if (v < 0 || (v > 9 && !hex))
            return false;
        n = n * (hex ? 16 : 10) + (uint64_t)v;
    }
    *ret = n;
    return true;
}

static bool mean_the_same(struct slice a, struct slice b)
{
    uint64_t x, y;

    if (slice_eq(a, b))
        return true;
    do {
        struct slice v = next_meant(&a);
        struct slice w = next_meant(&b);
        if (!slice_eq(v, w) && !(is_number(v, &x) && is_number(w, &y) && x == y))
            return false;
        if (v.len == 0)
            return true;
    } while (true);
}

/* ---- Telling ---- */

PRINTF_LIKE(2, 3) static void tell(struct comparison *c, const char *fmt, ...)
{
    char line[DIFFERENCE_SIZE];
    va_list args;

    if (c->differences++ >= DIFFERENCES_MAX || c->err < 0)
        return;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    for (char *at = line; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    c->err = buf_printf(c->out, "%s%s\n", c->of, line);
}

static int shown_len(struct slice s)
{
    return (int)MIN(s.len, (size_t)SHOWN_MAX);
}

static void tell_chain(struct comparison *c, struct slice name, const char *what)
{
    tell(c, "chain %.*s %s", shown_len(name), (const char *)name.data, what);
}

/* i: the line of the chain, which for a base chain begins with its hook. */
static void tell_rule(struct comparison *c, const struct nft_listing *of,
                      const struct nft_chain *chain, size_t i, const char *what)
{
    struct slice line = of->lines[chain->first + i];
    bool is_base = slice_eq(slice_first(of->lines[chain->first], 5), SLICE_LIT("type "));

    if (is_base && i == 0)
        tell(c, "the hook of chain %.*s %s: %.*s", shown_len(chain->name),
             (const char *)chain->name.data, what, shown_len(line), (const char *)line.data);
    else
        tell(c, "rule %zu of chain %.*s %s: %.*s", is_base ? i : i + 1, shown_len(chain->name),
             (const char *)chain->name.data, what, shown_len(line), (const char *)line.data);
}

/* ---- Chains ---- */

static struct slice line_at(const struct nft_listing *l, const struct nft_chain *chain, size_t i)
{
    return i < chain->count ? l->lines[chain->first + i] : slice_of("", 0);
}

/* Line by line; where they part, one that is missing or one too many is looked past. */
static void compare_rules(struct comparison *c, const struct nft_chain *expected,
                          const struct nft_chain *found)
{
    size_t i = 0;
    size_t j = 0;

    while (i < expected->count || j < found->count) {
        struct slice want = line_at(c->expected, expected, i);
        struct slice have = line_at(c->found, found, j);
        bool same = mean_the_same(want, have);
        if (same || (i < expected->count && j < found->count &&
                     mean_the_same(line_at(c->expected, expected, i + 1),
                                   line_at(c->found, found, j + 1)))) {
            if (!same)
                tell_rule(c, c->found, found, j, "was changed");
            i++;
            j++;
        } else if (j >= found->count ||
                   (i < expected->count &&
                    mean_the_same(line_at(c->expected, expected, i + 1), have))) {
            tell_rule(c, c->expected, expected, i, "is missing");
            i++;
        } else {
            tell_rule(c, c->found, found, j, "is not ours");
            j++;
        }
    }
}

static void compare_chains(struct comparison *c)
{
    for (size_t i = 0; i < c->expected->chain_count; i++) {
        const struct nft_chain *chain = &c->expected->chains[i];
        const struct nft_chain *found = nft_listing_find(c->found, chain->name);
        if (found == NULL)
            tell_chain(c, chain->name, "is missing");
        else
            compare_rules(c, chain, found);
    }
    for (size_t i = 0; i < c->found->chain_count; i++) {
        struct slice name = c->found->chains[i].name;
        if (nft_listing_find(c->expected, name) == NULL)
            tell_chain(c, name, "is not ours");
    }
    if (c->found->others > 0)
        tell(c, "the table has sets, maps or flags that are not ours");
}

static int compare(struct comparison *c, const char *table, bool *ret_drifted, struct diag *d)
{
    if (c->found->chain_count == 0)
        tell(c, "the table " NFT_FAMILY " %s is missing", table);
    else
        compare_chains(c);
    if (c->err == 0 && c->differences > DIFFERENCES_MAX)
        c->err = buf_printf(c->out, "and %zu differences more\n", c->differences - DIFFERENCES_MAX);
    if (c->err < 0)
        return diag_no_memory(d);
    *ret_drifted = c->differences > 0;
    return 0;
}

/* The table as it should be: what comes after the commands that remove the old one. */
static int parse_expected(struct nft_listing *l, struct slice document, const char *table,
                          struct diag *d)
{
    char head[TABLE_HEAD_SIZE];

    int err = str_format(head, sizeof(head), "table " NFT_FAMILY " %s {", table);
    const uint8_t *at = memmem(document.data, document.len, head, strlen(head));
    if (err < 0 || at == NULL)
        return diag_set(d, ERR_INTERNAL, 0, "The rules have no table");
    err = nft_listing_parse(l, slice_from(document, (size_t)(at - document.data)), table);
    return err < 0 ? diag_no_memory(d) : 0;
}

static int compare_table(struct slice listing, struct slice document, const char *table,
                         struct comparison c, bool *ret_drifted, struct diag *d)
{
    CLEANUP(nft_listing_release) struct nft_listing found;
    CLEANUP(nft_listing_release) struct nft_listing wanted;

    nft_listing_init(&found);
    nft_listing_init(&wanted);
    c.found = &found;
    c.expected = &wanted;
    int err = nft_listing_parse(&found, listing, table);
    if (err == ERR_NOMEM)
        return diag_no_memory(d);
    if (err < 0) /* it can't be what we wrote */
        nft_listing_release(&found);
    err = parse_expected(&wanted, document, table, d);
    if (err < 0)
        return err;
    nft_listing_sort(&found);
    nft_listing_sort(&wanted);
    return compare(&c, table, ret_drifted, d);
}

int nft_compare(struct slice listing, const struct l4_policies *expected, struct buf *ret,
                bool *ret_drifted, struct diag *d)
{
    CLEANUP(buf_release) struct buf document;
    struct comparison c = {.of = "", .out = ret};

    buf_init(&document, EXPECTED_MAX);
    int err = nft_rules_replace(expected, &document, d);
    return err < 0 ? err
                   : compare_table(listing, buf_slice(&document), NFT_TABLE, c, ret_drifted, d);
}

int nft_compare_block(struct slice listing, struct buf *ret, bool *ret_drifted, struct diag *d)
{
    CLEANUP(buf_release) struct buf document;
    struct comparison c = {.of = "the block: ", .out = ret};

    buf_init(&document, EXPECTED_MAX);
    int err = nft_rules_block(&document, d);
    return err < 0
               ? err
               : compare_table(listing, buf_slice(&document), NFT_BLOCK_TABLE, c, ret_drifted, d);
}
