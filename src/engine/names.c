#include "engine/names.h"

#include <string.h>
#include <uv.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"

/* Names found by their text, or by any name below them. */
struct name_set {
    struct name *names; /* owned; the table's keys */
    struct table table;
};

struct names {
    struct names_config config;            /* immutable */
    struct ip_addr tun4, tun6, dns4, dns6; /* immutable */
    struct pool pools[NAMES_RANGES_MAX];   /* control thread */

    uv_rwlock_t lock;     /* guards what follows */
    struct table by_name; /* name_key → names_app; each holds one reference */
    struct table by_addr; /* IPv4 bytes → names_app; shares by_name's reference */
    struct name_set zones;
    struct name_set forwarded;
};

static void init_table(struct table *t)
{
    uint8_t secret[16];

    random_bytes(secret, sizeof(secret));
    table_init(t, secret);
}

static void name_set_release(struct name_set *set)
{
    table_release(&set->table);
    mem_free(set->names);
}

/* The names that parse; the others and repeated ones are left out. */
static int name_set_init(struct name_set *ret, char *const *texts, size_t count, size_t max)
{
    struct name_set set = {0};
    int err = 0;

    if (count > max)
        return ERR_LIMIT;
    init_table(&set.table);
    set.names = mem_array(count, sizeof(*set.names));
    if (set.names == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < count && err != ERR_NOMEM; i++) {
        struct name *n = &set.names[i];
        err = name_parse(texts[i], n);
        if (err == 0)
            err = table_put(&set.table, name_key(n), n);
        else
            log_debug("\"%s\" is not a domain name; left out", texts[i]);
    }
    if (err == ERR_NOMEM) {
        name_set_release(&set);
        return err;
    }
    *ret = set;
    return 0;
}

/* The longest name of the set that is this name or holds it. */
static const struct name *name_set_longest(const struct name_set *set, const struct name *n)
{
    for (size_t at = 0; at < n->len;) {
        const struct name *found = table_get(&set->table, slice_of(n->text + at, n->len - at));
        if (found != NULL)
            return found;
        const char *dot = memchr(n->text + at, '.', n->len - at);
        at = dot != NULL ? (size_t)(dot - n->text) + 1 : n->len;
    }
    return NULL;
}

struct names_app *names_app_ref(struct names_app *app)
{
    atomic_fetch_add_explicit(&app->refs, 1, memory_order_relaxed);
    return app;
}

void names_app_unref(struct names_app *app)
{
    if (app == NULL || atomic_fetch_sub_explicit(&app->refs, 1, memory_order_acq_rel) > 1)
        return;
    stile__vnet__v1__app_info__free_unpacked(app->info, NULL);
    mem_free(app);
}

static struct ip_addr host6(const struct prefix *prefix6, uint32_t host)
{
    return prefix_at(prefix6, host);
}

static int init_pools(struct names *n)
{
    for (size_t i = 0; i < n->config.range_count; i++) {
        int err = pool_init(&n->pools[i], &n->config.ranges[i], (uint32_t)random_u64());
        if (err < 0)
            return err;
    }
    n->tun4 = pool_tun(&n->pools[0]);
    n->dns4 = pool_dns(&n->pools[0]);
    n->tun6 = host6(&n->config.prefix6, POOL_OFFSET_TUN);
    n->dns6 = host6(&n->config.prefix6, POOL_OFFSET_DNS);
    return 0;
}

int names_new(const struct names_config *config, struct names **ret)
{
    if (config->range_count == 0 || config->range_count > NAMES_RANGES_MAX)
        return ERR_INVAL;
    struct names *n = NEW(struct names);
    if (n == NULL)
        return ERR_NOMEM;
    n->config = *config;
    int err = init_pools(n);
    if (err == 0 && uv_rwlock_init(&n->lock) != 0)
        err = ERR_NOMEM;
    if (err < 0) {
        mem_free(n);
        return err;
    }
    init_table(&n->by_name);
    init_table(&n->by_addr);
    init_table(&n->zones.table);
    init_table(&n->forwarded.table);
    *ret = n;
    return 0;
}

void names_free(struct names *n)
{
    size_t i = 0;
    struct names_app *app;

    if (n == NULL)
        return;
    while ((app = table_next(&n->by_name, &i)) != NULL)
        names_app_unref(app);
    table_release(&n->by_name);
    table_release(&n->by_addr);
    name_set_release(&n->zones);
    name_set_release(&n->forwarded);
    uv_rwlock_destroy(&n->lock);
    mem_free(n);
}

const struct names_config *names_config(const struct names *n)
{
    return &n->config;
}

static void swap_sets(struct name_set *a, struct name_set *b)
{
    struct name_set t = *a;

    *a = *b;
    *b = t;
}

int names_set_zones(struct names *n, char *const *zones, size_t zone_count, char *const *forwarded,
                    size_t forwarded_count)
{
    struct name_set new_zones;
    struct name_set new_forwarded;
    int err = name_set_init(&new_zones, zones, zone_count, NAMES_ZONES_MAX);
    if (err < 0)
        return err;
    err = name_set_init(&new_forwarded, forwarded, forwarded_count, NAMES_FORWARDED_MAX);
    if (err < 0) {
        name_set_release(&new_zones);
        return err;
    }

    uv_rwlock_wrlock(&n->lock);
    swap_sets(&n->zones, &new_zones);
    swap_sets(&n->forwarded, &new_forwarded);
    uv_rwlock_wrunlock(&n->lock);
    name_set_release(&new_zones);
    name_set_release(&new_forwarded);
    return 0;
}

