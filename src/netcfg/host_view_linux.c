#include <linux/rtnetlink.h>
#include <net/if_arp.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/host_view.h"
#include "netcfg/rtnl.h"

/* Makes room for one more of count. ERR_TOOBIG: there are max. */
static int grow(void **array, size_t count, size_t size, size_t max)
{
    size_t room = count < 16 ? 16 : count * 2;

    if (count == max)
        return ERR_TOOBIG;
    if (count != 0 && (count < 16 || (count & (count - 1)) != 0))
        return 0; /* grown at 0, 16, 32, 64, … */
    void *more = mem_resize(*array, MIN(room, max), size);
    if (more == NULL)
        return ERR_NOMEM;
    *array = more;
    return 0;
}

/* What doesn't fit is left out, and said. */
static int left_out(struct host_view *v, int err)
{
    if (err == ERR_TOOBIG)
        v->cut = true;
    return err == ERR_TOOBIG ? 0 : err;
}

static int keep_link(void *arg, const struct rtnl_link *link)
{
    struct host_view *v = arg;
    void *array = v->links;
    int err = grow(&array, v->link_count, sizeof(*v->links), HOST_LINKS_MAX);

    v->links = array;
    if (err < 0)
        return left_out(v, err);
    struct host_link *l = &v->links[v->link_count++];
    *l = (struct host_link){.index = link->index,
                            .mtu = link->mtu,
                            .up = link->up,
                            .ethernet = link->hardware == ARPHRD_ETHER,
                            .ipv6 = link->ipv6};
    (void)str_format(l->name, sizeof(l->name), "%s", link->name);
    (void)str_format(l->kind, sizeof(l->kind), "%s", link->kind);
    return 0;
}

static int keep_address(void *arg, const struct rtnl_address *a)
{
    struct host_view *v = arg;
    void *array = v->addresses;
    int err = grow(&array, v->address_count, sizeof(*v->addresses), HOST_ADDRESSES_MAX);

    v->addresses = array;
    if (err < 0)
        return left_out(v, err);
    v->addresses[v->address_count++] =
        (struct host_address){.link_index = a->link_index, .addr = a->addr, .bits = a->bits};
    return 0;
}

static bool is_local(uint8_t type)
{
    return type == RTN_LOCAL || type == RTN_BROADCAST || type == RTN_ANYCAST ||
           type == RTN_MULTICAST;
}

static int keep_route(void *arg, const struct rtnl_route *route)
{
    struct host_view *v = arg;
    void *array = v->routes;
    int err = grow(&array, v->route_count, sizeof(*v->routes), HOST_ROUTES_MAX);

    v->routes = array;
    if (err < 0)
        return left_out(v, err);
    v->routes[v->route_count++] = (struct host_route){.dst = route->dst,
                                                      .table = route->table,
                                                      .link_index = route->link_index,
                                                      .via = route->via,
                                                      .local = is_local(route->type),
                                                      .ours = route->protocol == RTNL_PROTOCOL};
    return 0;
}

int host_view_load(struct host_view *ret, struct diag *d)
{
    struct host_view v = {0};
    struct rtnl *r = NULL;
    int err = rtnl_open(&r, d);

    if (err == 0)
        err = rtnl_each_link(r, keep_link, &v, d);
    if (err == 0)
        err = rtnl_each_address(r, keep_address, &v, d);
    if (err == 0)
        err = rtnl_each_route(r, keep_route, &v, d);
    rtnl_close(r);
    if (err < 0) {
        host_view_release(&v);
        return err == ERR_NOMEM
                   ? diag_set(d, err, 0, "Failed to look at the network: out of memory")
                   : err;
    }
    *ret = v;
    return 0;
}
