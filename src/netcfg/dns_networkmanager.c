/* Theory of operation
 *
 * For hosts on which NetworkManager itself says which servers are asked. Our settings are put into the connection that is applied
 * to our link, by Device.Reapply: nothing is written to a disk, and the settings go with the link.
 *
 *   dns=default    our servers with the lowest priority there is, which takes all others out of /etc/resolv.conf: all questions
 *                  come to us (exclusive), and we forward
 *   dns=dnsmasq    our servers for our zones only ("~zone" in dns-search)
 *   others         aren't ours to use: dns=systemd-resolved is back-end "resolved"
 *
 * NetworkManager before 1.42 takes a link's routes away on Reapply and can't be told not to: it isn't used then. Nor is it when
 * it leaves our link alone; that shows only once the link has an address, so apply says so (ERR_UNSUPPORTED).
 *
 * NetworkManager tells of every change of its DNS settings, ours included. What is told on is what differs from what we know.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/resolv_conf.h"
#include "netcfg/bus_watch.h"
#include "netcfg/dns_backend.h"
#include "netcfg/nm_dns.h"
#include "netcfg/nm_link.h"
#include "netcfg/nm_resolv_conf.h"

enum { TRIES = 3 };

struct applied {
    struct list node;
    char name[OBJECT_LINK_NAME_SIZE];
    struct nm_link settings;
    struct buf before;      /* what capture gave: the link's settings, encoded */
    struct buf resolv_conf; /* and the text of /etc/resolv.conf */
};

struct networkmanager {
    struct dns_backend base;
    struct list applied; /* by this process; struct applied */
    struct resolvers last;
    struct bus_watch *watch;
    dns_changed_fn *changed;
    void *arg;
};

static struct networkmanager *of(struct dns_backend *b)
{
    return CONTAINER_OF(b, struct networkmanager, base);
}

/* ---- which links are ours ---- */

static struct applied *find_applied(struct networkmanager *n, const char *name)
{
    LIST_FOR_EACH (node, &n->applied) {
        struct applied *a = LIST_ENTRY(node, struct applied, node);
        if (str_eq(a->name, name))
            return a;
    }
    return NULL;
}

static void forget(struct networkmanager *n, const char *name)
{
    struct applied *a = find_applied(n, name);

    if (a == NULL)
        return;
    list_remove(&a->node);
    nm_link_release(&a->settings);
    buf_release(&a->before);
    buf_release(&a->resolv_conf);
    mem_free(a);
}

static struct applied *remember(struct networkmanager *n, const struct object *o)
{
    struct applied *a = find_applied(n, o->link);

    if (a != NULL || (a = NEW(struct applied)) == NULL)
        return a;
    memcpy(a->name, o->link, sizeof(a->name));
    nm_link_init(&a->settings);
    buf_init(&a->before, OBJECT_UNDO_MAX);
    buf_init(&a->resolv_conf, NM_RESOLV_CONF_MAX);
    list_push_back(&n->applied, &a->node);
    return a;
}

static bool link_is(const struct object *o)
{
    return if_nametoindex(o->link) == o->link_index;
}

/* ---- does NetworkManager resolve this host's names? ---- */

static bool is_new_enough(const char *version)
{
    char *end = NULL;
    unsigned long major = strtoul(version, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

    return major > 1 || (major == 1 && minor >= 42);
}

static int check_mode(struct dns_backend *b, struct bus *bus, struct diag *d)
{
    char mode[32], rc_manager[32];
    int r = bus_property_string(bus, &nm_dns_manager, "Mode", mode, sizeof(mode), d);

    if (r == 0)
        r = bus_property_string(bus, &nm_dns_manager, "RcManager", rc_manager, sizeof(rc_manager),
                                d);
    if (r < 0)
        return r;
    b->exclusive = !str_eq(mode, "dnsmasq");
    if (!str_eq(mode, "default") && !str_eq(mode, "dnsmasq"))
        return diag_set(d, ERR_NOTFOUND, 0, "NetworkManager leaves DNS to others (dns=%s)", mode);
    if (str_eq(rc_manager, "unmanaged") || !nm_resolv_conf_is_its_own())
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "NetworkManager is running, but it didn't write " RESOLV_CONF_PATH);
    return 0;
}

