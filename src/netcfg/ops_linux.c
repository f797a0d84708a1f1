#include "netcfg/ops_linux.h"

#include "base/log.h"
#include "base/str.h"

/* ---- Which link ---- */

/* ERR_NOTFOUND: no link has this index and this name. */
static int find_link(struct ops_linux *os, const struct object *o, struct rtnl_link *ret,
                     struct diag *d)
{
    struct rtnl_link link = {0};
    int err = rtnl_link_by_index(os->rtnl, o->link_index, &link, d);

    if (err < 0)
        return err;
    if (!str_eq(link.name, o->link))
        return diag_set(d, ERR_NOTFOUND, 0, "Network interface %u is %s now, not %s", link.index,
                        link.name, o->link);
    *ret = link;
    return 0;
}

/* Whether another link has taken the name. */
static bool name_is_taken(struct ops_linux *os, const struct object *o)
{
    struct rtnl_link link = {0};

    return rtnl_link_by_name(os->rtnl, o->link, &link, NULL) == 0 && link.index != o->link_index;
}

/* ---- LINK: undo bytes are what the settings were ---- */

enum { LINK_UNDO_VERSION = 1 };

static int link_capture(void *arg, const struct object *o, struct buf *undo, struct diag *d)
{
    struct rtnl_link link = {0};
    uint8_t memory[16];
    struct wr w = wr_init(memory, sizeof(memory));
    int err = find_link(arg, o, &link, d);

    if (err < 0)
        return err;
    wr_u8(&w, LINK_UNDO_VERSION);
    wr_u8(&w, link.up);
    wr_u32(&w, link.mtu);
    wr_u32(&w, link.queue_len);
    err = buf_put(undo, slice_of(memory, wr_len(&w)));
    return err < 0 ? diag_set(d, err, 0, "Failed to remember network interface %s", o->link) : 0;
}

static int read_link_undo(const struct object *o, struct slice undo, struct rtnl_link *ret,
                          struct diag *d)
{
    struct rd r = rd_init(undo);
    struct rtnl_link before = {0};
    uint8_t version = rd_u8(&r);

    before.up = rd_u8(&r) != 0;
    before.mtu = rd_u32(&r);
    before.queue_len = rd_u32(&r);
    if (version != LINK_UNDO_VERSION || rd_end(&r) < 0)
        return diag_set(d, ERR_FORMAT, 0, "The journal's entry of network interface %s is damaged",
                        o->link);
    *ret = before;
    return 0;
}

static bool setting_is(uint32_t wanted, uint32_t found)
{
    return wanted == 0 || wanted == found;
}

static bool settings_are(const struct object_link *wanted, const struct rtnl_link *link)
{
    return (!wanted->up || link->up) && setting_is(wanted->mtu, link->mtu) &&
           setting_is(wanted->queue_len, link->queue_len);
}

/* Nothing to undo: it is for what comes up, which is our TUN and goes with us. */
static void confine(struct ops_linux *os, const struct rtnl_link *link)
{
    struct diag d = {0};
    rtnl_link_no_own_address(os->rtnl, link->index);
    rtnl_link_own_sources(os->rtnl, link->index);
    if (rtnl_link_no_routers(link->name, &d) < 0)
        log_warn("%s; an engine that was taken over could make itself the router of this host",
                 d.text);
}

static int link_apply(void *arg, const struct object *o, const struct object *old UNUSED,
                      struct diag *d)
{
    struct ops_linux *os = arg;
    struct rtnl_link link = {0};
    int err = find_link(os, o, &link, d);

    if (err < 0 || settings_are(&o->settings, &link))
        return err;
    if (!link.up && o->settings.up)
        confine(os, &link);
    return rtnl_link_set(os->rtnl, link.index, o->settings.mtu, o->settings.queue_len,
                         link.up || o->settings.up, d);
}

/* Neither as we want it nor as it was. */
static bool setting_is_theirs(uint32_t wanted, uint32_t found, uint32_t before)
{
    return !setting_is(wanted, found) && found != before;
}

static enum object_presence compare_link(const struct object_link *wanted,
                                         const struct rtnl_link *link,
                                         const struct rtnl_link *before)
{
    if (settings_are(wanted, link))
        return OBJECT_PRESENT;
    if (setting_is_theirs(wanted->mtu, link->mtu, before->mtu) ||
        setting_is_theirs(wanted->queue_len, link->queue_len, before->queue_len))
        return OBJECT_FOREIGN;
    return OBJECT_MISSING;
}

