#include "loop/work.h"

#include "base/err.h"
#include "base/mem.h"

struct work {
    uv_work_t uv;
    void (*run)(void *arg);
    void (*done)(void *arg, int err);
    void *arg;
};

static void on_run(uv_work_t *uv)
{
    struct work *w = uv->data;
    w->run(w->arg);
}

static void on_done(uv_work_t *uv, int status)
{
    struct work *w = uv->data;
    void (*done)(void *arg, int err) = w->done;
    void *arg = w->arg;
    mem_free(w);
    done(arg, loop_err(status));
}

int work_start(struct loop *loop, void (*run)(void *arg), void (*done)(void *arg, int err),
               void *arg, struct work **ret)
{
    struct work *w = NEW(struct work);
    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct work){.run = run, .done = done, .arg = arg};
    w->uv.data = w;
    int r = uv_queue_work(&loop->uv, &w->uv, on_run, on_done);
    if (r < 0) {
        mem_free(w);
        return loop_err(r);
    }
    if (ret != NULL)
        *ret = w;
    return 0;
}

void work_cancel(struct work *w)
{
    /* Refused once it runs, which is what the header says. */
    (void)uv_cancel((uv_req_t *)&w->uv);
}