static int probe(struct dns_backend *b, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    char owner[BUS_OWNER_SIZE], version[64];

    int r = bus_open(&bus, d);
    if (r < 0)
        return r;
    r = bus_owner(bus, NM_SERVICE, owner, d);
    if (r == ERR_NOTFOUND)
        return diag_set(d, r, 0, "NetworkManager isn't running");
    if (r == 0)
        r = bus_property_string(bus, &nm_manager, "Version", version, sizeof(version), d);
    if (r < 0)
        return r;
    if (!is_new_enough(version))
        return diag_set(d, ERR_NOTFOUND, 0,
                        "NetworkManager %s would take away the interface's routes (1.42 doesn't)",
                        version);
    return check_mode(b, bus, d);
}

/* ---- capture, apply, verify, undo ---- */

/* The device, and what the object wants on it. */
static int look(struct dns_backend *b, const struct object *o, struct bus *bus, bool wait,
                struct nm_device *device, struct nm_link *want, struct diag *d)
{
    int r = nm_link_want(o, b->exclusive, want, d);

    return r < 0 ? r : nm_device_read(bus, o->link, o->link_index, wait, device, d);
}

/* What undo is to bring back: not what we put there ourselves. */
static int encode_before(const struct applied *a, const struct nm_link *now,
                         const struct nm_link *want, struct buf *out)
{
    struct nm_link nothing;
    bool mine = nm_link_has_servers(now) && nm_link_same_servers(now, want);

    if (buf_len(&a->before) > 0 && (mine || !nm_link_has_servers(now)))
        return buf_put(out, buf_slice(&a->before));
    nm_link_init(&nothing);
    return nm_link_encode(mine ? &nothing : now, out);
}

static int keep_before(struct applied *a, const struct nm_link *now, const struct nm_link *want)
{
    CLEANUP(buf_release) struct buf before;

    buf_init(&before, OBJECT_UNDO_MAX);
    int r = encode_before(a, now, want, &before);
    if (r < 0)
        return r;
    buf_release(&a->before);
    a->before = before;
    buf_init(&before, OBJECT_UNDO_MAX);
    return 0;
}

static int keep_resolv_conf(struct applied *a, const struct object *o)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, NM_RESOLV_CONF_MAX);
    int r = nm_resolv_conf_text(o, &text);
    if (r < 0 || buf_len(&text) == 0)
        return r;
    buf_clear(&a->resolv_conf);
    return buf_put(&a->resolv_conf, buf_slice(&text));
}

static int put_sized(struct buf *out, struct slice bytes)
{
    int r = buf_put_u8(out, (uint8_t)(bytes.len >> 8));

    if (r == 0)
        r = buf_put_u8(out, (uint8_t)bytes.len);
    return r < 0 ? r : buf_put(out, bytes);
}

static int note(struct dns_backend *b, const struct object *o, const struct nm_link *now,
                const struct nm_link *want, struct buf *undo)
{
    struct applied *a = remember(of(b), o);
    int r = a == NULL ? ERR_NOMEM : keep_before(a, now, want);

    if (r == 0 && b->exclusive)
        r = keep_resolv_conf(a, o);
    if (r == 0)
        r = put_sized(undo, buf_slice(&a->before));
    return r < 0 ? r : put_sized(undo, buf_slice(&a->resolv_conf));
}

static int capture(struct dns_backend *b, const struct object *o, struct buf *undo, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    CLEANUP(nm_device_release) struct nm_device device;
    CLEANUP(nm_link_release) struct nm_link want;

    nm_device_init(&device);
    nm_link_init(&want);
    int r = bus_open(&bus, d);
    if (r == 0)
        r = look(b, o, bus, false, &device, &want, d);
    if (r < 0 && r != ERR_UNSUPPORTED) /* a link that it hasn't taken yet has no settings */
        return r;
    r = note(b, o, &device.link, &want, undo);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to keep the DNS settings of %s: %s", o->link, err_text(r));
    return 0;
}

