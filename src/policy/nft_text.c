#include "policy/nft_text.h"

#include <stdarg.h>
#include <stdio.h>

enum { PIECE_MAX = 1024 }; /* long lists are put piece by piece */

PRINTF_LIKE(2, 0) static void put_v(struct nft_text *t, const char *fmt, va_list args)
{
    char line[PIECE_MAX];

    if (t->err < 0)
        return;
    int len = vsnprintf(line, sizeof(line), fmt, args);
    if (len < 0 || (size_t)len >= sizeof(line))
        t->err = ERR_TOOBIG;
    else
        t->err = buf_put(t->out, slice_of(line, (size_t)len));
}

void nft_put(struct nft_text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    put_v(t, fmt, args);
    va_end(args);
}

void nft_rule(struct nft_text *t, const char *fmt, ...)
{
    va_list args;

    nft_put(t, "\t\t");
    va_start(args, fmt);
    put_v(t, fmt, args);
    va_end(args);
    nft_put(t, "\n");
}

void nft_chain_begin(struct nft_text *t, const char *name, const char *header)
{
    nft_put(t, "\n\tchain %s {\n", name);
    if (header != NULL)
        nft_rule(t, "%s; policy accept;", header);
}

void nft_chain_end(struct nft_text *t)
{
    nft_put(t, "\t}\n");
}
