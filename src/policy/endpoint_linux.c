/* Endpoints of Linux: a network namespace, nftables in it, and two routes for UDP.
 *
 * Theory of operation. A change is: lock, read what is there, decide, do, unlock. The rules are
 * replaced whole in one transaction of nft's, so there is no moment with half of them. The routes
 * are not part of it. They touch only what the rules mark, so they come before rules that need them
 * and go after them; if the rules can't be changed, routes that were added are removed again. Dying
 * in between leaves at most such routes without rules: harmless, and the next change puts it right,
 * as nothing is taken for granted and all of it is read from the kernel each time. Nothing is sent
 * when all is as it should be.
 */
#include "policy/endpoint.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "netcfg/rtnl.h"
#include "policy/endpoint_lock.h"
#include "policy/endpoint_state.h"
#include "policy/l4_cgroup.h"
#include "policy/l4_check.h"
#include "policy/l4_index.h"
#include "policy/namespace.h"
#include "policy/nft_program.h"
#include "policy/nft_rules.h"
#include "policy/nft_table.h"
#include "policy/udp_routes.h"

#define BLOCK_MAX ((size_t)64 * 1024)

struct endpoint {
    int netns_fd;
    char name[ENDPOINT_NAME_SIZE];
};

static void close_rtnl(struct rtnl **r)
{
    rtnl_close(*r);
}

/* ---- Opening ---- */

int endpoint_system(char ret[ENDPOINT_SYSTEM_SIZE], struct diag *d)
{
    char version[NFT_VERSION_SIZE];

    int err = nft_version(version, d);
    return err < 0 ? err : str_format(ret, ENDPOINT_SYSTEM_SIZE, "nft %s", version);
}

int endpoint_open(const char *name, unsigned flags, struct endpoint **ret, struct diag *d)
{
    CLEANUP(endpoint_closep) struct endpoint *e = NEW(struct endpoint);

    if (e == NULL)
        return diag_no_memory(d);
    e->netns_fd = -1;
    if (str_copy(e->name, sizeof(e->name), name) < 0)
        return diag_set(d, ERR_INVAL, 0, "The name of the endpoint is too long");
    int err = namespace_open(name, (flags & ENDPOINT_HOST) != 0, &e->netns_fd, d);
    if (err == 0)
        err = nft_check(d);
    if (err < 0)
        return err;
    *ret = STEAL(e);
    return 0;
}

void endpoint_close(struct endpoint *e)
{
    if (e == NULL)
        return;
    fd_closep(&e->netns_fd);
    mem_free(e);
}

void endpoint_closep(struct endpoint **e)
{
    endpoint_close(*e);
}

const char *endpoint_name(const struct endpoint *e)
{
    return e->name;
}

static int open_rtnl(const struct endpoint *e, struct rtnl **ret, struct diag *d)
{
    int fd;

    int err = namespace_socket(e->netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, &fd, d);
    return err < 0 ? err : rtnl_open_on(fd, ret, d);
}

/* ---- From what is there to what is wanted ---- */

/* How a change comes to what it wants; ERR_* ends it with nothing changed. */
typedef int want_fn(const struct endpoint_state *s, const struct l4_policies *given,
                    struct l4_policies *ret, struct diag *d);

static int keep(struct l4_policies *l, struct l4_index *known, const struct l4_policy *p,
                struct diag *d)
{
    size_t at;

    l4_index_extend(known, l->count);
    if (l4_index_find(known, p, &at))
        return 0;
    int err = l4_policies_add(l, p);
    if (err == ERR_LIMIT)
        return diag_set(d, err, 0, "An endpoint takes at most %d policies", L4_POLICIES_MAX);
    return err < 0 ? diag_no_memory(d) : 0;
}

static int want_given(const struct endpoint_state *s UNUSED, const struct l4_policies *given,
                      struct l4_policies *ret, struct diag *d)
{
    struct l4_index known;
    int err = 0;

    l4_index_init(&known, ret);
    for (size_t i = 0; i < given->count && err == 0; i++)
        err = keep(ret, &known, &given->items[i], d);
    return err;
}

static int want_none(const struct endpoint_state *s UNUSED, const struct l4_policies *given UNUSED,
                     struct l4_policies *ret UNUSED, struct diag *d UNUSED)
{
    return 0;
}

