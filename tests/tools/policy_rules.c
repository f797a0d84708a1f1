/* Tests' way to the rules of policies without the program: policies as JSON or a listing of nft's in, text out.
 *
 * policy_rules replace|remove|block|read|compare [POLICIES] < INPUT
 * replace: policies -> commands for nft; read: listing -> policies; compare: listing, against the file POLICIES -> differences. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "policy/l4_json.h"
#include "policy/nft_compare.h"
#include "policy/nft_read.h"
#include "policy/nft_rules.h"

enum { PIECE = 65536 };

static int read_all(int fd, struct buf *ret)
{
    ssize_t n = 1;

    while (n > 0) {
        uint8_t *space;
        int err = buf_reserve(ret, PIECE, &space);
        if (err < 0)
            return err;
        n = read(fd, space, PIECE);
        if (n > 0)
            buf_commit(ret, (size_t)n);
    }
    return n < 0 ? ERR_IO : 0;
}

static int read_policies(FILE *file, struct l4_policies *ret, struct diag *d)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, L4_JSON_MAX);
    int err = file != NULL ? read_all(fileno(file), &text) : ERR_NOTFOUND;
    return err < 0 ? diag_set(d, err, 0, "no policies to read")
                   : l4_json_read(buf_slice(&text), ret, d);
}

static int replace(struct l4_policies *l, struct buf *out, struct diag *d)
{
    int err = read_policies(stdin, l, d);

    return err < 0 ? err : nft_rules_replace(l, out, d);
}

static int listing_to_policies(struct slice listing, struct l4_policies *l, struct buf *out,
                               struct diag *d)
{
    int err = nft_read_policies(listing, l, d);

    return err < 0 ? err : l4_json_write(l, out);
}

static int compare(struct slice listing, const char *path, struct l4_policies *l, struct buf *out,
                   struct diag *d)
{
    bool drifted;
    FILE *file = fopen(path, "re");

    int err = read_policies(file, l, d);
    if (file != NULL)
        (void)fclose(file);
    return err < 0 ? err : nft_compare(listing, l, out, &drifted, d);
}

static int run(const char *verb, const char *path, struct l4_policies *l, struct buf *out,
               struct diag *d)
{
    CLEANUP(buf_release) struct buf listing;

    buf_init(&listing, NFT_LISTING_MAX);
    if (str_eq(verb, "replace"))
        return replace(l, out, d);
    if (str_eq(verb, "remove"))
        return nft_rules_remove(out, d);
    if (str_eq(verb, "block"))
        return nft_rules_block(out, d);
    int err = read_all(STDIN_FILENO, &listing);
    if (err < 0)
        return err;
    if (str_eq(verb, "read"))
        return listing_to_policies(buf_slice(&listing), l, out, d);
    return compare(buf_slice(&listing), path, l, out, d);
}

int main(int argc, char **argv)
{
    CLEANUP(l4_policies_release) struct l4_policies l;
    CLEANUP(buf_release) struct buf out;
    struct diag d = {0};

    l4_policies_init(&l);
    buf_init(&out, NFT_LISTING_MAX);
    int err = argc > 1 ? run(argv[1], argc > 2 ? argv[2] : "", &l, &out, &d) : ERR_INVAL;
    if (err < 0) {
        (void)fprintf(stderr, "%s: %s\n", err_name(err), d.text);
        return 1;
    }
    return fwrite(out.data + out.start, 1, buf_len(&out), stdout) == buf_len(&out) ? 0 : 1;
}
