#include "policy/nft_match.h"

#include <stdlib.h>
#include <string.h>

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
static void put_span(struct nft_text *t, const struct span *s)
{
    char first[IP_ADDR_TEXT_SIZE], last[IP_ADDR_TEXT_SIZE], text[PREFIX_TEXT_SIZE];
    struct prefix p;
    unsigned most = (unsigned)ip_addr_len(&s->first) * 8;

    ip_addr_format(&s->first, first);
    ip_addr_format(&s->last, last);
    for (unsigned bits = 0; bits <= most; bits++) {
        if (prefix_of(&s->first, (uint8_t)bits, &p) < 0 || !ip_addr_eq(&p.addr, &s->first))
            continue;
        struct ip_addr end = last_of(&p);
        if (!ip_addr_eq(&end, &s->last))
            continue;
        prefix_format(&p, text);
        nft_put(t, "%s", bits == most ? first : text);
        return;
    }
    nft_put(t, "%s-%s", first, last);
}

static void put_spans(struct nft_text *t, const struct spans *s)
{
    nft_put(t, "%s", s->count > 1 ? "{ " : "");
    for (size_t i = 0; i < s->count; i++) {
        nft_put(t, "%s", i > 0 ? ", " : "");
        put_span(t, &s->items[i]);
    }
    nft_put(t, "%s", s->count > 1 ? " }" : "");
}

void nft_put_ports(struct nft_text *t, const struct port_set *s)
{
    char text[12];

    nft_put(t, "%s", s->count > 1 ? "{ " : "");
    for (size_t i = 0; i < s->count; i++) {
        port_range_format(s->ranges[i], text);
        nft_put(t, "%s%s", i > 0 ? ", " : "", text);
    }
    nft_put(t, "%s", s->count > 1 ? " }" : "");
}

static void put_addresses(struct nft_text *t, uint8_t version, const char *field,
                          const struct spans *s)
{
    if (s->count == 0)
        return;
    nft_put(t, "%s %s ", version == 4 ? "ip" : "ip6", field);
    put_spans(t, s);
    nft_put(t, " ");
}

static void put_port_match(struct nft_text *t, const char *protocol, const char *field,
                           const struct port_set *s)
{
    if (s->count == 0)
        return;
    nft_put(t, "%s %s ", protocol, field);
    nft_put_ports(t, s);
    nft_put(t, " ");
}

static void put_transport(struct nft_text *t, const struct nft_match *m)
{
    static const char *const names[] = {
        [L4_TCP] = "tcp", [L4_UDP] = "udp", [L4_TCP | L4_UDP] = "{ tcp, udp }"};
    bool both = m->protocols == (L4_TCP | L4_UDP);
    const char *protocol = both ? "th" : names[m->protocols];

    if (both || (m->source_ports->count == 0 && m->destination_ports->count == 0))
        nft_put(t, "meta l4proto %s ", names[m->protocols]);
    put_port_match(t, protocol, "sport", m->source_ports);
    put_port_match(t, protocol, "dport", m->destination_ports);
}

static void family_rule(struct nft_text *t, const struct nft_match *m, uint8_t version,
                        const char *action)
{
    const struct spans from = spans_of(m->source_addresses, version, false);
    const struct spans to = spans_of(m->destination_addresses, version, m->loopback);

    if (m->source_addresses->count > 0 && from.count == 0)
        return;
    if ((m->destination_addresses->count > 0 || m->loopback) && to.count == 0)
        return;
    nft_put(t, "\t\t");
    put_addresses(t, version, "saddr", &from);
    put_addresses(t, version, "daddr", &to);
    put_transport(t, m);
    nft_put(t, "%s\n", action);
}

void nft_match_rules(struct nft_text *t, const struct nft_match *m, const char *action)
{
    bool any = m->source_addresses->count == 0 && m->destination_addresses->count == 0;

    if (any && !m->loopback) {
        nft_put(t, "\t\t");
        put_transport(t, m);
        nft_put(t, "%s\n", action);
        return;
    }
    for (size_t i = 0; i < sizeof(versions); i++)
        family_rule(t, m, versions[i], action);
}

void nft_address_rules(struct nft_text *t, const char *field, const struct prefix_set *s,
                       const char *action)
{
    for (size_t i = 0; i < sizeof(versions); i++) {
        const struct spans spans = spans_of(s, versions[i], false);
        if (spans.count == 0)
            continue;
        nft_put(t, "\t\t");
        put_addresses(t, versions[i], field, &spans);
        nft_put(t, "%s\n", action);
    }
}