static struct slice addr_key(const struct names_app *app)
{
    return slice_of(app->v4.bytes, 4);
}

static struct pool *pool_for(struct names *n, const char *range_text)
{
    struct prefix range;

    if (str_is_empty(range_text) || prefix_parse(range_text, &range) < 0)
        return &n->pools[0];
    for (size_t i = 0; i < n->config.range_count; i++) {
        if (prefix_eq(&n->config.ranges[i], &range))
            return &n->pools[i];
    }
    return &n->pools[0];
}

/* The record's addresses: those of the record before it, or new ones. */
static int assign(struct names *n, struct names_app *app, const struct names_app *before)
{
    if (before != NULL) {
        app->v4 = before->v4;
        app->v6 = before->v6;
        return 0;
    }
    if (n->by_name.count >= NAMES_APPS_MAX)
        return ERR_LIMIT;
    int err = pool_take(pool_for(n, app->info->ipv4_cidr_range), &app->v4);
    if (err < 0)
        return err;
    app->v6 = pool_embed(&n->config.prefix6, &app->v4);
    return 0;
}

/* Puts the record where the one before it stood; the tables' keys are the records' own bytes. Removing first keeps the
 * tables' sizes, so that putting can't fail when there was one before. */
static int replace(struct names *n, struct names_app *app, struct names_app *before)
{
    if (before != NULL) {
        table_remove(&n->by_name, name_key(&before->fqdn));
        table_remove(&n->by_addr, addr_key(before));
    }
    int err = table_put(&n->by_name, name_key(&app->fqdn), app);
    if (err < 0)
        return err;
    err = table_put(&n->by_addr, addr_key(app), app);
    if (err < 0)
        table_remove(&n->by_name, name_key(&app->fqdn));
    return err;
}

int names_put(struct names *n, const struct name *fqdn, Stile__Vnet__V1__AppInfo *info,
              uint64_t now_ns, struct names_app **ret)
{
    struct names_app *app = NEW(struct names_app);
    if (app == NULL) {
        stile__vnet__v1__app_info__free_unpacked(info, NULL);
        return ERR_NOMEM;
    }
    atomic_init(&app->refs, 1);
    app->fqdn = *fqdn;
    app->info = info;
    app->resolved_ns = now_ns;

    uv_rwlock_wrlock(&n->lock);
    struct names_app *before = table_get(&n->by_name, name_key(fqdn));
    int err = assign(n, app, before);
    if (err == 0)
        err = replace(n, app, before);
    if (err == 0)
        *ret = names_app_ref(app);
    uv_rwlock_wrunlock(&n->lock);

    names_app_unref(err == 0 ? before : app);
    return err;
}

static struct names_app *get_ref(struct names *n, const struct table *t, struct slice key)
{
    uv_rwlock_rdlock(&n->lock);
    struct names_app *app = table_get(t, key);
    if (app != NULL)
        names_app_ref(app);
    uv_rwlock_rdunlock(&n->lock);
    return app;
}

struct names_app *names_by_name(struct names *n, const struct name *fqdn)
{
    return get_ref(n, &n->by_name, name_key(fqdn));
}

struct names_app *names_by_addr(struct names *n, const struct ip_addr *addr)
{
    struct ip_addr v4 = *addr;

    if (addr->version == 6 && pool_unembed(&n->config.prefix6, addr, &v4) < 0)
        return NULL;
    return get_ref(n, &n->by_addr, slice_of(v4.bytes, 4));
}

enum names_place names_place(struct names *n, const struct name *fqdn, struct name *ret_zone)
{
    enum names_place place = NAMES_OUTSIDE;

    uv_rwlock_rdlock(&n->lock);
    const struct name *zone = name_set_longest(&n->zones, fqdn);
    if (zone != NULL)
        place =
            table_get(&n->forwarded.table, name_key(fqdn)) != NULL ? NAMES_FORWARDED : NAMES_INSIDE;
    if (place == NAMES_INSIDE)
        *ret_zone = *zone;
    uv_rwlock_rdunlock(&n->lock);
    return place;
}

bool names_is_tun(const struct names *n, const struct ip_addr *addr)
{
    return ip_addr_eq(addr, &n->tun4) || ip_addr_eq(addr, &n->tun6);
}

bool names_is_dns(const struct names *n, const struct ip_addr *addr)
{
    return ip_addr_eq(addr, &n->dns4) || ip_addr_eq(addr, &n->dns6);
}

const struct ip_addr *names_dns(const struct names *n, uint8_t version)
{
    return version == 4 ? &n->dns4 : &n->dns6;
}

bool names_in_ranges(const struct names *n, const struct ip_addr *addr)
{
    if (prefix_contains(&n->config.prefix6, addr))
        return true;
    for (size_t i = 0; i < n->config.range_count; i++) {
        if (prefix_contains(&n->config.ranges[i], addr))
            return true;
    }
    return false;
}