static int apply_once(struct dns_backend *b, const struct object *o, struct bus *bus,
                      struct diag *d)
{
    CLEANUP(nm_device_release) struct nm_device device;
    CLEANUP(nm_link_release) struct nm_link want;

    nm_device_init(&device);
    nm_link_init(&want);
    int r = look(b, o, bus, true, &device, &want, d);
    if (r == 0)
        r = nm_device_write(bus, &device, &want, d);
    if (r < 0)
        return r;
    struct applied *a = remember(of(b), o);
    if (a == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to set DNS of %s: out of memory", o->link);
    nm_link_release(&a->settings);
    a->settings = want;
    nm_link_init(&want);
    return 0;
}

static int apply(struct dns_backend *b, const struct object *o, const struct object *old,
                 struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;

    (void)old; /* what is there now says more */
    int r = bus_open(&bus, d);
    if (r < 0)
        return r;
    r = ERR_AGAIN;
    for (int i = 0; r == ERR_AGAIN && i < TRIES; i++)
        r = apply_once(b, o, bus, d);
    return r;
}

static int verify(struct dns_backend *b, const struct object *o, struct slice undo,
                  enum object_presence *ret, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    CLEANUP(nm_device_release) struct nm_device device;
    CLEANUP(nm_link_release) struct nm_link want;

    (void)undo;
    nm_device_init(&device);
    nm_link_init(&want);
    if (!link_is(o)) {
        *ret = OBJECT_MISSING;
        return 0;
    }
    int r = bus_open(&bus, d);
    if (r == 0)
        r = look(b, o, bus, true, &device, &want, d);
    if (r < 0)
        return r;
    if (nm_link_eq(&device.link, &want))
        *ret = OBJECT_PRESENT;
    else if (!nm_link_has_servers(&device.link) || nm_link_same_servers(&device.link, &want))
        *ret = OBJECT_MISSING;
    else
        *ret = OBJECT_FOREIGN;
    return 0;
}

static int undo_once(struct dns_backend *b, const struct object *o, struct bus *bus,
                     const struct nm_link *before, enum object_undone *ret, struct diag *d)
{
    CLEANUP(nm_device_release) struct nm_device device;
    CLEANUP(nm_link_release) struct nm_link ours;

    nm_device_init(&device);
    nm_link_init(&ours);
    int r = look(b, o, bus, false, &device, &ours, d);
    if (r < 0)
        return r;
    if (nm_link_eq(&device.link, before)) {
        *ret = OBJECT_GONE;
        return 0;
    }
    if (nm_link_has_servers(&device.link) && !nm_link_same_servers(&device.link, &ours)) {
        *ret = OBJECT_LEFT;
        return 0;
    }
    r = nm_device_write(bus, &device, before, d);
    if (r == 0)
        *ret = OBJECT_UNDONE;
    return r;
}

static int undo_link(struct dns_backend *b, const struct object *o, const struct nm_link *before,
                     enum object_undone *ret, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;

    *ret = OBJECT_GONE;
    if (!link_is(o))
        return 0;
    int r = bus_open(&bus, d);
    for (int i = 0; r == 0 && i < TRIES; i++) {
        r = undo_once(b, o, bus, before, ret, d);
        if (r != ERR_AGAIN)
            break;
        r = i + 1 < TRIES ? 0 : r;
    }
    /* Without NetworkManager, or without this link in it, there is nothing of ours in it. */
    return r == ERR_NOTFOUND || r == ERR_UNSUPPORTED ? 0 : r;
}

static bool is_running(void)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    char owner[BUS_OWNER_SIZE];

    if (bus_open(&bus, NULL) < 0)
        return false;
    return bus_owner(bus, NM_SERVICE, owner, NULL) != ERR_NOTFOUND;
}

