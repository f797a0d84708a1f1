#include "policy/l4_policy.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

void l4_policy_init(struct l4_policy *p)
{
    *p = (struct l4_policy){.protocols = L4_TCP, .udp = L4_UDP_TPROXY};
}

static bool direction_eq(const struct l4_direction *a, const struct l4_direction *b)
{
    return a->proxy_port == b->proxy_port &&
           port_set_eq(&a->port_exceptions, &b->port_exceptions) &&
           prefix_set_eq(&a->address_exceptions, &b->address_exceptions);
}

bool l4_guard_eq(const struct l4_guard *a, const struct l4_guard *b)
{
    return a->has_uid == b->has_uid && (!a->has_uid || a->uid == b->uid) &&
           a->has_gid == b->has_gid && (!a->has_gid || a->gid == b->gid) &&
           str_eq(a->user_sid, b->user_sid) && str_eq(a->cgroup, b->cgroup);
}

bool l4_policy_eq(const struct l4_policy *a, const struct l4_policy *b)
{
    return a->priority == b->priority && a->protocols == b->protocols && a->udp == b->udp &&
           direction_eq(&a->inbound, &b->inbound) && direction_eq(&a->outbound, &b->outbound) &&
           port_set_eq(&a->local_ports, &b->local_ports) &&
           port_set_eq(&a->remote_ports, &b->remote_ports) &&
           prefix_set_eq(&a->local_addresses, &b->local_addresses) &&
           prefix_set_eq(&a->remote_addresses, &b->remote_addresses) &&
           l4_guard_eq(&a->guard, &b->guard);
}

static uint64_t text_hash(const char *text)
{
    static const uint64_t unkeyed[2] = {0};

    return siphash13(unkeyed, slice_str(text));
}

uint64_t l4_policy_hash(const struct l4_policy *p)
{
    static const uint64_t unkeyed[2] = {0};
    const struct l4_guard *g = &p->guard;
    const uint64_t value[] = {
        p->priority,
        p->protocols,
        (uint64_t)p->udp,
        p->inbound.proxy_port,
        port_set_hash(&p->inbound.port_exceptions),
        prefix_set_hash(&p->inbound.address_exceptions),
        p->outbound.proxy_port,
        port_set_hash(&p->outbound.port_exceptions),
        prefix_set_hash(&p->outbound.address_exceptions),
        port_set_hash(&p->local_ports),
        port_set_hash(&p->remote_ports),
        prefix_set_hash(&p->local_addresses),
        prefix_set_hash(&p->remote_addresses),
        g->has_uid ? (uint64_t)g->uid + 1 : 0,
        g->has_gid ? (uint64_t)g->gid + 1 : 0,
        text_hash(g->user_sid),
        text_hash(g->cgroup),
    };

    return siphash13(unkeyed, slice_of(value, sizeof(value)));
}

static int put_directions(const struct l4_policy *p, struct buf *ret)
{
    const char *protocol = p->protocols == (L4_TCP | L4_UDP) ? "TCP and UDP"
                           : p->protocols == L4_UDP          ? "UDP"
                                                             : "TCP";
    uint16_t in = p->inbound.proxy_port, out = p->outbound.proxy_port;

    if (in != 0 && in == out)
        return buf_printf(ret, "inbound and outbound %s to port %u", protocol, in);
    if (in == 0 && out == 0)
        return buf_printf(ret, "%s to no port", protocol);
    int r = in != 0 ? buf_printf(ret, "inbound %s to port %u", protocol, in) : 0;
    if (r == 0 && in != 0 && out != 0)
        r = buf_put_str(ret, ", ");
    if (r == 0 && out != 0)
        r = buf_printf(ret, "outbound %s to port %u", protocol, out);
    return r;
}

static int put_ports(const char *before, const struct port_set *s, struct buf *ret)
{
    int r = s->count > 0 ? buf_put_str(ret, before) : 0;

    return r == 0 ? port_set_format(s, ret) : r;
}

static int put_prefixes(const char *before, const struct prefix_set *s, struct buf *ret)
{
    char text[PREFIX_TEXT_SIZE];
    int r = s->count > 0 ? buf_put_str(ret, before) : 0;

    for (size_t i = 0; i < s->count && r == 0; i++) {
        prefix_set_format_one(&s->prefixes[i], text);
        r = buf_printf(ret, "%s%s", i > 0 ? "," : "", text);
    }
    return r;
}

static int put_sets(const struct l4_policy *p, struct buf *ret)
{
    int r = put_prefixes(", local addresses ", &p->local_addresses, ret);

    if (r == 0)
        r = put_ports(", local ports ", &p->local_ports, ret);
    if (r == 0)
        r = put_prefixes(", remote addresses ", &p->remote_addresses, ret);
    if (r == 0)
        r = put_ports(", remote ports ", &p->remote_ports, ret);
    if (r == 0)
        r = put_ports(", not inbound ports ", &p->inbound.port_exceptions, ret);
    if (r == 0)
        r = put_prefixes(", not inbound from ", &p->inbound.address_exceptions, ret);
    if (r == 0)
        r = put_ports(", not outbound ports ", &p->outbound.port_exceptions, ret);
    if (r == 0)
        r = put_prefixes(", not outbound to ", &p->outbound.address_exceptions, ret);
    return r;
}

