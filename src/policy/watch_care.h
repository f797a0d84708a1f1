/* The care for sandboxes that have a rule: passes that put their networks right, one at a time for
 * each, and after a failure another one later, less and less often. For watch.c alone; it remembers
 * who there is, this does what is due for one of them.
 *
 * Belongs to the loop's thread; nothing blocks, as passes have threads of their own.
 */
#ifndef STILE_POLICY_WATCH_CARE_H
#define STILE_POLICY_WATCH_CARE_H

#include "policy/watch.h"
#include "policy/watch_container.h"

struct watch_care_events {
    void (*on_event)(void *arg, const struct watch_event *event);
    /* This container had another network than was known, and the runtime was asked for it anew. An
     * error that is returned was told. */
    int (*on_told)(void *arg, const struct runtime_container *c);
    /* The runtime doesn't know this container of the sandbox any more. */
    void (*on_gone)(void *arg, struct watch_sandbox *s, const char *container);
    /* A pass or a question has ended; s may be freed by this, and so may the care. */
    void (*on_done)(void *arg, struct watch_sandbox *s);
};

/* What all sandboxes of a watch share. */
struct watch_care {
    struct loop *loop;
    struct runtime *runtime;         /* NULL: nothing is begun any more */
    const struct watch_rules *rules; /* borrowed, as all here */
    bool leave;                      /* what can't have its policies isn't blocked */
    unsigned retry_ms;
    size_t passes, questions; /* under way */
    const struct watch_care_events *events;
    void *arg;
};

void watch_care_tell(const struct watch_sandbox *s, enum watch_event_kind kind, const char *text);

/* Nothing could be done, not even block it: that is told, and tried again later. */
void watch_care_fail(struct watch_sandbox *s, const char *text);

/* Begins a pass for the sandbox, if it has a rule; if one is under way, another one follows it.
 * reconcile: look for drift as well, which the one under way does. Where nothing can be begun, that
 * is told as a failure, and s->retry_at set. */
void watch_care_look_after(struct watch_sandbox *s, bool reconcile);
/* Its time for that has come. Where nothing is known that could be opened, the runtime is asked
 * first. */
void watch_care_retry(struct watch_sandbox *s);
/* It has no rule any more, or its last container has ended: failures are forgotten, nothing is
 * tried again. */
void watch_care_end(struct watch_sandbox *s);

#endif
