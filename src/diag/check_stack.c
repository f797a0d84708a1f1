/* The session's part of the host's network: the interface, its addresses, the routes to its ranges. */
#include "base/str.h"
#include "diag/check.h"
#include "net/pool.h"

#define REMEDY_REPAIR                                                                              \
    "The service repairs it once by itself; if it stays so, something else removes it: see stile " \
    "logs. To start anew: stile down, then stile up"

static void zones_text(const struct session_facts *s, char *text, size_t size)
{
    (void)str_format(text, size, "%s", s->zone_count > 0 ? s->zones[0] : "none yet");
    for (size_t i = 1; i < s->zone_count && i < 8; i++) {
        char longer[1024];
        (void)str_format(longer, sizeof(longer), "%s, %s", text, s->zones[i]);
        (void)str_format(text, size, "%s", longer);
    }
}

static bool has_address(const struct host_view *v, const struct host_link *l,
                        const struct ip_addr *a)
{
    for (size_t i = 0; i < v->address_count; i++)
        if (v->addresses[i].link_index == l->index && ip_addr_eq(&v->addresses[i].addr, a))
            return true;
    return false;
}

static bool has_route(const struct host_view *v, const struct host_link *l, const struct prefix *p)
{
    for (size_t i = 0; i < v->route_count; i++)
        if (v->routes[i].link_index == l->index && prefix_eq(&v->routes[i].dst, p))
            return true;
    return false;
}

static void judge_prefix(const struct facts *f, const struct host_link *l, const struct prefix *p,
                         bool with_address, struct findings *ret)
{
    char text[PREFIX_TEXT_SIZE], address[IP_ADDR_TEXT_SIZE];
    struct ip_addr tun = prefix_at(p, POOL_OFFSET_TUN);
    prefix_format(p, text);
    if (!has_route(&f->host.view, l, p)) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "route-missing", text);
        finding_title(n, "The route to %s over %s is missing", text, l->name);
        finding_remedy(n, REMEDY_REPAIR);
    }
    if (with_address && !has_address(&f->host.view, l, &tun)) {
        ip_addr_format(&tun, address);
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "address-missing", address);
        finding_title(n, "The address %s of %s is missing", address, l->name);
        finding_remedy(n, REMEDY_REPAIR);
    }
}

static void judge_prefixes(const struct facts *f, const struct session_facts *s,
                           const struct host_link *l, struct findings *ret)
{
    for (size_t i = 0; i < s->range_count && !s->no_ipv4; i++)
        judge_prefix(f, l, &s->ranges[i], i == 0, ret);
    if (!s->no_ipv6 && s->prefix6.addr.version == 6)
        judge_prefix(f, l, &s->prefix6, true, ret);
}

static void tell_stack(const struct session_facts *s, const struct host_link *l,
                       struct findings *ret)
{
    char range[PREFIX_TEXT_SIZE] = "", prefix6[PREFIX_TEXT_SIZE] = "", zones[512];
    if (s->range_count > 0 && !s->no_ipv4)
        prefix_format(&s->ranges[0], range);
    if (s->prefix6.addr.version == 6 && !s->no_ipv6)
        prefix_format(&s->prefix6, prefix6);
    zones_text(s, zones, sizeof(zones));
    struct finding *n = findings_add(ret, SEVERITY_OK, "stack", s->interface_name);
    finding_title(n, "%s is up (MTU %u): %s%s%s", s->interface_name, (unsigned)l->mtu, range,
                  range[0] != '\0' && prefix6[0] != '\0' ? ", " : "", prefix6);
    finding_detail(n, "Zones: %s", zones);
}

static void judge_up(const struct facts *f, const struct session_facts *s, struct findings *ret)
{
    const struct host_link *l = host_view_link_named(&f->host.view, s->interface_name);
    size_t before = ret->count;
    if (s->interface_name[0] == '\0')
        return; /* not up yet, which check_service tells */
    if (l == NULL) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "link-missing", s->interface_name);
        finding_title(n, "The session's interface %s isn't there", s->interface_name);
        finding_remedy(n, "Start anew: stile down, then stile up. If it was removed by another "
                          "program, keep that from stile's interfaces");
        return;
    }
    if (!l->up) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "link-down", l->name);
        finding_title(n, "The session's interface %s is down", l->name);
        finding_remedy(n, REMEDY_REPAIR);
    }
    if (l->mtu < 1280) {
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "mtu-small", l->name);
        finding_title(n, "The MTU of %s is %u: IPv6 needs 1280 or more", l->name, (unsigned)l->mtu);
        finding_remedy(n, "Start anew with a larger one: stile down, then stile up --mtu 65535");
    }
    judge_prefixes(f, s, l, ret);
    if (ret->count == before)
        tell_stack(s, l, ret);
}

static void run(const struct facts *f, struct findings *ret)
{
    if (f->host.view_err < 0) {
        struct finding *n = findings_add(ret, SEVERITY_NOTICE, "network-unseen", "");
        finding_title(n, "The host's network couldn't be looked at");
        finding_detail(n, "%s", f->host.view_diag.text);
        finding_remedy(n, "Interfaces, routes and conflicts are left out of this report");
        return;
    }
    for (size_t i = 0; i < f->session_count; i++) {
        const struct session_facts *s = &f->sessions[i];
        char subject[32];
        if (s->err == 0 && s->up)
            judge_up(f, s, ret);
        if (s->err < 0 || s->up)
            continue;
        (void)str_format(subject, sizeof(subject), "session %u", (unsigned)s->pid);
        struct finding *n = findings_add(ret, SEVERITY_OK, "stack-of-its-own", subject);
        finding_title(n,
                      "The session of stile run (pid %u) has a network of its own: nothing of "
                      "this host can be in its way, and its DNS isn't checked from here",
                      (unsigned)s->pid);
    }
}

const struct check check_stack = {.id = "stack", .heading = "Interface", .run = run};
