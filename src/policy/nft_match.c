#include "policy/nft_match.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { TERMS_MAX = MAX(PORT_SET_MAX, PREFIX_SET_MAX), TERM_SIZE = 2 * IP_ADDR_TEXT_SIZE };

static_assert(TERM_SIZE >= PREFIX_TEXT_SIZE, "a prefix fits as well");

/* Addresses of one family from first to last, both included. */
struct span {
    struct ip_addr first, last;
};

struct spans {
    size_t count;
    struct span items[PREFIX_SET_MAX];
};

static const uint8_t versions[] = {4, 6};

static bool lies_in_loopback(const struct prefix *p)
{
    return ip_addr_is_loopback(&p->addr) && p->bits >= (p->addr.version == 4 ? 8 : 128);
}

bool nft_names_loopback(const struct prefix_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (lies_in_loopback(&s->prefixes[i]))
            return true;
    return false;
}

static struct ip_addr last_of(const struct prefix *p)
{
    struct ip_addr last = p->addr;

    for (size_t bit = p->bits; bit < ip_addr_len(&p->addr) * 8; bit++)
        last.bytes[bit / 8] |= (uint8_t)(0x80u >> (bit % 8));
    return last;
}

/* false: there is none after it. */
static bool next_of(const struct ip_addr *a, struct ip_addr *ret)
{
    *ret = *a;
    for (size_t i = ip_addr_len(a); i-- > 0;)
        if (++ret->bytes[i] != 0)
            return true;
    return false;
}

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;

    return ip_addr_cmp(&x->first, &y->first);
}

/* In order, so that neither touch nor overlap. */
static void merge(struct spans *s)
{
    size_t kept = 0;

    qsort(s->items, s->count, sizeof(s->items[0]), compare_spans);
    for (size_t i = 1; i < s->count; i++) {
        struct span *last = &s->items[kept];
        struct ip_addr next;
        bool apart = next_of(&last->last, &next) && ip_addr_cmp(&s->items[i].first, &next) > 0;
        if (apart)
            s->items[++kept] = s->items[i];
        else if (ip_addr_cmp(&s->items[i].last, &last->last) > 0)
            last->last = s->items[i].last;
    }
    s->count = s->count > 0 ? kept + 1 : 0;
}

static struct spans spans_of(const struct prefix_set *set, uint8_t version, bool loopback)
{
    struct spans s = {0};

    for (size_t i = 0; i < set->count; i++) {
        const struct prefix *p = &set->prefixes[i];
        if (p->addr.version == version && (!loopback || lies_in_loopback(p)))
            s.items[s.count++] = (struct span){p->addr, last_of(p)};
    }
    merge(&s);
    return s;
}

/* As a prefix, if it is one. */
static void format_span(const struct span *s, char text[TERM_SIZE])
{
    char first[IP_ADDR_TEXT_SIZE], last[IP_ADDR_TEXT_SIZE];
    struct prefix p;
    unsigned most = (unsigned)ip_addr_len(&s->first) * 8;

    for (unsigned bits = 0; bits <= most; bits++) {
        if (prefix_of(&s->first, (uint8_t)bits, &p) < 0 || !ip_addr_eq(&p.addr, &s->first))
            continue;
        struct ip_addr end = last_of(&p);
        if (!ip_addr_eq(&end, &s->last))
            continue;
        prefix_set_format_one(&p, text);
        return;
    }
    ip_addr_format(&s->first, first);
    ip_addr_format(&s->last, last);
    (void)str_format(text, TERM_SIZE, "%s-%s", first, last);
}

/* ---- Terms: one field of the packet, and what it may be ---- */

struct terms {
    const char *header, *field; /* "ip", "daddr" */
    bool as_set;
    size_t count; /* 0: it may be anything */
    char items[TERMS_MAX][TERM_SIZE];
};

static void address_terms(struct terms *ret, uint8_t version, const char *field,
                          const struct spans *s)
{
    ret->header = version == 4 ? "ip" : "ip6";
    ret->field = field;
    ret->as_set = false;
    ret->count = s->count;
    for (size_t i = 0; i < s->count; i++)
        format_span(&s->items[i], ret->items[i]);
}

