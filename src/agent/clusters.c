#include "agent/clusters.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "rpc/services.h"

#define LISTING_MS (120 * 1000)

struct clusters {
    struct loop *loop;
    const struct home *home; /* borrowed */
    const char *const *only; /* ended by NULL; NULL: all. Borrowed */
    struct clusters_events events;
    void *arg;
    uint64_t stamp;
    struct member *members[PROFILES_MAX];
    size_t count;
    uv_fs_event_t *watch; /* freed by itself when it is closed; NULL: none */
    struct timer again;   /* when it has been closed, all of this is freed */
    struct list dead;     /* a callback of theirs may be on the stack */
    struct defer bury;
    bool closing;
};

static void on_freed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void on_timer_closed(void *clusters)
{
    mem_free(clusters);
}

static void member_free(struct member *m)
{
    if (m == NULL)
        return;
    access_free(m->access);
    if (m->listing != NULL)
        stile__access__v1__list_apps_response__free_unpacked(m->listing, NULL);
    profile_free(m->profile);
    mem_free(m);
}

/* A copy of the answer, which is borrowed. */
static Stile__Access__V1__ListAppsResponse *copy_listing(const ProtobufCMessage *reply)
{
    size_t size = protobuf_c_message_get_packed_size(reply);
    CLEANUP(mem_freep) uint8_t *packed = mem_alloc(size);
    if (packed == NULL)
        return NULL;
    protobuf_c_message_pack(reply, packed);
    return stile__access__v1__list_apps_response__unpack(NULL, size, packed);
}

static void on_listing(void *arg, int err, const ProtobufCMessage *reply, const struct diag *d)
{
    struct member *m = arg;
    struct clusters *c = m->owner;
    if (err == ERR_CANCELED)
        return; /* it may be freed */
    m->listing_asked = false;
    if (err < 0) {
        log_debug("No list of apps of profile %s: %s", m->profile->name, d->text);
        return;
    }
    Stile__Access__V1__ListAppsResponse *listing = copy_listing(reply);
    if (listing == NULL)
        return;
    if (m->listing != NULL)
        stile__access__v1__list_apps_response__free_unpacked(m->listing, NULL);
    m->listing = listing;
    c->events.on_change(c->arg);
}

static void ask_listing(struct member *m)
{
    if (m->listing_asked || profile_expired(m->profile))
        return;
    stile__access__v1__list_apps_request__init(&m->list_request);
    m->listing_asked =
        access_call(m->access, &access_list_apps, &m->list_request.base, on_listing, m) == 0;
}

static int member_new(struct clusters *c, const char *name, struct member **ret, struct diag *d)
{
    struct member *m = NEW(struct member);
    if (m == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    m->owner = c;
    int r = profile_load(c->home, name, &m->profile, d);
    if (r == 0)
        r = access_new_for(c->loop, m->profile, &m->access, d);
    if (r < 0) {
        member_free(m);
        return r;
    }
    ask_listing(m);
    *ret = m;
    return 0;
}

static void bury(void *arg)
{
    struct clusters *c = arg;
    for (struct list *n = list_pop_front(&c->dead); n != NULL; n = list_pop_front(&c->dead))
        member_free(LIST_ENTRY(n, struct member, node));
}

static bool listed(const struct profile_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->names[i], name))
            return true;
    return false;
}

/* Members whose profile has gone or was replaced. */
static bool drop_old(struct clusters *c, const struct profile_names *names)
{
    bool changed = false;
    for (size_t i = 0; i < c->count;) {
        struct member *m = c->members[i];
        const char *name = m->profile->name;
        if (listed(names, name) && profile_stamp(c->home, name) == m->profile->stamp) {
            i++;
            continue;
        }
        char gone[PROFILE_NAME_SIZE];
        (void)str_format(gone, sizeof(gone), "%s", name);
        c->members[i] = c->members[--c->count];
        list_push_back(&c->dead, &m->node);
        defer_start(c->loop, &c->bury);
        changed = true;
        c->events.on_profile(c->arg, gone);
    }
    return changed;
}

static bool present(const struct clusters *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (str_eq(c->members[i]->profile->name, name))
            return true;
    return false;
}

static bool wanted(const struct clusters *c, const char *name)
{
    if (c->only == NULL)
        return true;
    for (size_t i = 0; c->only[i] != NULL; i++)
        if (str_eq(c->only[i], name))
            return true;
    return false;
}

static bool add_new(struct clusters *c, const struct profile_names *names)
{
    bool changed = false;
    for (size_t i = 0; i < names->count && c->count < PROFILES_MAX; i++) {
        const char *name = names->names[i];
        struct diag d = {0};
        if (present(c, name) || !wanted(c, name))
            continue;
        if (member_new(c, name, &c->members[c->count], &d) < 0) {
            log_warn("%s", d.text);
            continue;
        }
        c->count++;
        changed = true;
        c->events.on_profile(c->arg, name);
    }
    return changed;
}

/* A profile may be replaced whole, or a file in it alone. */
static bool is_current(const struct clusters *c, uint64_t stamp)
{
    if (stamp != c->stamp)
        return false;
    for (size_t i = 0; i < c->count; i++)
        if (profile_stamp(c->home, c->members[i]->profile->name) != c->members[i]->profile->stamp)
            return false;
    return true;
}

size_t member_zone_count(const struct member *m)
{
    return m->listing != NULL && m->listing->cluster != NULL ? m->listing->cluster->n_dns_zones
                                                             : m->profile->cluster.zone_count;
}

const char *member_zone(const struct member *m, size_t i)
{
    return m->listing != NULL && m->listing->cluster != NULL ? m->listing->cluster->dns_zones[i]
                                                             : m->profile->cluster.zones[i];
}