static int link_verify(void *arg, const struct object *o, struct slice undo,
                       enum object_presence *ret, struct diag *d)
{
    struct ops_linux *os = arg;
    struct rtnl_link link = {0};
    struct rtnl_link before = {0};
    int err = find_link(os, o, &link, d);

    if (err == 0)
        err = read_link_undo(o, undo, &before, d);
    if (err < 0 && err != ERR_NOTFOUND)
        return err;
    if (err == ERR_NOTFOUND)
        *ret = name_is_taken(os, o) ? OBJECT_FOREIGN : OBJECT_MISSING;
    else
        *ret = compare_link(&o->settings, &link, &before);
    return 0;
}

/* What someone set to something of theirs meanwhile stays so; taken down is only what we brought up. */
static int restore_link(struct ops_linux *os, const struct object *o, const struct rtnl_link *link,
                        const struct rtnl_link *before, struct diag *d)
{
    bool up = link->up && (before->up || !o->settings.up);
    uint32_t mtu = link->mtu == o->settings.mtu ? before->mtu : 0;
    uint32_t queue_len = link->queue_len == o->settings.queue_len ? before->queue_len : 0;

    return rtnl_link_set(os->rtnl, link->index, mtu, queue_len, up, d);
}

static int link_undo(void *arg, const struct object *o, struct slice undo, enum object_undone *ret,
                     struct diag *d)
{
    struct ops_linux *os = arg;
    struct rtnl_link link = {0};
    struct rtnl_link before = {0};
    int err = find_link(os, o, &link, d);

    if (err == 0)
        err = read_link_undo(o, undo, &before, d);
    if (err == 0)
        err = restore_link(os, o, &link, &before, d);
    if (err < 0 && err != ERR_NOTFOUND)
        return err;
    if (err == 0)
        *ret = OBJECT_UNDONE;
    else
        *ret = name_is_taken(os, o) ? OBJECT_LEFT : OBJECT_GONE;
    return 0;
}

/* ---- ADDRESS: undo needs nothing, for capture refuses where one is already ---- */

/* The link's, if it is still the link. *ret_found: there is one; *ret_ours: it is ours. */
static int look_for_address(struct ops_linux *os, const struct object *o, bool *ret_found,
                            bool *ret_ours, struct diag *d)
{
    struct rtnl_link link = {0};
    struct rtnl_address found;
    int err = find_link(os, o, &link, d);

    *ret_found = false;
    *ret_ours = false;
    if (err == 0)
        err = rtnl_find_address(os->rtnl, o->link_index, &o->address.addr, o->address.bits, &found,
                                d);
    if (err == 0) {
        *ret_found = true;
        *ret_ours = rtnl_address_is_ours(os->rtnl, &found);
    }
    return err == ERR_NOTFOUND ? 0 : err;
}

static int address_is_taken(const struct object *o, struct diag *d)
{
    char text[IP_ADDR_TEXT_SIZE];

    ip_addr_format(&o->address.addr, text);
    return diag_set(d, ERR_EXISTS, 0, "%s already has the address %s, which isn't stile's", o->link,
                    text);
}

static int address_capture(void *arg, const struct object *o, struct buf *undo UNUSED,
                           struct diag *d)
{
    struct rtnl_link link = {0};
    bool found = false;
    bool ours = false;
    int err = find_link(arg, o, &link, d);

    if (err == 0)
        err = look_for_address(arg, o, &found, &ours, d);
    if (err == 0 && found && !ours)
        err = address_is_taken(o, d);
    return err;
}

static int address_apply(void *arg, const struct object *o, const struct object *old UNUSED,
                         struct diag *d)
{
    struct ops_linux *os = arg;
    const struct rtnl_address a = {
        .link_index = o->link_index, .addr = o->address.addr, .bits = o->address.bits};
    struct rtnl_link link = {0};
    bool found = false;
    bool ours = false;
    int err = find_link(os, o, &link, d);

    if (err == 0)
        err = look_for_address(os, o, &found, &ours, d);
    if (err < 0 || (found && ours))
        return err;
    return found ? address_is_taken(o, d) : rtnl_new_address(os->rtnl, &a, d);
}

static int address_verify(void *arg, const struct object *o, struct slice undo UNUSED,
                          enum object_presence *ret, struct diag *d)
{
    bool found = false;
    bool ours = false;
    int err = look_for_address(arg, o, &found, &ours, d);

