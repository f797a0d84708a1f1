#include "net/pool.h"

#include <string.h>

#include "base/err.h"

int pool_init(struct pool *ret, const struct prefix *range, uint32_t random)
{
    if (range->addr.version != 4 || range->bits > POOL_MAX_BITS)
        return ERR_INVAL;
    uint64_t all = UINT64_C(1) << (32 - range->bits);
    uint32_t size = (uint32_t)(all - POOL_OFFSET_FIRST - 1);
    *ret = (struct pool){.range = *range, .size = size, .next = random % size};
    return 0;
}

int pool_take(struct pool *p, struct ip_addr *ret)
{
    if (p->taken == p->size)
        return ERR_LIMIT;
    *ret = prefix_at(&p->range, POOL_OFFSET_FIRST + p->next);
    p->next = (p->next + 1) % p->size;
    p->taken++;
    return 0;
}

struct ip_addr pool_tun(const struct pool *p)
{
    return prefix_at(&p->range, POOL_OFFSET_TUN);
}

struct ip_addr pool_dns(const struct pool *p)
{
    return prefix_at(&p->range, POOL_OFFSET_DNS);
}

struct ip_addr pool_embed(const struct prefix *prefix6, const struct ip_addr *v4)
{
    struct ip_addr a = prefix6->addr;

    memcpy(a.bytes + 12, v4->bytes, 4);
    return a;
}

int pool_unembed(const struct prefix *prefix6, const struct ip_addr *v6, struct ip_addr *ret_v4)
{
    static const uint8_t zeros[6];
    struct ip_addr v4 = {.version = 4};

    if (!prefix_contains(prefix6, v6) || memcmp(v6->bytes + 6, zeros, sizeof(zeros)) != 0)
        return ERR_NOTFOUND;
    memcpy(v4.bytes, v6->bytes + 12, 4);
    *ret_v4 = v4;
    return 0;
}
