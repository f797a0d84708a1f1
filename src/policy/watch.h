/* Watches a container runtime and keeps the policies of its containers: those of the first rule
 * that matches (watch_rules.h).
 *
 * Theory of operation. Containers that share a sandbox share a network, so a sandbox is what has
 * policies: the first rule that any of its containers matches (the sandbox itself counts as one). A
 * rule that was found stays the sandbox's until it ends, the rules change, or a container comes
 * that an earlier rule matches; so a container that ends takes no policy away. For each change, and
 * every interval, a pass (watch_pass.h, begun by watch_care.h) puts it right; one at a time per
 * sandbox, in pool threads. What is right is not written to. A pass that fails blocks the sandbox's
 * network (unless told to leave it), and is repeated, less and less often, until it works or the
 * sandbox is gone.
 *
 * Never touched: containers with the host's network, those that no rule matches. Nothing is
 * remembered outside the kernel: a watch that was killed finds all in place. When a rule goes, or
 * the watch stops, policies stay.
 *
 * Belongs to the loop's thread; nothing blocks. Linux.
 */
#ifndef STILE_POLICY_WATCH_H
#define STILE_POLICY_WATCH_H

#include "policy/watch_rules.h"

#define WATCH_RETRY_MS     1000 /* after the first failure; doubled each time, up to */
#define WATCH_RETRY_MAX_MS 60000
#define WATCH_INTERVAL_MS  60000

/* clang-format off */
#define WATCH_EVENTS(X)                                                                            \
    X(CONNECTED,    "connected")    /* to the runtime */                                           \
    X(DISCONNECTED, "disconnected") /* text: why */                                                \
    X(LISTED,       "listed")       /* all containers that were there have been told */            \
    X(APPLIED,      "applied")      /* policies were changed */                                    \
    X(REPAIRED,     "repaired")     /* the policies were those, but not what carries them; text: what */ \
    X(RIGHT,        "right")        /* looked at, nothing to do */                                 \
    X(BLOCKED,      "blocked")      /* they can't be applied: text; nothing enters or leaves */    \
    X(FAILED,       "failed")       /* they can't be applied: text; and it isn't blocked */        \
    X(HOST,         "host")         /* a rule matches, but it has the host's network */            \
    X(UNMATCHED,    "unmatched")    /* no rule matches any more; policies stay */                  \
    X(GONE,         "gone")         /* a sandbox that had a rule has ended */
/* clang-format on */

enum watch_event_kind {
#define WATCH_EVENT_ENUM(name, word) WATCH_##name,
    WATCH_EVENTS(WATCH_EVENT_ENUM)
#undef WATCH_EVENT_ENUM
        WATCH_EVENT_COUNT
};

const char *watch_event_word(enum watch_event_kind kind);

/* Borrowed for the length of the callback. Texts are "" where there is nothing to tell. */
struct watch_event {
    enum watch_event_kind kind;
    const char *name;     /* "namespace/pod" */
    const char *sandbox;  /* id */
    const char *endpoint; /* as for endpoint_open */
    size_t rule;          /* from 1; 0: none */
    size_t added, removed, unchanged;
    unsigned retry_ms; /* BLOCKED, FAILED: when it is tried again */
    const char *text;
};

struct watch_events {
    void (*on_event)(void *arg, const struct watch_event *event);
    /* All that was told has been looked at; `failing`: sandboxes whose policies couldn't be
     * applied, and containers that the runtime couldn't be asked about. May come again and
     * again. */
    void (*on_settled)(void *arg, size_t failing);
};

struct watch_config {
    const char *runtime;  /* as in lookup.h; NULL: the first that is there */
    bool leave;           /* what can't have its policies is left as it is, not blocked */
    unsigned retry_ms;    /* 0: WATCH_RETRY_MS */
    unsigned interval_ms; /* 0: never */
};

struct watch;

/* rules are taken on success. events are copied. */
int watch_start(struct loop *loop, const struct watch_config *config, struct watch_rules *rules,
                const struct watch_events *events, void *arg, struct watch **ret, struct diag *d);
void watch_set_rules(struct watch *w, struct watch_rules *rules); /* taken; all is looked at anew */
/* Waits for what is under way, then stopped(arg); w is gone by then. Policies stay. */
void watch_stop(struct watch *w, void (*stopped)(void *arg), void *arg);

#endif
