/* Whether a system can do what policies ask for, and whether they make sense. Pure.
 *
 * Windows (HNS 13.2): TCP, IPv4, one policy (one proxy) per endpoint, a SID as loop guard, no port
 * ranges. Linux: a loop guard by uid, gid or cgroup for every outbound direction. Everywhere: at
 * least one proxy port, no inbound exception of the policy's own inbound port, families and
 * protocols that fit together. A policy that is there twice counts once. The other system's guard
 * is neither used nor in the way.
 */
#ifndef STILE_POLICY_L4_CHECK_H
#define STILE_POLICY_L4_CHECK_H

#include "policy/l4_policy.h"

enum l4_system { L4_LINUX, L4_WINDOWS };

/* The one this program runs on. */
enum l4_system l4_system_here(void);

/* All policies of one endpoint together. ERR_UNSUPPORTED (a limit of the system, by name),
 * ERR_INVAL (makes no sense), with which policy and what to do. */
int l4_check(const struct l4_policies *l, enum l4_system system, struct diag *d);
/* All problems, not the first alone, for `validate`. Returns how many. */
size_t l4_check_all(const struct l4_policies *l, enum l4_system system, l4_problem_fn *on_problem,
                    void *arg);
/* What is allowed, and yet perhaps not meant: a guard that spares all of root's programs,
 * exceptions of a direction that isn't redirected, a policy that is there twice, one that no
 * connection reaches because an earlier one takes all of them. Returns how many. */
size_t l4_check_warnings(const struct l4_policies *l, enum l4_system system,
                         l4_problem_fn *on_warning, void *arg);

/* Of these, those alone that are there twice. */
size_t l4_check_repeated(const struct l4_policies *l, l4_problem_fn *on_warning, void *arg);

#endif
