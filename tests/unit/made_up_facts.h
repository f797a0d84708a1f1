/* Facts as they are on a host where all is well, for tests to spoil: a session on stile0 with the zone corp.example, known to
 * systemd-resolved, one gateway, nothing else. */
#ifndef STILE_TESTS_UNIT_MADE_UP_FACTS_H
#define STILE_TESTS_UNIT_MADE_UP_FACTS_H

#include <string.h>

#include "testing.h"

#include "base/mem.h"
#include "base/str.h"
#include "diag/diagnosis.h"

#define MADE_UP_NOW_S INT64_C(1800000000)

#define set_text(dst, text) assert_int_equal(str_copy((dst), sizeof(dst), (text)), 0)

struct made_up {
    struct facts f;
    struct session_facts session;
    struct dns_probe probe;
    struct gateway_facts gateway;
    struct host_link links[4];
    struct host_address addresses[4];
    struct host_route routes[8];
};

static inline struct prefix made_up_prefix(const char *text)
{
    struct prefix p;
    assert_int_equal(prefix_parse(text, &p), 0);
    return p;
}

static inline struct ip_addr made_up_addr(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(text, &a), 0);
    return a;
}

static inline struct host_link *made_up_link(struct made_up *m, const char *name, const char *kind)
{
    struct host_view *v = &m->f.host.view;
    struct host_link *l = &m->links[v->link_count++];
    *l =
        (struct host_link){.index = (uint32_t)v->link_count, .mtu = 1500, .up = true, .ipv6 = true};
    assert_int_equal(str_copy(l->name, sizeof(l->name), name), 0);
    assert_int_equal(str_copy(l->kind, sizeof(l->kind), kind), 0);
    return l;
}

static inline void made_up_address(struct made_up *m, uint32_t link, const char *text, uint8_t bits)
{
    struct host_view *v = &m->f.host.view;
    m->addresses[v->address_count++] =
        (struct host_address){.link_index = link, .addr = made_up_addr(text), .bits = bits};
}

static inline struct host_route *made_up_route(struct made_up *m, uint32_t link, const char *dst)
{
    struct host_view *v = &m->f.host.view;
    struct host_route *r = &m->routes[v->route_count++];
    *r = (struct host_route){.link_index = link, .dst = made_up_prefix(dst), .table = 254};
    return r;
}

static inline void made_up_domain(struct made_up *m, const char *link, const char *domain)
{
    struct resolver_facts *r = &m->f.host.resolver;
    struct resolved_domain *d = &r->domains[r->domain_count++];
    assert_int_equal(str_copy(d->interface_name, sizeof(d->interface_name), link), 0);
    assert_int_equal(str_copy(d->domain, sizeof(d->domain), domain), 0);
}

/* hosts: line and resolv.conf's servers. */
static inline void made_up_resolver(struct made_up *m, const char *hosts, const char *server)
{
    struct resolver_facts *r = &m->f.host.resolver;
    r->nsswitch_hosts = slice_str(hosts);
    r->resolvers.count = 0;
    assert_true(resolvers_add(&r->resolvers, slice_str(server)));
}

static inline void made_up_session(struct made_up *m)
{
    struct session_facts *s = &m->session;
    s->pid = 4711;
    s->up = true;
    set_text(s->version, STILE_VERSION);
    set_text(s->state, "up");
    set_text(s->interface_name, "stile0");
    set_text(s->dns_backend, "resolved");
    s->range_count = 1;
    s->ranges[0] = made_up_prefix("100.64.0.0/10");
    s->prefix6 = made_up_prefix("fd00:1:2::/48");
    s->zone_count = 1;
    set_text(s->zones[0], "corp.example");
}

static inline void made_up_probe(struct made_up *m)
{
    struct dns_probe *p = &m->probe;
    set_text(p->zone, "corp.example");
    set_text(p->name, "stile-diag-0001.corp.example");
    p->ours[0] = made_up_addr("100.64.0.2");
    p->ours[1] = made_up_addr("fd00:1:2::2");
    for (size_t i = 0; i < DNS_FAMILIES; i++) {
        p->host[i] = DNS_OURS;
        p->host_got[i] = p->ours[i];
        p->direct[i][DNS_UDP] = p->direct[i][DNS_TCP] = DNS_OURS;
    }
}

static inline void made_up_gateway(struct made_up *m)
{
    struct gateway_facts *g = &m->gateway;
    set_text(g->profile, "corp");
    set_text(g->user, "alice");
    set_text(g->gateway, "gw.corp.example:7443");
    g->stage = GATEWAY_DONE;
    g->log_in_ends_s = MADE_UP_NOW_S + 36000;
    g->has_cert = true;
    g->cert_begins_s = MADE_UP_NOW_S - 86400 * 30;
    g->cert_ends_s = MADE_UP_NOW_S + 86400 * 30;
    g->has_time = true;
    g->uncertainty_us = 20000;
}

static inline void made_up_init(struct made_up *m)
{
    struct facts *f = &m->f;
    memset(m, 0, sizeof(*m));
    f->taken_us = MADE_UP_NOW_S * 1000000;
    f->sessions = &m->session;
    f->session_count = 1;
    f->probes = &m->probe;
    f->probe_count = 1;
    f->gateways = (struct gateways){.items = &m->gateway, .count = 1};
    f->host.view =
        (struct host_view){.links = m->links, .addresses = m->addresses, .routes = m->routes};
    set_text(f->broker.status.version, STILE_VERSION);
    set_text(f->broker.status.dns_backend, "resolved");
    made_up_session(m);
    made_up_probe(m);
    made_up_gateway(m);
    uint32_t tun = made_up_link(m, "stile0", "tun")->index;
    made_up_address(m, tun, "100.64.0.1", 32);
    made_up_address(m, tun, "fd00:1:2::1", 128);
    made_up_route(m, tun, "100.64.0.0/10")->ours = true;
    made_up_route(m, tun, "fd00:1:2::/48")->ours = true;
    made_up_resolver(m, "files resolve", "127.0.0.53");
    made_up_domain(m, "stile0", "corp.example");
    f->host.resolver.links[0] = tun;
    f->host.resolver.link_count = 1;
}

#endif
