#include "policy/udp_routes.h"

#include <linux/rtnetlink.h>

#include "netcfg/rtnl.h"
#include "policy/nft_rules.h"

enum { LOOPBACK = 1 /* the index of lo, everywhere */, STRAYS_MAX = 64 };

static const uint8_t versions[] = {4, 6};

struct work {
    struct rtnl *rtnl;
    bool dry_run, drift;
    struct buf *notes;
    struct udp_routes done;
    struct diag *d;
};

static struct rtnl_route route_of(uint8_t version)
{
    return (struct rtnl_route){.dst = {.addr = {.version = version}},
                               .table = POLICY_ROUTES,
                               .link_index = LOOPBACK,
                               .protocol = RTNL_PROTOCOL,
                               .type = RTN_LOCAL};
}

static struct rtnl_rule rule_of(uint8_t version)
{
    return (struct rtnl_rule){.version = version,
                              .table = POLICY_ROUTES,
                              .priority = POLICY_RULE_PRIORITY,
                              .mark = POLICY_MARK,
                              .mask = POLICY_MARK_MASK,
                              .local = true,
                              .protocol = RTNL_PROTOCOL};
}

/* That somebody else has removed it meanwhile is no failure. */
static int unless_gone(int err)
{
    return err == ERR_NOTFOUND ? 0 : err;
}

/* What is done; or, of what should have been so, how it is. */
static int note(struct work *w, bool adds, const char *what, uint8_t version)
{
    int err;

    w->done.changed = true;
    if (w->drift)
        err = buf_printf(w->notes, "the %s for UDP, IPv%u, %s %s\n", what, version,
                         w->dry_run ? "is" : "was", adds ? "missing" : "left over");
    else
        err = buf_printf(w->notes, "%s%s%s the %s for UDP, IPv%u\n", w->dry_run ? "would " : "",
                         adds ? "add" : "remove", w->dry_run ? "" : "s", what, version);
    return err < 0 ? diag_set(w->d, err, 0, "Out of memory") : 0;
}

/* ---- The route ---- */

/* 0, and whether ours is there. */
static int look_for_route(struct work *w, uint8_t version, bool *ret_there)
{
    const struct rtnl_route wanted = route_of(version);
    struct rtnl_route found;

    int err = rtnl_find_route(w->rtnl, &wanted, &found, w->d);
    *ret_there = err == 0 && found.protocol == RTNL_PROTOCOL && found.type == RTN_LOCAL &&
                 found.link_index == LOOPBACK;
    return unless_gone(err);
}

static int explain_route(struct work *w, uint8_t version, int err)
{
    if (err == ERR_EXISTS)
        return diag_set(w->d, err, 0,
                        "Routing table %d, which carries UDP to the proxy, has somebody else's "
                        "route for IPv%u: remove it (ip -%u route flush table %d)",
                        POLICY_ROUTES, version, version, POLICY_ROUTES);
    return err;
}

static int set_route(struct work *w, size_t i, bool wanted)
{
    const struct rtnl_route route = route_of(versions[i]);
    bool there;

    int err = look_for_route(w, versions[i], &there);
    if (err < 0 || there == wanted)
        return err;
    err = note(w, wanted, "route", versions[i]);
    if (err < 0 || w->dry_run)
        return err;
    if (!wanted)
        return unless_gone(rtnl_delete_route(w->rtnl, &route, w->d));
    err = explain_route(w, versions[i], rtnl_new_route(w->rtnl, &route, w->d));
    w->done.route[i] = err == 0;
    return err;
}

/* ---- The rule ---- */

struct found {
    bool there;
    size_t strays; /* ours, but not as it should be, or twice */
    struct rtnl_rule stray;
};

static int sort_rule(void *arg, const struct rtnl_rule *rule)
{
    struct found *f = arg;
    const struct rtnl_rule wanted = rule_of(rule->version);

    if (rule->protocol != RTNL_PROTOCOL || rule->table != POLICY_ROUTES)
        return 0;
    bool right = rule->is_plain && rule->priority == wanted.priority && rule->mark == wanted.mark &&
                 rule->mask == wanted.mask && rule->local;
    if (right && !f->there) {
        f->there = true;
        return 0;
    }
    f->stray = *rule;
    f->strays++;
    return 0;
}

/* The kernel removes the first one with these values, which may be the right one: so it is looked
 * again after each. */
static int remove_strays(struct work *w, uint8_t version, struct found *f)
{
    for (int tries = 0; tries < STRAYS_MAX; tries++) {
        *f = (struct found){0};
        int err = rtnl_each_rule(w->rtnl, version, sort_rule, f, w->d);
        if (err < 0 || f->strays == 0)
            return err;
        err = note(w, false, "changed rule", version);
        if (err < 0 || w->dry_run)
            return err;
        err = unless_gone(rtnl_delete_rule(w->rtnl, &f->stray, w->d));
        if (err < 0)
            return err;
    }
    return diag_set(w->d, ERR_BUSY, 0,
                    "Somebody adds routing rules to table %d as fast as they are removed",
                    POLICY_ROUTES);
}

static int set_rule(struct work *w, size_t i, bool wanted)
{
    const struct rtnl_rule rule = rule_of(versions[i]);
    struct found f;

    int err = remove_strays(w, versions[i], &f);
    if (err < 0 || f.there == wanted)
        return err;
    err = note(w, wanted, "rule", versions[i]);
    if (err < 0 || w->dry_run)
        return err;
    if (!wanted)
        return unless_gone(rtnl_delete_rule(w->rtnl, &rule, w->d));
    err = rtnl_new_rule(w->rtnl, &rule, w->d);
    w->done.rule[i] = err == 0;
    return err;
}

/* ---- */

static int set_family(struct work *w, size_t i, bool wanted)
{
    int err = wanted ? set_route(w, i, true) : set_rule(w, i, false);

    if (err < 0)
        return err;
    return wanted ? set_rule(w, i, true) : set_route(w, i, false);
}

/* A kernel started without IPv6 doesn't even list what it has not. */
static int set_ipv6(struct work *w, bool wanted, bool available)
{
    int err = set_family(w, 1, wanted && available);

    return available || err == ERR_NOMEM ? err : 0;
}

void udp_routes_undo(struct rtnl *rtnl, const struct udp_routes *added)
{
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        const struct rtnl_rule rule = rule_of(versions[i]);
        const struct rtnl_route route = route_of(versions[i]);
        if (added->rule[i])
            (void)rtnl_delete_rule(rtnl, &rule, NULL);
        if (added->route[i])
            (void)rtnl_delete_route(rtnl, &route, NULL);
    }
}

int udp_routes_set(struct rtnl *rtnl, bool wanted, unsigned flags, struct buf *notes,
                   struct udp_routes *ret, struct diag *d)
{
    struct work w = {.rtnl = rtnl,
                     .dry_run = (flags & UDP_ROUTES_DRY_RUN) != 0,
                     .drift = (flags & UDP_ROUTES_DRIFT) != 0,
                     .notes = notes,
                     .d = d};
    struct rtnl_link lo;

    int err = rtnl_link_by_index(rtnl, LOOPBACK, &lo, d);
    if (err < 0)
        return err;
    if (wanted && !lo.up)
        return diag_set(d, ERR_UNREACHABLE, 0,
                        "The loopback interface of this network is down, and UDP reaches the proxy "
                        "over it: bring it up there (ip link set lo up)");
    err = set_family(&w, 0, wanted);
    if (err == 0)
        err = set_ipv6(&w, wanted, lo.ipv6);
    if (err < 0)
        udp_routes_undo(rtnl, &w.done);
    else
        *ret = w.done;
    return err;
}