static int undo(struct dns_backend *b, const struct object *o, struct slice bytes,
                enum object_undone *ret, struct diag *d)
{
    CLEANUP(nm_link_release) struct nm_link before;
    struct rd in = rd_init(bytes);
    struct slice settings = rd_bytes(&in, rd_u16(&in));
    struct slice resolv_conf = rd_bytes(&in, rd_u16(&in));
    bool put_back = false;

    nm_link_init(&before);
    int r = rd_end(&in);
    if (r == 0)
        r = nm_link_decode(settings, &before);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to undo DNS of %s: what was noted of it is damaged",
                        o->link);
    r = undo_link(b, o, &before, ret, d);
    if (r == 0 && !is_running())
        r = nm_resolv_conf_put_back(o, resolv_conf, &put_back, d);
    else if (r == 0 && *ret != OBJECT_LEFT && resolv_conf.len > 0)
        nm_resolv_conf_await(o);
    if (r < 0)
        return r;
    if (put_back)
        *ret = OBJECT_UNDONE;
    forget(of(b), o->link);
    return 0;
}

/* ---- upstreams ---- */

static bool is_ours(void *arg, const char *interface)
{
    return find_applied(arg, interface) != NULL;
}

static int upstreams(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                     struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    struct nm_dns dns;

    (void)ours; /* remembered since apply */
    int r = bus_open(&bus, d);
    if (r == 0)
        r = nm_dns_read(bus, &dns, d);
    if (r < 0)
        return r;
    nm_dns_upstreams(&dns, is_ours, of(b), ret);
    of(b)->last = *ret;
    return 0;
}

/* ---- watch ---- */

static bool settings_changed(struct networkmanager *n, const struct nm_dns *dns)
{
    LIST_FOR_EACH (node, &n->applied) {
        struct applied *a = LIST_ENTRY(node, struct applied, node);
        if (nm_link_has_servers(&a->settings) && !nm_dns_has(dns, a->name, &a->settings))
            return true;
    }
    return false;
}

static void on_bus(void *arg, unsigned events)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    struct networkmanager *n = arg;
    struct resolvers now;
    struct nm_dns dns;
    unsigned changed = (events & BUS_WATCH_STARTED) != 0 ? DNS_CHANGED_SETTINGS : 0;

    if (bus_open(&bus, NULL) == 0 && nm_dns_read(bus, &dns, NULL) == 0) {
        nm_dns_upstreams(&dns, is_ours, n, &now);
        if (!resolvers_equal(&now, &n->last))
            changed |= DNS_CHANGED_UPSTREAMS;
        n->last = now;
        if (settings_changed(n, &dns))
            changed |= DNS_CHANGED_SETTINGS;
    }
    if (changed != 0)
        n->changed(n->arg, changed);
}

static int watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                 struct diag *d)
{
    struct networkmanager *n = of(b);
    struct resolvers now;

    n->changed = changed;
    n->arg = arg;
    dns_backend_upstreams(b, NULL, &now, NULL); /* what a change is measured by */
    return bus_watch_new(loop, NM_SERVICE, NM_DNS_PATH, on_bus, n, &n->watch, d);
}

static void unwatch(struct dns_backend *b)
{
    bus_watch_free(STEAL(of(b)->watch));
}

static void free_networkmanager(struct dns_backend *b)
{
    struct networkmanager *n = of(b);

    LIST_FOR_EACH (node, &n->applied) {
        forget(n, LIST_ENTRY(node, struct applied, node)->name);
    }
    mem_free(n);
}

static const struct dns_backend_ops networkmanager_ops = {
    .name = "networkmanager",
    .uncertain = true,
    .probe = probe,
    .capture = capture,
    .apply = apply,
    .verify = verify,
    .undo = undo,
    .upstreams = upstreams,
    .watch = watch,
    .unwatch = unwatch,
    .free = free_networkmanager,
};

int dns_networkmanager_new(struct dns_backend **ret, struct diag *d)
{
    struct networkmanager *n = NEW(struct networkmanager);

    if (n == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to use NetworkManager: out of memory");
    n->base.ops = &networkmanager_ops;
    n->base.exclusive = true; /* until probe knows better */
    list_init(&n->applied);
    *ret = &n->base;
    return 0;
}
