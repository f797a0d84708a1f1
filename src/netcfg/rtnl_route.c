#include <errno.h>
#include <string.h>

#include "netcfg/rtnl_internal.h"

#define CONGESTION_CONTROL "cubic"

/* What IPv6 stores for a route that asks for no metric. */
enum { IP6_METRIC_DEFAULT = 1024 };

static void put_metrics(struct nlmsghdr *h)
{
    struct nlattr *metrics = mnl_attr_nest_start(h, RTA_METRICS);

    mnl_attr_put_strz(h, RTAX_CC_ALGO, CONGESTION_CONTROL);
    mnl_attr_nest_end(h, metrics);
}

static void put_addr(struct nlmsghdr *h, uint16_t type, const struct ip_addr *a)
{
    if (a->version != 0)
        mnl_attr_put(h, type, ip_addr_len(a), a->bytes);
}

/* rtm_table has 8 bits; the attribute has them all. */
static struct nlmsghdr *route_request(struct rtnl *r, char *memory, uint16_t type, uint16_t flags,
                                      const struct rtnl_route *route)
{
    struct nlmsghdr *h = rtnl_request(r, memory, type, flags);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = rtnl_family_of(&route->dst.addr);
    m->rtm_dst_len = route->dst.bits;
    m->rtm_table = RT_TABLE_UNSPEC;
    m->rtm_type = route->type == 0 ? RTN_UNICAST : route->type;
    put_addr(h, RTA_DST, &route->dst.addr);
    mnl_attr_put_u32(h, RTA_TABLE, route->table == 0 ? RTNL_TABLE_MAIN : route->table);
    put_addr(h, RTA_GATEWAY, &route->via);
    if (route->metric != 0)
        mnl_attr_put_u32(h, RTA_PRIORITY, route->metric);
    if (route->link_index != 0)
        mnl_attr_put_u32(h, RTA_OIF, route->link_index);
    return h;
}

static int explain_add(struct rtnl *r, const struct rtnl_route *route, int code, struct diag *d)
{
    char text[PREFIX_TEXT_SIZE];

    prefix_format(&route->dst, text);
    if (code == -EEXIST)
        return diag_set(d, ERR_EXISTS, -code, "There is a route to %s already", text);
    if (code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code,
                        "Failed to add the route to %s: the network interface is gone", text);
    if (code == -ENETDOWN || code == -ENETUNREACH)
        return diag_set(d, ERR_UNREACHABLE, -code,
                        "Failed to add the route to %s: the network interface is down", text);
    if (code == -EACCES || code == -EOPNOTSUPP || code == -EAFNOSUPPORT)
        return diag_set(d, ERR_UNSUPPORTED, -code,
                        "Failed to add the route to %s: IPv%u is switched off", text,
                        route->dst.addr.version);
    return diag_set(d, err_from_errno(-code), -code, "Failed to add the route to %s: %s", text,
                    rtnl_why(r, code));
}

static uint8_t scope_of(const struct rtnl_route *route)
{
    if (route->dst.addr.version != 4 || route->via.version != 0)
        return RT_SCOPE_UNIVERSE;
    return route->type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
}

static int put_route(struct rtnl *r, const struct rtnl_route *route, uint16_t flags, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = route_request(r, memory, RTM_NEWROUTE, NLM_F_CREATE | flags, route);
    struct rtmsg *m = mnl_nlmsg_get_payload(h);

    m->rtm_protocol = RTNL_PROTOCOL;
    m->rtm_scope = scope_of(route);
    put_addr(h, RTA_PREFSRC, &route->source);
    if (route->type != RTN_LOCAL) /* its connections never leave the machine */
        put_metrics(h);
    int code = rtnl_ask(r, h, NULL, NULL, NULL);
    return code == 0 ? 0 : explain_add(r, route, code, d);
}

int rtnl_new_route(struct rtnl *r, const struct rtnl_route *route, struct diag *d)
{
    return put_route(r, route, NLM_F_EXCL, d);
}

