#include "netcfg/plan.h"

#include "base/mem.h"
#include "base/str.h"

void plan_init(struct plan *p)
{
    *p = (struct plan){0};
}

void plan_release(struct plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        object_release(&p->objects[i]);
    mem_free(p->objects);
    plan_init(p);
}

int plan_copy(const struct plan *p, struct plan *ret_p)
{
    CLEANUP(plan_release) struct plan copy = {0};
    copy.objects = mem_array(p->count, sizeof(*copy.objects));
    if (copy.objects == NULL)
        return ERR_NOMEM;
    for (; copy.count < p->count; copy.count++)
        if (object_copy(&p->objects[copy.count], &copy.objects[copy.count]) < 0)
            return ERR_NOMEM;
    *ret_p = copy;
    plan_init(&copy);
    return 0;
}

static bool same_key(const struct object *a, const struct object *b)
{
    struct object_key x, y;
    object_key(a, &x);
    object_key(b, &y);
    return slice_eq(slice_of(x.bytes, x.len), slice_of(y.bytes, y.len));
}

int plan_add(struct plan *p, const struct object *o)
{
    int r = object_check(o);
    if (r < 0)
        return r;
    for (size_t i = 0; i < p->count; i++)
        if (same_key(&p->objects[i], o))
            return ERR_EXISTS;
    if (p->count == PLAN_OBJECTS_MAX)
        return ERR_LIMIT;
    struct object *grown = mem_resize(p->objects, p->count + 1, sizeof(*grown));
    if (grown == NULL)
        return ERR_NOMEM;
    p->objects = grown;
    r = object_copy(o, &p->objects[p->count]);
    if (r == 0)
        p->count++;
    return r;
}

static int on_link(struct plan *p, const char *link, uint32_t index, struct object *o)
{
    o->link_index = index;
    if (str_copy(o->link, sizeof(o->link), link) < 0)
        return ERR_INVAL;
    return plan_add(p, o);
}

int plan_add_link(struct plan *p, const char *link, uint32_t index,
                  const struct object_link *settings)
{
    struct object o = {.kind = OBJECT_LINK, .settings = *settings};
    return on_link(p, link, index, &o);
}

int plan_add_address(struct plan *p, const char *link, uint32_t index, const struct ip_addr *addr,
                     uint8_t bits)
{
    struct object o = {.kind = OBJECT_ADDRESS, .address = {.addr = *addr, .bits = bits}};
    return on_link(p, link, index, &o);
}

int plan_add_route(struct plan *p, const char *link, uint32_t index,
                   const struct object_route *route)
{
    struct object o = {.kind = OBJECT_ROUTE, .route = *route};
    return on_link(p, link, index, &o);
}

int plan_add_dns(struct plan *p, const char *link, uint32_t index, const struct object_dns *dns)
{
    struct object o = {.kind = OBJECT_DNS, .dns = *dns};
    return on_link(p, link, index, &o);
}
