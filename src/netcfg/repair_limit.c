#include "netcfg/repair_limit.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

struct repaired {
    struct list node;
    struct object_key key;
    uint64_t times_ns[REPAIR_TIMES]; /* the oldest first */
    size_t count;
    bool given_up;
};

void repair_limit_init(struct repair_limit *l)
{
    list_init(&l->objects);
}

void repair_limit_clear(struct repair_limit *l)
{
    struct list *node;
    while ((node = list_pop_front(&l->objects)) != NULL)
        mem_free(LIST_ENTRY(node, struct repaired, node));
}

static struct repaired *find(struct repair_limit *l, const struct object_key *key)
{
    LIST_FOR_EACH (node, &l->objects) {
        struct repaired *r = LIST_ENTRY(node, struct repaired, node);
        if (slice_eq(slice_of(r->key.bytes, r->key.len), slice_of(key->bytes, key->len)))
            return r;
    }
    struct repaired *r = NEW(struct repaired);
    if (r == NULL)
        return NULL;
    r->key = *key;
    list_push_back(&l->objects, &r->node);
    return r;
}

static void forget_old(struct repaired *r, uint64_t now_ns)
{
    while (r->count > 0 && now_ns - r->times_ns[0] > REPAIR_WINDOW_S * NS_PER_S) {
        r->count--;
        memmove(&r->times_ns[0], &r->times_ns[1], r->count * sizeof(r->times_ns[0]));
    }
}

enum repair_verdict repair_limit_ask(struct repair_limit *l, const struct object *o,
                                     uint64_t now_ns)
{
    struct object_key key;
    object_key(o, &key);
    struct repaired *r = find(l, &key);
    if (r == NULL || r->given_up)
        return REPAIR_NO;
    forget_old(r, now_ns);
    if (r->count == REPAIR_TIMES) {
        r->given_up = true;
        return REPAIR_GIVEN_UP_NOW;
    }
    r->times_ns[r->count++] = now_ns;
    return REPAIR_YES;
}
