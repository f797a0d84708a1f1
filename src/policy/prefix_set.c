#include "policy/prefix_set.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "base/table.h"
#include "policy/list_text.h"
#include "policy/shown.h"

static unsigned whole_bits(const struct ip_addr *a)
{
    return a->version == 4 ? 32 : 128;
}

/* RFC 4291 §2.5.5.2: ::ffff:a.b.c.d, which no packet carries. */
static bool is_mapped(const struct prefix *p)
{
    static const uint8_t start[12] = {[10] = 0xff, [11] = 0xff};

    return p->addr.version == 6 && p->bits >= 96 && memcmp(p->addr.bytes, start, 12) == 0;
}

static int refuse(const char *text, struct diag *d)
{
    return diag_set(
        d, ERR_FORMAT, 0,
        "\"%s\" is neither an address (10.0.0.1, fd00::1) nor a prefix (10.0.0.0/8, fd00::/8)",
        shown(text).text);
}

/* The length may be one that is too long for the address. */
static int parse_with_length(const char *text, const char *slash, struct prefix *ret,
                             struct diag *d)
{
    char addr_text[IP_ADDR_TEXT_SIZE], meant[PREFIX_TEXT_SIZE];
    struct ip_addr addr;
    struct prefix p = {0};
    uint64_t bits;

    if (str_copy_slice(addr_text, sizeof(addr_text), slice_of(text, (size_t)(slash - text))) < 0 ||
        ip_addr_parse(addr_text, &addr) < 0)
        return refuse(text, d);
    if (str_to_u64(slash + 1, whole_bits(&addr), &bits) < 0)
        return diag_set(d, ERR_FORMAT, 0, "prefix \"%s\": the length must be a number from 0 to %u",
                        shown(text).text, whole_bits(&addr));
    int r = prefix_of(&addr, (uint8_t)bits, &p);
    if (r < 0)
        return r;
    if (!ip_addr_eq(&p.addr, &addr)) {
        prefix_set_format_one(&p, meant);
        return diag_set(
            d, ERR_FORMAT, 0,
            "\"%s\" is no prefix: the address has bits after the first %u. Write %s for all "
            "of these addresses, or %s for that one",
            shown(text).text, (unsigned)bits, meant, addr_text);
    }
    *ret = p;
    return 0;
}

static int parse(const char *text, struct prefix *ret, struct diag *d)
{
    const char *slash = strchr(text, '/');
    struct prefix p = {0};
    int r = 0;

    if (slash != NULL)
        r = parse_with_length(text, slash, &p, d);
    else if (ip_addr_parse(text, &p.addr) == 0)
        p.bits = (uint8_t)whole_bits(&p.addr);
    else
        r = refuse(text, d);
    if (r == 0 && is_mapped(&p))
        r = diag_set(
            d, ERR_FORMAT, 0,
            "\"%s\" is an IPv4 address in IPv6 clothes, which no packet carries: write it as IPv4",
            shown(text).text);
    if (r == 0)
        *ret = p;
    return r;
}

static bool holds(const struct prefix_set *s, const struct prefix *p)
{
    for (size_t i = 0; i < s->count; i++) {
        if (prefix_eq(&s->prefixes[i], p))
            return true;
    }
    return false;
}

int prefix_set_add(struct prefix_set *s, const char *prefix, struct diag *d)
{
    struct prefix p = {0};
    int r = parse(prefix, &p, d);

    if (r < 0 || holds(s, &p))
        return r;
    if (s->count == PREFIX_SET_MAX)
        return diag_set(d, ERR_LIMIT, 0,
                        "address %s is one too many: a list holds at most %d addresses or prefixes",
                        shown(prefix).text, PREFIX_SET_MAX);
    s->prefixes[s->count++] = p;
    return 0;
}

static int add_item(void *set, const char *item, struct diag *d)
{
    return prefix_set_add(set, item, d);
}

int prefix_set_add_list(struct prefix_set *s, const char *list, struct diag *d)
{
    struct prefix_set longer = *s;
    int r = list_text_each(list, add_item, &longer, d);

    if (r == 0)
        *s = longer;
    return r;
}

bool prefix_set_eq(const struct prefix_set *a, const struct prefix_set *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!holds(b, &a->prefixes[i]))
            return false;
    }
    return true;
}

/* A sum, as the order doesn't count. */
uint64_t prefix_set_hash(const struct prefix_set *s)
{
    static const uint64_t unkeyed[2] = {0};
    uint64_t sum = 0;

    static_assert(sizeof(struct prefix) == 18, "no padding is hashed");
    for (size_t i = 0; i < s->count; i++)
        sum += siphash13(unkeyed, slice_of(&s->prefixes[i], sizeof(s->prefixes[i])));
    return sum;
}

void prefix_set_format_one(const struct prefix *p, char text[PREFIX_TEXT_SIZE])
{
    if (p->bits == whole_bits(&p->addr))
        ip_addr_format(&p->addr, text);
    else
        prefix_format(p, text);
}
