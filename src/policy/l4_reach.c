/* Theory of operation. What a policy decides about is its kind (a mask of what it takes without
 * looking closer: both protocols, both directions, any port, any address) and those of its four
 * lists that aren't empty. Another one takes all of it if its kind has at least the same bits and
 * its own lists that aren't empty are equal. So there are few kinds to be looked for, and each is
 * one question to a hash table of those that come earlier.
 */
#include "policy/l4_reach.h"

#include <string.h>

#include "base/str.h"
#include "base/table.h"

enum kind {
    TAKES_TCP = L4_TCP,
    TAKES_UDP = L4_UDP,
    TAKES_INBOUND = 4,
    TAKES_OUTBOUND = 8,
    ANY_LOCAL_PORT = 16,
    ANY_REMOTE_PORT = 32,
    ANY_LOCAL_ADDRESS = 64,
    ANY_REMOTE_ADDRESS = 128,
    KINDS = 256
};

static unsigned kind_of(const struct l4_policy *p)
{
    return p->protocols | (p->inbound.proxy_port != 0 ? TAKES_INBOUND : 0u) |
           (p->outbound.proxy_port != 0 ? TAKES_OUTBOUND : 0u) |
           (p->local_ports.count == 0 ? ANY_LOCAL_PORT : 0u) |
           (p->remote_ports.count == 0 ? ANY_REMOTE_PORT : 0u) |
           (p->local_addresses.count == 0 ? ANY_LOCAL_ADDRESS : 0u) |
           (p->remote_addresses.count == 0 ? ANY_REMOTE_ADDRESS : 0u);
}

/* Those of earlier policies, one for each kind and lists. */
struct earlier {
    const struct l4_policies *list;
    uint16_t slots[2 * L4_POLICIES_MAX]; /* the smallest index + 1; 0: free */
};

/* The lists of a policy, as far as another kind would look at them. */
struct question {
    const struct l4_policy *policy;
    uint64_t lists[4]; /* hashes */
};

static struct question question_of(const struct l4_policy *p)
{
    return (struct question){p,
                             {port_set_hash(&p->local_ports), port_set_hash(&p->remote_ports),
                              prefix_set_hash(&p->local_addresses),
                              prefix_set_hash(&p->remote_addresses)}};
}

static bool same_lists(const struct l4_policy *a, const struct l4_policy *b, unsigned kind)
{
    return ((kind & ANY_LOCAL_PORT) != 0 || port_set_eq(&a->local_ports, &b->local_ports)) &&
           ((kind & ANY_REMOTE_PORT) != 0 || port_set_eq(&a->remote_ports, &b->remote_ports)) &&
           ((kind & ANY_LOCAL_ADDRESS) != 0 ||
            prefix_set_eq(&a->local_addresses, &b->local_addresses)) &&
           ((kind & ANY_REMOTE_ADDRESS) != 0 ||
            prefix_set_eq(&a->remote_addresses, &b->remote_addresses));
}

/* The slot of those of this kind with the question's lists, or the free one where they would be. At
 * least half of them are free. */
static uint16_t *slot_of(struct earlier *e, const struct question *q, unsigned kind)
{
    static const uint64_t unkeyed[2] = {0};
    uint64_t value[1 + ARRAY_LEN(q->lists)] = {kind};

    for (size_t i = 0; i < ARRAY_LEN(q->lists); i++)
        value[1 + i] = (kind & ((unsigned)ANY_LOCAL_PORT << i)) != 0 ? 0 : q->lists[i];
    size_t slot =
        (size_t)(siphash13(unkeyed, slice_of(value, sizeof(value))) % ARRAY_LEN(e->slots));
    for (; e->slots[slot] != 0; slot = (slot + 1) % ARRAY_LEN(e->slots)) {
        const struct l4_policy *there = &e->list->items[e->slots[slot] - 1];
        if (kind_of(there) == kind && same_lists(there, q->policy, kind))
            break;
    }
    return &e->slots[slot];
}

/* The smaller of two slots; 0 is none. */
static uint16_t first_of(uint16_t a, uint16_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

void l4_reach_find(const struct l4_policies *l, struct l4_reach *ret)
{
    struct earlier e = {.list = l};
    struct l4_order order;

    l4_policies_order(l, &order);
    for (size_t i = 0; i < l->count; i++) {
        const size_t at = order.at[i];
        const struct question q = question_of(&l->items[at]);
        const unsigned own = kind_of(&l->items[at]);
        ret->taken_by[at] = 0;
        for (unsigned kind = own; kind < KINDS; kind = (kind + 1) | own)
            ret->taken_by[at] = first_of(ret->taken_by[at], *slot_of(&e, &q, kind));
        uint16_t *slot = slot_of(&e, &q, own);
        *slot = first_of(*slot, (uint16_t)(at + 1));
    }
}
