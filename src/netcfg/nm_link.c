#include "netcfg/nm_link.h"

#include <net/if.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "netcfg/link_contents.h"

#define DEVICE_INTERFACE NM_SERVICE ".Device"
#define SERVERS_CAP      ((size_t)1024)
#define SEARCH_CAP       ((size_t)24 * 1024)

enum {
    TAKEN_WITHIN_MS = 2000,
    LOOK_AGAIN_MS = 25,
    STATE_ACTIVATED = 100,
    FORMAT_VERSION = 1,
    RESTORE_STEP_MS = 25,
    RESTORE_STEPS = 40,
    RESTORE_QUIET = 8,        /* steps without a loss, if there was none */
    RESTORE_QUIET_AFTER = 3,  /* the same after one */
    PRESERVE_EXTERNAL_IP = 1, /* of Reapply's flags */
    ZONES_PRIORITY = 1,       /* before a VPN's 50 for a zone that both have */
};

const struct bus_object nm_manager = {NM_SERVICE, NM_PATH, NM_SERVICE};
const struct bus_object nm_dns_manager = {NM_SERVICE, NM_DNS_PATH, NM_SERVICE ".DnsManager"};

static const char *const dns_keys[] = {"dns", "dns-data", "dns-search", "dns-priority"};

/* ---- settings ---- */

void nm_link_init(struct nm_link *l)
{
    buf_init(&l->servers, SERVERS_CAP);
    buf_init(&l->search, SEARCH_CAP);
    l->priority = 0;
}

void nm_link_release(struct nm_link *l)
{
    buf_release(&l->servers);
    buf_release(&l->search);
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
    return slice_eq(buf_slice(a), buf_slice(b));
}

bool nm_link_eq(const struct nm_link *a, const struct nm_link *b)
{
    return a->priority == b->priority && same_bytes(&a->servers, &b->servers) &&
           same_bytes(&a->search, &b->search);
}

bool nm_link_same_servers(const struct nm_link *a, const struct nm_link *b)
{
    return same_bytes(&a->servers, &b->servers);
}

bool nm_link_has_servers(const struct nm_link *l)
{
    return buf_len(&l->servers) > 0;
}

static int put_sized(struct buf *out, struct slice bytes)
{
    int r = buf_put_u8(out, (uint8_t)(bytes.len >> 8));

    if (r == 0)
        r = buf_put_u8(out, (uint8_t)bytes.len);
    return r < 0 ? r : buf_put(out, bytes);
}

int nm_link_encode(const struct nm_link *l, struct buf *out)
{
    uint8_t start[5];
    struct wr w = wr_init(start, sizeof(start));

    wr_u8(&w, FORMAT_VERSION);
    wr_u32(&w, (uint32_t)l->priority);
    int r = buf_put(out, slice_of(start, sizeof(start)));
    if (r == 0)
        r = put_sized(out, buf_slice(&l->servers));
    return r < 0 ? r : put_sized(out, buf_slice(&l->search));
}

static bool names_are_good(struct slice bytes)
{
    struct rd in = rd_init(bytes);

    while (rd_left(&in) > 0 && !in.bad)
        rd_skip(&in, rd_u16(&in));
    return rd_end(&in) == 0;
}

int nm_link_decode(struct slice bytes, struct nm_link *ret)
{
    struct rd in = rd_init(bytes);

    if (rd_u8(&in) != FORMAT_VERSION)
        return ERR_FORMAT;
    int32_t priority = (int32_t)rd_u32(&in);
    struct slice servers = rd_bytes(&in, rd_u16(&in));
    struct slice search = rd_bytes(&in, rd_u16(&in));
    if (rd_end(&in) < 0 || servers.len % 4 != 0 || !names_are_good(search))
        return ERR_FORMAT;
    ret->priority = priority;
    int r = buf_put(&ret->servers, servers);
    return r < 0 ? r : buf_put(&ret->search, search);
}

/* ---- what an object wants ---- */

static int put_zone(struct buf *search, const char *zone, bool routing_only)
{
    char text[OBJECT_ZONE_SIZE + 1];

    if (str_format(text, sizeof(text), "%s%s", routing_only ? "~" : "", zone) < 0)
        return ERR_TOOBIG;
    return put_sized(search, slice_str(text));
}