static int want_remembered(const struct endpoint_state *s, const struct l4_policies *given UNUSED,
                           struct l4_policies *ret, struct diag *d)
{
    int err = endpoint_state_check(s, d);
    if (err < 0)
        return err;
    return l4_policies_copy(&s->policies, ret) < 0 ? diag_no_memory(d) : 0;
}

/* Whoever blocked it wants other policies than those that are there: neither some more nor some
 * less are a reason to open it. */
static int refuse_blocked(const char *what, struct diag *d)
{
    return diag_set(d, ERR_BLOCKED, 0,
                    "The endpoint is blocked, because the policies that it should have can't be "
                    "applied: %s policies would open it without them. Mend the file that they come "
                    "from, for `stile policy watch` tries again; or give it all that it should "
                    "have with `stile policy apply`; or open it with `stile policy clear`",
                    what);
}

static int want_more(const struct endpoint_state *s, const struct l4_policies *given,
                     struct l4_policies *ret, struct diag *d)
{
    if (s->blocked)
        return refuse_blocked("adding", d);
    int err = want_remembered(s, NULL, ret, d);
    return err < 0 ? err : want_given(s, given, ret, d);
}

static int tell_missing(const struct l4_policy *p, struct diag *d)
{
    CLEANUP(buf_release) struct buf text;

    buf_init(&text, 4096);
    (void)l4_policy_format(p, &text);
    const char *words = buf_cstr(&text);
    return diag_set(d, ERR_NOTFOUND, 0,
                    "The endpoint has no such policy: %.300s. Nothing was removed; `stile policy "
                    "list` shows what it has",
                    words != NULL ? words : "?");
}

static int want_fewer(const struct endpoint_state *s, const struct l4_policies *given,
                      struct l4_policies *ret, struct diag *d)
{
    if (s->blocked)
        return refuse_blocked("removing", d);
    CLEANUP(mem_freep) bool *goes = mem_array(s->policies.count + 1, sizeof(bool));
    struct l4_index index;
    size_t at;

    if (goes == NULL)
        return diag_no_memory(d);
    int err = endpoint_state_check(s, d);
    l4_index_init(&index, &s->policies);
    l4_index_extend(&index, s->policies.count);
    for (size_t i = 0; i < given->count && err == 0; i++)
        if (l4_index_find(&index, &given->items[i], &at))
            goes[at] = true;
        else
            err = tell_missing(&given->items[i], d);
    for (size_t i = 0; i < s->policies.count && err == 0; i++)
        if (!goes[i] && l4_policies_add(ret, &s->policies.items[i]) < 0)
            err = diag_no_memory(d);
    return err;
}

/* ---- Doing it ---- */

static int check(struct l4_policies *wanted, struct diag *d)
{
    l4_policies_sort(wanted);
    int err = wanted->count > 0 ? l4_check(wanted, L4_LINUX, d) : 0;
    return err < 0 ? err : l4_cgroup_check(wanted, d);
}

static int send_rules(const struct endpoint *e, int lock, const struct endpoint_change *c,
                      struct diag *d)
{
    return buf_len(&c->sent) > 0 ? nft_run(e->netns_fd, lock, buf_slice(&c->sent), d) : 0;
}

/* Routes were needed before and are now, or were not and aren't: what has to be done to them is
 * drift. */
static unsigned routes_flags(const struct endpoint_state *s, bool wanted,
                             const struct endpoint_change *c)
{
    return (c->dry_run ? UDP_ROUTES_DRY_RUN : 0u) |
           (nft_rules_want_udp_routes(&s->policies) == wanted ? UDP_ROUTES_DRIFT : 0u);
}

static int do_with_routes(const struct endpoint *e, int lock, struct rtnl *rtnl, unsigned flags,
                          struct endpoint_change *c, struct udp_routes *routes, struct diag *d)
{
    int err = udp_routes_set(rtnl, true, flags, &c->notes, routes, d);
    if (err < 0)
        return err;
    err = send_rules(e, lock, c, d);
    if (err < 0)
        udp_routes_undo(rtnl, routes);
    return err;
}

