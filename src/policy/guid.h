/* The name of an HNS object: 128 bits. Plain memory. Pure.
 */
#ifndef STILE_POLICY_GUID_H
#define STILE_POLICY_GUID_H

#include "base/err.h"

#define GUID_TEXT_SIZE 37

/* As text it is the canonical form, in lower case and without braces: that is also how two are
 * compared. */
struct guid {
    char text[GUID_TEXT_SIZE];
};

/* "93f86a7f-e361-4362-b8a4-81bbb6a622dd", also in braces and in upper case. ERR_FORMAT with what a
 * GUID looks like. */
int guid_parse(const char *text, struct guid *ret, struct diag *d);
bool guid_eq(const struct guid *a, const struct guid *b);
bool guid_is_zero(const struct guid *g);

#endif
