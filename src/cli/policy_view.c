#include "cli/policy_view.h"

/* A line that is being written. The first failure stays; nothing is put after it. */
struct view {
    struct buf *out;
    int err;
    const char *between; /* what separates the next part from the last one */
};

static void put(struct view *v, const char *text)
{
    if (v->err == 0)
        v->err = buf_put_str(v->out, text);
}

static void begin_line(struct view *v, const char *name, const char *between)
{
    if (v->err == 0)
        v->err = buf_printf(v->out, "   %-9s ", name);
    v->between = between;
}

/* What stands before a part; the first of a line has no separator. */
static void begin_part(struct view *v, bool *first, const char *name)
{
    put(v, *first ? "" : v->between);
    put(v, name);
    *first = false;
}

static void put_ports(struct view *v, bool *first, const char *name, const struct port_set *s)
{
    if (s->count == 0)
        return;
    begin_part(v, first, name);
    if (v->err == 0)
        v->err = port_set_format(s, v->out);
}

static void put_addresses(struct view *v, bool *first, const char *name, const struct prefix_set *s)
{
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0)
            begin_part(v, first, name);
        prefix_set_format_one(&s->prefixes[i], text);
        put(v, i > 0 ? "," : "");
        put(v, text);
    }
}

static void put_direction(struct view *v, const char *name, const struct l4_direction *direction)
{
    bool first = false;
    if (direction->proxy_port == 0)
        return;
    begin_line(v, name, "; ");
    if (v->err == 0)
        v->err = buf_printf(v->out, "to port %u", (unsigned)direction->proxy_port);
    put_ports(v, &first, "not ports ", &direction->port_exceptions);
    put_addresses(v, &first, "not addresses ", &direction->address_exceptions);
    put(v, "\n");
}

static void put_filter(struct view *v, const struct l4_policy *p)
{
    bool first = true;
    if (p->local_ports.count == 0 && p->remote_ports.count == 0 && p->local_addresses.count == 0 &&
        p->remote_addresses.count == 0)
        return;
    begin_line(v, "only", "; ");
    put_addresses(v, &first, "local addresses ", &p->local_addresses);
    put_ports(v, &first, "local ports ", &p->local_ports);
    put_addresses(v, &first, "remote addresses ", &p->remote_addresses);
    put_ports(v, &first, "remote ports ", &p->remote_ports);
    put(v, "\n");
}

static void put_id(struct view *v, bool *first, const char *name, bool has, uint32_t id)
{
    if (!has)
        return;
    begin_part(v, first, name);
    if (v->err == 0)
        v->err = buf_printf(v->out, "%u", id);
}

static void put_text(struct view *v, bool *first, const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    begin_part(v, first, name);
    put(v, text);
}

static void put_guard(struct view *v, const struct l4_guard *g)
{
    bool first = true;
    if (!g->has_uid && !g->has_gid && g->cgroup[0] == '\0' && g->user_sid[0] == '\0')
        return;
    begin_line(v, "proxy is", " or ");
    put_id(v, &first, "uid ", g->has_uid, g->uid);
    put_id(v, &first, "gid ", g->has_gid, g->gid);
    put_text(v, &first, "cgroup ", g->cgroup);
    put_text(v, &first, "SID ", g->user_sid);
    put(v, "\n");
}

static const char *protocols_text(const struct l4_policy *p)
{
    static const char *const udp[] = {
        [L4_UDP_TPROXY] = "UDP (tproxy)", [L4_UDP_REDIRECT] = "UDP (redirect)"};
    static const char *const both[] = {
        [L4_UDP_TPROXY] = "TCP and UDP (tproxy)", [L4_UDP_REDIRECT] = "TCP and UDP (redirect)"};
    if ((p->protocols & L4_UDP) == 0)
        return "TCP";
    return (p->protocols & L4_TCP) != 0 ? both[p->udp] : udp[p->udp];
}

int policy_view_policy(const struct l4_policy *p, size_t number, struct buf *ret)
{
    struct view v = {.out = ret};
    v.err =
        buf_printf(ret, "%zu. %s, priority %u\n", number, protocols_text(p), (unsigned)p->priority);
    put_direction(&v, "inbound", &p->inbound);
    put_direction(&v, "outbound", &p->outbound);
    put_filter(&v, p);
    put_guard(&v, &p->guard);
    return v.err;
}
