#include "agent/network.h"

#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "base/str.h"
#include "net/prefix.h"

bool network_is_virtual(const struct prefix *p)
{
    return p->addr.version == 4 && p->bits >= NETWORK_BITS_MIN && p->bits <= NETWORK_BITS_MAX &&
           !ip_addr_is_loopback(&p->addr) && !ip_addr_is_link_local(&p->addr) &&
           !ip_addr_is_multicast(&p->addr) && !ip_addr_is_unspecified(&p->addr);
}

static struct prefix prefix_from(const struct channel_range *r)
{
    return (struct prefix){.addr = ip_addr_from(4, r->addr), .bits = (uint8_t)r->bits};
}

static void add_range(struct channel_setup *s, const char *text)
{
    struct prefix p;
    if (prefix_parse(text, &p) < 0 || !network_is_virtual(&p)) {
        log_warn("the range %s of a gateway can't be used for apps and is left out", text);
        return;
    }
    for (size_t i = 0; i < s->range_count; i++) {
        struct prefix other = prefix_from(&s->ranges[i]);
        if (prefix_overlaps(&p, &other)) {
            if (!prefix_eq(&p, &other))
                log_warn("the range %s overlaps that of another cluster and is left out", text);
            return;
        }
    }
    if (s->range_count == CHANNEL_RANGES_MAX)
        return;
    struct channel_range *r = &s->ranges[s->range_count++];
    memcpy(r->addr, p.addr.bytes, sizeof(r->addr));
    r->bits = p.bits;
}

static bool is_ours(const struct channel_setup *s, const char *addr)
{
    struct ip_addr a;
    if (ip_addr_parse(addr, &a) < 0)
        return false;
    if (a.version == 6)
        return memcmp(a.bytes, s->ipv6_prefix, sizeof(s->ipv6_prefix)) == 0;
    for (size_t i = 0; i < s->range_count; i++) {
        struct prefix p = prefix_from(&s->ranges[i]);
        if (prefix_contains(&p, &a))
            return true;
    }
    return false;
}

static void add_resolvers(struct channel_setup *s, const struct resolvers *resolvers)
{
    for (size_t i = 0; i < resolvers->count && i < CHANNEL_RESOLVERS_MAX; i++) {
        if (is_ours(s, resolvers->addrs[i]))
            log_warn("the resolver %s lies in a range of apps and is left out",
                     resolvers->addrs[i]);
        else
            (void)str_format(s->resolvers[s->resolver_count++], CHANNEL_RESOLVER_SIZE, "%s",
                             resolvers->addrs[i]);
    }
}

void network_choose(const struct name_list *ranges, const struct resolvers *resolvers,
                    uint32_t flags, struct channel_setup *ret)
{
    union channel_message m;
    channel_init(&m, CHANNEL_SETUP);
    struct channel_setup *s = &m.setup;
    s->flags = flags;
    random_bytes(s->ipv6_prefix, sizeof(s->ipv6_prefix));
    s->ipv6_prefix[0] = 0xfd;
    for (size_t i = 0; i < ranges->count; i++)
        add_range(s, ranges->names[i]);
    if (s->range_count == 0)
        add_range(s, NETWORK_DEFAULT_RANGE);
    add_resolvers(s, resolvers);
    *ret = *s;
}

void network_prefix_text(const struct channel_setup *s, char text[NETWORK_TEXT_SIZE])
{
    struct prefix p = {.addr = {.version = 6}, .bits = 48};
    memcpy(p.addr.bytes, s->ipv6_prefix, sizeof(s->ipv6_prefix));
    prefix_format(&p, text);
}

void network_range_text(const struct channel_setup *s, size_t index, char text[NETWORK_TEXT_SIZE])
{
    struct prefix p = prefix_from(&s->ranges[index]);
    prefix_format(&p, text);
}