static int put_guard(const struct l4_guard *g, struct buf *ret)
{
    int r = g->user_sid[0] != '\0' ? buf_printf(ret, ", not of SID %s", g->user_sid) : 0;

    if (r == 0 && g->has_uid)
        r = buf_printf(ret, ", not of uid %u", g->uid);
    if (r == 0 && g->has_gid)
        r = buf_printf(ret, ", not of gid %u", g->gid);
    if (r == 0 && g->cgroup[0] != '\0')
        r = buf_printf(ret, ", not of cgroup %s", g->cgroup);
    return r;
}

int l4_policy_format(const struct l4_policy *p, struct buf *ret)
{
    int r = put_directions(p, ret);

    if (r == 0 && p->udp == L4_UDP_REDIRECT)
        r = buf_put_str(ret, " (UDP by redirect)");
    if (r == 0)
        r = put_sets(p, ret);
    if (r == 0)
        r = put_guard(&p->guard, ret);
    if (r == 0 && p->priority != 0)
        r = buf_printf(ret, ", priority %u", p->priority);
    return r;
}

void l4_policies_init(struct l4_policies *l)
{
    *l = (struct l4_policies){0};
}

void l4_policies_release(struct l4_policies *l)
{
    mem_free(l->items);
    l4_policies_init(l);
}

static int grow(struct l4_policies *l)
{
    size_t size = l->size > 0 ? l->size * 2 : 4;
    struct l4_policy *items = mem_resize(l->items, size, sizeof(*items));

    if (items == NULL)
        return ERR_NOMEM;
    l->items = items;
    l->size = size;
    return 0;
}

int l4_policies_add(struct l4_policies *l, const struct l4_policy *p)
{
    if (l->count == L4_POLICIES_MAX)
        return ERR_LIMIT;
    if (l->count == l->size && grow(l) < 0)
        return ERR_NOMEM;
    l->items[l->count++] = *p;
    return 0;
}

int l4_policies_copy(const struct l4_policies *l, struct l4_policies *ret)
{
    struct l4_policies copy = {.count = l->count, .size = l->count};

    if (l->count > 0) {
        copy.items = mem_array(l->count, sizeof(copy.items[0]));
        if (copy.items == NULL)
            return ERR_NOMEM;
        memcpy(copy.items, l->items, l->count * sizeof(copy.items[0]));
    }
    *ret = copy;
    return 0;
}

static_assert(L4_POLICIES_MAX <= UINT16_MAX, "an index fits");

static void merge(const struct l4_policies *l, const uint16_t *from, uint16_t *to, size_t start,
                  size_t middle, size_t end)
{
    size_t left = start, right = middle;

    for (size_t i = start; i < end; i++) {
        bool take_left = left < middle && (right == end || l->items[from[left]].priority <=
                                                               l->items[from[right]].priority);
        to[i] = from[take_left ? left++ : right++];
    }
}

/* A merge sort from below: stable, and it needs no memory. */
void l4_policies_order(const struct l4_policies *l, struct l4_order *ret)
{
    uint16_t spare[L4_POLICIES_MAX];

    for (size_t i = 0; i < l->count; i++)
        ret->at[i] = (uint16_t)i;
    for (size_t width = 1; width < l->count; width *= 2) {
        for (size_t i = 0; i < l->count; i += 2 * width)
            merge(l, ret->at, spare, i, MIN(i + width, l->count), MIN(i + 2 * width, l->count));
        memcpy(ret->at, spare, l->count * sizeof(spare[0]));
    }
}

void l4_policies_sort(struct l4_policies *l)
{
    struct l4_order order;

    l4_policies_order(l, &order);
    /* Along each cycle of the permutation; a place that is done names itself. */
    for (size_t start = 0; start < l->count; start++) {
        if (order.at[start] == start)
            continue;
        struct l4_policy first = l->items[start];
        size_t to = start;
        while (order.at[to] != start) {
            size_t from = order.at[to];
            l->items[to] = l->items[from];
            order.at[to] = (uint16_t)to;
            to = from;
        }
        l->items[to] = first;
        order.at[to] = (uint16_t)to;
    }
}

bool l4_policies_eq(const struct l4_policies *a, const struct l4_policies *b)
{
    struct l4_order in_a, in_b;

    if (a->count != b->count)
        return false;
    l4_policies_order(a, &in_a);
    l4_policies_order(b, &in_b);
    for (size_t i = 0; i < a->count; i++) {
        if (!l4_policy_eq(&a->items[in_a.at[i]], &b->items[in_b.at[i]]))
            return false;
    }
    return true;
}
