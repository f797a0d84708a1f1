/* Which findings a person has been told, so that each is told once: when it comes, and when it has gone. Pure. */
#ifndef STILE_DIAG_SEEN_H
#define STILE_DIAG_SEEN_H

#include "diag/check.h"

#define SEEN_MAX       128 /* more at once aren't told */
#define SEEN_TEXT_SIZE (FINDING_TITLE_SIZE + FINDING_TEXT_SIZE + 64)

struct seen {
    size_t count;
    struct seen_finding {
        size_t check;
        struct finding finding;
        bool still; /* while updating: it is among the new ones */
    } * items;      /* owned; SEEN_MAX of them, or NULL */
};

typedef void seen_tell_fn(void *arg, const char *text);

void seen_init(struct seen *s); /* allocates nothing */
void seen_release(struct seen *s);

/* A run's findings, of each check. What is new and isn't "ok" is told, problems first; then what has gone. A check without any
 * finding could not be made: what was known of it stays. What `stile run` would need isn't told: this is for a session of the
 * service's. */
void seen_update(struct seen *s, const struct findings found[CHECKS_COUNT], seen_tell_fn *tell,
                 void *arg);

#endif
