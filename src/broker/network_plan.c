#include "broker/network_plan.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/pool.h"

enum {
    QUEUE_LEN = 4096,       /* packets; windows are sized so that it never fills */
    REVERSE_ZONES_MAX = 64, /* of one range: a /10 has as many */
};

struct prefix network_range(const struct broker_network *n, size_t i)
{
    struct prefix p = {.addr = ip_addr_from(4, n->ranges[i].addr),
                       .bits = (uint8_t)n->ranges[i].bits};
    return p;
}

struct prefix network_prefix6(const struct broker_network *n)
{
    struct prefix p = {.addr = {.version = 6}, .bits = 48};
    memcpy(p.addr.bytes, n->ipv6_prefix, sizeof(n->ipv6_prefix));
    return p;
}

struct ip_addr network_dns_server(const struct broker_network *n, uint32_t flags)
{
    struct prefix p = (flags & BROKER_NO_IPV4) == 0 ? network_range(n, 0) : network_prefix6(n);
    return prefix_at(&p, POOL_OFFSET_DNS);
}

/* ---- names of addresses ---- */

/* One that is there already, or for which there is no room, is left out. */
static void add_zone(struct object_dns *dns, const char *zone)
{
    for (size_t i = 0; i < dns->zone_count; i++)
        if (str_eq(dns->zones[i], zone))
            return;
    if (dns->zone_count < OBJECT_ZONES_MAX)
        (void)str_format(dns->zones[dns->zone_count++], OBJECT_ZONE_SIZE, "%s", zone);
}

/* RFC 1035 §3.5: zones end at whole bytes, so a range is several of the next longer kind. */
static void add_reverse_v4(struct object_dns *dns, const struct prefix *range)
{
    unsigned bytes = (range->bits + 7u) / 8;
    unsigned count = 1u << (8 * bytes - range->bits);
    const uint8_t *a = range->addr.bytes;
    if (bytes > 3 || count > REVERSE_ZONES_MAX)
        return;
    for (unsigned i = 0; i < count; i++) {
        char zone[OBJECT_ZONE_SIZE];
        unsigned last = a[bytes - 1] + i;
        if (bytes == 1)
            (void)str_format(zone, sizeof(zone), "%u.in-addr.arpa", last);
        else if (bytes == 2)
            (void)str_format(zone, sizeof(zone), "%u.%u.in-addr.arpa", last, a[0]);
        else
            (void)str_format(zone, sizeof(zone), "%u.%u.%u.in-addr.arpa", last, a[1], a[0]);
        add_zone(dns, zone);
    }
}

/* RFC 3596 §2.5: the twelve digits of the /48, the last one first. */
static void add_reverse_v6(struct object_dns *dns, const struct broker_network *n)
{
    static const char digits[] = "0123456789abcdef";
    char zone[OBJECT_ZONE_SIZE];
    char *p = zone;
    for (size_t i = sizeof(n->ipv6_prefix); i > 0; i--) {
        *p++ = digits[n->ipv6_prefix[i - 1] & 15];
        *p++ = '.';
        *p++ = digits[n->ipv6_prefix[i - 1] >> 4];
        *p++ = '.';
    }
    (void)str_format(p, sizeof(zone) - (size_t)(p - zone), "ip6.arpa");
    add_zone(dns, zone);
}

/* ---- the objects ---- */

static int add_family(struct plan *p, const char *name, uint32_t index,
                      const struct prefix *prefixes, size_t count)
{
    struct ip_addr tun = prefix_at(&prefixes[0], POOL_OFFSET_TUN);
    int r = plan_add_address(p, name, index, &tun, tun.version == 4 ? 32 : 128);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct object_route route = {.dst = prefixes[i], .source = tun};
        r = plan_add_route(p, name, index, &route);
    }
    return r;
}

static int add_families(struct plan *p, const char *name, uint32_t index,
                        const struct broker_network *n, uint32_t flags)
{
    struct prefix ranges[BROKER_RANGES_MAX];
    struct prefix prefix6 = network_prefix6(n);
    int r = 0;
    for (size_t i = 0; i < n->range_count; i++)
        ranges[i] = network_range(n, i);
    if ((flags & BROKER_NO_IPV4) == 0)
        r = add_family(p, name, index, ranges, n->range_count);
    if (r == 0 && (flags & BROKER_NO_IPV6) == 0)
        r = add_family(p, name, index, &prefix6, 1);
    return r;
}

static void fill_servers(struct object_dns *dns, const struct broker_network *n, uint32_t flags)
{
    dns->servers[dns->server_count++] = network_dns_server(n, flags);
    if ((flags & (BROKER_NO_IPV4 | BROKER_NO_IPV6)) == 0) {
        struct prefix prefix6 = network_prefix6(n);
        dns->servers[dns->server_count++] = prefix_at(&prefix6, POOL_OFFSET_DNS);
    }
}

static int add_dns(struct plan *p, const char *name, uint32_t index, const struct broker_network *n,
                   uint32_t flags)
{
    struct object_dns dns = {0};
    dns.zones = mem_array(OBJECT_ZONES_MAX, sizeof(*dns.zones));
    if (dns.zones == NULL)
        return ERR_NOMEM;
    fill_servers(&dns, n, flags);
    for (size_t i = 0; i < n->zone_count; i++)
        add_zone(&dns, n->zones[i]);
    for (size_t i = 0; i < n->range_count && (flags & BROKER_NO_IPV4) == 0; i++) {
        struct prefix range = network_range(n, i);
        add_reverse_v4(&dns, &range);
    }
    if ((flags & BROKER_NO_IPV6) == 0)
        add_reverse_v6(&dns, n);
    int r = plan_add_dns(p, name, index, &dns);
    mem_free(dns.zones);
    return r;
}

int network_plan(const struct broker_network *n, uint32_t flags, const char *interface_name,
                 uint32_t interface_index, struct plan *ret)
{
    const struct object_link link = {.mtu = n->mtu, .queue_len = QUEUE_LEN, .up = true};
    struct plan p;
    plan_init(&p);
    int r = plan_add_link(&p, interface_name, interface_index, &link);
    if (r == 0)
        r = add_families(&p, interface_name, interface_index, n, flags);
    if (r == 0 && n->zone_count > 0)
        r = add_dns(&p, interface_name, interface_index, n, flags);
    if (r < 0) {
        plan_release(&p);
        return r;
    }
    *ret = p;
    return 0;
}
