#include "agent/session_network.h"

#include <string.h>

#include "agent/network.h"
#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "net/pool.h"

int session_network_parse_range(const char *text, struct prefix *ret, struct diag *d)
{
    struct prefix p;
    if (prefix_parse(text, &p) < 0)
        return diag_set(d, ERR_INVAL, 0,
                        "\"%.64s\" is not a range; write it like 10.213.0.0/16, without bits below "
                        "the length",
                        text);
    if (!network_is_virtual(&p))
        return diag_set(d, ERR_INVAL, 0,
                        "%s can't be a range of virtual addresses; use a private IPv4 range of /%d "
                        "to /%d",
                        text, NETWORK_BITS_MIN, NETWORK_BITS_MAX);
    *ret = p;
    return 0;
}

static struct prefix prefix_from(const struct broker_range *r)
{
    return (struct prefix){.addr = ip_addr_from(4, r->addr), .bits = (uint8_t)r->bits};
}

static bool overlaps(const struct broker_network *n, const struct prefix *p)
{
    for (uint32_t i = 0; i < n->range_count; i++) {
        struct prefix other = prefix_from(&n->ranges[i]);
        if (prefix_overlaps(p, &other))
            return true;
    }
    return false;
}

static void add_range(struct broker_network *n, const struct prefix *p)
{
    struct broker_range *r = &n->ranges[n->range_count++];
    memcpy(r->addr, p->addr.bytes, sizeof(r->addr));
    r->bits = p->bits;
}

static bool is_dns_of(const struct ip_addr *a, const struct prefix *range)
{
    struct ip_addr dns = prefix_at(range, POOL_OFFSET_DNS);
    return ip_addr_eq(a, &dns);
}

bool session_network_is_own_dns(const struct ip_addr *a, const struct name_list *ranges,
                                const struct broker_welcome *welcome)
{
    struct prefix p;
    for (size_t i = 0; i < ranges->count; i++)
        if (prefix_parse(ranges->names[i], &p) == 0 && p.addr.version == 4 && is_dns_of(a, &p))
            return true;
    for (uint32_t i = 0; i < welcome->range_count; i++) {
        p = prefix_from(&welcome->ranges[i]);
        if (is_dns_of(a, &p))
            return true;
    }
    return false;
}

/* One sentence more. */
static void say(char why[SESSION_NETWORK_TEXT_SIZE], const char *text)
{
    size_t len = strlen(why);
    if (text[0] != '\0')
        (void)str_format(why + len, SESSION_NETWORK_TEXT_SIZE - len, "%s%s", len > 0 ? "; " : "",
                         text);
}

static void take_forced(const struct session_network_wish *wish, const struct conflict_query *query,
                        struct broker_network *n, char why[SESSION_NETWORK_TEXT_SIZE])
{
    for (size_t i = 0; i < wish->forced_count; i++) {
        struct conflict found;
        char range[PREFIX_TEXT_SIZE], text[CONFLICT_TEXT_SIZE + 128];
        if (overlaps(n, &wish->forced[i]))
            continue;
        add_range(n, &wish->forced[i]);
        if (!conflict_find(query, &wish->forced[i], &found))
            continue;
        prefix_format(&wish->forced[i], range);
        (void)str_format(text, sizeof(text),
                         "%s collides with %s, and is used all the same because --range says so",
                         range, found.text);
        say(why, text);
    }
}

/* The wanted range first, then what the broker offers; what overlaps a range we have is no candidate. */
static size_t candidates_for(const struct prefix *wanted, const struct broker_welcome *welcome,
                             const struct broker_network *n,
                             struct prefix ret[BROKER_RANGES_MAX + 1])
{
    size_t count = 0;
    ret[count++] = *wanted;
    for (uint32_t i = 0; i < welcome->range_count; i++) {
        struct prefix p = prefix_from(&welcome->ranges[i]);
        if (!overlaps(n, &p) && !prefix_eq(&p, wanted))
            ret[count++] = p;
    }
    return count;
}

