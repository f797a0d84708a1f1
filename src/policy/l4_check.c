#include "policy/l4_check.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "policy/l4_index.h"
#include "policy/l4_reach.h"

/* Where findings go, and what they are about meanwhile. */
struct findings {
    const struct l4_policies *list;
    size_t policy; /* index */
    size_t count;
    l4_problem_fn *tell;
    void *arg;
    int first_err;
};

PRINTF_LIKE(3, 4) static void found(struct findings *f, int err, const char *fmt, ...)
{
    char text[sizeof(((struct diag *)NULL)->text)];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (f->count++ == 0)
        f->first_err = err;
    f->tell(f->arg, f->policy, text);
}

/* ---- What makes no sense anywhere ---- */

enum { FAMILY_4 = 1, FAMILY_6 = 2 };

static unsigned families(const struct prefix_set *s)
{
    unsigned mask = 0;

    for (size_t i = 0; i < s->count; i++)
        mask |= s->prefixes[i].addr.version == 4 ? FAMILY_4 : FAMILY_6;
    return s->count > 0 ? mask : FAMILY_4 | FAMILY_6;
}

static void check_ports(const struct l4_policy *p, struct findings *f)
{
    if (p->inbound.proxy_port == 0 && p->outbound.proxy_port == 0)
        found(f, ERR_INVAL,
              "it has no proxy port: give one for inbound connections, for outbound ones, or for "
              "both");
    if (p->inbound.proxy_port != 0 &&
        port_set_contains(&p->inbound.port_exceptions, p->inbound.proxy_port))
        found(f, ERR_INVAL,
              "its inbound exceptions hold its own inbound proxy port %u, which would open the "
              "proxy to "
              "other machines: take that port out of them",
              p->inbound.proxy_port);
}

static void check_filter(const struct l4_policy *p, struct findings *f)
{
    if ((families(&p->local_addresses) & families(&p->remote_addresses)) == 0)
        found(
            f, ERR_INVAL,
            "no connection matches it: its local addresses are all of one family (IPv4, IPv6), its "
            "remote ones all of the other");
    if (p->udp == L4_UDP_REDIRECT && (p->protocols & L4_UDP) == 0)
        found(f, ERR_INVAL, "it says how UDP is redirected, but UDP isn't among its protocols");
}

/* Of those that are the same the first counts; the others are judged with it. */
static bool is_repeated(struct l4_index *earlier, const struct findings *f, size_t *ret_first)
{
    l4_index_extend(earlier, f->policy);
    return l4_index_find(earlier, &f->list->items[f->policy], ret_first);
}

/* ---- Linux ---- */

static void check_linux(const struct l4_policy *p, struct findings *f)
{
    const struct l4_guard *g = &p->guard;

    if (p->outbound.proxy_port == 0 || g->has_uid || g->has_gid || g->cgroup[0] != '\0')
        return;
    found(f, ERR_INVAL,
          "the proxy's own connections would come back to it without end: say by uid, gid or "
          "cgroup which "
          "they are (UserID, GroupID, Cgroup)%s",
          g->user_sid[0] != '\0' ? ". A SID counts on Windows alone" : "");
}

/* ---- Windows ---- */

static void check_hns_ports(const char *what, const struct port_set *s, struct findings *f)
{
    char text[12];

    for (size_t i = 0; i < s->count; i++) {
        if (!port_range_is_long(s->ranges[i]))
            continue;
        port_range_format(s->ranges[i], text);
        found(f, ERR_UNSUPPORTED,
              "no port ranges on Windows (a limit of HNS): %s has %s; give single ports", what,
              text);
    }
}

static void check_hns_addresses(const char *what, const struct prefix_set *s, struct findings *f)
{
    char text[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < s->count; i++) {
        if (s->prefixes[i].addr.version == 4)
            continue;
        prefix_set_format_one(&s->prefixes[i], text);
        found(f, ERR_UNSUPPORTED,
              "no IPv6 on Windows (a limit of HNS): %s has %s; give IPv4 addresses alone", what,
              text);
        return;
    }
}