static int do_without_routes(const struct endpoint *e, int lock, struct rtnl *rtnl, unsigned flags,
                             struct endpoint_change *c, struct udp_routes *routes, struct diag *d)
{
    int err = send_rules(e, lock, c, d);
    if (err < 0)
        return err;
    err = udp_routes_set(rtnl, false, flags, &c->notes, routes, d);
    return err < 0 && d != NULL
               ? diag_prefix(d, "The policies were changed, but the route for UDP, which is not "
                                "used any more, is left: ")
               : err;
}

/* What is redirected goes to the proxy over it. */
static int note_loopback(struct rtnl *rtnl, const struct l4_policies *wanted,
                         struct endpoint_change *c, struct diag *d)
{
    struct rtnl_link lo;

    int err = wanted->count > 0 ? rtnl_link_by_name(rtnl, "lo", &lo, d) : ERR_NOTFOUND;
    if (err < 0 || lo.up)
        return err == ERR_NOTFOUND ? 0 : err;
    err = buf_put_str(&c->notes, "the loopback interface of this network is down: what is "
                                 "redirected gets nowhere until it is up\n");
    return err < 0 ? diag_no_memory(d) : 0;
}

static int settle(const struct endpoint *e, int lock, const struct endpoint_state *s,
                  const struct l4_policies *wanted, struct endpoint_change *c, struct diag *d)
{
    struct udp_routes routes = {0};
    CLEANUP(close_rtnl) struct rtnl *rtnl = NULL;
    bool udp = nft_rules_want_udp_routes(wanted);
    unsigned flags = routes_flags(s, udp, c);

    int err = endpoint_state_plan(s, wanted, c, d);
    if (err == 0)
        err = open_rtnl(e, &rtnl, d);
    if (err == 0)
        err = note_loopback(rtnl, wanted, c, d);
    if (err < 0)
        return err;
    if (c->dry_run)
        err = udp_routes_set(rtnl, udp, flags, &c->notes, &routes, d);
    else if (udp)
        err = do_with_routes(e, lock, rtnl, flags, c, &routes, d);
    else
        err = do_without_routes(e, lock, rtnl, flags, c, &routes, d);
    if (err == 0 && routes.changed && (flags & UDP_ROUTES_DRIFT) != 0)
        c->drifted = true;
    return err;
}

static int keep_block(const struct endpoint *e, int lock, const struct endpoint_state *s,
                      struct endpoint_change *c, struct diag *d)
{
    c->blocked = true;
    int err = endpoint_state_plan_block(s, c, d);
    return err < 0 || c->dry_run ? err : send_rules(e, lock, c, d);
}

/* Removes the routes for UDP, or (dry run) looks whether there are any. */
static int take_routes(const struct endpoint *e, bool dry_run, struct udp_routes *ret,
                       struct diag *d)
{
    CLEANUP(close_rtnl) struct rtnl *rtnl = NULL;
    CLEANUP(buf_release) struct buf notes;

    buf_init(&notes, BLOCK_MAX);
    int err = open_rtnl(e, &rtnl, d);
    return err < 0 ? err
                   : udp_routes_set(rtnl, false, dry_run ? UDP_ROUTES_DRY_RUN : 0, &notes, ret, d);
}

/* Their table goes with all that it remembers; of policies for UDP the routes are left then. */
static int tell_nothing_remembered(const struct endpoint *e, struct diag *d)
{
    struct udp_routes left = {0};

    int err = take_routes(e, true, &left, d);
    if (err < 0)
        return err;
    return left.changed
               ? diag_set(d, ERR_NOTFOUND, 0,
                          "Policies were here and are gone: their nftables table isn't there, and "
                          "routes for UDP are left. Apply the policies again, or clear what is "
                          "left")
               : diag_set(d, ERR_NOTFOUND, 0,
                          "%s has no policies: there is nothing to compare. Give those that it "
                          "should have (--file)",
                          e->name);
}

static int lock_for(const struct endpoint *e, const struct endpoint_change *c, int *ret_lock,
                    struct diag *d)
{
    return c->dry_run ? 0
                      : endpoint_lock(e->netns_fd, ENDPOINT_TIMEOUT_MS, &c->waiting, ret_lock, d);
}

struct want {
    want_fn *fn;
    bool remembered; /* it builds on what is there alone, of which a block is a part */
    bool compares;   /* with what should be: a block is drift then */
};

