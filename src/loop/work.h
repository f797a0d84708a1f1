/* A function that blocks (password hashing, the database), run on libuv's thread pool; its end is told in the loop. */
#ifndef STILE_LOOP_WORK_H
#define STILE_LOOP_WORK_H

#include "loop/loop.h"

/* run(arg) in a pool thread, then done(arg, 0) in the loop; done(arg, ERR_CANCELED) if it was cancelled before it began.
 * ret may be NULL. Errors: ERR_NOMEM (done isn't called then). */
struct work;
int work_start(struct loop *loop, void (*run)(void *arg), void (*done)(void *arg, int err),
               void *arg, struct work **ret);
/* Too late once it runs: done is then called as usual. `w` is invalid after done. */
void work_cancel(struct work *w);

#endif