int rtnl_replace_route(struct rtnl *r, const struct rtnl_route *route, struct diag *d)
{
    return put_route(r, route, NLM_F_REPLACE, d);
}

int rtnl_add_route(struct rtnl *r, unsigned index, const struct prefix *dst,
                   const struct ip_addr *source, struct diag *d)
{
    const struct rtnl_route route = {
        .dst = *dst, .table = RTNL_TABLE_MAIN, .link_index = index, .source = *source};

    return rtnl_new_route(r, &route, d);
}

int rtnl_delete_route(struct rtnl *r, const struct rtnl_route *route, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    char text[PREFIX_TEXT_SIZE];
    struct nlmsghdr *h = route_request(r, memory, RTM_DELROUTE, 0, route);
    struct rtmsg *m = mnl_nlmsg_get_payload(h);

    m->rtm_protocol = route->protocol;
    m->rtm_scope = RT_SCOPE_NOWHERE; /* any */
    int code = rtnl_ask(r, h, NULL, NULL, NULL);
    if (code == 0)
        return 0;
    prefix_format(&route->dst, text);
    if (code == -ESRCH || code == -ENOENT || code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code, "The route to %s is gone already", text);
    return diag_set(d, err_from_errno(-code), -code, "Failed to remove the route to %s: %s", text,
                    rtnl_why(r, code));
}

struct each_route {
    int (*each)(void *arg, const struct rtnl_route *route);
    void *arg;
};

static uint32_t number_of(const struct nlattr *attr)
{
    return attr != NULL && mnl_attr_get_payload_len(attr) == sizeof(uint32_t)
               ? mnl_attr_get_u32(attr)
               : 0;
}

/* RTA_VIA: a next hop of the other family. */
static void via_of(uint8_t family, const struct nlattr *gateway, const struct nlattr *via,
                   struct ip_addr *ret)
{
    const struct rtvia *other = via == NULL ? NULL : mnl_attr_get_payload(via);

    if (gateway != NULL)
        (void)rtnl_addr_of(family, gateway, ret);
    else if (other != NULL && mnl_attr_get_payload_len(via) == sizeof(*other) + 16 &&
             other->rtvia_family == AF_INET6)
        *ret = ip_addr_from(6, other->rtvia_addr);
}

static int route_of(const struct nlmsghdr *h, const struct nlattr **attrs, struct rtnl_route *ret)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);

    *ret = (struct rtnl_route){
        .table = attrs[RTA_TABLE] != NULL ? number_of(attrs[RTA_TABLE]) : m->rtm_table,
        .metric = number_of(attrs[RTA_PRIORITY]),
        .link_index = number_of(attrs[RTA_OIF]),
        .protocol = m->rtm_protocol,
        .type = m->rtm_type,
        .dst = {.addr = {.version = m->rtm_family == AF_INET ? 4 : 6}, .bits = m->rtm_dst_len}};
    via_of(m->rtm_family, attrs[RTA_GATEWAY], attrs[RTA_VIA], &ret->via);
    if (attrs[RTA_PREFSRC] != NULL)
        (void)rtnl_addr_of(m->rtm_family, attrs[RTA_PREFSRC], &ret->source);
    return attrs[RTA_DST] == NULL ? 0 : rtnl_addr_of(m->rtm_family, attrs[RTA_DST], &ret->dst.addr);
}

static int pass_next_hops(struct each_route *e, struct rtnl_route *route,
                          const struct nlattr *multipath)
{
    uint8_t family = rtnl_family_of(&route->dst.addr);
    const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
    size_t left = mnl_attr_get_payload_len(multipath);
    int stop = 0;

    while (stop == 0 && left >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) &&
           hop->rtnh_len <= left) {
        const struct nlattr *attrs[RTA_VIA + 1];
        rtnl_attrs_in(hop + 1, hop->rtnh_len - sizeof(*hop), attrs, ARRAY_LEN(attrs));
        route->link_index = (uint32_t)hop->rtnh_ifindex;
        route->via = (struct ip_addr){0};
        via_of(family, attrs[RTA_GATEWAY], attrs[RTA_VIA], &route->via);
        stop = e->each(e->arg, route);
        size_t step = MIN(left, (size_t)RTNH_ALIGN(hop->rtnh_len));
        left -= step;
        hop = (const struct rtnexthop *)(const void *)((const char *)hop + step);
    }
    return stop;
}

