#include "policy/shown.h"

#include <string.h>

#define KEPT 64

struct shown shown(const char *s)
{
    struct shown r;
    size_t len = strnlen(s, KEPT + 1);
    size_t kept = MIN(len, (size_t)KEPT);

    for (size_t i = 0; i < kept; i++)
        r.text[i] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
    memcpy(r.text + kept, len > KEPT ? "..." : "", len > KEPT ? 4 : 1);
    return r;
}
