#include "policy/port_set.h"

#include <string.h>

#include "base/str.h"
#include "base/table.h"
#include "policy/list_text.h"
#include "policy/shown.h"

int port_parse(const char *text, uint16_t *ret, struct diag *d)
{
    uint64_t port;
    int r = str_to_u64(text, UINT16_MAX, &port);

    if (r == ERR_TOOBIG)
        return diag_set(d, ERR_FORMAT, 0,
                        "port %s is over 65535: ports are numbers from 1 to 65535",
                        shown(text).text);
    if (r < 0)
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is no port: ports are numbers from 1 to 65535",
                        shown(text).text);
    if (port == 0)
        return diag_set(d, ERR_FORMAT, 0,
                        "port 0 means nothing here: ports are numbers from 1 to 65535");
    *ret = (uint16_t)port;
    return 0;
}

static int parse_range(const char *text, struct port_range *ret, struct diag *d)
{
    const char *dash = strchr(text, '-');
    char first_text[LIST_ITEM_SIZE];
    struct port_range range = {0};

    if (dash == NULL) {
        int r = port_parse(text, &range.first, d);
        if (r == 0)
            *ret = (struct port_range){range.first, range.first};
        return r;
    }
    if (str_copy_slice(first_text, sizeof(first_text), slice_of(text, (size_t)(dash - text))) < 0)
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is no port range", shown(text).text);
    int r = port_parse(first_text, &range.first, d);
    if (r == 0)
        r = port_parse(dash + 1, &range.last, d);
    if (r < 0)
        return diag_prefix(d, "port range \"%s\": ", shown(text).text);
    if (range.first > range.last)
        return diag_set(d, ERR_FORMAT, 0, "port range %s ends before it begins: write %u-%u",
                        shown(text).text, range.last, range.first);
    *ret = range;
    return 0;
}

/* Whether they overlap or are neighbours. */
static bool touch(struct port_range a, struct port_range b)
{
    return (uint32_t)a.first <= (uint32_t)b.last + 1 && (uint32_t)b.first <= (uint32_t)a.last + 1;
}

/* In sorted order; those that it touches become one with it. */
static int insert(struct port_set *s, struct port_range range)
{
    size_t from = 0, to;

    while (from < s->count && s->ranges[from].last < range.first && !touch(s->ranges[from], range))
        from++;
    for (to = from; to < s->count && touch(s->ranges[to], range); to++) {
        range.first = MIN(range.first, s->ranges[to].first);
        range.last = MAX(range.last, s->ranges[to].last);
    }
    if (to == from && s->count == PORT_SET_MAX)
        return ERR_LIMIT;
    memmove(&s->ranges[from + 1], &s->ranges[to], (s->count - to) * sizeof(s->ranges[0]));
    s->ranges[from] = range;
    s->count = s->count - (to - from) + 1;
    return 0;
}

int port_set_add(struct port_set *s, const char *range, struct diag *d)
{
    struct port_range parsed = {0};
    int r = parse_range(range, &parsed, d);

    if (r < 0)
        return r;
    if (insert(s, parsed) < 0)
        return diag_set(d, ERR_LIMIT, 0,
                        "port %s is one too many: a list holds at most %d ports or ranges",
                        shown(range).text, PORT_SET_MAX);
    return 0;
}

static int add_item(void *set, const char *item, struct diag *d)
{
    return port_set_add(set, item, d);
}

int port_set_add_list(struct port_set *s, const char *list, struct diag *d)
{
    struct port_set longer = *s;
    int r = list_text_each(list, add_item, &longer, d);

    if (r == 0)
        *s = longer;
    return r;
}

bool port_set_contains(const struct port_set *s, uint16_t port)
{
    for (size_t i = 0; i < s->count; i++) {
        if (port >= s->ranges[i].first && port <= s->ranges[i].last)
            return true;
    }
    return false;
}

bool port_set_eq(const struct port_set *a, const struct port_set *b)
{
    return a->count == b->count &&
           memcmp(a->ranges, b->ranges, a->count * sizeof(a->ranges[0])) == 0;
}

uint64_t port_set_hash(const struct port_set *s)
{
    static const uint64_t unkeyed[2] = {0};

    return siphash13(unkeyed, slice_of(s->ranges, s->count * sizeof(s->ranges[0])));
}

void port_range_format(struct port_range r, char text[12])
{
    if (r.first == r.last)
        (void)str_format(text, 12, "%u", r.first);
    else
        (void)str_format(text, 12, "%u-%u", r.first, r.last);
}

int port_set_format(const struct port_set *s, struct buf *ret)
{
    char text[12];
    int r = 0;

    for (size_t i = 0; i < s->count && r == 0; i++) {
        port_range_format(s->ranges[i], text);
        r = buf_printf(ret, "%s%s", i > 0 ? "," : "", text);
    }
    return r;
}

bool port_range_is_long(struct port_range r)
{
    return r.last - r.first >= PORT_RANGE_SPELLED;
}
