/* A one-shot timer. Memory belongs to the caller again only after the closed callback (libuv's rule). */
#ifndef STILE_LOOP_TIMER_H
#define STILE_LOOP_TIMER_H

#include "loop/loop.h"

struct timer {
    uv_timer_t uv;
    void (*fire)(void *arg);
    void (*closed)(void *arg);
    void *arg;
};

int timer_init(struct timer *t, struct loop *loop, void (*fire)(void *arg), void *arg);
void timer_start(struct timer *t, uint64_t ms); /* again: starts anew; fires once */
void timer_stop(struct timer *t);
bool timer_active(const struct timer *t);
/* closed may be NULL if the memory outlives the loop. */
void timer_close(struct timer *t, void (*closed)(void *arg));

#endif
