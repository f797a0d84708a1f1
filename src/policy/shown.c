#include "policy/shown.h"

#include <string.h>

#include "base/str.h"

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

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029;
}

void shown_line(char *text)
{
    while (*text != '\0') {
        uint32_t c;
        size_t len = str_utf8_first(slice_str(text), &c);
        bool good = len > 0 && !is_control(c);
        if (!good)
            memset(text, '?', MAX(len, (size_t)1));
        text += MAX(len, (size_t)1);
    }
}