static int pass_route(void *arg, const struct nlmsghdr *h)
{
    struct each_route *e = arg;
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attrs[RTA_VIA + 1];
    struct rtnl_route route;

    if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*m))
        return 0;
    if ((m->rtm_family != AF_INET && m->rtm_family != AF_INET6) ||
        (m->rtm_flags & RTM_F_CLONED) != 0)
        return 0;
    rtnl_attrs(h, sizeof(*m), attrs, ARRAY_LEN(attrs));
    if (route_of(h, attrs, &route) < 0)
        return 0;
    if (attrs[RTA_MULTIPATH] != NULL)
        return pass_next_hops(e, &route, attrs[RTA_MULTIPATH]);
    return e->each(e->arg, &route);
}

/* Of one family, table and protocol; 0: of all. A kernel that can't filter gives all. */
static int dump(struct rtnl *r, uint8_t family, uint32_t table, uint8_t protocol,
                struct each_route *e, int *ret_stop)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = family;
    if (r->strict) {
        m->rtm_protocol = protocol;
        if (table != 0)
            mnl_attr_put_u32(h, RTA_TABLE, table);
    }
    int code = rtnl_ask(r, h, pass_route, e, ret_stop);
    return code == -ENOENT ? 0 : code; /* no such table: it has no routes */
}

int rtnl_each_route(struct rtnl *r, int (*each)(void *arg, const struct rtnl_route *route),
                    void *arg, struct diag *d)
{
    const uint8_t families[] = {AF_INET, AF_INET6};
    struct each_route e = {each, arg};
    int stop = 0;

    for (size_t i = 0; i < ARRAY_LEN(families) && stop == 0; i++) {
        int code = dump(r, families[i], 0, 0, &e, &stop);
        if (code < 0)
            return diag_set(d, err_from_errno(-code), -code, "Failed to list the routes: %s",
                            rtnl_why(r, code));
    }
    return stop;
}

struct search {
    struct rtnl_route wanted;
    struct rtnl_route found;
    bool any;
};

static uint32_t metric_of(const struct rtnl_route *route)
{
    return route->metric == 0 && route->dst.addr.version == 6 ? IP6_METRIC_DEFAULT : route->metric;
}

static int compare(void *arg, const struct rtnl_route *route)
{
    struct search *s = arg;

    if (!prefix_eq(&route->dst, &s->wanted.dst) || route->table != s->wanted.table ||
        metric_of(route) != metric_of(&s->wanted))
        return 0;
    s->found = *route;
    s->any = true;
    return route->protocol == RTNL_PROTOCOL && route->link_index == s->wanted.link_index;
}

int rtnl_find_route(struct rtnl *r, const struct rtnl_route *route, struct rtnl_route *ret,
                    struct diag *d)
{
    const uint8_t protocols[] = {RTNL_PROTOCOL,
                                 0}; /* the quick question first: the table may be long */
    struct search s = {.wanted = *route};
    struct each_route e = {compare, &s};
    char text[PREFIX_TEXT_SIZE];
    int stop = 0;
    int code = 0;

    s.wanted.table = route->table == 0 ? RTNL_TABLE_MAIN : route->table;
    for (size_t i = 0; i < ARRAY_LEN(protocols) && code == 0 && stop == 0; i++)
        for (int tries = 0; tries < 3 && stop == 0 && (tries == 0 || r->interrupted); tries++)
            code =
                dump(r, rtnl_family_of(&route->dst.addr), s.wanted.table, protocols[i], &e, &stop);
    prefix_format(&route->dst, text);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code, "Failed to look for the route to %s: %s",
                        text, rtnl_why(r, code));
    if (!s.any)
        return diag_set(d, ERR_NOTFOUND, 0, "There is no route to %s", text);
    *ret = s.found;
    return 0;
}
