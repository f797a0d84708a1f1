#include "policy/nft_record.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/l4_json.h"

#define FIRST "stile 1 " /* then the length and the sum, in decimal and in hex */

enum { FIRST_MAX = 64, SUM_DIGITS = 16 };

/* FNV-1a: against accidents and careless hands. Who may write the table could write any sum. */
static uint64_t sum_of(struct slice bytes)
{
    uint64_t sum = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes.len; i++)
        sum = (sum ^ bytes.data[i]) * 0x100000001b3u;
    return sum;
}

/* ---- Writing ---- */

static int put_quoted(struct buf *quoted, struct slice json)
{
    int err = 0;

    for (size_t i = 0; i < json.len && err == 0; i++) {
        if (json.data[i] == '\'')
            err = buf_put_str(quoted, "\\u0027");
        else
            err = buf_put_u8(quoted, json.data[i] == '"' ? '\'' : json.data[i]);
    }
    return err;
}

static int make_text(const struct l4_policies *l, struct buf *ret, struct diag *d)
{
    CLEANUP(buf_release) struct buf json;

    buf_init(&json, L4_JSON_MAX);
    int err = l4_json_write(l, &json);
    if (err == 0)
        err = put_quoted(ret, buf_slice(&json));
    if (err == ERR_TOOBIG)
        return diag_set(d, err, 0, "The policies are too long to be remembered: more than %zu MiB",
                        L4_JSON_MAX >> 20);
    return err < 0 ? diag_no_memory(d) : 0;
}

int nft_record_write(const struct l4_policies *l, struct nft_text *t, struct diag *d)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, L4_JSON_MAX);
    int err = make_text(l, &text, d);
    if (err < 0)
        return err;
    struct slice left = buf_slice(&text);
    nft_chain_begin(t, NFT_RECORD_CHAIN, NULL);
    nft_rule(t, "continue comment \"" FIRST "%zu %016llx\"", left.len,
             (unsigned long long)sum_of(left));
    while (left.len > 0) {
        struct slice piece = slice_first(left, NFT_RECORD_PIECE);
        nft_rule(t, "continue comment \"%.*s\"", (int)piece.len, (const char *)piece.data);
        left = slice_from(left, piece.len);
    }
    nft_chain_end(t);
    return 0;
}

/* ---- Reading ---- */

void nft_record_init(struct nft_record *r)
{
    *r = (struct nft_record){0};
    buf_init(&r->text, L4_JSON_MAX);
}

void nft_record_release(struct nft_record *r)
{
    buf_release(&r->text);
}

static int add_first(struct nft_record *r, struct slice comment)
{
    char words[FIRST_MAX];
    uint8_t sum[SUM_DIGITS / 2];
    uint64_t length;

    if (str_copy_slice(words, sizeof(words), comment) < 0 || !str_starts(words, FIRST))
        return ERR_FORMAT;
    char *number = words + strlen(FIRST);
    char *space = strchr(number, ' ');
    if (space == NULL)
        return ERR_FORMAT;
    *space = '\0';
    if (str_to_u64(number, L4_JSON_MAX, &length) < 0 || strlen(space + 1) != SUM_DIGITS ||
        str_unhex(space + 1, sum, sizeof(sum)) < 0)
        return ERR_FORMAT;
    struct rd rd = rd_init(slice_of(sum, sizeof(sum)));
    r->sum = rd_u64(&rd);
    r->length = (size_t)length;
    r->has_first = true;
    return 0;
}

int nft_record_add(struct nft_record *r, struct slice comment)
{
    return r->has_first ? buf_put(&r->text, comment) : add_first(r, comment);
}

int nft_record_end(struct nft_record *r, struct l4_policies *ret, struct diag *d)
{
    struct slice text = buf_slice(&r->text);
    CLEANUP(mem_freep) uint8_t *json = NULL;

    if (!r->has_first || text.len != r->length || sum_of(text) != r->sum)
        return ERR_FORMAT;
    json = mem_dup(text.data, text.len);
    if (json == NULL)
        return diag_no_memory(d);
    for (size_t i = 0; i < text.len; i++)
        if (json[i] == '\'')
            json[i] = '"';
    return l4_json_read(slice_of(json, text.len), ret, d);
}
