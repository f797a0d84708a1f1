/* Objects by key: what all sessions together want, or what is applied; and the steps from one to the other.
 *
 * Pure: no system call, nothing is done here. A state borrows its objects from the plans or journal entries it was made of,
 * and must not outlive them. Costs grow with the number of objects, not with its square.
 */
#ifndef STILE_NETCFG_STATE_H
#define STILE_NETCFG_STATE_H

#include "base/table.h"
#include "netcfg/plan.h"

struct state_item {
    struct object_key key;
    const struct object *object; /* borrowed */
    uint32_t session;            /* the oldest that wants it */
    void *tag;                   /* the caller's */
};

struct state {
    struct state_item *items; /* owned; in the order in which they came */
    size_t count;
    size_t size;
    struct table by_key;
};

void state_init(struct state *s);
void state_release(struct state *s);

/* ERR_EXISTS if there is one of this key, ERR_NOMEM. */
MUST_CHECK int state_add(struct state *s, const struct object *o, uint32_t session, void *tag);
const struct state_item *state_get(const struct state *s,
                                   const struct object *o); /* by key; NULL */

struct state_source {
    uint32_t session;
    const struct plan *plan;
};

/* The plans, oldest session first, as one state: same key and content once, of an exclusive kind only the first. ERR_EXISTS: two
 * want something else of the same key; d says whose, ERR_NOMEM. ret_s must be state_init'ed and is empty after a failure. */
int state_merge(const struct state_source *sources, size_t count,
                const bool exclusive[OBJECT_KIND_COUNT], struct state *ret_s, struct diag *d);

enum step_verb { STEP_ADD, STEP_CHANGE, STEP_REMOVE };

struct step {
    enum step_verb verb;
    const struct state_item *from; /* NULL: ADD */
    const struct state_item *to;   /* NULL: REMOVE */
};

struct steps {
    struct step *list; /* owned */
    size_t count;
    size_t
        forward; /* so many changes and additions come first, by kind; then the removals, by kind in reverse */
};

void steps_release(struct steps *s);

/* What leads from one to the other, in order; nothing for what is equal in both. `again` (may be NULL) names items of `from`
 * that are to be set again although they are equal. ERR_NOMEM. */
int state_diff(const struct state *from, const struct state *to,
               bool (*again)(const struct state_item *from), struct steps *ret_steps);

#endif
