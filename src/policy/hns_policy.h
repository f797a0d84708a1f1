/* A policy as HNS takes and tells it: {"Type":"L4WFPPROXY","Settings":{…}} with the members of
 * HNS's schema and no other. Pure but for memory.
 *
 * What HNS tells may hold members that a newer HNS has, or empty ones; they don't hinder reading.
 * What it holds is kept as it was read, because removing means sending back exactly that.
 */
#ifndef STILE_POLICY_HNS_POLICY_H
#define STILE_POLICY_HNS_POLICY_H

#include <jansson.h>

#include "policy/l4_policy.h"

/* Whether a member of an endpoint's Policies is one of ours. */
bool hns_policy_is(const json_t *value);
/* `what` begins the text of an error. ERR_FORMAT, ERR_NOMEM. */
int hns_policy_read(const json_t *value, const char *what, struct l4_policy *ret, struct diag *d);
/* Whether what was read can be sent back as it was: whole numbers over 64 bits were read as reals,
 * and lost digits. ERR_UNSUPPORTED, with the member. */
int hns_policy_check_exact(const json_t *value, struct diag *d);
/* A new reference, or NULL when memory runs out. Only what is set is in it; nothing that is
 * Linux's. */
json_t *hns_policy_make(const struct l4_policy *p);
/* What HNS would hold after it was told of p, which may say more than HNS can keep. ERR_NOMEM. */
int hns_policy_plain(const struct l4_policy *p, struct l4_policy *ret, struct diag *d);

#endif
