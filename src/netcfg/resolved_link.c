#include "netcfg/resolved_link.h"

#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"

#define LINK_INTERFACE RESOLVED_SERVICE ".Link"
#define SERVERS_CAP    ((size_t)1024)
#define DOMAINS_CAP    ((size_t)40 * 1024)

enum { KNOWN_WITHIN_MS = 2000, LOOK_AGAIN_MS = 25, FORMAT_VERSION = 1 };

const struct bus_object resolved_manager = {RESOLVED_SERVICE, RESOLVED_PATH,
                                            RESOLVED_SERVICE ".Manager"};

/* In the order of struct resolved_link. All are "no" on our links: our answers aren't signed, our server speaks plain DNS, and
 * nobody on a TUN answers multicast. */
static const struct {
    const char *property;
    const char *setter;
} modes[RESOLVED_MODES] = {
    {"DNSSEC", "SetLinkDNSSEC"},
    {"DNSOverTLS", "SetLinkDNSOverTLS"},
    {"LLMNR", "SetLinkLLMNR"},
    {"MulticastDNS", "SetLinkMulticastDNS"},
};

void resolved_link_init(struct resolved_link *l)
{
    memset(l, 0, sizeof(*l));
    buf_init(&l->servers, SERVERS_CAP);
    buf_init(&l->domains, DOMAINS_CAP);
    l->default_route = -1;
}

void resolved_link_release(struct resolved_link *l)
{
    buf_release(&l->servers);
    buf_release(&l->domains);
}

static int put_server(struct buf *servers, uint8_t version, struct slice bytes)
{
    int r = buf_put_u8(servers, version);

    return r < 0 ? r : buf_put(servers, bytes);
}

static int put_u16(struct buf *b, size_t value)
{
    int r = buf_put_u8(b, (uint8_t)(value >> 8));

    return r < 0 ? r : buf_put_u8(b, (uint8_t)value);
}

static int put_domain(struct buf *domains, bool routing_only, const char *name)
{
    size_t len = strlen(name);

    if (len > UINT16_MAX)
        return ERR_TOOBIG;
    int r = buf_put_u8(domains, routing_only);
    if (r == 0)
        r = put_u16(domains, len);
    return r < 0 ? r : buf_put(domains, slice_of(name, len));
}

int resolved_link_want(const struct object *o, struct resolved_link *ret)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->dns.server_count; i++) {
        const struct ip_addr *a = &o->dns.servers[i];
        r = put_server(&ret->servers, a->version, slice_of(a->bytes, ip_addr_len(a)));
    }
    for (size_t i = 0; r == 0 && i < o->dns.zone_count; i++)
        r = put_domain(&ret->domains, (o->dns.flags & OBJECT_DNS_SEARCH) == 0, o->dns.zones[i]);
    for (size_t i = 0; r == 0 && i < RESOLVED_MODES; i++)
        r = str_copy(ret->modes[i], RESOLVED_MODE_SIZE, "no");
    ret->default_route = (o->dns.flags & OBJECT_DNS_DEFAULT_ROUTE) != 0;
    return r;
}

static int read_servers(struct bus_message *m, struct resolved_link *ret)
{
    int r = 0;

    if (!bus_enter(m, 'a', "(iay)"))
        return 0;
    while (r == 0 && bus_enter(m, 'r', "iay")) {
        int family = 0;
        struct slice bytes = {0};
        if (!bus_get(m, "i", &family) || !bus_get_bytes(m, &bytes))
            return ERR_PROTOCOL;
        if (family == AF_INET && bytes.len == 4)
            r = put_server(&ret->servers, 4, bytes);
        else if (family == AF_INET6 && bytes.len == 16)
            r = put_server(&ret->servers, 6, bytes);
        bus_leave(m);
    }
    bus_leave(m);
    return r;
}

static int read_domains(struct bus_message *m, struct resolved_link *ret)
{
    int r = 0, routing_only = 0;
    const char *name = NULL;

    if (!bus_enter(m, 'a', "(sb)"))
        return 0;
    while (r == 0 && bus_get(m, "(sb)", &name, &routing_only))
        r = put_domain(&ret->domains, routing_only != 0, name);
    bus_leave(m);
    return r;
}