static int take_one(const struct prefix *wanted, const struct broker_welcome *welcome,
                    const struct conflict_query *query, struct broker_network *n,
                    char why[SESSION_NETWORK_TEXT_SIZE], struct diag *d)
{
    struct prefix candidates[BROKER_RANGES_MAX + 1];
    char text[RANGE_CHOICE_TEXT_SIZE];
    size_t chosen = 0;
    if (n->range_count == BROKER_RANGES_MAX || overlaps(n, wanted))
        return 0;
    size_t count = candidates_for(wanted, welcome, n, candidates);
    int r = range_choose(query, candidates, count, &chosen, text);
    if (r == ERR_EXISTS && n->range_count > 0)
        return 0; /* the first range serves this cluster, too */
    if (r < 0)
        return diag_set(d, r, 0, "%s", r == ERR_EXISTS ? text : err_text(r));
    add_range(n, &candidates[chosen]);
    say(why, text);
    return 0;
}

static int take_ranges(const struct name_list *ranges, const struct broker_welcome *welcome,
                       const struct conflict_query *query, struct broker_network *n,
                       char why[SESSION_NETWORK_TEXT_SIZE], struct diag *d)
{
    struct prefix p;
    int r = 0;
    for (size_t i = 0; r == 0 && i < ranges->count; i++) {
        if (prefix_parse(ranges->names[i], &p) == 0 && network_is_virtual(&p))
            r = take_one(&p, welcome, query, n, why, d);
        else
            log_warn("the range %s of a gateway can't be used for apps and is left out",
                     ranges->names[i]);
    }
    if (r < 0 || n->range_count > 0)
        return r;
    if (prefix_parse(NETWORK_DEFAULT_RANGE, &p) < 0)
        return ERR_INTERNAL;
    return take_one(&p, welcome, query, n, why, d);
}

int session_network_choose(const struct session_network_wish *wish, const struct name_list *ranges,
                           const struct broker_welcome *welcome, const struct conflict_query *query,
                           struct broker_network *ret, char ret_why[SESSION_NETWORK_TEXT_SIZE],
                           struct diag *d)
{
    struct broker_network n;
    char why[SESSION_NETWORK_TEXT_SIZE] = "";
    memset(&n, 0, sizeof(n));
    n.flags = wish->flags;
    n.mtu = wish->mtu;
    random_bytes(n.ipv6_prefix, sizeof(n.ipv6_prefix));
    n.ipv6_prefix[0] = 0xfd;
    n.uid_count = (uint32_t)wish->uid_count;
    memcpy(n.uids, wish->uids, wish->uid_count * sizeof(n.uids[0]));
    int r = 0;
    if ((wish->flags & BROKER_NO_IPV4) == 0 && wish->forced_count > 0)
        take_forced(wish, query, &n, why);
    else if ((wish->flags & BROKER_NO_IPV4) == 0)
        r = take_ranges(ranges, welcome, query, &n, why, d);
    if (r < 0)
        return r;
    *ret = n;
    memcpy(ret_why, why, sizeof(why));
    return 0;
}

bool session_network_has_zone(const struct broker_network *n, const char *zone)
{
    char plain[BROKER_ZONE_SIZE];
    size_t len = strlen(zone);
    if (len > 0 && zone[len - 1] == '.')
        len--;
    if (str_copy_slice(plain, sizeof(plain), slice_of(zone, len)) < 0)
        return false;
    for (uint32_t i = 0; i < n->zone_count; i++)
        if (str_eq_nocase(n->zones[i], plain))
            return true;
    return false;
}

void session_network_keep_zones(struct broker_network *n, const struct broker_network *of)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n->zone_count; i++) {
        if (!session_network_has_zone(of, n->zones[i]))
            continue;
        if (kept != i)
            memcpy(n->zones[kept], n->zones[i], sizeof(n->zones[kept]));
        kept++;
    }
    memset(n->zones[kept], 0, (n->zone_count - kept) * sizeof(n->zones[kept]));
    n->zone_count = kept;
}