    if (err < 0)
        return err;
    *ret = !found ? OBJECT_MISSING : ours ? OBJECT_PRESENT : OBJECT_FOREIGN;
    return 0;
}

static int address_undo(void *arg, const struct object *o, struct slice undo UNUSED,
                        enum object_undone *ret, struct diag *d)
{
    struct ops_linux *os = arg;
    const struct rtnl_address a = {
        .link_index = o->link_index, .addr = o->address.addr, .bits = o->address.bits};
    bool found = false;
    bool ours = false;
    int err = look_for_address(os, o, &found, &ours, d);

    if (err < 0)
        return err;
    if (found && !ours) {
        *ret = OBJECT_LEFT;
        return 0;
    }
    err = found ? rtnl_delete_address(os->rtnl, &a, d) : ERR_NOTFOUND;
    if (err < 0 && err != ERR_NOTFOUND)
        return err;
    *ret = err == 0 ? OBJECT_UNDONE : OBJECT_GONE;
    return 0;
}

/* ---- ROUTE: undo needs nothing either ---- */

static struct rtnl_route route_of(const struct object *o)
{
    return (struct rtnl_route){.dst = o->route.dst,
                               .table = o->route.table == 0 ? RTNL_TABLE_MAIN : o->route.table,
                               .metric = o->route.metric,
                               .link_index = o->link_index,
                               .via = o->route.via,
                               .source = o->route.source,
                               .protocol = RTNL_PROTOCOL};
}

enum standing { NOTHING, OURS, THEIRS };

/* What stands where the route belongs. Ours: our tag, on our link, which still has its name. A route outlives its link for a
 * moment: it is as good as gone. */
static int look_for_route(struct ops_linux *os, const struct object *o, enum standing *ret,
                          struct rtnl_route *ret_found, struct diag *d)
{
    const struct rtnl_route wanted = route_of(o);
    struct rtnl_link link = {0};
    int err = rtnl_find_route(os->rtnl, &wanted, ret_found, d);

    *ret = NOTHING;
    if (err < 0)
        return err == ERR_NOTFOUND ? 0 : err;
    *ret = THEIRS;
    if (ret_found->protocol != RTNL_PROTOCOL || ret_found->link_index != o->link_index)
        return 0;
    err = rtnl_link_by_index(os->rtnl, o->link_index, &link, d);
    if (err == 0 && str_eq(link.name, o->link))
        *ret = OURS;
    else if (err == ERR_NOTFOUND)
        *ret = NOTHING;
    return err == ERR_NOTFOUND ? 0 : err;
}

static bool same_way(const struct rtnl_route *found, const struct object *o)
{
    return ip_addr_eq(&found->via, &o->route.via) && ip_addr_eq(&found->source, &o->route.source);
}

/* When an address is deleted, the kernel deletes the IPv4 routes that have it as their source, and takes it out of those of IPv6. */
static bool has_lost_source(const struct rtnl_route *found, const struct object *o)
{
    return found->source.version == 0 && ip_addr_eq(&found->via, &o->route.via);
}

static int route_is_taken(struct ops_linux *os, const struct rtnl_route *found, struct diag *d)
{
    char text[PREFIX_TEXT_SIZE];
    struct rtnl_link link = {0};

    prefix_format(&found->dst, text);
    if (rtnl_link_by_index(os->rtnl, found->link_index, &link, NULL) < 0)
        return diag_set(d, ERR_EXISTS, 0, "There is a route to %s already, which isn't stile's",
                        text);
    return diag_set(d, ERR_EXISTS, 0, "There is a route to %s already, on %s", text, link.name);
}

static int route_capture(void *arg, const struct object *o, struct buf *undo UNUSED, struct diag *d)
{
    struct rtnl_link link = {0};
    struct rtnl_route found = {0};
    enum standing standing = NOTHING;
    int err = find_link(arg, o, &link, d);

    if (err == 0)
        err = look_for_route(arg, o, &standing, &found, d);
    if (err == 0 && standing == THEIRS)
        err = route_is_taken(arg, &found, d);
    return err;
}

static int route_apply(void *arg, const struct object *o, const struct object *old UNUSED,
                       struct diag *d)
{
    struct ops_linux *os = arg;
    const struct rtnl_route wanted = route_of(o);
    struct rtnl_link link = {0};
    struct rtnl_route found = {0};
    enum standing standing = NOTHING;
    int err = find_link(os, o, &link, d);

