/* What the sessions of a machine have taken for themselves: zones and ranges. Nobody gets what another one has.
 *
 * Two sessions may neither have the same zone nor one that holds the other's (a question for a name must have one answer), nor ranges
 * that overlap, nor the same IPv6 prefix. Pure memory; a session's number is not 0.
 */
#ifndef STILE_BROKER_REGISTRY_H
#define STILE_BROKER_REGISTRY_H

#include "base/err.h"
#include "base/list.h"
#include "broker/messages.h"

struct registry {
    struct list all;
};

void registry_init(struct registry *c);
void registry_release(struct registry *c);

/* Whether the session (0: a new one) may have this: 0, or ERR_EXISTS with the remedy. The text never says whose it is. */
int registry_check(const struct registry *c, uint32_t session, const struct broker_network *n,
                   struct diag *d);

/* Checks, and replaces what the session had. On failure it keeps that. ERR_NOMEM. */
int registry_set(struct registry *c, uint32_t session, const struct broker_network *n,
                 struct diag *d);

/* Checks, and gives the session the new beside what it had: which of the two it will be, the host is to tell. On failure it has
 * what it had. */
int registry_change(struct registry *c, uint32_t session, const struct broker_network *n,
                    struct diag *d);
/* It was the new one, or stays the old one. */
void registry_settle(struct registry *c, uint32_t session, bool changed);

void registry_drop(struct registry *c, uint32_t session); /* has none: nothing */

#endif
