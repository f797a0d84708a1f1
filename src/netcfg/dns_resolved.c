/* Theory of operation
 *
 * All of our settings hang on our link: servers, routing-only domains, no default route, DNSSEC, DNS over TLS, LLMNR and multicast
 * DNS off. resolved drops them when the link goes; RevertLink takes them back while it is there. resolved also keeps them in a
 * file of its own below /run, so that they outlive a restart of it.
 *
 *   capture   the link's settings as they are, which on a fresh link is nothing
 *   apply     the difference between what is there and what is wanted
 *   undo      if the servers are still ours: RevertLink, or the captured ones again
 *
 * resolved tells of every change of any link's servers, ours included. What is told on is what differs from what we know: other
 * upstreams than at the last look, other settings of our links than those we made.
 */
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/resolv_conf.h"
#include "netcfg/bus_watch.h"
#include "netcfg/dns_backend.h"
#include "netcfg/resolved_link.h"

#define SAVED_LINKS "/run/systemd/resolve/netif/" /* resolved's own, named by index */

struct applied {
    struct list node;
    uint32_t index;
    struct resolved_link settings;
    struct buf before; /* what capture gave, encoded */
};

struct resolved {
    struct dns_backend base;
    struct list applied; /* by this process; struct applied */
    struct resolvers last;
    struct bus_watch *watch;
    dns_changed_fn *changed;
    void *arg;
};

static struct resolved *of(struct dns_backend *b)
{
    return CONTAINER_OF(b, struct resolved, base);
}

/* ---- which links are ours ---- */

static struct applied *find_applied(struct resolved *r, uint32_t index)
{
    LIST_FOR_EACH (node, &r->applied) {
        struct applied *a = LIST_ENTRY(node, struct applied, node);
        if (a->index == index)
            return a;
    }
    return NULL;
}

static void forget(struct resolved *r, uint32_t index)
{
    struct applied *a = find_applied(r, index);

    if (a == NULL)
        return;
    list_remove(&a->node);
    resolved_link_release(&a->settings);
    buf_release(&a->before);
    mem_free(a);
}

static struct applied *remember(struct resolved *r, uint32_t index)
{
    struct applied *a = find_applied(r, index);

    if (a != NULL || (a = NEW(struct applied)) == NULL)
        return a;
    a->index = index;
    resolved_link_init(&a->settings);
    buf_init(&a->before, OBJECT_UNDO_MAX);
    list_push_back(&r->applied, &a->node);
    return a;
}

static bool link_is(const struct object *o)
{
    return if_nametoindex(o->link) == o->link_index;
}

/* ---- does resolved resolve this host's names? ---- */

static bool is_stub_file(const char *path)
{
    return str_eq(path, "/run/systemd/resolve/stub-resolv.conf") ||
           str_eq(path, "/usr/lib/systemd/resolv.conf");
}

static bool leads_to_stub(void)
{
    char target[PATH_MAX], text[8192];
    struct resolvers named = {0};

    if (realpath(RESOLV_CONF_PATH, target) != NULL && is_stub_file(target))
        return true;
    int fd = open(RESOLV_CONF_PATH, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n > 0)
        resolvers_read(slice_of(text, (size_t)n), &named);
    for (size_t i = 0; i < named.count; i++)
        if (str_eq(named.addrs[i], "127.0.0.53") || str_eq(named.addrs[i], "127.0.0.54"))
            return true;
    return false;
}

static int probe(struct dns_backend *b, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    char owner[BUS_OWNER_SIZE];

    (void)b;
    int r = bus_open(&bus, d);
    if (r < 0)
        return r;
    r = bus_owner(bus, RESOLVED_SERVICE, owner, d);
    if (r == ERR_NOTFOUND)
        return diag_set(d, r, 0, "systemd-resolved isn't running");
    if (r < 0)
        return r;
    if (!leads_to_stub())
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "systemd-resolved is running, but " RESOLV_CONF_PATH " doesn't lead to it");
    return 0;
}

/* ---- capture, apply, verify, undo ---- */

