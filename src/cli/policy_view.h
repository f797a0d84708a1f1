/* How policies are shown to people. Portable. */
#ifndef STILE_CLI_POLICY_VIEW_H
#define STILE_CLI_POLICY_VIEW_H

#include "base/buf.h"
#include "policy/l4_policy.h"

/* Most bytes that one policy takes. */
#define POLICY_VIEW_MAX ((size_t)48 * 1024)

/* A paragraph, with its number. Appended to ret. ERR_NOMEM, ERR_TOOBIG (ret's cap). */
int policy_view_policy(const struct l4_policy *p, size_t number, struct buf *ret);

#endif
