/* Which policies no connection reaches, because an earlier one decides about all that they would.
 * Pure; n log n.
 */
#ifndef STILE_POLICY_L4_REACH_H
#define STILE_POLICY_L4_REACH_H

#include "policy/l4_policy.h"

struct l4_reach {
    uint16_t taken_by[L4_POLICIES_MAX]; /* for each policy of the list: the index + 1 of the first
                                           in the list that does so; 0: none */
};

/* If in doubt, a policy is reached: two lists of addresses count as one within the other only if
 * they are equal, or the other is all. */
void l4_reach_find(const struct l4_policies *l, struct l4_reach *ret);

#endif
