#include "agent/versions.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number at *s, which moves past it. */
static unsigned long take_number(const char **s)
{
    char *end = NULL;
    unsigned long v = strtoul(*s, &end, 10);
    *s = end;
    return v;
}

int versions_compare(const char *a, const char *b)
{
    while (is_digit(*a) && is_digit(*b)) {
        unsigned long x = take_number(&a), y = take_number(&b);
        if (x != y)
            return x < y ? -1 : 1;
        if (*a != '.' || *b != '.')
            break;
        a++;
        b++;
    }
    if ((*a == '\0') != (*b == '\0')) {
        /* "1.0" is older than "1.0.1", but newer than "1.0-rc1". */
        const char *longer = *a != '\0' ? a : b;
        bool adds = *longer == '.' || *longer == '+';
        return (*a != '\0') == adds ? 1 : -1;
    }
    return strcmp(a, b);
}

int versions_check(const char *peer, const char *peer_version, struct diag *d)
{
    const char *shown = str_is_empty(peer_version) || strlen(peer_version) > 40 ||
                                !str_is_printable(slice_str(peer_version))
                            ? "unknown"
                            : peer_version;
    int order = versions_compare(shown, STILE_VERSION);
    if (str_eq(shown, STILE_VERSION))
        return 0;
    if (str_eq(shown, "unknown") || order < 0)
        return diag_set(d, ERR_VERSION, 0,
                        "The %s is version %s, this agent %s: update the %s (or start it again if "
                        "it was updated while it ran)",
                        peer, shown, STILE_VERSION, peer);
    return diag_set(d, ERR_VERSION, 0,
                    "The %s is version %s, this agent %s: update the agent (or start it again if "
                    "it was updated while it ran)",
                    peer, shown, STILE_VERSION);
}
