#include "policy/nft_dispatch.h"

#include "base/mem.h"

int nft_dispatch_init(struct nft_dispatch *x)
{
    *x = (struct nft_dispatch){.taken_by = mem_array(UINT16_MAX + 1, sizeof(uint16_t))};
    return x->taken_by != NULL ? 0 : ERR_NOMEM;
}

void nft_dispatch_release(struct nft_dispatch *x)
{
    mem_free(x->taken_by);
    x->taken_by = NULL;
}

void nft_dispatch_begin(struct nft_dispatch *x, size_t first)
{
    x->first = first;
    x->ranges = 0;
}

bool nft_dispatch_find(const struct nft_dispatch *x, uint32_t port, size_t *ret_policy)
{
    if (x->taken_by[port] <= x->first)
        return false;
    *ret_policy = x->taken_by[port] - 1u;
    return true;
}

/* Of more ports it would take longer to write them down than to write a rule. */
enum { PORTS_MAX = 1024 };

static size_t count_ports(const struct port_set *ports)
{
    size_t count = 0;

    for (size_t i = 0; i < ports->count; i++)
        count += (size_t)(ports->ranges[i].last - ports->ranges[i].first) + 1;
    return count;
}

static bool is_free(const struct nft_dispatch *x, struct port_range r)
{
    size_t policy;

    for (uint32_t port = r.first; port <= r.last; port++)
        if (nft_dispatch_find(x, port, &policy))
            return false;
    return true;
}

bool nft_dispatch_add(struct nft_dispatch *x, const struct port_set *ports, size_t policy)
{
    if (count_ports(ports) > PORTS_MAX)
        return false;
    for (size_t i = 0; i < ports->count; i++)
        if (!is_free(x, ports->ranges[i]))
            return false;
    for (size_t i = 0; i < ports->count; i++)
        for (uint32_t port = ports->ranges[i].first; port <= ports->ranges[i].last; port++)
            x->taken_by[port] = (uint16_t)(policy + 1);
    x->ranges += ports->count;
    return true;
}
