/* A short list of texts, each owned. */
#ifndef STILE_GATEWAY_TEXTS_H
#define STILE_GATEWAY_TEXTS_H

#include "base/compiler.h"

struct texts {
    char **items;
    size_t count;
};

MUST_CHECK int texts_add(struct texts *t, const char *text);           /* copies; ERR_NOMEM */
MUST_CHECK int texts_copy(struct texts *dst, const struct texts *src); /* dst is empty; ERR_NOMEM */
bool texts_have(const struct texts *t, const char *text);
void texts_release(struct texts *t); /* leaves it empty */

#endif