static void port_terms(struct terms *ret, const char *header, const char *field,
                       const struct port_set *s)
{
    ret->header = header;
    ret->field = field;
    ret->as_set = false;
    ret->count = s->count;
    for (size_t i = 0; i < s->count; i++)
        port_range_format(s->ranges[i], ret->items[i]);
}

static void put_terms(struct nft_text *t, const struct terms *x, size_t which)
{
    if (x->count == 0)
        return;
    nft_put(t, "%s %s ", x->header, x->field);
    if (!x->as_set) {
        nft_put(t, "%s ", x->items[which]);
        return;
    }
    for (size_t i = 0; i < x->count; i++)
        nft_put(t, "%s%s", i == 0 ? "{ " : ", ", x->items[i]);
    nft_put(t, " } ");
}

/* How many rules a list makes. */
static size_t rules_of(const struct terms *x)
{
    return x->as_set || x->count == 0 ? 1 : x->count;
}

/* The longest lists become sets, until there are few enough rules. */
static void choose_sets(struct terms *lists, size_t count)
{
    for (;;) {
        size_t product = 1;
        struct terms *longest = &lists[0];
        for (size_t i = 0; i < count; i++) {
            product *= rules_of(&lists[i]);
            if (rules_of(&lists[i]) > rules_of(longest))
                longest = &lists[i];
        }
        if (product <= NFT_RULES_PER_MATCH)
            return;
        longest->as_set = true;
    }
}

/* A rule for each combination. between: what stands after the first `after` lists. */
static void put_combinations(struct nft_text *t, struct terms *lists, size_t count, size_t after,
                             const char *between, const char *action)
{
    size_t rules = 1;

    choose_sets(lists, count);
    for (size_t i = 0; i < count; i++)
        rules *= rules_of(&lists[i]);
    for (size_t rule = 0; rule < rules; rule++) {
        nft_put(t, "\t\t");
        for (size_t i = 0, left = rule; i < count; i++) {
            if (i == after)
                nft_put(t, "%s", between);
            put_terms(t, &lists[i], left % rules_of(&lists[i]));
            left /= rules_of(&lists[i]);
        }
        nft_put(t, "%s\n", action);
    }
}

/* ---- Matches ---- */

static void family_rules(struct nft_text *t, const struct nft_match *m, uint8_t version,
                         const char *action)
{
    static const char *const names[] = {
        [L4_TCP] = "tcp", [L4_UDP] = "udp", [L4_TCP | L4_UDP] = "th"};
    const struct spans from = spans_of(m->source_addresses, version, false);
    const struct spans to = spans_of(m->destination_addresses, version, m->loopback);
    const char *protocol = names[m->protocols];
    struct terms lists[4];
    char between[32] = "";

    if (m->source_addresses->count > 0 && from.count == 0)
        return;
    if ((m->destination_addresses->count > 0 || m->loopback) && to.count == 0)
        return;
    address_terms(&lists[0], version, "saddr", &from);
    address_terms(&lists[1], version, "daddr", &to);
    port_terms(&lists[2], protocol, "sport", m->source_ports);
    port_terms(&lists[3], protocol, "dport", m->destination_ports);
    if (lists[2].count == 0 && lists[3].count == 0 && m->protocols != (L4_TCP | L4_UDP))
        (void)str_format(between, sizeof(between), "meta l4proto %s ", protocol);
    put_combinations(t, lists, 4, 2, between, action);
}

void nft_match_rules(struct nft_text *t, const struct nft_match *m, const char *action)
{
    bool any =
        m->source_addresses->count == 0 && m->destination_addresses->count == 0 && !m->loopback;

    for (size_t i = 0; i < (any ? 1 : sizeof(versions)); i++)
        family_rules(t, m, versions[i], action);
}

void nft_port_rules(struct nft_text *t, const struct port_set *s, const char *action)
{
    struct terms list;

    port_terms(&list, "th", "dport", s);
    if (s->count > 0)
        put_combinations(t, &list, 1, 1, "", action);
}

void nft_address_rules(struct nft_text *t, const char *field, const struct prefix_set *s,
                       const char *action)
{
    struct terms list;

    for (size_t i = 0; i < sizeof(versions); i++) {
        const struct spans spans = spans_of(s, versions[i], false);
        address_terms(&list, versions[i], field, &spans);
        if (spans.count > 0)
            put_combinations(t, &list, 1, 1, "", action);
    }
}