static int read_default_route(struct bus_message *m, struct resolved_link *ret)
{
    int on = 0;

    if (!bus_get(m, "b", &on))
        return ERR_PROTOCOL;
    ret->default_route = on != 0;
    return 0;
}

static int read_mode(struct bus_message *m, char mode[RESOLVED_MODE_SIZE])
{
    const char *text = NULL;

    if (!bus_get(m, "s", &text))
        return ERR_PROTOCOL;
    return str_copy(mode, RESOLVED_MODE_SIZE, text);
}

static size_t mode_of(const char *property)
{
    size_t i = 0;

    while (i < RESOLVED_MODES && !str_eq(modes[i].property, property))
        i++;
    return i;
}

/* One entry of GetAll's answer: the value of a setting that we know, in the type that we know. */
static int read_property(struct bus_message *m, const char *name, struct resolved_link *ret)
{
    char type[8] = "";
    size_t mode = mode_of(name);
    const char *found = bus_variant_type(m);
    int r = 0;

    if (found == NULL || str_copy(type, sizeof(type), found) < 0 || !bus_enter(m, 'v', type))
        return bus_skip(m, "v") ? 0 : ERR_PROTOCOL;
    if (str_eq(name, "DNS") && str_eq(type, "a(iay)"))
        r = read_servers(m, ret);
    else if (str_eq(name, "Domains") && str_eq(type, "a(sb)"))
        r = read_domains(m, ret);
    else if (str_eq(name, "DefaultRoute") && str_eq(type, "b"))
        r = read_default_route(m, ret);
    else if (mode < RESOLVED_MODES && str_eq(type, "s"))
        r = read_mode(m, ret->modes[mode]);
    else
        bus_skip(m, type);
    bus_leave(m);
    return r;
}

static int read_properties(struct bus_message *m, struct resolved_link *ret)
{
    const char *name = NULL;
    int r = 0;

    if (!bus_enter(m, 'a', "{sv}"))
        return ERR_PROTOCOL;
    while (r == 0 && bus_enter(m, 'e', "sv")) {
        r = bus_get(m, "s", &name) ? read_property(m, name, ret) : ERR_PROTOCOL;
        bus_leave(m);
    }
    return r;
}

/* resolved hears of a new link by netlink, in its own time. */
static int find_link(struct bus *b, uint32_t index, struct bus_message **ret_reply, struct diag *d)
{
    const struct timespec pause = {0, (long)LOOK_AGAIN_MS * (long)NS_PER_MS};
    uint64_t deadline = clock_mono_ns() + KNOWN_WITHIN_MS * NS_PER_MS;
    char name[IF_NAMESIZE];
    char owner[BUS_OWNER_SIZE];

    int r = bus_owner(b, RESOLVED_SERVICE, owner, NULL);
    if (r == ERR_NOTFOUND)
        return diag_set(d, r, 0, "systemd-resolved isn't running");
    for (;;) {
        r = bus_call(b, &resolved_manager, "GetLink", ret_reply, d, "i", (int32_t)index);
        if (r != ERR_NOTFOUND || if_indextoname(index, name) == NULL || clock_mono_ns() >= deadline)
            return r;
        nanosleep(&pause, NULL);
    }
}

int resolved_link_read(struct bus *b, uint32_t index, struct resolved_link *ret, struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *found = NULL;
    CLEANUP(bus_message_freep) struct bus_message *reply = NULL;
    const char *path = NULL;

    int r = find_link(b, index, &found, d);
    if (r < 0)
        return r;
    if (!bus_get(found, "o", &path))
        return diag_set(d, ERR_PROTOCOL, 0, "systemd-resolved named no link");
    struct bus_object properties = {RESOLVED_SERVICE, path, "org.freedesktop.DBus.Properties"};
    r = bus_call(b, &properties, "GetAll", &reply, d, "s", LINK_INTERFACE);
    if (r < 0)
        return r;
    r = read_properties(reply, ret);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to read a link's settings from systemd-resolved: %s",
                        err_text(r));
    return 0;
}