static int open_and_read(const struct object *o, struct bus **ret_bus, struct resolved_link *ret,
                         struct diag *d)
{
    if (!link_is(o))
        return diag_set(d, ERR_NOTFOUND, 0, "The interface %s is gone", o->link);
    int r = bus_open(ret_bus, d);
    if (r < 0)
        return r;
    return resolved_link_read(*ret_bus, o->link_index, ret, d);
}

/* What undo is to bring back: not what we put there ourselves. */
static int encode_before(const struct applied *a, const struct object *o,
                         const struct resolved_link *now, struct buf *out)
{
    CLEANUP(resolved_link_release) struct resolved_link ours;

    resolved_link_init(&ours);
    int r = resolved_link_want(o, &ours);
    if (r < 0)
        return r;
    bool mine = resolved_link_same_servers(now, &ours);
    if (a != NULL && buf_len(&a->before) > 0 && (mine || buf_len(&now->servers) == 0))
        return buf_put(out, buf_slice(&a->before));
    if (!mine)
        return resolved_link_encode(now, out);
    resolved_link_release(&ours);
    resolved_link_init(&ours);
    return resolved_link_encode(&ours, out);
}

static int capture(struct dns_backend *b, const struct object *o, struct buf *undo, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    CLEANUP(resolved_link_release) struct resolved_link now;
    CLEANUP(buf_release) struct buf before;

    resolved_link_init(&now);
    buf_init(&before, OBJECT_UNDO_MAX);
    int r = open_and_read(o, &bus, &now, d);
    if (r < 0)
        return r;
    struct applied *a = remember(of(b), o->link_index);
    r = a == NULL ? ERR_NOMEM : encode_before(a, o, &now, &before);
    if (r == 0)
        r = buf_put(undo, buf_slice(&before));
    if (r < 0)
        return diag_set(d, r, 0, "Failed to keep the DNS settings of %s: %s", o->link, err_text(r));
    buf_release(&a->before);
    a->before = before;
    buf_init(&before, OBJECT_UNDO_MAX);
    return 0;
}

static int explain(int r, const struct object *o, struct diag *d)
{
    if (r == ERR_BUSY)
        return diag_set(
            d, r, 0,
            "systemd-resolved won't set DNS of %s: systemd-networkd manages it. Leave it "
            "unmanaged: a .network file with \"Name=stile*\" and \"Unmanaged=yes\"",
            o->link);
    return r;
}

