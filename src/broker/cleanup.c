#include "broker/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/netcfg.h"
#include "netcfg/ops_linux.h"
#include "netcfg/os_linux.h"

enum { FOUND_MAX = 256 };

/* ---- the report ---- */

PRINTF_LIKE(2, 3) static void add_line(struct cleanup_report *r, const char *fmt, ...)
{
    va_list args;
    r->total++;
    if (r->count == BROKER_CLEANED_MAX)
        return;
    va_start(args, fmt);
    (void)vsnprintf(r->lines[r->count++], NETCFG_LINE_SIZE, fmt, args);
    va_end(args);
}

void cleanup_add(struct cleanup_report *r, const struct netcfg_report *of_netcfg)
{
    for (size_t i = 0; i < of_netcfg->count; i++) {
        r->failed += of_netcfg->lines[i].what == NETCFG_FAILED ? 1 : 0;
        add_line(r, "%s", of_netcfg->lines[i].text);
    }
    r->total += of_netcfg->total - of_netcfg->count;
}

static void add_result(struct cleanup_report *r, int err, const struct diag *d, const char *what)
{
    if (err == 0) {
        add_line(r, "Removed %s, which no session has", what);
    } else if (err != ERR_NOTFOUND) {
        r->failed++;
        add_line(r, "Failed to remove %s: %s", what, d->text);
    }
}

/* ---- what nobody owns ---- */

/* First all is listed, then removed: a dump isn't to be disturbed. */
struct orphans {
    struct rtnl *rtnl;
    uint32_t owned[BROKER_CLEANED_MAX]; /* indexes of interfaces that sessions have */
    size_t owned_count;
    struct rtnl_link links[FOUND_MAX];
    size_t link_count;
    struct rtnl_address addresses[FOUND_MAX];
    size_t address_count;
    struct rtnl_route routes[FOUND_MAX];
    size_t route_count;
};

static bool is_our_name(const char *name)
{
    uint64_t number;
    return str_starts(name, "stile") && str_to_u64(name + strlen("stile"), 9999, &number) == 0;
}

static bool is_owned(const struct orphans *o, uint32_t index)
{
    for (size_t i = 0; i < o->owned_count; i++)
        if (o->owned[i] == index)
            return true;
    return false;
}

static int find_link(void *arg, const struct rtnl_link *link)
{
    struct orphans *o = arg;
    if (is_our_name(link->name) && str_eq(link->kind, "tun") && !is_owned(o, link->index) &&
        o->link_count < FOUND_MAX)
        o->links[o->link_count++] = *link;
    return 0;
}

static int find_address(void *arg, const struct rtnl_address *address)
{
    struct orphans *o = arg;
    if (address->protocol == RTNL_PROTOCOL && !is_owned(o, address->link_index) &&
        o->address_count < FOUND_MAX)
        o->addresses[o->address_count++] = *address;
    return 0;
}

static int find_route(void *arg, const struct rtnl_route *route)
{
    struct orphans *o = arg;
    if (route->protocol == RTNL_PROTOCOL && !is_owned(o, route->link_index) &&
        o->route_count < FOUND_MAX)
        o->routes[o->route_count++] = *route;
    return 0;
}

static int find(struct orphans *o, struct diag *d)
{
    int r = rtnl_each_link(o->rtnl, find_link, o, d);
    if (r == 0)
        r = rtnl_each_address(o->rtnl, find_address, o, d);
    return r < 0 ? r : rtnl_each_route(o->rtnl, find_route, o, d);
}

static void remove_routes(struct orphans *o, struct cleanup_report *r)
{
    for (size_t i = 0; i < o->route_count; i++) {
        char dst[PREFIX_TEXT_SIZE], what[128];
        struct diag d = {0};
        prefix_format(&o->routes[i].dst, dst);
        (void)str_format(what, sizeof(what), "the route %s", dst);
        add_result(r, rtnl_delete_route(o->rtnl, &o->routes[i], &d), &d, what);
    }
}

static void remove_addresses(struct orphans *o, struct cleanup_report *r)
{
    for (size_t i = 0; i < o->address_count; i++) {
        char addr[IP_ADDR_TEXT_SIZE], what[128];
        struct diag d = {0};
        ip_addr_format(&o->addresses[i].addr, addr);
        (void)str_format(what, sizeof(what), "the address %s/%u", addr, o->addresses[i].bits);
        add_result(r, rtnl_delete_address(o->rtnl, &o->addresses[i], &d), &d, what);
    }
}

static void remove_links(struct orphans *o, struct cleanup_report *r)
{
    for (size_t i = 0; i < o->link_count; i++) {
        char what[128];
        struct diag d = {0};
        (void)str_format(what, sizeof(what), "the network interface %s", o->links[i].name);
        add_result(r, rtnl_delete_link(o->rtnl, o->links[i].index, &d), &d, what);
    }
}

int cleanup_orphans(const char (*owned)[BROKER_INTERFACE_SIZE], size_t owned_count,
                    struct cleanup_report *report, struct diag *d)
{
    CLEANUP(mem_freep) struct orphans *o = NEW(struct orphans);
    if (o == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    for (size_t i = 0; i < owned_count && o->owned_count < ARRAY_LEN(o->owned); i++) {
        unsigned index;
        if (rtnl_link_index(owned[i], &index, NULL) == 0)
            o->owned[o->owned_count++] = index;
    }
    int r = rtnl_open(&o->rtnl, d);
    if (r == 0)
        r = find(o, d);
    if (r == 0) {
        remove_routes(o, report);
        remove_addresses(o, report);
        remove_links(o, report);
    }
    rtnl_close(o->rtnl);
    return r;
}

/* ---- by hand ---- */

static int recover(struct store *store, bool orphans_too, struct cleanup_report *r, struct diag *d)
{
    struct ops_linux ops;
    struct netcfg_config config = {.store = store};
    CLEANUP(mem_freep) struct netcfg_report *report = NEW(struct netcfg_report);
    struct netcfg *n = NULL;
    int err =
        report == NULL ? diag_set(d, ERR_NOMEM, 0, "Out of memory") : ops_linux_init(&ops, NULL, d);
    if (err < 0) {
        store_close(store);
        return err;
    }
    config.ops = &ops.ops;
    err = os_linux_identify(config.boot_id, &config.namespace_id, d);
    if (err == 0)
        err = netcfg_open(&config, &n, d);
    if (err < 0)
        store_close(store);
    netcfg_report_init(report);
    if (err == 0)
        err = netcfg_recover(n, report);
    cleanup_add(r, report);
    if (err == 0 && orphans_too)
        err = cleanup_orphans(NULL, 0, r, d); /* still under the lock: no session can begin */
    netcfg_close(n);
    ops_linux_release(&ops);
    return err;
}

static int open_and_recover(const char *state_dir, bool orphans_too, struct cleanup_report *r,
                            struct diag *d)
{
    struct store *store = NULL;
    int err = store_open(state_dir, &store, d);
    return err < 0 ? err : recover(store, orphans_too, r, d);
}

int cleanup_journal(const char *state_dir, struct cleanup_report *r, struct diag *d)
{
    return open_and_recover(state_dir, false, r, d);
}

int cleanup_by_hand(const char *state_dir, struct cleanup_report *r, struct diag *d)
{
    return open_and_recover(state_dir, true, r, d);
}