static int write_servers(struct bus *b, uint32_t index, const struct buf *servers, struct diag *d)
{
    struct bus_message *m = bus_request(b, &resolved_manager, "SetLinkDNS");
    struct rd in = rd_init(buf_slice(servers));

    bus_put(m, "i", (int32_t)index);
    bus_begin(m, 'a', "(iay)");
    while (rd_left(&in) > 0) {
        bool v4 = rd_u8(&in) == 4;
        bus_begin(m, 'r', "iay");
        bus_put(m, "i", v4 ? AF_INET : AF_INET6);
        bus_put_bytes(m, rd_bytes(&in, v4 ? 4 : 16));
        bus_end(m);
    }
    bus_end(m);
    return bus_send(b, m, NULL, d);
}

static int write_domains(struct bus *b, uint32_t index, const struct buf *domains, struct diag *d)
{
    struct bus_message *m = bus_request(b, &resolved_manager, "SetLinkDomains");
    struct rd in = rd_init(buf_slice(domains));
    char name[1024];

    bus_put(m, "i", (int32_t)index);
    bus_begin(m, 'a', "(sb)");
    while (rd_left(&in) > 0) {
        int routing_only = rd_u8(&in);
        if (str_copy_slice(name, sizeof(name), rd_bytes(&in, rd_u16(&in))) == 0)
            bus_put(m, "(sb)", name, routing_only);
    }
    bus_end(m);
    return bus_send(b, m, NULL, d);
}

/* Also for a mode that this resolved was built without. */
static int harmless(int r)
{
    return r == ERR_UNSUPPORTED ? 0 : r;
}

static int write_modes(struct bus *b, uint32_t index, const struct resolved_link *now,
                       const struct resolved_link *want, struct diag *d)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < RESOLVED_MODES; i++) {
        if (str_is_empty(now->modes[i]) || str_is_empty(want->modes[i]) ||
            str_eq(now->modes[i], want->modes[i]))
            continue;
        r = harmless(bus_call(b, &resolved_manager, modes[i].setter, NULL, d, "is", (int32_t)index,
                              want->modes[i]));
    }
    return r;
}

static bool same_default_route(const struct resolved_link *a, const struct resolved_link *b)
{
    return a->default_route < 0 || b->default_route < 0 || a->default_route == b->default_route;
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return slice_eq(buf_slice(a), buf_slice(b));
}

static int flush_caches(struct bus *b, struct diag *d)
{
    return harmless(bus_call(b, &resolved_manager, "FlushCaches", NULL, d, ""));
}

static int write_default_route(struct bus *b, uint32_t index, bool on, struct diag *d)
{
    return harmless(bus_call(b, &resolved_manager, "SetLinkDefaultRoute", NULL, d, "ib",
                             (int32_t)index, (int)on));
}

static int write_rest(struct bus *b, uint32_t index, const struct resolved_link *now,
                      const struct resolved_link *want, struct diag *d)
{
    int r = write_modes(b, index, now, want, d);

    if (r == 0 && !same_bytes(&now->domains, &want->domains))
        r = write_domains(b, index, &want->domains, d);
    if (r == 0 && !same_bytes(&now->servers, &want->servers))
        r = write_servers(b, index, &want->servers, d);
    if (r == 0 && !same_bytes(&now->domains, &want->domains))
        r = flush_caches(b, d);
    return r;
}

int resolved_link_write(struct bus *b, uint32_t index, const struct resolved_link *now,
                        const struct resolved_link *want, struct diag *d)
{
    bool others =
        !same_bytes(&now->domains, &want->domains) || !same_bytes(&now->servers, &want->servers);

    /* What is read is what resolved makes of the other settings, as long as nobody has said so. */
    if (want->default_route >= 0 && (others || !same_default_route(now, want))) {
        int r = write_default_route(b, index, want->default_route != 0, d);
        if (r < 0)
            return r;
    }
    return write_rest(b, index, now, want, d);
}

static int revert(struct bus *b, uint32_t index, struct diag *d)
{
    return bus_call(b, &resolved_manager, "RevertLink", NULL, d, "i", (int32_t)index);
}