const char *member_range(const struct member *m)
{
    return m->listing != NULL && m->listing->cluster != NULL ? m->listing->cluster->ipv4_cidr_range
                                                             : m->profile->cluster.ipv4_range;
}

static bool has_zone(const struct member *m, const char *zone)
{
    for (size_t i = 0; i < member_zone_count(m); i++)
        if (str_eq_nocase(member_zone(m, i), zone))
            return true;
    return false;
}

/* Names in a zone that two clusters have can lead to one of them alone. */
static void warn_of_same_zones(const struct clusters *c)
{
    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < c->count; j++) {
            const struct profile *a = c->members[i]->profile, *b = c->members[j]->profile;
            for (size_t z = 0; z < a->cluster.zone_count && strcmp(a->name, b->name) < 0; z++)
                if (has_zone(c->members[j], a->cluster.zones[z]))
                    log_warn("Profiles %s and %s both have the zone %s: its names lead to %s; use "
                             "one of them alone with --profile",
                             a->name, b->name, a->cluster.zones[z], a->name);
        }
}

void clusters_refresh(struct clusters *c)
{
    struct profile_names names;
    struct diag d = {0};
    uint64_t stamp = profile_stamp(c->home, NULL);
    if (c->closing || is_current(c, stamp))
        return;
    if (profile_list(c->home, &names, &d) < 0) {
        log_warn("%s", d.text);
        return;
    }
    c->stamp = stamp;
    bool dropped = drop_old(c, &names);
    bool added = add_new(c, &names);
    if (added)
        warn_of_same_zones(c);
    if (dropped || added)
        c->events.on_change(c->arg);
}

static void on_watch(uv_fs_event_t *watch, const char *name UNUSED, int events UNUSED,
                     int status UNUSED)
{
    clusters_refresh(watch->data);
}

static void on_again(void *arg)
{
    struct clusters *c = arg;
    clusters_refresh(c);
    for (size_t i = 0; i < c->count; i++)
        ask_listing(c->members[i]);
    timer_start(&c->again, LISTING_MS);
}

/* Without inotify the directory is looked at with each question all the same. */
static void watch_directory(struct clusters *c)
{
    uv_fs_event_t *watch = NEW(uv_fs_event_t);
    if (watch == NULL || uv_fs_event_init(&c->loop->uv, watch) < 0) {
        mem_free(watch);
        return;
    }
    c->watch = watch;
    watch->data = c;
    int r = uv_fs_event_start(watch, on_watch, c->home->profiles.path, 0);
    if (r < 0)
        log_debug("Can't watch %s: %s", c->home->profiles.path, uv_strerror(r));
}

int clusters_new(struct loop *loop, const struct home *home, const char *const *only,
                 const struct clusters_events *events, void *arg, struct clusters **ret,
                 struct diag *d)
{
    struct clusters *c = NEW(struct clusters);
    if (c == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    c->loop = loop;
    c->home = home;
    c->events = *events;
    c->arg = arg;
    list_init(&c->dead);
    defer_init(&c->bury, bury, c);
    c->only = only;
    int r = timer_init(&c->again, loop, on_again, c);
    if (r < 0) {
        mem_free(c);
        return diag_set(d, r, 0, "Failed to read the profiles: %s", err_text(r));
    }
    timer_start(&c->again, LISTING_MS);
    watch_directory(c);
    clusters_refresh(c);
    *ret = c;
    return 0;
}

void clusters_free(struct clusters *c)
{
    if (c == NULL)
        return;
    c->closing = true;
    if (c->watch != NULL)
        uv_close((uv_handle_t *)c->watch, on_freed);
    defer_stop(&c->bury);
    bury(c);
    for (size_t i = 0; i < c->count; i++)
        member_free(c->members[i]);
    timer_close(&c->again, on_timer_closed);
}

size_t clusters_count(const struct clusters *c)
{
    return c->count;
}

struct member *clusters_at(struct clusters *c, size_t index)
{
    return index < c->count ? c->members[index] : NULL;
}

struct member *clusters_find(struct clusters *c, const char *profile)
{
    clusters_refresh(c);
    for (size_t i = 0; i < c->count; i++)
        if (str_eq(c->members[i]->profile->name, profile))
            return c->members[i];
    return NULL;
}

/* Whether fqdn is the zone or below it; both without the last dot. */
static bool in_zone(const char *fqdn, const char *zone)
{
    size_t lf = strlen(fqdn), lz = strlen(zone);
    if (lz == 0 || lf < lz || !str_eq_nocase(fqdn + (lf - lz), zone))
        return false;
    return lf == lz || fqdn[lf - lz - 1] == '.';
}

static bool has_app(const struct member *m, const char *fqdn)
{
    for (size_t i = 0; m->listing != NULL && i < m->listing->n_apps; i++)
        if (str_eq_nocase(m->listing->apps[i]->public_name, fqdn))
            return true;
    return false;
}

/* Of two zones that are equal, that of the profile whose name comes first: see warn_of_same_zones. */
static bool is_better(size_t len, const struct member *m, size_t best_len,
                      const struct member *best)
{
    if (len != best_len || best == NULL)
        return len > best_len;
    return strcmp(m->profile->name, best->profile->name) < 0;
}

struct member *clusters_for_name(struct clusters *c, const char *fqdn)
{
    struct member *best = NULL;
    size_t longest = 0;
    clusters_refresh(c);
    for (size_t i = 0; i < c->count; i++) {
        struct member *m = c->members[i];
        if (has_app(m, fqdn))
            return m;
        for (size_t z = 0; z < member_zone_count(m); z++) {
            size_t len = strlen(member_zone(m, z));
            if (in_zone(fqdn, member_zone(m, z)) && is_better(len, m, longest, best)) {
                longest = len;
                best = m;
            }
        }
    }
    return best;
}
