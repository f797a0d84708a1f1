/* The cgroups that policies name as their loop guard: nft takes only those that are there. Linux.
 */
#ifndef STILE_POLICY_L4_CGROUP_H
#define STILE_POLICY_L4_CGROUP_H

#include "policy/l4_policy.h"

/* ERR_NOTFOUND: there is none of this path. ERR_UNSUPPORTED: no cgroup v2 is mounted here.
 * ERR_INVAL: a file of a cgroup. Those of l4_cgroup_parse. */
int l4_cgroup_check(const struct l4_policies *l, struct diag *d);

#endif