static void check_hns_sets(const struct l4_policy *p, struct findings *f)
{
    check_hns_ports("LocalPorts", &p->local_ports, f);
    check_hns_ports("RemotePorts", &p->remote_ports, f);
    check_hns_ports("InboundExceptions.PortExceptions", &p->inbound.port_exceptions, f);
    check_hns_ports("OutboundExceptions.PortExceptions", &p->outbound.port_exceptions, f);
    check_hns_addresses("LocalAddresses", &p->local_addresses, f);
    check_hns_addresses("RemoteAddresses", &p->remote_addresses, f);
    check_hns_addresses("InboundExceptions.IpAddressExceptions", &p->inbound.address_exceptions, f);
    check_hns_addresses("OutboundExceptions.IpAddressExceptions", &p->outbound.address_exceptions,
                        f);
}

static void check_windows(const struct l4_policy *p, struct findings *f)
{
    const struct l4_guard *g = &p->guard;

    if ((p->protocols & L4_UDP) != 0)
        found(f, ERR_UNSUPPORTED, "no UDP on Windows (a limit of HNS): give tcp (6) alone");
    check_hns_sets(p, f);
    if (g->user_sid[0] == '\0' && (g->has_uid || g->has_gid || g->cgroup[0] != '\0'))
        found(f, ERR_UNSUPPORTED,
              "no uid, gid or cgroup on Windows (a limit of HNS): say by UserSID which connections "
              "are the "
              "proxy's own; it may stand beside them");
    if (f->policy > 0)
        found(f, ERR_UNSUPPORTED,
              "one proxy per endpoint on Windows (a limit of HNS): this would be number %zu",
              f->policy + 1);
}

static void check_one(const struct l4_policy *p, enum l4_system system, struct findings *f)
{
    check_ports(p, f);
    check_filter(p, f);
    if (system == L4_WINDOWS)
        check_windows(p, f);
    else
        check_linux(p, f);
}

static void check_list(enum l4_system system, struct findings *f)
{
    struct l4_index earlier;
    size_t first;

    l4_index_init(&earlier, f->list);
    for (f->policy = 0; f->policy < f->list->count; f->policy++)
        if (!is_repeated(&earlier, f, &first))
            check_one(&f->list->items[f->policy], system, f);
}

size_t l4_check_all(const struct l4_policies *l, enum l4_system system, l4_problem_fn *on_problem,
                    void *arg)
{
    struct findings f = {.list = l, .tell = on_problem, .arg = arg};

    check_list(system, &f);
    return f.count;
}

struct first {
    struct diag *d;
    bool several; /* policies: then it is said which */
    bool told;
};

static void keep_first(void *arg, size_t policy, const char *text)
{
    struct first *first = arg;

    if (first->told)
        return;
    first->told = true;
    (void)diag_set(first->d, ERR_INVAL, 0, "%s", text);
    if (first->several)
        (void)diag_prefix(first->d, "policy %zu: ", policy + 1);
}

int l4_check(const struct l4_policies *l, enum l4_system system, struct diag *d)
{
    struct first first = {.d = d, .several = l->count > 1};
    struct findings f = {.list = l, .tell = keep_first, .arg = &first};

    check_list(system, &f);
    if (f.count > 0 && d != NULL)
        d->err = f.first_err;
    return f.first_err;
}

/* ---- Warnings ---- */

static void warn_exceptions(const char *direction, const struct l4_direction *d, struct findings *f)
{
    if (d->proxy_port == 0 && (d->port_exceptions.count > 0 || d->address_exceptions.count > 0))
        found(f, 0, "its %s exceptions have no effect: %s connections aren't redirected", direction,
              direction);
}

static void warn_guard(const struct l4_policy *p, enum l4_system system, struct findings *f)
{
    if (system == L4_LINUX && p->guard.has_uid && p->guard.uid == 0)
        found(f, 0,
              "every program of the container that runs as root (uid 0) passes by the proxy: give "
              "the "
              "proxy a uid of its own");
    if (system == L4_LINUX && p->guard.has_gid && p->guard.gid == 0)
        found(f, 0,
              "every program of the container whose group is root (gid 0) passes by the proxy: "
              "give the "
              "proxy a gid of its own");
    if (system == L4_WINDOWS && p->outbound.proxy_port != 0 && p->guard.user_sid[0] == '\0')
        found(f, 0,
              "the proxy's own connections come back to it unless exceptions spare them: say by "
              "UserSID "
              "which they are");
}