static int change(const struct endpoint *e, struct want want, const struct l4_policies *given,
                  struct endpoint_change *c, struct diag *d)
{
    CLEANUP(endpoint_unlock) int lock = -1;
    CLEANUP(endpoint_state_release) struct endpoint_state s;
    CLEANUP(l4_policies_release) struct l4_policies wanted;

    endpoint_change_begin(c);
    endpoint_state_init(&s);
    l4_policies_init(&wanted);
    int err = lock_for(e, c, &lock, d);
    if (err == 0)
        err = endpoint_state_read_block(&s, e->netns_fd, d);
    if (err == 0)
        err = endpoint_state_read_policies(&s, e->netns_fd, d);
    if (err == 0 && s.blocked && want.remembered)
        return keep_block(e, lock, &s, c, d);
    if (err == 0 && !s.present && want.remembered)
        return tell_nothing_remembered(e, d);
    if (err == 0)
        err = want.fn(&s, given, &wanted, d);
    if (err == 0)
        err = check(&wanted, d);
    if (err == 0)
        err = settle(e, lock, &s, &wanted, c, d);
    if (err == 0 && s.blocked && want.compares)
        c->drifted = true;
    return err;
}

int endpoint_add(struct endpoint *e, const struct l4_policies *more, struct endpoint_change *c,
                 struct diag *d)
{
    return change(e, (struct want){.fn = want_more}, more, c, d);
}

int endpoint_remove(struct endpoint *e, const struct l4_policies *those, struct endpoint_change *c,
                    struct diag *d)
{
    return change(e, (struct want){.fn = want_fewer}, those, c, d);
}

int endpoint_apply(struct endpoint *e, const struct l4_policies *wanted, struct endpoint_change *c,
                   struct diag *d)
{
    return change(e, (struct want){.fn = want_given}, wanted, c, d);
}

int endpoint_reconcile(struct endpoint *e, const struct l4_policies *wanted,
                       struct endpoint_change *c, struct diag *d)
{
    const struct want want = {.fn = wanted != NULL ? want_given : want_remembered,
                              .remembered = wanted == NULL,
                              .compares = true};

    return change(e, want, wanted, c, d);
}

int endpoint_clear(struct endpoint *e, struct endpoint_change *c, struct diag *d)
{
    return change(e, (struct want){.fn = want_none}, NULL, c, d);
}

int endpoint_list(struct endpoint *e, struct l4_policies *ret, struct diag *d)
{
    CLEANUP(endpoint_state_release) struct endpoint_state s;

    endpoint_state_init(&s);
    int err = endpoint_state_read_policies(&s, e->netns_fd, d);
    return err < 0 ? err : want_remembered(&s, NULL, ret, d);
}

int endpoint_wipe(const char *name, struct diag *d)
{
    struct endpoint e = {.netns_fd = -1};
    struct udp_routes routes;
    CLEANUP(fd_closep) int lock = -1;

    int err = namespace_open(name, false, &e.netns_fd, d);
    if (err == 0)
        err = endpoint_lock(e.netns_fd, ENDPOINT_TIMEOUT_MS, NULL, &lock, d);
    if (err == 0)
        err = nft_table_remove(e.netns_fd, NFT_TABLE, d);
    if (err == 0)
        err = nft_table_remove(e.netns_fd, NFT_BLOCK_TABLE, d);
    if (err == 0)
        err = take_routes(&e, false, &routes, d);
    fd_closep(&e.netns_fd);
    return err;
}

int endpoint_block(struct endpoint *e, struct endpoint_change *c, struct diag *d)
{
    CLEANUP(endpoint_unlock) int lock = -1;

    endpoint_change_begin(c);
    int err = lock_for(e, c, &lock, d);
    if (err == 0)
        err = nft_rules_block(&c->sent, d);
    return err < 0 || c->dry_run ? err : send_rules(e, lock, c, d);
}

int endpoint_is_blocked(struct endpoint *e, bool *ret, struct diag *d)
{
    CLEANUP(endpoint_state_release) struct endpoint_state s;

    endpoint_state_init(&s);
    int err = endpoint_state_read_block(&s, e->netns_fd, d);
    if (err == 0)
        *ret = s.blocked;
    return err;
}
