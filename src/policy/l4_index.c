#include "policy/l4_index.h"

#include <assert.h>

#include "base/str.h"

static_assert(L4_POLICIES_MAX < UINT16_MAX, "an index and one more fits");

void l4_index_init(struct l4_index *x, const struct l4_policies *list)
{
    *x = (struct l4_index){.list = list};
}

/* The slot of the first one that is equal, or the free one where it would be. At least half of them
 * are free. */
static size_t slot_of(const struct l4_index *x, const struct l4_policy *p)
{
    size_t slot = (size_t)(l4_policy_hash(p) % ARRAY_LEN(x->slots));

    while (x->slots[slot] != 0 && !l4_policy_eq(&x->list->items[x->slots[slot] - 1], p))
        slot = (slot + 1) % ARRAY_LEN(x->slots);
    return slot;
}

void l4_index_extend(struct l4_index *x, size_t count)
{
    assert(count <= x->list->count && count <= L4_POLICIES_MAX);
    for (; x->count < count; x->count++) {
        size_t slot = slot_of(x, &x->list->items[x->count]);
        if (x->slots[slot] == 0)
            x->slots[slot] = (uint16_t)(x->count + 1);
    }
}

bool l4_index_find(const struct l4_index *x, const struct l4_policy *p, size_t *ret_index)
{
    size_t slot = slot_of(x, p);

    if (x->slots[slot] == 0)
        return false;
    *ret_index = x->slots[slot] - 1u;
    return true;
}
