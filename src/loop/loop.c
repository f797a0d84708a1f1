#include "loop/loop.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#define HEADROOM ((size_t)64 * 1024) /* a table of 8190 descriptors */

/* ---- errors ---- */

int loop_err(int uv_code)
{
    static const struct {
        int uv;
        int err;
    } map[] = {
        {UV_ENOMEM, ERR_NOMEM},
        {UV_ENOBUFS, ERR_NOMEM},
        {UV_EINVAL, ERR_INVAL},
        {UV_EAGAIN, ERR_AGAIN},
        {UV_EBUSY, ERR_BUSY},
        {UV_EADDRINUSE, ERR_BUSY},
        {UV_ECONNRESET, ERR_CLOSED},
        {UV_ECONNABORTED, ERR_CLOSED},
        {UV_EPIPE, ERR_CLOSED},
        {UV_ENOTCONN, ERR_CLOSED},
        {UV_EOF, ERR_CLOSED},
        {UV_ECANCELED, ERR_CANCELED},
        {UV_ETIMEDOUT, ERR_TIMEOUT},
        {UV_ECONNREFUSED, ERR_REFUSED},
        {UV_EHOSTUNREACH, ERR_UNREACHABLE},
        {UV_ENETUNREACH, ERR_UNREACHABLE},
        {UV_EADDRNOTAVAIL, ERR_UNREACHABLE},
        {UV_ENOENT, ERR_NOTFOUND},
        {UV_EAI_NONAME, ERR_NOTFOUND},
        {UV_EAI_NODATA, ERR_NOTFOUND},
        {UV_EAI_AGAIN, ERR_UNREACHABLE},
        {UV_EAI_FAIL, ERR_UNREACHABLE},
        {UV_EMFILE, ERR_LIMIT},
        {UV_ENFILE, ERR_LIMIT},
        {UV_EACCES, ERR_PERM},
        {UV_EPERM, ERR_PERM},
        {UV_EEXIST, ERR_EXISTS},
        {UV_ENOSYS, ERR_UNSUPPORTED},
        {UV_ENOTSUP, ERR_UNSUPPORTED},
        {UV_EAFNOSUPPORT, ERR_UNSUPPORTED},
    };
    if (uv_code >= 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        if (map[i].uv == uv_code)
            return map[i].err;
    return ERR_IO;
}

/* ---- deferred work ---- */

static void run_deferred(uv_idle_t *idle)
{
    struct loop *loop = idle->data;
    struct list batch;
    list_init(&batch);
    /* What these defer in turn waits for the next turn. */
    for (struct list *node; (node = list_pop_front(&loop->deferred)) != NULL;)
        list_push_back(&batch, node);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;) {
        struct defer *d = LIST_ENTRY(node, struct defer, node);
        d->run(d->arg);
    }
    if (list_empty(&loop->deferred))
        uv_idle_stop(idle);
}

void defer_init(struct defer *d, void (*run)(void *arg), void *arg)
{
    list_init(&d->node);
    d->run = run;
    d->arg = arg;
}

void defer_start(struct loop *loop, struct defer *d)
{
    if (defer_pending(d))
        return;
    list_push_back(&loop->deferred, &d->node);
    uv_idle_start(&loop->defer_idle, run_deferred);
}

void defer_stop(struct defer *d)
{
    list_remove(&d->node);
}

bool defer_pending(const struct defer *d)
{
    return !list_empty(&d->node);
}

/* ---- buffers ---- */

uint8_t *loop_buffer_take(struct loop *loop)
{
    if (loop->free_buffer_count > 0)
        return loop->free_buffers[--loop->free_buffer_count];
    return mem_alloc(LOOP_BUFFER_SIZE);
}

void loop_buffer_give(struct loop *loop, uint8_t *buffer)
{
    if (buffer == NULL)
        return;
    if (loop->free_buffer_count < ARRAY_LEN(loop->free_buffers))
        loop->free_buffers[loop->free_buffer_count++] = buffer;
    else
        mem_free(buffer);
}

void loop_trim(struct loop *loop)
{
    while (loop->free_buffer_count > 0)
        mem_free(loop->free_buffers[--loop->free_buffer_count]);
}

/* ---- the loop ---- */

static void free_memory(struct loop *loop)
{
    loop_trim(loop);
    mem_free(STEAL(loop->scratch));
    /* It held decrypted bytes. */
    if (loop->plain != NULL)
        mem_free_wiped(STEAL(loop->plain), LOOP_SCRATCH_SIZE);
    mem_free(STEAL(loop->stage));
}

int loop_headroom(void)
{
    void *probe = mem_alloc(HEADROOM);

    mem_free(probe);
    return probe != NULL ? 0 : ERR_NOMEM;
}

int loop_init(struct loop *loop)
{
    *loop = (struct loop){.scratch_size = LOOP_SCRATCH_SIZE};
    list_init(&loop->deferred);
    loop->scratch = mem_alloc(LOOP_SCRATCH_SIZE);
    loop->plain = mem_alloc(LOOP_SCRATCH_SIZE);
    loop->stage = mem_alloc(LOOP_STAGE_SIZE);
    if (loop->scratch == NULL || loop->plain == NULL || loop->stage == NULL) {
        free_memory(loop);
        return ERR_NOMEM;
    }
    int r = loop_headroom();
    if (r == 0)
        r = loop_err(uv_loop_init(&loop->uv));
    if (r < 0) {
        free_memory(loop);
        return r;
    }
    uv_idle_init(&loop->uv, &loop->defer_idle);
    loop->defer_idle.data = loop;
    return 0;
}

int loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return 0;
}

void loop_turn(struct loop *loop, bool wait)
{
    uv_run(&loop->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

struct leftovers {
    const uv_handle_t *own;
    int count;
};

static void count_open(uv_handle_t *handle, void *arg)
{
    struct leftovers *l = arg;
    if (handle == l->own || uv_is_closing(handle))
        return;
    l->count++;
    log_debug("Loop still has an open %s handle", uv_handle_type_name(handle->type));
}

int loop_release(struct loop *loop)
{
    /* Deferred frees and closing handles may need some turns; each of them ends by itself. */
    for (int turn = 0; turn < 16; turn++)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    struct leftovers left = {.own = (uv_handle_t *)&loop->defer_idle};
    uv_walk(&loop->uv, count_open, &left);
    if (left.count > 0)
        return ERR_BUSY;
    uv_close((uv_handle_t *)&loop->defer_idle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    int r = loop_err(uv_loop_close(&loop->uv));
    if (r < 0)
        return r;
    free_memory(loop);
    return 0;
}
