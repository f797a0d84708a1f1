#include "netcfg/link_contents.h"

static int note_address(void *arg, const struct rtnl_address *a)
{
    struct link_contents *c = arg;

    if (a->link_index != c->index || a->protocol != RTNL_PROTOCOL)
        return 0;
    if (c->address_count == LINK_ADDRESSES_MAX)
        return ERR_LIMIT;
    c->addresses[c->address_count++] = *a;
    return 0;
}

static int note_route(void *arg, const struct rtnl_route *route)
{
    struct link_contents *c = arg;

    if (route->link_index != c->index || route->protocol != RTNL_PROTOCOL)
        return 0;
    if (c->route_count == LINK_ROUTES_MAX)
        return ERR_LIMIT;
    c->routes[c->route_count++] = *route;
    return 0;
}

int link_contents_save(uint32_t index, struct link_contents *ret, struct diag *d)
{
    struct rtnl *r = NULL;

    *ret = (struct link_contents){.index = index};
    int err = rtnl_open(&r, d);
    if (err < 0)
        return err;
    err = rtnl_each_address(r, note_address, ret, d);
    if (err == 0)
        err = rtnl_each_route(r, note_route, ret, d);
    rtnl_close(r);
    return err;
}

static void count(int err, int *first, size_t *added)
{
    if (err == 0)
        *added += 1;
    else if (err != ERR_EXISTS && *first == 0)
        *first = err;
}

int link_contents_restore(const struct link_contents *c, size_t *ret_added, struct diag *d)
{
    struct rtnl *r = NULL;
    size_t added = 0;
    int first = 0;
    int err = rtnl_open(&r, d);

    if (err < 0)
        return err;
    for (size_t i = 0; i < c->address_count; i++)
        count(rtnl_new_address(r, &c->addresses[i], first == 0 ? d : NULL), &first, &added);
    for (size_t i = 0; i < c->route_count; i++)
        count(rtnl_new_route(r, &c->routes[i], first == 0 ? d : NULL), &first, &added);
    rtnl_close(r);
    *ret_added = added;
    return first;
}