/* The default route comes last, if what resolved makes of the rest isn't it: it isn't to be said when it wasn't before. */
static int write_again(struct bus *b, uint32_t index, const struct resolved_link *before,
                       struct diag *d)
{
    CLEANUP(resolved_link_release) struct resolved_link now;

    resolved_link_init(&now);
    int r = resolved_link_read(b, index, &now, d);
    if (r == 0)
        r = write_rest(b, index, &now, before, d);
    resolved_link_release(&now);
    resolved_link_init(&now);
    if (r == 0)
        r = resolved_link_read(b, index, &now, d);
    if (r == 0 && !same_default_route(&now, before))
        r = write_default_route(b, index, before->default_route != 0, d);
    return r;
}

int resolved_link_restore(struct bus *b, uint32_t index, const struct resolved_link *before,
                          struct diag *d)
{
    int r = revert(b, index, d);

    if (r == 0 && (buf_len(&before->servers) > 0 || buf_len(&before->domains) > 0))
        r = write_again(b, index, before, d);
    return r < 0 ? r : flush_caches(b, d);
}

bool resolved_link_eq(const struct resolved_link *a, const struct resolved_link *b)
{
    for (size_t i = 0; i < RESOLVED_MODES; i++)
        if (!str_is_empty(a->modes[i]) && !str_is_empty(b->modes[i]) &&
            !str_eq(a->modes[i], b->modes[i]))
            return false;
    return same_bytes(&a->servers, &b->servers) && same_bytes(&a->domains, &b->domains) &&
           same_default_route(a, b);
}

bool resolved_link_same_servers(const struct resolved_link *a, const struct resolved_link *b)
{
    return same_bytes(&a->servers, &b->servers);
}

static int put_sized(struct buf *out, struct slice bytes)
{
    int r = put_u16(out, bytes.len);

    return r < 0 ? r : buf_put(out, bytes);
}

int resolved_link_encode(const struct resolved_link *l, struct buf *out)
{
    int r = buf_put_u8(out, FORMAT_VERSION);

    if (r == 0)
        r = buf_put_u8(out, (uint8_t)l->default_route);
    for (size_t i = 0; r == 0 && i < RESOLVED_MODES; i++)
        r = put_sized(out, slice_str(l->modes[i]));
    if (r == 0)
        r = put_sized(out, buf_slice(&l->servers));
    return r < 0 ? r : put_sized(out, buf_slice(&l->domains));
}

/* Well formed, so that those who read them needn't ask. */
static bool servers_are_good(struct slice bytes)
{
    struct rd in = rd_init(bytes);

    while (rd_left(&in) > 0 && !in.bad) {
        uint8_t version = rd_u8(&in);
        if (version != 4 && version != 6)
            return false;
        rd_skip(&in, version == 4 ? 4 : 16);
    }
    return rd_end(&in) == 0;
}

static bool domains_are_good(struct slice bytes)
{
    struct rd in = rd_init(bytes);

    while (rd_left(&in) > 0 && !in.bad) {
        if (rd_u8(&in) > 1)
            return false;
        rd_skip(&in, rd_u16(&in));
    }
    return rd_end(&in) == 0;
}

int resolved_link_decode(struct slice bytes, struct resolved_link *ret)
{
    struct rd in = rd_init(bytes);
    int r = 0;

    if (rd_u8(&in) != FORMAT_VERSION)
        return ERR_FORMAT;
    ret->default_route = (int8_t)rd_u8(&in);
    for (size_t i = 0; r == 0 && i < RESOLVED_MODES; i++)
        r = str_copy_slice(ret->modes[i], RESOLVED_MODE_SIZE, rd_bytes(&in, rd_u16(&in)));
    struct slice servers = rd_bytes(&in, rd_u16(&in));
    struct slice domains = rd_bytes(&in, rd_u16(&in));
    if (r < 0 || rd_end(&in) < 0 || ret->default_route < -1 || ret->default_route > 1 ||
        !servers_are_good(servers) || !domains_are_good(domains))
        return ERR_FORMAT;
    r = buf_put(&ret->servers, servers);
    return r < 0 ? r : buf_put(&ret->domains, domains);
}
