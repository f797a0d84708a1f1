/* Diagnosis by itself, for an agent that runs: after the start and after each change of the network everything that
 * `stile diag` checks is checked, and what is new is told once.
 *
 * A finding that was told isn't told again while it stays; when it has gone, that is told once, and it may come again
 * later. Findings that say that all is well aren't told. The checks are made by a process of their own, one run at a time:
 * nothing here blocks the loop.
 */
#ifndef STILE_DIAG_WATCHER_H
#define STILE_DIAG_WATCHER_H

#include "base/err.h"

struct loop;
struct watcher;

struct watcher_config {
    struct loop *loop;
    const char *home; /* as in agent_config; copied */
    /* One or two sentences for the person, without a line break; from the loop, never from inside a call. */
    void (*show)(void *arg, const char *text);
    void *arg;
};

MUST_CHECK int watcher_new(const struct watcher_config *config, struct watcher **ret);

/* The session has started, or the network has changed: a run begins after a moment of quiet. Asked again meanwhile: once
 * more afterwards. */
void watcher_check(struct watcher *w);

/* No event comes any more; a run that is under way is ended. The loop has to run once more to release the memory. NULL is
 * fine. */
void watcher_free(struct watcher *w);

#endif
