#include "policy/guid.h"

#include <string.h>

#include "base/str.h"

#define ZERO_GUID "00000000-0000-0000-0000-000000000000"

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool has_shape(const char *text)
{
    for (size_t i = 0; i < GUID_TEXT_SIZE - 1; i++)
        if (ZERO_GUID[i] == '-' ? text[i] != '-' : !is_hex(text[i]))
            return false;
    return true;
}

int guid_parse(const char *text, struct guid *ret, struct diag *d)
{
    size_t len = strlen(text);
    bool braces = len == GUID_TEXT_SIZE + 1 && text[0] == '{' && text[len - 1] == '}';
    const char *digits = braces ? text + 1 : text;
    if ((!braces && len != GUID_TEXT_SIZE - 1) || !has_shape(digits))
        return diag_set(d, ERR_FORMAT, 0,
                        "\"%.80s\" is not a GUID, which looks like "
                        "93f86a7f-e361-4362-b8a4-81bbb6a622dd, with or without braces",
                        text);
    memcpy(ret->text, digits, GUID_TEXT_SIZE - 1);
    ret->text[GUID_TEXT_SIZE - 1] = '\0';
    str_lower(ret->text);
    return 0;
}

bool guid_eq(const struct guid *a, const struct guid *b)
{
    return str_eq(a->text, b->text);
}

bool guid_is_zero(const struct guid *g)
{
    return str_eq(g->text, ZERO_GUID);
}