    if (err == 0)
        err = look_for_route(os, o, &standing, &found, d);
    if (err < 0)
        return err;
    if (standing == THEIRS)
        return route_is_taken(os, &found, d);
    if (standing == NOTHING)
        return rtnl_new_route(os->rtnl, &wanted, d);
    return same_way(&found, o) ? 0 : rtnl_replace_route(os->rtnl, &wanted, d);
}

static int route_verify(void *arg, const struct object *o, struct slice undo UNUSED,
                        enum object_presence *ret, struct diag *d)
{
    struct rtnl_route found = {0};
    enum standing standing = NOTHING;
    int err = look_for_route(arg, o, &standing, &found, d);

    if (err < 0)
        return err;
    if (standing == OURS && same_way(&found, o))
        *ret = OBJECT_PRESENT;
    else if (standing == NOTHING || (standing == OURS && has_lost_source(&found, o)))
        *ret = OBJECT_MISSING;
    else
        *ret = OBJECT_FOREIGN;
    return 0;
}

static int route_undo(void *arg, const struct object *o, struct slice undo UNUSED,
                      enum object_undone *ret, struct diag *d)
{
    struct ops_linux *os = arg;
    struct rtnl_route found = {0};
    enum standing standing = NOTHING;
    int err = look_for_route(os, o, &standing, &found, d);

    if (err < 0)
        return err;
    if (standing == THEIRS) {
        *ret = OBJECT_LEFT;
        return 0;
    }
    err = standing == OURS ? rtnl_delete_route(os->rtnl, &found, d) : ERR_NOTFOUND;
    if (err < 0 && err != ERR_NOTFOUND)
        return err;
    *ret = err == 0 ? OBJECT_UNDONE : OBJECT_GONE;
    return 0;
}

/* ---- DNS: the back-end's ---- */

static int dns_capture(void *arg, const struct object *o, struct buf *undo, struct diag *d)
{
    struct ops_linux *os = arg;

    return dns_backend_capture(os->dns, o, undo, d);
}

static int dns_apply(void *arg, const struct object *o, const struct object *old, struct diag *d)
{
    struct ops_linux *os = arg;

    return dns_backend_apply(os->dns, o, old, d);
}

static int dns_verify(void *arg, const struct object *o, struct slice undo,
                      enum object_presence *ret, struct diag *d)
{
    struct ops_linux *os = arg;

    return dns_backend_verify(os->dns, o, undo, ret, d);
}

static int dns_undo(void *arg, const struct object *o, struct slice undo, enum object_undone *ret,
                    struct diag *d)
{
    struct ops_linux *os = arg;

    return dns_backend_undo(os->dns, o, undo, ret, d);
}

/* ---- The table ---- */

static const struct object_ops link_ops = {
    .capture = link_capture, .apply = link_apply, .verify = link_verify, .undo = link_undo};

static const struct object_ops address_ops = {.capture = address_capture,
                                              .apply = address_apply,
                                              .verify = address_verify,
                                              .undo = address_undo};

static const struct object_ops route_ops = {
    .capture = route_capture, .apply = route_apply, .verify = route_verify, .undo = route_undo};

int ops_linux_init(struct ops_linux *ret, struct dns_backend *dns, struct diag *d)
{
    /* Each record names the back-end that wrote it, which may be another one than today's and survive a reboot: all are undone
     * then, and one that doesn't survive finds nothing. */
    *ret = (struct ops_linux){.dns = dns,
                              .dns_ops = {.persistent = true,
                                          .exclusive = dns != NULL && dns->exclusive,
                                          .capture = dns_capture,
                                          .apply = dns_apply,
                                          .verify = dns_verify,
                                          .undo = dns_undo}};
    ret->ops.os = ret;
    ret->ops.kinds[OBJECT_LINK] = &link_ops;
    ret->ops.kinds[OBJECT_ADDRESS] = &address_ops;
    ret->ops.kinds[OBJECT_ROUTE] = &route_ops;
    ret->ops.kinds[OBJECT_DNS] = &ret->dns_ops;
    return rtnl_open(&ret->rtnl, d);
}

void ops_linux_release(struct ops_linux *o)
{
    rtnl_close(o->rtnl);
    o->rtnl = NULL;
}