static int apply(struct dns_backend *b, const struct object *o, const struct object *old,
                 struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    CLEANUP(resolved_link_release) struct resolved_link now;
    CLEANUP(resolved_link_release) struct resolved_link want;

    (void)old; /* what is there now says more */
    resolved_link_init(&now);
    resolved_link_init(&want);
    int r = resolved_link_want(o, &want);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to set DNS of %s: %s", o->link, err_text(r));
    r = open_and_read(o, &bus, &now, d);
    if (r < 0)
        return r;
    r = resolved_link_write(bus, o->link_index, &now, &want, d);
    if (r < 0)
        return explain(r, o, d);
    struct applied *a = remember(of(b), o->link_index);
    if (a == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to set DNS of %s: out of memory", o->link);
    resolved_link_release(&a->settings);
    a->settings = want;
    resolved_link_init(&want);
    return 0;
}

static int verify(struct dns_backend *b, const struct object *o, struct slice undo,
                  enum object_presence *ret, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    CLEANUP(resolved_link_release) struct resolved_link now;
    CLEANUP(resolved_link_release) struct resolved_link want;

    (void)b;
    (void)undo;
    resolved_link_init(&now);
    resolved_link_init(&want);
    int r = resolved_link_want(o, &want);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to look at DNS of %s: %s", o->link, err_text(r));
    if (!link_is(o)) {
        *ret = OBJECT_MISSING;
        return 0;
    }
    r = open_and_read(o, &bus, &now, d);
    if (r < 0)
        return r;
    if (resolved_link_eq(&now, &want))
        *ret = OBJECT_PRESENT;
    else if (buf_len(&now.servers) == 0 || resolved_link_same_servers(&now, &want))
        *ret = OBJECT_MISSING;
    else
        *ret = OBJECT_FOREIGN;
    return 0;
}

/* resolved isn't running: what it has kept of the link would come back with it. It removes the file itself when a link goes. */
static void drop_saved(uint32_t index)
{
    char path[sizeof(SAVED_LINKS) + 10];

    if (str_format(path, sizeof(path), SAVED_LINKS "%u", index) == 0)
        unlink(path);
}

static int take_back(struct bus *bus, const struct object *o, const struct resolved_link *now,
                     const struct resolved_link *before, enum object_undone *ret, struct diag *d)
{
    CLEANUP(resolved_link_release) struct resolved_link ours;

    resolved_link_init(&ours);
    int r = resolved_link_want(o, &ours);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to undo DNS of %s: %s", o->link, err_text(r));
    if (buf_len(&now->servers) > 0 && !resolved_link_same_servers(now, &ours) &&
        !resolved_link_same_servers(now, before)) {
        *ret = OBJECT_LEFT;
        return 0;
    }
    /* Settings that look as before may have been said by us all the same. */
    bool same = resolved_link_eq(now, before);
    r = resolved_link_restore(bus, o->link_index, before, d);
    if (r == 0)
        *ret = same ? OBJECT_GONE : OBJECT_UNDONE;
    return r;
}

static int undo_link(const struct object *o, const struct resolved_link *before,
                     enum object_undone *ret, struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    CLEANUP(resolved_link_release) struct resolved_link now;

    resolved_link_init(&now);
    if (!link_is(o)) {
        *ret = OBJECT_GONE;
        return 0;
    }
    int r = open_and_read(o, &bus, &now, d);
    if (r == 0)
        r = take_back(bus, o, &now, before, ret, d);
    if (r != ERR_NOTFOUND)
        return r;
    if (link_is(o))
        drop_saved(o->link_index);
    *ret = OBJECT_GONE;
    return 0;
}

static int undo(struct dns_backend *b, const struct object *o, struct slice bytes,
                enum object_undone *ret, struct diag *d)
{
    CLEANUP(resolved_link_release) struct resolved_link before;

    resolved_link_init(&before);
    int r = resolved_link_decode(bytes, &before);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to undo DNS of %s: what was noted of it is damaged",
                        o->link);
    r = undo_link(o, &before, ret, d);
    if (r == 0)
        forget(of(b), o->link_index);
    return r;
}

/* ---- upstreams ---- */

static bool answers_for_all(struct bus *bus, int index)
{
    CLEANUP(resolved_link_release) struct resolved_link l;

    resolved_link_init(&l);
    return resolved_link_read(bus, (uint32_t)index, &l, NULL) == 0 && l.default_route != 0;
}

static void add_upstream(struct resolvers *ret, int index, int family, struct slice bytes)
{
    char name[IF_NAMESIZE], address[IP_ADDR_TEXT_SIZE], text[RESOLVER_TEXT];

    if (!(family == AF_INET && bytes.len == 4) && !(family == AF_INET6 && bytes.len == 16))
        return;
    struct ip_addr addr = ip_addr_from(family == AF_INET ? 4 : 6, bytes.data);
    ip_addr_format(&addr, address);
    bool zone = addr.version == 6 && ip_addr_is_link_local(&addr) && index > 0 &&
                if_indextoname((unsigned)index, name) != NULL;
    if (str_format(text, sizeof(text), "%s%s%s", address, zone ? "%" : "", zone ? name : "") == 0)
        resolvers_add(ret, slice_str(text));
}

/* property: DNS, or FallbackDNS. Servers of links that are for their own domains only are of no use for other names: they are
 * taken if there are no others. */
static int add_upstreams(struct resolved *self, struct bus *bus, const char *property,
                         bool all_links, struct resolvers *ret, struct diag *d)
{
    CLEANUP(bus_message_freep) struct bus_message *reply = NULL;
    int last = 0;
    bool wanted = true;

    int r = bus_property(bus, &resolved_manager, property, "a(iiay)", &reply, d);
    if (r < 0)
        return r;
    bus_enter(reply, 'a', "(iiay)");
    while (bus_enter(reply, 'r', "iiay")) {
        int index = 0, family = 0;
        struct slice bytes = {0};
        if (!bus_get(reply, "ii", &index, &family) || !bus_get_bytes(reply, &bytes))
            return diag_set(d, ERR_PROTOCOL, 0, "systemd-resolved gave servers of another form");
        if (index != last)
            wanted = index <= 0 || (find_applied(self, (uint32_t)index) == NULL &&
                                    (all_links || answers_for_all(bus, index)));
        last = index;
        if (wanted)
            add_upstream(ret, index, family, bytes);
        bus_leave(reply);
    }
    return 0;
}

