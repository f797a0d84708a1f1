#include "loop/pipe.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/socket_sys.h"
#include "loop/timer.h"

/* Lives until its request has come back and its timer is closed. */
struct pipe_connect {
    struct loop *loop;
    char path[PIPE_PATH_SIZE];
    uv_connect_t request;
    bool requesting;
    struct timer timer;
    bool timer_closed;
    struct stream *stream; /* owned until done */
    bool finished;         /* done was called, or it was cancelled */
    pipe_connected_fn *done;
    void *arg;
};

static void free_if_over(struct pipe_connect *c)
{
    if (c->finished && !c->requesting && c->timer_closed)
        mem_free(c);
}

static void on_timer_closed(void *arg)
{
    struct pipe_connect *c = arg;
    c->timer_closed = true;
    free_if_over(c);
}

static void finish(struct pipe_connect *c)
{
    c->finished = true;
    stream_close(STEAL(c->stream));
    timer_close(&c->timer, on_timer_closed);
}

static const char *reason(int err, int code)
{
    switch (err) {
    case ERR_NOTFOUND:
        return "there is no such file";
    case ERR_REFUSED:
        return "nothing listens there";
    case ERR_BUSY:
        return "it doesn't accept connections";
    case ERR_TIMEOUT:
        return "no answer in time";
    default:
        return uv_strerror(code);
    }
}

static void fail(struct pipe_connect *c, int code)
{
    int err = code == UV_EAGAIN ? ERR_BUSY : loop_err(code);
    struct diag d;
    diag_set(&d, err, sys_code(code), "Failed to connect to %s: %s", c->path, reason(err, code));
    finish(c);
    c->done(c->arg, err, NULL, &d);
}

static void on_timeout(void *arg)
{
    fail(arg, UV_ETIMEDOUT);
}

static void on_connected(uv_connect_t *request, int status)
{
    struct pipe_connect *c = request->data;
    c->requesting = false;
    if (c->finished) {
        free_if_over(c);
        return;
    }
    if (status < 0) {
        fail(c, status);
        return;
    }
    struct stream *stream = STEAL(c->stream);
    finish(c);
    c->done(c->arg, 0, stream, NULL);
}

int pipe_connect_start(struct loop *loop, const char *path, unsigned timeout_ms,
                       pipe_connected_fn *done, void *arg, struct pipe_connect **ret)
{
    CLEANUP(mem_freep) struct pipe_connect *c = NEW(struct pipe_connect);
    if (c == NULL)
        return ERR_NOMEM;
    uv_pipe_t *pipe = NULL;
    int r = str_copy(c->path, sizeof(c->path), path);
    if (r == 0)
        r = loop_headroom();
    if (r == 0)
        r = pipe_stream_new(loop, &pipe, &c->stream);
    if (r < 0)
        return r;
    c->loop = loop;
    c->done = done;
    c->arg = arg;
    c->request.data = c;
    c->requesting = true;
    (void)timer_init(&c->timer, loop, on_timeout, c); /* libuv's timers can't fail to begin */
    timer_start(&c->timer, timeout_ms);
    uv_pipe_connect(&c->request, pipe, c->path, on_connected);
    if (ret != NULL)
        *ret = c;
    c = NULL;
    return 0;
}

void pipe_connect_cancel(struct pipe_connect *c)
{
    if (c != NULL && !c->finished)
        finish(c);
}
