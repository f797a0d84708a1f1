/* A host in memory, its disk, and netcfg between them: what tests of transactions stand on. */
#ifndef STILE_TESTS_NETCFG_WORLD_H
#define STILE_TESTS_NETCFG_WORLD_H

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/netcfg.h"
#include "netcfg/ops_fake.h"
#include "netcfg/store_memory.h"
#include "testing.h"

struct netcfg_world {
    struct fuse fuse;
    struct fake_os os;
    struct store_memory disk;
    struct netcfg *n;
    struct netcfg_report report;
    struct diag diag;
    uint8_t boot;
    uint64_t namespace_id;
};

static inline int world_try_open(struct netcfg_world *w)
{
    struct netcfg_config config = {.ops = &w->os.ops, .namespace_id = w->namespace_id};
    memset(config.boot_id, w->boot, sizeof(config.boot_id));
    w->diag = (struct diag){0};
    int r = store_memory_open(&w->disk, &config.store, &w->diag);
    if (r < 0)
        return r;
    r = netcfg_open(&config, &w->n, &w->diag);
    if (r < 0)
        store_close(config.store);
    return r;
}

static inline void world_open(struct netcfg_world *w)
{
    assert_int_equal(world_try_open(w), 0);
}

static inline void world_close(struct netcfg_world *w)
{
    netcfg_close(STEAL(w->n));
}

/* What the host has before us: the link's settings, a resolver, a route of its own. */
static inline void world_host(struct netcfg_world *w)
{
    struct object o = {.kind = OBJECT_LINK, .link = "stile0", .link_index = 7};
    o.settings.mtu = 1500;
    assert_int_equal(fake_os_set(&w->os, &o), 0);
    o = (struct object){.kind = OBJECT_DNS, .link = "stile0", .link_index = 7};
    o.dns.servers[0] = ip_addr_v4(192, 168, 1, 1);
    o.dns.server_count = 1;
    assert_int_equal(fake_os_set(&w->os, &o), 0);
    o = (struct object){.kind = OBJECT_ROUTE, .link = "eth0", .link_index = 2};
    assert_int_equal(prefix_parse("192.168.1.0/24", &o.route.dst), 0);
    assert_int_equal(fake_os_set(&w->os, &o), 0);
}

static inline void world_init(struct netcfg_world *w)
{
    memset(w, 0, sizeof(*w));
    w->boot = 1;
    w->namespace_id = 100;
    fake_os_init(&w->os, &w->fuse);
    store_memory_init(&w->disk, &w->fuse);
    world_host(w);
    world_open(w);
}

static inline void world_release(struct netcfg_world *w)
{
    world_close(w);
    fake_os_release(&w->os);
    store_memory_release(&w->disk);
}

/* The process has died (or ended); another one starts, with nothing in its way. */
static inline void world_restart(struct netcfg_world *w)
{
    world_close(w);
    fuse_set(&w->fuse, 0, FUSE_GO);
    world_open(w);
}

static inline void world_recover(struct netcfg_world *w)
{
    netcfg_report_init(&w->report);
    assert_int_equal(netcfg_recover(w->n, &w->report), 0);
}

static inline int world_apply(struct netcfg_world *w, uint32_t session, const struct plan *plan)
{
    netcfg_report_init(&w->report);
    w->diag = (struct diag){0};
    return netcfg_apply(w->n, session, plan, &w->report, &w->diag);
}

static inline int world_end(struct netcfg_world *w, uint32_t session)
{
    netcfg_report_init(&w->report);
    return netcfg_end(w->n, session, &w->report);
}

static inline char *world_snapshot(const struct netcfg_world *w)
{
    struct buf text;
    buf_init(&text, (size_t)64 * 1024 * 1024);
    assert_int_equal(fake_os_snapshot(&w->os, &text), 0);
    char *s = buf_steal_cstr(&text);
    assert_non_null(s);
    return s;
}

static inline bool world_is(const struct netcfg_world *w, const char *snapshot)
{
    char *now = world_snapshot(w);
    bool same = str_eq(now, snapshot);
    if (!same)
        print_message("# expected:\n%s# found:\n%s", snapshot, now);
    mem_free(now);
    return same;
}

/* ---- plans ---- */

static inline void plan_put_route(struct plan *p, const char *link, const char *dst,
                                  const char *source)
{
    struct object_route route = {0};
    assert_int_equal(prefix_parse(dst, &route.dst), 0);
    if (source != NULL)
        assert_int_equal(ip_addr_parse(source, &route.source), 0);
    assert_int_equal(plan_add_route(p, link, 7, &route), 0);
}

static inline void plan_put_address(struct plan *p, const char *link, const char *text)
{
    struct ip_addr addr;
    assert_int_equal(ip_addr_parse(text, &addr), 0);
    assert_int_equal(plan_add_address(p, link, 7, &addr, (uint8_t)(ip_addr_len(&addr) * 8)), 0);
}

static inline void plan_put_dns(struct plan *p, const char *link, const char *server,
                                const char *zone, const char *zone2)
{
    char zones[2][OBJECT_ZONE_SIZE] = {{0}};
    struct object_dns dns = {.server_count = 1, .zones = zones, .zone_count = zone2 ? 2 : 1};
    assert_int_equal(ip_addr_parse(server, &dns.servers[0]), 0);
    assert_int_equal(str_copy(zones[0], sizeof(zones[0]), zone), 0);
    assert_int_equal(str_copy(zones[1], sizeof(zones[1]), zone2 ? zone2 : ""), 0);
    assert_int_equal(plan_add_dns(p, link, 7, &dns), 0);
}

/* A whole session's plan, and another one for it: settings changed, DNS changed, one address and route gone, others new. */
static inline void plan_first(struct plan *p)
{
    plan_init(p);
    assert_int_equal(plan_add_link(p, "stile0", 7, &(struct object_link){.mtu = 65535, .up = true}),
                     0);
    plan_put_address(p, "stile0", "100.64.0.1");
    plan_put_address(p, "stile0", "fd00::1");
    plan_put_route(p, "stile0", "100.64.0.0/10", "100.64.0.1");
    plan_put_route(p, "stile0", "fd00::/48", NULL);
    plan_put_dns(p, "stile0", "100.64.0.2", "corp.example", NULL);
}

static inline void plan_second(struct plan *p)
{
    plan_init(p);
    assert_int_equal(plan_add_link(p, "stile0", 7, &(struct object_link){.mtu = 1400, .up = true}),
                     0);
    plan_put_address(p, "stile0", "198.18.0.1");
    plan_put_address(p, "stile0", "fd00::1");
    plan_put_route(p, "stile0", "198.18.0.0/15", "198.18.0.1");
    plan_put_route(p, "stile0", "fd00::/48", "fd00::1");
    plan_put_dns(p, "stile0", "198.18.0.2", "corp.example", "lab.example");
}

#endif