static int fill(const struct object *o, bool exclusive, struct nm_link *ret)
{
    bool routing_only = (o->dns.flags & OBJECT_DNS_SEARCH) == 0;
    int r = 0;

    ret->priority = exclusive ? INT32_MIN : ZONES_PRIORITY;
    for (size_t i = 0; r == 0 && i < o->dns.server_count; i++)
        if (o->dns.servers[i].version == 4)
            r = buf_put(&ret->servers, slice_of(o->dns.servers[i].bytes, 4));
    for (size_t i = 0; r == 0 && i < o->dns.zone_count; i++)
        r = put_zone(&ret->search, o->dns.zones[i], routing_only);
    if (r == 0 && (o->dns.flags & OBJECT_DNS_DEFAULT_ROUTE) != 0)
        r = put_zone(&ret->search, ".", true);
    return r;
}

int nm_link_want(const struct object *o, bool exclusive, struct nm_link *ret, struct diag *d)
{
    /* Without zones there is nothing to ask us for, and NetworkManager would take it for everything. */
    if (!exclusive && o->dns.zone_count == 0 && (o->dns.flags & OBJECT_DNS_DEFAULT_ROUTE) == 0)
        return 0;
    int r = fill(o, exclusive, ret);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to set DNS of %s: %s", o->link, err_text(r));
    return 0;
}

/* ---- reading ---- */

void nm_device_init(struct nm_device *device)
{
    *device = (struct nm_device){0};
    nm_link_init(&device->link);
}

void nm_device_release(struct nm_device *device)
{
    bus_message_free(device->connection);
    nm_link_release(&device->link);
}

static int read_servers(struct bus_message *m, struct nm_link *l)
{
    uint32_t address = 0; /* in network order already */
    int r = 0;

    if (!bus_enter(m, 'a', "u"))
        return ERR_PROTOCOL;
    while (r == 0 && bus_get(m, "u", &address))
        r = buf_put(&l->servers, slice_of(&address, sizeof(address)));
    bus_leave(m);
    return r;
}

static int read_search(struct bus_message *m, struct nm_link *l)
{
    const char *name = NULL;
    int r = 0;

    if (!bus_enter(m, 'a', "s"))
        return ERR_PROTOCOL;
    while (r == 0 && bus_get(m, "s", &name))
        r = put_sized(&l->search, slice_str(name));
    bus_leave(m);
    return r;
}

enum method { METHOD_OFF, METHOD_IGNORE, METHOD_ON };

static enum method method_of(const char *text)
{
    if (str_eq(text, "ignore"))
        return METHOD_IGNORE;
    return str_eq(text, "disabled") ? METHOD_OFF : METHOD_ON;
}

static int read_setting(struct bus_message *m, const char *key, struct nm_link *l,
                        enum method *ret_method)
{
    const char *found = bus_variant_type(m), *method = NULL;
    char type[16];
    int r = 0;

    if (found == NULL || str_copy(type, sizeof(type), found) < 0 || !bus_enter(m, 'v', type))
        return bus_skip(m, "v") ? 0 : ERR_PROTOCOL;
    if (str_eq(key, "dns") && str_eq(type, "au"))
        r = read_servers(m, l);
    else if (str_eq(key, "dns-search") && str_eq(type, "as"))
        r = read_search(m, l);
    else if (str_eq(key, "dns-priority") && str_eq(type, "i"))
        bus_get(m, "i", &l->priority);
    else if (str_eq(key, "method") && str_eq(type, "s") && bus_get(m, "s", &method))
        *ret_method = method_of(method);
    else
        bus_skip(m, type);
    bus_leave(m);
    return r;
}

static int read_family(struct bus_message *m, struct nm_link *l, enum method *ret_method)
{
    const char *key = NULL;
    int r = 0;

    if (!bus_enter(m, 'a', "{sv}"))
        return ERR_PROTOCOL;
    while (r == 0 && bus_enter(m, 'e', "sv")) {
        r = bus_get(m, "s", &key) ? read_setting(m, key, l, ret_method) : ERR_PROTOCOL;
        bus_leave(m);
    }
    bus_leave(m);
    return r;
}

