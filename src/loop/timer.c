#include "loop/timer.h"

static void on_timer(uv_timer_t *uv)
{
    struct timer *t = uv->data;
    t->fire(t->arg);
}

static void on_closed(uv_handle_t *handle)
{
    struct timer *t = handle->data;
    if (t->closed != NULL)
        t->closed(t->arg);
}

int timer_init(struct timer *t, struct loop *loop, void (*fire)(void *arg), void *arg)
{
    *t = (struct timer){.fire = fire, .arg = arg};
    int r = uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    return loop_err(r);
}

void timer_start(struct timer *t, uint64_t ms)
{
    /* libuv counts from the start of the turn, which may lie far back. */
    uv_update_time(t->uv.loop);
    uv_timer_start(&t->uv, on_timer, ms, 0);
}

void timer_stop(struct timer *t)
{
    uv_timer_stop(&t->uv);
}

bool timer_active(const struct timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

void timer_close(struct timer *t, void (*closed)(void *arg))
{
    t->closed = closed;
    uv_close((uv_handle_t *)&t->uv, on_closed);
}
