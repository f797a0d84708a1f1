/* One look after one endpoint: open it, make sure that it is still the container's, and put its
 * policies right.
 *
 * Theory of operation. What a runtime tells may be over by the time it is acted on: the container
 * has ended, and its pid or the path of its namespace belongs to somebody else. So a pass opens the
 * endpoint first, which holds the namespace; then asks the runtime for the container again; and
 * only when that still runs, with the same network, was what is held the container's, and is
 * changed:
 *
 *   OPENING (pool thread) -> ASKING (runtime) -> CHANGING (pool thread) -> done
 *
 * CHANGING is apply or reconcile and, where that fails, block.
 *
 * Every path ends in done(), once, from the loop; the result is borrowed by it. Nothing is logged
 * here.
 */
#ifndef STILE_POLICY_WATCH_PASS_H
#define STILE_POLICY_WATCH_PASS_H

#include "policy/endpoint.h"
#include "policy/runtime.h"

enum pass_outcome {
    PASS_RIGHT,   /* the policies are in place; change says what that took */
    PASS_GONE,    /* the container has ended; nothing was touched */
    PASS_MOVED,   /* it runs with another network than was told; nothing was touched */
    PASS_HOST,    /* it has the host's own network; nothing was touched */
    PASS_UNKNOWN, /* the runtime didn't answer; nothing was touched */
    PASS_FAILED,  /* diag says why */
};

struct pass_request {
    const char *container;    /* id */
    const char *network_path; /* as the runtime told it */
    const struct l4_policies *policies;
    bool reconcile; /* repair what drifted, and say what; else apply */
    bool block;     /* when that fails */
};

struct pass_result {
    enum pass_outcome outcome;
    const char *container; /* of the request */
    int err;
    struct diag diag;
    bool opened;            /* PASS_FAILED: it came as far as the change */
    bool blocked;           /* PASS_FAILED: nothing leaves or enters now */
    struct diag block_diag; /* PASS_FAILED, not blocked although asked for: why */
    struct endpoint_change change;
};

struct watch_pass;
typedef void watch_pass_done_fn(void *arg, const struct pass_result *result);

/* Copies the request. ERR_NOMEM: done isn't called. */
int watch_pass_start(struct loop *loop, struct runtime *runtime, const struct pass_request *request,
                     watch_pass_done_fn *done, void *arg, struct watch_pass **ret);
/* The runtime is about to be freed, so it will answer nothing. done is called all the same: at once
 * if the pass waits for that answer, else when its thread is ready. */
void watch_pass_end(struct watch_pass *p);

#endif
