/* Where a policy is in a list, found by its value, in a time that doesn't grow with the list. Pure;
 * no memory but its own (16 KiB).
 *
 * Not keyed: whoever chose policies whose hashes collide would have the time of a walk along the
 * list.
 */
#ifndef STILE_POLICY_L4_INDEX_H
#define STILE_POLICY_L4_INDEX_H

#include "policy/l4_policy.h"

struct l4_index {
    const struct l4_policies *list;      /* borrowed; it may grow at its end, nothing else */
    size_t count;                        /* so many from its beginning are known here */
    uint16_t slots[2 * L4_POLICIES_MAX]; /* index + 1; 0: free */
};

/* Nothing of it is known yet. */
void l4_index_init(struct l4_index *x, const struct l4_policies *list);
/* Makes the first `count` known: none is forgotten. */
void l4_index_extend(struct l4_index *x, size_t count);
/* The first one that is known and equal to p. */
bool l4_index_find(const struct l4_index *x, const struct l4_policy *p, size_t *ret_index);

#endif