static int read_connection(struct nm_device *device)
{
    struct bus_message *m = device->connection;
    CLEANUP(nm_link_release) struct nm_link ipv6_dns; /* isn't ours */
    enum method v4 = METHOD_OFF, v6 = METHOD_OFF;
    const char *section = NULL;
    int r = 0;

    nm_link_init(&ipv6_dns);
    if (!bus_enter(m, 'a', "{sa{sv}}"))
        return ERR_PROTOCOL;
    while (r == 0 && bus_enter(m, 'e', "sa{sv}")) {
        if (!bus_get(m, "s", &section))
            return ERR_PROTOCOL;
        if (str_eq(section, "ipv4"))
            r = read_family(m, &device->link, &v4);
        else if (str_eq(section, "ipv6"))
            r = read_family(m, &ipv6_dns, &v6);
        else
            bus_skip(m, "a{sv}");
        bus_leave(m);
    }
    bus_leave(m);
    device->ipv4 = v4 == METHOD_ON;
    device->ipv6_ignored = v6 == METHOD_IGNORE;
    if (r == 0 && !bus_get(m, "t", &device->version))
        r = ERR_PROTOCOL;
    return r;
}

static bool is_activated(struct bus *b, const char *link, struct nm_device *device, int *ret_err,
                         struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *found = NULL;
    CLEANUP(bus_message_freep) struct bus_message *value = NULL;
    const char *path = NULL;
    uint32_t state = 0;

    *ret_err = bus_call(b, &nm_manager, "GetDeviceByIpIface", &found, d, "s", link);
    if (*ret_err < 0 || !bus_get(found, "o", &path) ||
        str_copy(device->path, sizeof(device->path), path) < 0)
        return false;
    struct bus_object object = {NM_SERVICE, device->path, DEVICE_INTERFACE};
    *ret_err = bus_property(b, &object, "State", "u", &value, d);
    return *ret_err == 0 && bus_get(value, "u", &state) && state == STATE_ACTIVATED;
}

/* NetworkManager hears of a new link by netlink, in its own time, and takes it once it has an address. */
static int find_device(struct bus *b, const char *link, uint32_t index, bool wait,
                       struct nm_device *device, struct diag *d)
{
    const struct timespec pause = {0, (long)LOOK_AGAIN_MS * (long)NS_PER_MS};
    uint64_t deadline = clock_mono_ns() + (wait ? TAKEN_WITHIN_MS * NS_PER_MS : 0);
    char owner[BUS_OWNER_SIZE];
    int r = bus_owner(b, NM_SERVICE, owner, NULL);

    if (r == ERR_NOTFOUND)
        return diag_set(d, r, 0, "NetworkManager isn't running");
    for (;;) {
        if (if_nametoindex(link) != index)
            return diag_set(d, ERR_NOTFOUND, 0, "The interface %s is gone", link);
        if (is_activated(b, link, device, &r, d))
            return 0;
        if (r < 0 && r != ERR_NOTFOUND)
            return r;
        if (clock_mono_ns() >= deadline)
            return diag_set(
                d, ERR_UNSUPPORTED, 0,
                "NetworkManager leaves %s alone (\"unmanaged\" in its configuration), so "
                "it can't set DNS of it: choose another way for DNS",
                link);
        nanosleep(&pause, NULL);
    }
}

int nm_device_read(struct bus *b, const char *link, uint32_t index, bool wait,
                   struct nm_device *ret, struct diag *d)
{
    int r = find_device(b, link, index, wait, ret, d);

    if (r < 0)
        return r;
    ret->index = index;
    struct bus_object object = {NM_SERVICE, ret->path, DEVICE_INTERFACE};
    r = bus_call(b, &object, "GetAppliedConnection", &ret->connection, d, "u", UINT32_C(0));
    if (r < 0)
        return r;
    r = read_connection(ret);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to read the settings of %s from NetworkManager: %s", link,
                        err_text(r));
    return 0;
}

/* ---- writing ---- */

static bool is_dns_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(dns_keys); i++)
        if (str_eq(dns_keys[i], key))
            return true;
    return false;
}

static void put_servers(struct bus_message *m, const struct buf *servers)
{
    struct rd in = rd_init(buf_slice(servers));
    uint32_t address = 0;

    bus_begin(m, 'e', "sv");
    bus_put(m, "s", "dns");
    bus_begin(m, 'v', "au");
    bus_begin(m, 'a', "u");
    while (rd_copy(&in, &address, sizeof(address)))
        bus_put(m, "u", address);
    bus_end(m);
    bus_end(m);
    bus_end(m);
}

