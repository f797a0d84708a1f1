/* Whether anything of the host lies in the session's ranges, in both families. */
#include "agent/network.h"
#include "base/str.h"
#include "diag/check.h"
#include "netcfg/conflict.h"

#define NEEDED_MAX 48

/* What must be reached past the tunnel: the host's resolvers, and the gateways. */
struct needed {
    size_t count;
    struct conflict_needed items[NEEDED_MAX];
    char names[NEEDED_MAX][PROFILE_HOST_SIZE + 16];
};

static bool is_session_dns(const struct session_facts *s, const struct ip_addr *a)
{
    struct ip_addr v4 = session_dns_address(s, 4), v6 = session_dns_address(s, 6);
    return ip_addr_eq(a, &v4) || ip_addr_eq(a, &v6);
}

static void need(struct needed *n, const struct ip_addr *a, const char *what, const char *name)
{
    if (a->version == 0 || n->count == NEEDED_MAX)
        return;
    (void)str_format(n->names[n->count], sizeof(n->names[0]), "%s%s", what, name);
    n->items[n->count] = (struct conflict_needed){.addr = *a, .what = n->names[n->count]};
    n->count++;
}

static void collect_needed(const struct facts *f, const struct session_facts *s, struct needed *n)
{
    const struct resolvers *r = &f->host.resolver.resolvers;
    n->count = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct ip_addr a;
        if (resolver_address(r->addrs[i], &a) == 0 && (s == NULL || !is_session_dns(s, &a)))
            need(n, &a, "the resolver", "");
    }
    for (size_t i = 0; i < f->gateways.count; i++)
        for (size_t family = 0; family < 2; family++)
            need(n, &f->gateways.items[i].addresses[family], "the gateway ",
                 f->gateways.items[i].gateway_name);
}

static void judge_prefix(const struct conflict_query *q, const struct prefix *p,
                         struct findings *ret)
{
    struct conflict c;
    char text[PREFIX_TEXT_SIZE];
    prefix_format(p, text);
    if (!conflict_find(q, p, &c)) {
        struct finding *n = findings_add(ret, SEVERITY_OK, "range", text);
        finding_title(n, "Nothing of the host is in the way of %s", text);
        return;
    }
    struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "range-conflict", text);
    finding_title(n, "%s collides with %s", text, c.text);
    finding_detail(n, "Addresses that both have lead to only one of them%s%s",
                   c.interface[0] != '\0' ? "; the other is the interface " : "", c.interface);
    finding_remedy(n, "Start the session anew, which picks a free range (stile down, then stile "
                      "up), or name one with stile up --range; or disconnect the other network");
}

/* Before there is a session: would its usual range do? */
static void judge_default(const struct facts *f, struct findings *ret)
{
    struct needed needed;
    struct conflict c;
    struct prefix p;
    collect_needed(f, NULL, &needed);
    struct conflict_query q = {
        .view = &f->host.view, .needed = needed.items, .needed_count = needed.count};
    if (prefix_parse(NETWORK_DEFAULT_RANGE, &p) < 0 || !conflict_find(&q, &p, &c))
        return;
    struct finding *n = findings_add(ret, SEVERITY_NOTICE, "range-taken", NETWORK_DEFAULT_RANGE);
    finding_title(n, "The usual range " NETWORK_DEFAULT_RANGE " collides with %s", c.text);
    finding_remedy(n, "stile up picks another one by itself and says which; --range names one");
}

static void judge_session(const struct facts *f, const struct session_facts *s,
                          struct findings *ret)
{
    struct needed needed;
    collect_needed(f, s, &needed);
    struct conflict_query q = {.view = &f->host.view,
                               .own_link = s->interface_name,
                               .needed = needed.items,
                               .needed_count = needed.count};
    for (size_t r = 0; r < s->range_count && !s->no_ipv4; r++)
        judge_prefix(&q, &s->ranges[r], ret);
    if (!s->no_ipv6 && s->prefix6.addr.version == 6)
        judge_prefix(&q, &s->prefix6, ret);
}

static void run(const struct facts *f, struct findings *ret)
{
    bool any = false;
    if (f->host.view_err < 0)
        return;
    for (size_t i = 0; i < f->session_count; i++) {
        const struct session_facts *s = &f->sessions[i];
        if (s->err < 0 || !s->up || s->interface_name[0] == '\0')
            continue;
        judge_session(f, s, ret);
        any = true;
    }
    if (!any)
        judge_default(f, ret);
}

const struct check check_routes = {.id = "routes", .heading = "Route conflicts", .run = run};
