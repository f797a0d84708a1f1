/* The facts of a report as text: what a bug report needs beside the findings. */
#include "base/clock.h"
#include "base/str.h"
#include "diag/report.h"

static int put_system(const struct facts *f, struct buf *out)
{
    char when[CLOCK_TEXT_SIZE];
    clock_format(f->taken_us, when);
    int err = buf_printf(out,
                         "stile     %s\ntaken     %s\nkernel    %s\nsystem    %s\nhost      %s\n"
                         "user      %s\n",
                         STILE_VERSION, when, f->host.kernel, f->host.os, f->host.host_name,
                         f->host.user);
    if (err == 0 && f->broker.err == 0)
        err = buf_printf(out, "service   %s, DNS by %s\n", f->broker.status.version,
                         f->broker.status.dns_backend);
    else if (err == 0)
        err = buf_printf(out, "service   not reached: %s\n", f->broker.diag.text);
    return err;
}

static int put_session(const struct session_facts *s, struct buf *out)
{
    char text[PREFIX_TEXT_SIZE];
    if (s->err < 0)
        return buf_printf(out, "session   %u: %s\n", (unsigned)s->pid, s->diag.text);
    int err = buf_printf(out, "session   %u: %s %s, %s, DNS by %s%s%s\n", (unsigned)s->pid,
                         s->up ? "up" : "run", s->version, s->interface_name,
                         s->dns_backend[0] != '\0' ? s->dns_backend : "its own",
                         s->no_ipv4 ? ", no IPv4" : "", s->no_ipv6 ? ", no IPv6" : "");
    for (size_t i = 0; err == 0 && i < s->range_count; i++) {
        prefix_format(&s->ranges[i], text);
        err = buf_printf(out, "          range %s\n", text);
    }
    if (err == 0 && s->prefix6.addr.version == 6) {
        prefix_format(&s->prefix6, text);
        err = buf_printf(out, "          prefix %s\n", text);
    }
    for (size_t i = 0; err == 0 && i < s->zone_count; i++)
        err = buf_printf(out, "          zone %s\n", s->zones[i]);
    return err;
}

static const char *link_name(const struct host_view *v, uint32_t index)
{
    const struct host_link *l = host_view_link(v, index);
    return l != NULL ? l->name : "-";
}

static int put_links(const struct host_view *v, struct buf *out)
{
    char text[IP_ADDR_TEXT_SIZE];
    int err = buf_put_str(out, "\nLinks\n");
    for (size_t i = 0; err == 0 && i < v->link_count; i++) {
        const struct host_link *l = &v->links[i];
        err = buf_printf(out, "  %s %s mtu %u %s%s\n", l->name,
                         l->kind[0] != '\0' ? l->kind : "device", (unsigned)l->mtu,
                         l->up ? "up" : "down", l->ipv6 ? "" : ", IPv6 off");
    }
    for (size_t i = 0; err == 0 && i < v->address_count; i++) {
        const struct host_address *a = &v->addresses[i];
        ip_addr_format(&a->addr, text);
        err = buf_printf(out, "  %s address %s/%u\n", link_name(v, a->link_index), text,
                         (unsigned)a->bits);
    }
    return err;
}

static int put_route(const struct host_view *v, const struct host_route *r, struct buf *out)
{
    char dst[PREFIX_TEXT_SIZE], via[IP_ADDR_TEXT_SIZE];
    if (r->local)
        return 0;
    prefix_format(&r->dst, dst);
    ip_addr_format(&r->via, via);
    return buf_printf(out, "  %s%s%s dev %s table %u%s\n", dst, r->via.version != 0 ? " via " : "",
                      r->via.version != 0 ? via : "", link_name(v, r->link_index),
                      (unsigned)r->table, r->ours ? " (made by stile)" : "");
}

static int put_routes(const struct host_view *v, struct buf *out)
{
    int err = buf_put_str(out, "\nRoutes\n");
    for (size_t i = 0; err == 0 && i < v->route_count; i++)
        err = put_route(v, &v->routes[i], out);
    return err;
}

static int put_resolver(const struct resolver_facts *r, struct buf *out)
{
    int err = buf_put_str(out, "\n/etc/resolv.conf\n");
    if (err == 0)
        err = buf_put(out, r->resolv_conf);
    if (err == 0 && !r->nsswitch_missing) {
        err = buf_put_str(out, "\n/etc/nsswitch.conf\nhosts:");
        if (err == 0)
            err = buf_put(out, r->nsswitch_hosts);
        if (err == 0)
            err = buf_put_u8(out, '\n');
    }
    if (err == 0 && r->domain_count > 0)
        err = buf_put_str(out, "\nDomains in systemd-resolved\n");
    for (size_t i = 0; err == 0 && i < r->domain_count; i++)
        err = buf_printf(out, "  %s %s\n",
                         r->domains[i].interface_name[0] != '\0' ? r->domains[i].interface_name
                                                                 : "global",
                         r->domains[i].domain[0] != '\0' ? r->domains[i].domain : ".");
    return err;
}

int report_facts_text(const struct diagnosis *d, struct redactor *r, struct buf *out)
{
    const struct facts *f = &d->facts;
    CLEANUP(buf_release) struct buf plain;
    buf_init(&plain, REPORT_TEXT_MAX);
    int err = put_system(f, &plain);
    for (size_t i = 0; err == 0 && i < f->session_count; i++)
        err = put_session(&f->sessions[i], &plain);
    if (err == 0)
        err = put_links(&f->host.view, &plain);
    if (err == 0)
        err = put_routes(&f->host.view, &plain);
    if (err == 0)
        err = put_resolver(&f->host.resolver, &plain);
    if (err < 0)
        return err;
    return r == NULL ? buf_put(out, buf_slice(&plain)) : redact_text(r, buf_slice(&plain), out);
}