/* The proxies' ports of all policies, ascending, each once. */
struct proxy_ports {
    size_t count;
    uint16_t items[2 * L4_POLICIES_MAX];
};

static int compare_ports(const void *a, const void *b)
{
    const uint16_t *x = a;
    const uint16_t *y = b;

    return (*x > *y) - (*x < *y);
}

static void find_proxy_ports(const struct l4_policies *l, struct proxy_ports *ret)
{
    size_t all = 0;

    assert(l->count <= L4_POLICIES_MAX);
    for (size_t i = 0; i < l->count; i++) {
        ret->items[all++] = l->items[i].inbound.proxy_port;
        ret->items[all++] = l->items[i].outbound.proxy_port;
    }
    qsort(ret->items, all, sizeof(ret->items[0]), compare_ports);
    ret->count = 0;
    for (size_t i = 0; i < all; i++)
        if (ret->items[i] != 0 && (i == 0 || ret->items[i] != ret->items[i - 1]))
            ret->items[ret->count++] = ret->items[i];
}

/* The index of the first port that isn't below this one. */
static size_t first_from(const struct proxy_ports *ports, uint16_t port)
{
    size_t low = 0, high = ports->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ports->items[middle] < port)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void warn_closed_ports(const struct l4_policy *p, const struct proxy_ports *ports,
                              struct findings *f)
{
    for (size_t i = 0; i < p->inbound.port_exceptions.count; i++) {
        const struct port_range r = p->inbound.port_exceptions.ranges[i];
        for (size_t at = first_from(ports, r.first);
             at < ports->count && ports->items[at] <= r.last; at++)
            if (ports->items[at] != p->inbound.proxy_port)
                found(f, 0,
                      "inbound exception %u is a proxy's port: it stays closed to other machines",
                      ports->items[at]);
    }
}

/* Where no number is lower, the other one's has to be higher. */
static void warn_unreached(const struct l4_reach *reach, struct findings *f)
{
    const unsigned by = reach->taken_by[f->policy];

    if (by == 0)
        return;
    const unsigned own = f->list->items[f->policy].priority;
    const unsigned first = f->list->items[by - 1].priority;
    found(f, 0,
          "no connection reaches it: policy %u comes first and decides about all of them. Give %s "
          "one a priority %s %u, or leave this one out",
          by, first > 0 ? "this" : "that", first > 0 ? "under" : "over", first > 0 ? first : own);
}

static void warn_one(const struct l4_policy *p, enum l4_system system,
                     const struct proxy_ports *ports, const struct l4_reach *reach,
                     struct findings *f)
{
    warn_exceptions("inbound", &p->inbound, f);
    warn_exceptions("outbound", &p->outbound, f);
    warn_guard(p, system, f);
    if (system == L4_LINUX)
        warn_closed_ports(p, ports, f);
    warn_unreached(reach, f);
}

static void warn_repeated(struct findings *f, size_t first)
{
    found(f, 0, "it is the same as policy %zu, and counts once: leave one out", first + 1);
}

size_t l4_check_warnings(const struct l4_policies *l, enum l4_system system,
                         l4_problem_fn *on_warning, void *arg)
{
    struct findings f = {.list = l, .tell = on_warning, .arg = arg};
    struct proxy_ports ports;
    struct l4_reach reach;
    struct l4_index earlier;
    size_t first;

    find_proxy_ports(l, &ports);
    l4_reach_find(l, &reach);
    l4_index_init(&earlier, l);
    for (f.policy = 0; f.policy < l->count; f.policy++)
        if (is_repeated(&earlier, &f, &first))
            warn_repeated(&f, first);
        else
            warn_one(&l->items[f.policy], system, &ports, &reach, &f);
    return f.count;
}

size_t l4_check_repeated(const struct l4_policies *l, l4_problem_fn *on_warning, void *arg)
{
    struct findings f = {.list = l, .tell = on_warning, .arg = arg};
    struct l4_index earlier;
    size_t first;

    l4_index_init(&earlier, l);
    for (f.policy = 0; f.policy < l->count; f.policy++)
        if (is_repeated(&earlier, &f, &first))
            warn_repeated(&f, first);
    return f.count;
}
