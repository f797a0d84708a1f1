#include "policy/watch_pass.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/work.h"

enum stage { PASS_OPENING, PASS_ASKING, PASS_CHANGING };

struct watch_pass {
    struct loop *loop;
    struct runtime *runtime; /* NULL: it is gone */
    enum stage stage;
    char container[RUNTIME_ID_SIZE];
    char network_path[ENDPOINT_NAME_SIZE];
    bool reconcile;
    bool block;
    struct l4_policies policies;
    struct endpoint *endpoint;
    struct pass_result result; /* a pool thread's while OPENING and CHANGING */
    watch_pass_done_fn *done;
    void *arg;
};

static void finish(struct watch_pass *p)
{
    p->result.container = p->container;
    p->done(p->arg, &p->result);
    endpoint_close(p->endpoint);
    endpoint_change_release(&p->result.change);
    l4_policies_release(&p->policies);
    mem_free(p);
}

static void finish_with(struct watch_pass *p, enum pass_outcome outcome, int err)
{
    p->result.outcome = outcome;
    p->result.err = err;
    finish(p);
}

/* ---- changing ---- */

static bool block_now(struct watch_pass *p)
{
    CLEANUP(endpoint_change_release) struct endpoint_change change;

    endpoint_change_init(&change);
    return endpoint_block(p->endpoint, &change, &p->result.block_diag) == 0;
}

static void change_now(void *arg)
{
    struct watch_pass *p = arg;
    struct pass_result *res = &p->result;
    res->err = p->reconcile
                   ? endpoint_reconcile(p->endpoint, &p->policies, &res->change, &res->diag)
                   : endpoint_apply(p->endpoint, &p->policies, &res->change, &res->diag);
    if (res->err < 0 && p->block)
        res->blocked = block_now(p);
}

static void on_changed(void *arg, int err)
{
    struct watch_pass *p = arg;
    if (err == 0)
        err = p->result.err;
    finish_with(p, err == 0 ? PASS_RIGHT : PASS_FAILED, err);
}

static void start_change(struct watch_pass *p)
{
    p->stage = PASS_CHANGING;
    p->result.opened = true;
    int r = work_start(p->loop, change_now, on_changed, p, NULL);
    if (r < 0)
        finish_with(p, PASS_FAILED, diag_set(&p->result.diag, r, 0, "%s", err_text(r)));
}

/* ---- asking ---- */

/* What is opened was opened before the question was put: it is the container's if the container has
 * it still. */
static void on_answer(void *arg, int err, const struct runtime_container *c, const struct diag *d)
{
    struct watch_pass *p = arg;
    if (err == ERR_NOTFOUND || (err == 0 && !c->running)) {
        finish_with(p, PASS_GONE, 0);
    } else if (err < 0) {
        if (d != NULL)
            p->result.diag = *d;
        finish_with(p, PASS_UNKNOWN, err);
    } else if (c->host_network) {
        finish_with(p, PASS_HOST, 0);
    } else if (!str_eq(c->network_path, p->network_path)) {
        finish_with(p, PASS_MOVED, 0);
    } else if (p->endpoint == NULL) {
        finish_with(p, p->result.err == ERR_DENIED ? PASS_HOST : PASS_FAILED, p->result.err);
    } else {
        start_change(p);
    }
}

static void on_opened(void *arg, int err)
{
    struct watch_pass *p = arg;
    if (err < 0)
        p->result.err = diag_set(&p->result.diag, err, 0, "%s", err_text(err));
    if (p->runtime == NULL) {
        finish_with(p, PASS_UNKNOWN, ERR_CANCELED);
        return;
    }
    p->stage = PASS_ASKING;
    int r = runtime_ask(p->runtime, p->container, on_answer, p);
    if (r < 0)
        finish_with(p, PASS_UNKNOWN, diag_set(&p->result.diag, r, 0, "%s", err_text(r)));
}

/* ---- opening ---- */

static void open_now(void *arg)
{
    struct watch_pass *p = arg;
    p->result.err = endpoint_open(p->network_path, 0, &p->endpoint, &p->result.diag);
}

static int fill(struct watch_pass *p, const struct pass_request *request)
{
    l4_policies_init(&p->policies);
    endpoint_change_init(&p->result.change);
    int r = str_copy(p->container, sizeof(p->container), request->container);
    if (r == 0)
        r = str_copy(p->network_path, sizeof(p->network_path), request->network_path);
    if (r == 0)
        r = l4_policies_copy(request->policies, &p->policies);
    return r;
}

int watch_pass_start(struct loop *loop, struct runtime *runtime, const struct pass_request *request,
                     watch_pass_done_fn *done, void *arg, struct watch_pass **ret)
{
    struct watch_pass *p = NEW(struct watch_pass);
    if (p == NULL)
        return ERR_NOMEM;
    p->loop = loop;
    p->runtime = runtime;
    p->reconcile = request->reconcile;
    p->block = request->block;
    p->done = done;
    p->arg = arg;
    int r = fill(p, request);
    if (r == 0)
        r = work_start(loop, open_now, on_opened, p, NULL);
    if (r < 0) {
        l4_policies_release(&p->policies);
        mem_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void watch_pass_end(struct watch_pass *p)
{
    p->runtime = NULL;
    if (p->stage == PASS_ASKING)
        finish_with(p, PASS_UNKNOWN, ERR_CANCELED);
}
