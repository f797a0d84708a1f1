#include "policy/nft_listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "policy/nft_read.h"
#include "policy/nft_rules.h"

void nft_listing_init(struct nft_listing *l)
{
    *l = (struct nft_listing){0};
}

void nft_listing_release(struct nft_listing *l)
{
    mem_free(l->chains);
    mem_free(l->lines);
    nft_listing_init(l);
}

static int add_line(struct nft_listing *l, struct slice line)
{
    if (l->line_count == l->line_size) {
        size_t size = l->line_size > 0 ? l->line_size * 2 : 64;
        struct slice *lines = mem_resize(l->lines, size, sizeof(*lines));
        if (lines == NULL)
            return ERR_NOMEM;
        l->lines = lines;
        l->line_size = size;
    }
    l->lines[l->line_count++] = line;
    l->chains[l->chain_count - 1].count++;
    return 0;
}

static int add_chain(struct nft_listing *l, struct slice name)
{
    if (l->chain_count == l->chain_size) {
        size_t size = l->chain_size > 0 ? l->chain_size * 2 : 16;
        struct nft_chain *chains = mem_resize(l->chains, size, sizeof(*chains));
        if (chains == NULL)
            return ERR_NOMEM;
        l->chains = chains;
        l->chain_size = size;
    }
    l->chains[l->chain_count++] = (struct nft_chain){.name = name, .first = l->line_count};
    return 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s = slice_from(s, 1);
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* `nft -a` says the number of each thing behind it. */
static struct slice without_handle(struct slice line)
{
    static const char mark[] = " # handle ";
    size_t len = line.len;

    while (len > 0 && line.data[len - 1] >= '0' && line.data[len - 1] <= '9')
        len--;
    if (len == line.len || len < strlen(mark) ||
        memcmp(line.data + len - strlen(mark), mark, strlen(mark)) != 0)
        return line;
    return slice_first(line, len - strlen(mark));
}

/* The next line that isn't empty, trimmed; false at the end. */
static bool next_line(struct slice *text, struct slice *ret)
{
    while (text->len > 0) {
        const uint8_t *end = memchr(text->data, '\n', text->len);
        size_t len = end != NULL ? (size_t)(end - text->data) : text->len;
        *ret = without_handle(trim(slice_first(*text, len)));
        *text = slice_from(*text, len + 1);
        if (ret->len > 0)
            return true;
    }
    return false;
}

/* "chain NAME {": with word "chain" the name. */
static bool opens(struct slice line, const char *word, struct slice *ret_name)
{
    size_t len = strlen(word);

    if (line.len < len + 4 || line.data[line.len - 1] != '{' || memcmp(line.data, word, len) != 0 ||
        line.data[len] != ' ')
        return false;
    *ret_name = trim(slice_from(slice_first(line, line.len - 1), len));
    return ret_name->len > 0;
}

/* What is in the braces that a line has opened isn't ours to read. */
static int skip_block(struct slice *text)
{
    struct slice line;

    for (size_t depth = 1; next_line(text, &line);) {
        if (line.data[line.len - 1] == '{')
            depth++;
        else if (slice_eq_str(line, "}") && --depth == 0)
            return 0;
    }
    return ERR_FORMAT;
}

static int parse_chain(struct nft_listing *l, struct slice *text, struct slice name)
{
    struct slice line;

    int err = add_chain(l, name);
    while (err == 0 && next_line(text, &line)) {
        if (slice_eq_str(line, "}"))
            return 0;
        err = add_line(l, line);
    }
    return err < 0 ? err : ERR_FORMAT;
}

static int parse_table(struct nft_listing *l, struct slice *text)
{
    struct slice line, name;
    int err = 0;

    while (err == 0 && next_line(text, &line)) {
        if (slice_eq_str(line, "}"))
            return 0;
        if (opens(line, "chain", &name)) {
            err = parse_chain(l, text, name);
            continue;
        }
        l->others++;
        if (line.data[line.len - 1] == '{')
            err = skip_block(text);
    }
    return err < 0 ? err : ERR_FORMAT;
}

int nft_listing_parse(struct nft_listing *l, struct slice text, const char *table)
{
    struct slice line, name;
    char wanted[64];

    if (text.len > NFT_LISTING_MAX)
        return ERR_TOOBIG;
    int err = str_format(wanted, sizeof(wanted), NFT_FAMILY " %s", table);
    if (err < 0 || !next_line(&text, &line))
        return err;
    if (!opens(line, "table", &name) || !slice_eq_str(name, wanted))
        return ERR_FORMAT;
    err = parse_table(l, &text);
    if (err == 0 && next_line(&text, &line))
        err = ERR_FORMAT; /* one table was asked for */
    return err;
}

static int compare_names(struct slice a, struct slice b)
{
    int order = memcmp(a.data, b.data, MIN(a.len, b.len));

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_chains(const void *a, const void *b)
{
    const struct nft_chain *x = a;
    const struct nft_chain *y = b;

    return compare_names(x->name, y->name);
}

void nft_listing_sort(struct nft_listing *l)
{
    if (l->chain_count > 0)
        qsort(l->chains, l->chain_count, sizeof(l->chains[0]), compare_chains);
}

const struct nft_chain *nft_listing_find(const struct nft_listing *l, struct slice name)
{
    const struct nft_chain key = {.name = name};

    if (l->chain_count == 0)
        return NULL;
    return bsearch(&key, l->chains, l->chain_count, sizeof(l->chains[0]), compare_chains);
}

/* A comment ends its line. */
bool nft_line_comment(struct slice line, struct slice *ret)
{
    static const char mark[] = "comment \"";
    const uint8_t *at = line.len > 0 ? memmem(line.data, line.len, mark, strlen(mark)) : NULL;

    if (at == NULL || line.data[line.len - 1] != '"')
        return false;
    size_t start = (size_t)(at - line.data) + strlen(mark);
    if (start > line.len - 1)
        return false;
    *ret = slice_of(line.data + start, line.len - 1 - start);
    return true;
}