bool session_network_same_zones(const struct broker_network *a, const struct broker_network *b)
{
    return a->zone_count == b->zone_count &&
           memcmp(a->zones, b->zones, a->zone_count * sizeof(a->zones[0])) == 0;
}

size_t session_network_set_zones(struct broker_network *n, const struct name_list *zones)
{
    size_t left_out = 0;
    memset(n->zones, 0, sizeof(n->zones));
    n->zone_count = 0;
    for (size_t i = 0; i < zones->count; i++) {
        char *slot = n->zone_count < BROKER_ZONES_MAX ? n->zones[n->zone_count] : NULL;
        size_t len = strlen(zones->names[i]);
        if (len > 0 && zones->names[i][len - 1] == '.')
            len--;
        if (slot == NULL ||
            str_copy_slice(slot, BROKER_ZONE_SIZE, slice_of(zones->names[i], len)) < 0) {
            left_out++;
            continue;
        }
        str_lower(slot);
        n->zone_count++;
    }
    return left_out;
}

static bool is_ours(const struct broker_network *n, const char *text)
{
    struct ip_addr a;
    if (ip_addr_parse(text, &a) < 0)
        return false; /* with a %zone: link-local */
    if (a.version == 6)
        return memcmp(a.bytes, n->ipv6_prefix, sizeof(n->ipv6_prefix)) == 0;
    for (uint32_t i = 0; i < n->range_count; i++) {
        struct prefix p = prefix_from(&n->ranges[i]);
        if (prefix_contains(&p, &a))
            return true;
    }
    return false;
}

void session_network_resolvers(const struct broker_network *n,
                               const struct broker_resolvers *resolvers,
                               struct channel_resolvers *ret)
{
    union channel_message m;
    channel_init(&m, CHANNEL_RESOLVERS);
    for (uint32_t i = 0; i < resolvers->count; i++) {
        if (is_ours(n, resolvers->addrs[i]))
            log_warn("the resolver %s lies in a range of apps and is left out",
                     resolvers->addrs[i]);
        else
            (void)str_format(m.resolvers.resolvers[m.resolvers.resolver_count++],
                             CHANNEL_RESOLVER_SIZE, "%s", resolvers->addrs[i]);
    }
    *ret = m.resolvers;
}

void session_network_setup(const struct broker_network *n, uint32_t flags,
                           const struct broker_resolvers *resolvers, struct channel_setup *ret)
{
    struct channel_resolvers usable;
    struct prefix unused;
    union channel_message m;
    session_network_resolvers(n, resolvers, &usable);
    channel_init(&m, CHANNEL_SETUP);
    struct channel_setup *s = &m.setup;
    s->flags = ((flags & BROKER_NO_IPV4) != 0 ? CHANNEL_SETUP_NO_IPV4 : 0) |
               ((flags & BROKER_NO_IPV6) != 0 ? CHANNEL_SETUP_NO_IPV6 : 0);
    memcpy(s->ipv6_prefix, n->ipv6_prefix, sizeof(s->ipv6_prefix));
    for (uint32_t i = 0; i < n->range_count; i++) {
        memcpy(s->ranges[i].addr, n->ranges[i].addr, sizeof(s->ranges[i].addr));
        s->ranges[i].bits = n->ranges[i].bits;
    }
    s->range_count = n->range_count;
    /* The engine counts with one even when it hands out none of it. */
    if (s->range_count == 0 && prefix_parse(NETWORK_DEFAULT_RANGE, &unused) == 0) {
        memcpy(s->ranges[0].addr, unused.addr.bytes, sizeof(s->ranges[0].addr));
        s->ranges[0].bits = unused.bits;
        s->range_count = 1;
    }
    s->resolver_count = usable.resolver_count;
    memcpy(s->resolvers, usable.resolvers, sizeof(s->resolvers));
    *ret = m.setup;
}
