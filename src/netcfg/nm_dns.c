#include "netcfg/nm_dns.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"

/* "192.0.2.1", "fe80::1", and what later versions add: "192.0.2.1#name". */
static void add_server(struct nm_dns_entry *e, const char *text)
{
    resolvers_add(&e->servers, slice_of(text, strcspn(text, "#")));
}

static void read_servers(struct bus_message *m, struct nm_dns_entry *e)
{
    const char *text = NULL;

    if (!bus_enter(m, 'a', "s"))
        return;
    while (bus_get(m, "s", &text))
        add_server(e, text);
    bus_leave(m);
}

/* Only "~domain"s: it doesn't search in them, and nothing says that it answers for others. */
static void read_domains(struct bus_message *m, struct nm_dns_entry *e)
{
    const char *text = NULL;
    bool any = false, all_own = true;

    if (!bus_enter(m, 'a', "s"))
        return;
    while (bus_get(m, "s", &text)) {
        any = true;
        all_own = all_own && text[0] == '~' && !str_eq(text, "~.") && !str_eq(text, "~");
    }
    bus_leave(m);
    e->own_domains_only = any && all_own;
}

static int read_value(struct bus_message *m, const char *key, struct nm_dns_entry *e)
{
    const char *found = bus_variant_type(m), *text = NULL;
    char type[16];

    if (found == NULL || str_copy(type, sizeof(type), found) < 0 || !bus_enter(m, 'v', type))
        return bus_skip(m, "v") ? 0 : ERR_PROTOCOL;
    if (str_eq(key, "nameservers") && str_eq(type, "as"))
        read_servers(m, e);
    else if (str_eq(key, "domains") && str_eq(type, "as"))
        read_domains(m, e);
    else if (str_eq(key, "priority") && str_eq(type, "i"))
        bus_get(m, "i", &e->priority);
    else if (str_eq(key, "interface") && str_eq(type, "s") && bus_get(m, "s", &text))
        (void)!str_copy(e->interface, sizeof(e->interface), text);
    else
        bus_skip(m, type);
    bus_leave(m);
    return 0;
}

static int read_entry(struct bus_message *m, struct nm_dns_entry *e)
{
    const char *key = NULL;
    int r = 0;

    while (r == 0 && bus_enter(m, 'e', "sv")) {
        r = bus_get(m, "s", &key) ? read_value(m, key, e) : ERR_PROTOCOL;
        bus_leave(m);
    }
    return r;
}

/* Link-local servers are the interface's, which may be named after them. */
static void add_zones(struct nm_dns_entry *e)
{
    struct resolvers read = e->servers;
    struct ip_addr address;
    char text[RESOLVER_TEXT];

    e->servers.count = 0;
    for (size_t i = 0; i < read.count; i++) {
        bool zone = strchr(read.addrs[i], '%') == NULL && e->interface[0] != '\0' &&
                    ip_addr_parse(read.addrs[i], &address) == 0 && address.version == 6 &&
                    ip_addr_is_link_local(&address);
        if (str_format(text, sizeof(text), "%s%s%s", read.addrs[i], zone ? "%" : "",
                       zone ? e->interface : "") == 0)
            add_server(e, text);
    }
}

int nm_dns_read(struct bus *b, struct nm_dns *ret, struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *m = NULL;
    struct nm_dns_entry spare;
    int r = bus_property(b, &nm_dns_manager, "Configuration", "aa{sv}", &m, d);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    bus_enter(m, 'a', "a{sv}");
    while (r == 0 && bus_enter(m, 'a', "{sv}")) {
        struct nm_dns_entry *e = &spare;
        if (ret->count < NM_DNS_ENTRIES_MAX)
            e = &ret->entries[ret->count++];
        memset(e, 0, sizeof(*e));
        r = read_entry(m, e);
        add_zones(e);
        bus_leave(m);
    }
    if (r < 0)
        return diag_set(d, r, 0, "Failed to read NetworkManager's DNS settings: %s", err_text(r));
    return 0;
}

static void add_all(const struct nm_dns_entry *e, struct resolvers *ret)
{
    for (size_t i = 0; i < e->servers.count; i++)
        resolvers_add(ret, slice_str(e->servers.addrs[i]));
}

void nm_dns_upstreams(const struct nm_dns *dns, bool (*is_ours)(void *arg, const char *interface),
                      void *arg, struct resolvers *ret)
{
    struct resolvers others = {0};
    int32_t lowest = INT32_MAX;

    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < dns->count; i++)
        if (!is_ours(arg, dns->entries[i].interface))
            lowest = MIN(lowest, dns->entries[i].priority);
    for (size_t i = 0; i < dns->count; i++) {
        const struct nm_dns_entry *e = &dns->entries[i];
        if (is_ours(arg, e->interface) || (lowest < 0 && e->priority != lowest))
            continue;
        add_all(e, e->own_domains_only ? &others : ret);
    }
    if (ret->count == 0)
        *ret = others;
}

static bool holds(const struct resolvers *r, const struct ip_addr *address)
{
    struct ip_addr found;

    for (size_t i = 0; i < r->count; i++)
        if (resolver_address(r->addrs[i], &found) == 0 && ip_addr_eq(&found, address))
            return true;
    return false;
}

bool nm_dns_has(const struct nm_dns *dns, const char *interface, const struct nm_link *settings)
{
    struct rd in = rd_init(buf_slice(&settings->servers));
    bool found = true;

    while (found && rd_left(&in) > 0) {
        struct slice bytes = rd_bytes(&in, 4);
        struct ip_addr address = ip_addr_from(4, bytes.data);
        found = false;
        for (size_t i = 0; !found && i < dns->count; i++)
            found = str_eq(dns->entries[i].interface, interface) &&
                    holds(&dns->entries[i].servers, &address);
    }
    return found;
}