static int upstreams(struct dns_backend *b, const struct object *ours, struct resolvers *ret,
                     struct diag *d)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    struct resolvers found = {0};

    (void)ours; /* remembered since apply */
    int r = bus_open(&bus, d);
    if (r == 0)
        r = add_upstreams(of(b), bus, "DNS", false, &found, d);
    if (r == 0 && found.count == 0)
        r = add_upstreams(of(b), bus, "DNS", true, &found, d);
    if (r == 0 && found.count == 0 &&
        add_upstreams(of(b), bus, "FallbackDNS", true, &found, d) == ERR_TIMEOUT)
        r = ERR_TIMEOUT; /* an older one that doesn't know the property has none */
    if (r < 0)
        return r;
    *ret = found;
    of(b)->last = found;
    return 0;
}

/* ---- watch ---- */

static bool settings_changed(struct resolved *self)
{
    CLEANUP(bus_closep) struct bus *bus = NULL;
    bool changed = false;

    if (list_empty(&self->applied) || bus_open(&bus, NULL) < 0)
        return false;
    LIST_FOR_EACH (node, &self->applied) {
        struct applied *a = LIST_ENTRY(node, struct applied, node);
        CLEANUP(resolved_link_release) struct resolved_link now;
        resolved_link_init(&now);
        changed = changed || (resolved_link_read(bus, a->index, &now, NULL) == 0 &&
                              !resolved_link_eq(&now, &a->settings));
    }
    return changed;
}

static bool upstreams_changed(struct resolved *self)
{
    struct resolvers before = self->last;
    struct resolvers now;

    return dns_backend_upstreams(&self->base, NULL, &now, NULL) == 0 &&
           !resolvers_equal(&now, &before);
}

static void on_bus(void *arg, unsigned events)
{
    struct resolved *self = arg;
    unsigned changed = 0;

    if ((events & BUS_WATCH_STARTED) != 0 || settings_changed(self))
        changed |= DNS_CHANGED_SETTINGS;
    if (upstreams_changed(self))
        changed |= DNS_CHANGED_UPSTREAMS;
    if (changed != 0)
        self->changed(self->arg, changed);
}

static int watch(struct dns_backend *b, struct loop *loop, dns_changed_fn *changed, void *arg,
                 struct diag *d)
{
    struct resolved *self = of(b);

    struct resolvers now;

    self->changed = changed;
    self->arg = arg;
    dns_backend_upstreams(b, NULL, &now, NULL); /* what a change is measured by */
    return bus_watch_new(loop, RESOLVED_SERVICE, RESOLVED_PATH, on_bus, self, &self->watch, d);
}

static void unwatch(struct dns_backend *b)
{
    bus_watch_free(STEAL(of(b)->watch));
}

static void free_resolved(struct dns_backend *b)
{
    struct resolved *self = of(b);

    LIST_FOR_EACH (node, &self->applied) {
        forget(self, LIST_ENTRY(node, struct applied, node)->index);
    }
    mem_free(self);
}

static const struct dns_backend_ops resolved_ops = {
    .name = "resolved",
    .probe = probe,
    .capture = capture,
    .apply = apply,
    .verify = verify,
    .undo = undo,
    .upstreams = upstreams,
    .watch = watch,
    .unwatch = unwatch,
    .free = free_resolved,
};

int dns_resolved_new(struct dns_backend **ret, struct diag *d)
{
    struct resolved *self = NEW(struct resolved);

    if (self == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to use systemd-resolved: out of memory");
    self->base.ops = &resolved_ops;
    list_init(&self->applied);
    *ret = &self->base;
    return 0;
}