static void put_search(struct bus_message *m, const struct buf *search)
{
    struct rd in = rd_init(buf_slice(search));
    char name[1024];

    bus_begin(m, 'e', "sv");
    bus_put(m, "s", "dns-search");
    bus_begin(m, 'v', "as");
    bus_begin(m, 'a', "s");
    while (rd_left(&in) > 0)
        if (str_copy_slice(name, sizeof(name), rd_bytes(&in, rd_u16(&in))) == 0)
            bus_put(m, "s", name);
    bus_end(m);
    bus_end(m);
    bus_end(m);
}

/* The section as it was, with other DNS settings. */
static void copy_ipv4(struct bus_message *to, struct bus_message *from, const struct nm_link *want)
{
    const char *key = NULL;

    bus_begin(to, 'a', "{sv}");
    bus_enter(from, 'a', "{sv}");
    while (bus_enter(from, 'e', "sv")) {
        if (!bus_get(from, "s", &key) || is_dns_key(key)) {
            bus_skip(from, "v");
        } else {
            bus_begin(to, 'e', "sv");
            bus_put(to, "s", key);
            bus_copy(to, from);
            bus_end(to);
        }
        bus_leave(from);
    }
    bus_leave(from);
    if (buf_len(&want->servers) > 0)
        put_servers(to, &want->servers);
    if (buf_len(&want->search) > 0)
        put_search(to, &want->search);
    if (want->priority != 0)
        bus_put(to, "{sv}", "dns-priority", "i", want->priority);
    bus_end(to);
}

static void copy_connection(struct bus_message *to, struct nm_device *device,
                            const struct nm_link *want)
{
    struct bus_message *from = device->connection;
    const char *section = NULL;

    bus_rewind(from);
    bus_begin(to, 'a', "{sa{sv}}");
    bus_enter(from, 'a', "{sa{sv}}");
    while (bus_enter(from, 'e', "sa{sv}")) {
        bus_begin(to, 'e', "sa{sv}");
        if (bus_get(from, "s", &section)) {
            bus_put(to, "s", section);
            if (str_eq(section, "ipv4"))
                copy_ipv4(to, from, want);
            /* IPv6 isn't NetworkManager's business on our link: "disabled", which is what it makes of a link that had no IPv6
             * when it took it, would switch it off, and "manual" would make our address its own. */
            else if (str_eq(section, "ipv6") && bus_skip(from, "a{sv}"))
                bus_put(to, "a{sv}", 1, "method", "s", "ignore");
            else
                bus_copy(to, from);
        }
        bus_end(to);
        bus_leave(from);
    }
    bus_end(to);
}

/* Reapply's answer doesn't wait for what it does to IPv6: that is over when something was taken and nothing more is, or when
 * nothing has been for a while. */
static int restore_contents(const struct link_contents *c, bool ipv6_changes, struct diag *d)
{
    const struct timespec pause = {0, (long)RESTORE_STEP_MS * (long)NS_PER_MS};
    size_t total = 0;

    for (unsigned i = 0, quiet = 0;; i++) {
        size_t added = 0;
        int r = link_contents_restore(c, &added, d);
        total += added;
        quiet = r == 0 && added == 0 ? quiet + 1 : 0;
        if (i == RESTORE_STEPS || (r == 0 && !ipv6_changes) ||
            quiet > (total > 0 ? RESTORE_QUIET_AFTER : RESTORE_QUIET))
            return r;
        nanosleep(&pause, NULL);
    }
}

int nm_device_write(struct bus *b, struct nm_device *device, const struct nm_link *want,
                    struct diag *d)
{
    struct bus_object object = {NM_SERVICE, device->path, DEVICE_INTERFACE};
    struct link_contents contents;

    if (nm_link_eq(&device->link, want))
        return 0;
    if (!device->ipv4 || (want->priority != 0 && !nm_link_has_servers(want)))
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "NetworkManager sets DNS of an interface by IPv4 only, which is off there");
    int r = link_contents_save(device->index, &contents, d);
    if (r < 0)
        return r;
    struct bus_message *m = bus_request(b, &object, "Reapply");
    if (m != NULL)
        copy_connection(m, device, want);
    bus_put(m, "tu", device->version, (uint32_t)PRESERVE_EXTERNAL_IP);
    r = bus_send(b, m, NULL, d);
    int restored = restore_contents(&contents, !device->ipv6_ignored, r == 0 ? d : NULL);
    return r < 0 ? r : restored;
}
