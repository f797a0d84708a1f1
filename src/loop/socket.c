#include "loop/socket.h"

#include "base/buf.h"
#include "base/mem.h"
#include "loop/pipe.h"
#include "loop/socket_sys.h"

#define PARTS_PER_SEND 32
/* Corked bytes leave when there are this many. */
#define CORK_MAX LOOP_SCRATCH_SIZE
/* A waiting buffer up to this size is kept for the next time. */
#define KEEP_SIZE ((size_t)16 * 1024)

struct socket_stream {
    struct stream base; /* first: the streams' common part */
    struct loop *loop;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    bool tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct buf sending; /* what uv_write has in hand, if it has */
    struct buf waiting; /* what comes after it, or is corked */
    bool writing;
    unsigned corks;
    bool reading;
    bool read_ended;
    bool end_wanted;
    bool end_sent;
    bool failed; /* on_error was called */
    bool closed;
    int write_code;    /* why nothing can be written any more, libuv's; 0: it can */
    bool write_told;   /* a call returned it */
    struct defer late; /* tells it */
};

static struct socket_stream *self(struct stream *s)
{
    return CONTAINER_OF(s, struct socket_stream, base);
}

static void fail(struct socket_stream *s, int uv_code)
{
    if (s->failed || s->closed)
        return;
    s->failed = true;
    s->reading = false;
    uv_read_stop(&s->uv.stream);
    struct diag d;
    int err = loop_err(uv_code);
    diag_set(&d, err, sys_code(uv_code), "The connection failed: %s", uv_strerror(uv_code));
    if (s->base.events.on_error != NULL)
        s->base.events.on_error(s->base.arg, err, &d);
}

static void run_late(void *arg)
{
    struct socket_stream *s = arg;
    fail(s, s->write_code);
}

static bool peer_is_gone(int uv_code)
{
    return uv_code == UV_EPIPE || uv_code == UV_ECONNRESET;
}

/* Writing failed where no call can return it. A reader first gets what the peer said before it went, perhaps why. */
static void fail_writing(struct socket_stream *s, int uv_code)
{
    s->write_code = uv_code;
    if (!s->reading || !peer_is_gone(uv_code))
        defer_start(s->loop, &s->late);
}

/* ---- reading ---- */

static void socket_read_stop(struct stream *base)
{
    struct socket_stream *s = self(base);
    s->reading = false;
    uv_read_stop(&s->uv.stream);
    if (s->write_code != 0 && !s->write_told)
        defer_start(s->loop, &s->late);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct socket_stream *s = handle->data;
    struct span space = {s->loop->scratch, s->loop->scratch_size};
    if (s->base.events.get_space != NULL)
        space = s->base.events.get_space(s->base.arg);
    /* libuv's lengths are 32 bits wide on Windows. */
    *buf = uv_buf_init((char *)space.data, (unsigned)MIN(space.len, (size_t)INT32_MAX));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct socket_stream *s = stream->data;
    if (n == 0 || s->closed)
        return;
    if (n == UV_ENOBUFS) {
        socket_read_stop(&s->base);
        return;
    }
    if (n == UV_EOF && s->write_code != 0 && !s->write_told) {
        fail(s, s->write_code);
        return;
    }
    if (n == UV_EOF) {
        s->read_ended = true;
        s->reading = false;
        uv_read_stop(stream);
        if (s->base.events.on_end != NULL)
            s->base.events.on_end(s->base.arg);
        return;
    }
    if (n < 0) {
        s->reading = false;
        if (!s->write_told)
            fail(s, (int)n);
        return;
    }
    if (s->base.events.on_data != NULL)
        s->base.events.on_data(s->base.arg, slice_of(buf->base, (size_t)n));
}

static int socket_read_start(struct stream *base)
{
    struct socket_stream *s = self(base);
    if (s->failed)
        return ERR_CLOSED;
    if (s->read_ended || s->reading)
        return 0;
    int r = uv_read_start(&s->uv.stream, on_alloc, on_read);
    s->reading = r == 0;
    return loop_err(r);
}

/* ---- writing ---- */

static int send_waiting(struct socket_stream *s);

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct socket_stream *s = req->data;
    if (status < 0 && status != UV_ECANCELED && status != UV_ENOTCONN)
        fail(s, status);
}

static int finish_if_wanted(struct socket_stream *s)
{
    if (!s->end_wanted || s->end_sent || s->writing || buf_len(&s->waiting) > 0)
        return 0;
    s->end_sent = true;
    s->shutdown.data = s;
    int r = uv_shutdown(&s->shutdown, &s->uv.stream, on_shutdown);
    /* Gone already: the reader will be told. */
    return r == UV_ENOTCONN ? 0 : r;
}

static void on_written(uv_write_t *req, int status)
{
    struct socket_stream *s = req->data;
    s->writing = false;
    if (s->closed || s->failed || s->write_code != 0)
        return;
    buf_release(&s->sending);
    int r = status < 0 ? status : send_waiting(s);
    if (r == 0)
        r = finish_if_wanted(s);
    if (r < 0)
        fail_writing(s, r);
    else if (!s->writing && buf_len(&s->waiting) == 0 && s->base.events.on_drain != NULL)
        s->base.events.on_drain(s->base.arg);
}

/* Hands what waits to libuv, which tells when it has gone. */
static int send_waiting(struct socket_stream *s)
{
    if (s->writing || buf_len(&s->waiting) == 0)
        return 0;
    s->sending = s->waiting;
    buf_init(&s->waiting, STREAM_QUEUE_MAX);
    struct slice bytes = buf_slice(&s->sending);
    uv_buf_t buf = uv_buf_init((char *)s->sending.data + s->sending.start, (unsigned)bytes.len);
    s->write.data = s;
    int r = uv_write(&s->write, &s->uv.stream, &buf, 1, on_written);
    s->writing = r == 0;
    return r;
}

/* What the kernel takes now: a number of bytes, or a libuv code. */
static ssize_t try_send(struct socket_stream *s, const struct slice *parts, size_t count)
{
    uv_buf_t bufs[PARTS_PER_SEND];
    unsigned n = 0;
    for (size_t i = 0; i < count && n < PARTS_PER_SEND; i++) {
        if (parts[i].len == 0)
            continue;
        /* libuv doesn't write into it; its type is for both directions. */
        bufs[n].base = (char *)(uintptr_t)parts[i].data;
        bufs[n++].len = (unsigned)MIN(parts[i].len, (size_t)INT32_MAX);
    }
    if (n == 0)
        return 0;
    int r = uv_try_write(&s->uv.stream, bufs, n);
    return r == UV_EAGAIN ? 0 : r;
}

static size_t total(const struct slice *parts, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += parts[i].len;
    return n;
}

/* Everything from the skip-th byte on. */
static int queue_rest(struct socket_stream *s, const struct slice *parts, size_t count, size_t skip)
{
    uint8_t *unused = NULL;
    int r = buf_reserve(&s->waiting, total(parts, count) - skip, &unused);
    for (size_t i = 0; i < count && r == 0; i++) {
        size_t cut = MIN(skip, parts[i].len);
        skip -= cut;
        r = buf_put(&s->waiting, slice_from(parts[i], cut));
    }
    return r;
}

/* Sends what was gathered, without a copy of it if the kernel takes it. */
static int flush_corked(struct socket_stream *s)
{
    if (s->writing || buf_len(&s->waiting) == 0)
        return 0;
    struct slice bytes = buf_slice(&s->waiting);
    ssize_t n = try_send(s, &bytes, 1);
    if (n < 0)
        return (int)n;
    buf_consume(&s->waiting, (size_t)n);
    if (buf_len(&s->waiting) > 0)
        return send_waiting(s);
    if (s->waiting.size > KEEP_SIZE)
        buf_release(&s->waiting);
    return 0;
}

static int write_corked(struct socket_stream *s, const struct slice *parts, size_t count)
{
    int r = queue_rest(s, parts, count, 0);
    if (r < 0)
        return r;
    return buf_len(&s->waiting) < CORK_MAX ? 0 : loop_err(flush_corked(s));
}

static int write_now(struct socket_stream *s, const struct slice *parts, size_t count)
{
    while (count > 0) {
        size_t n = MIN(count, (size_t)PARTS_PER_SEND);
        ssize_t sent = try_send(s, parts, n);
        if (sent < 0)
            return loop_err((int)sent);
        if ((size_t)sent < total(parts, n)) {
            int r = queue_rest(s, parts, count, (size_t)sent);
            return r < 0 ? r : loop_err(send_waiting(s));
        }
        parts += n;
        count -= n;
    }
    return 0;
}

static size_t socket_queued(const struct stream *base)
{
    const struct socket_stream *s = (const struct socket_stream *)base;
    /* What is only corked isn't the kernel's business yet. */
    return s->writing ? buf_len(&s->waiting) + uv_stream_get_write_queue_size(&s->uv.stream) : 0;
}

static int socket_write(struct stream *base, const struct slice *parts, size_t count)
{
    struct socket_stream *s = self(base);
    if (s->end_wanted || s->failed || s->write_code != 0)
        return ERR_CLOSED;
    if (socket_queued(base) + total(parts, count) > STREAM_QUEUE_MAX)
        return ERR_TOOBIG;
    int r;
    if (s->corks > 0)
        r = write_corked(s, parts, count);
    else if (s->writing)
        r = queue_rest(s, parts, count, 0);
    else
        r = write_now(s, parts, count);
    if (r < 0) {
        s->write_code = UV_EPIPE;
        s->write_told = true;
    }
    return r;
}

static void socket_cork(struct stream *base)
{
    self(base)->corks++;
}

static void socket_uncork(struct stream *base)
{
    struct socket_stream *s = self(base);
    if (--s->corks > 0 || s->failed || s->write_code != 0)
        return;
    int r = flush_corked(s);
    if (r == 0)
        r = finish_if_wanted(s);
    if (r < 0)
        fail_writing(s, r);
}

static int socket_end(struct stream *base)
{
    struct socket_stream *s = self(base);
    if (s->failed || s->write_code != 0)
        return ERR_CLOSED;
    s->end_wanted = true;
    return loop_err(finish_if_wanted(s));
}

/* ---- life ---- */

static void on_closed(uv_handle_t *handle)
{
    struct socket_stream *s = handle->data;
    buf_release(&s->sending);
    buf_release(&s->waiting);
    mem_free(s);
}

static void socket_stream_close(struct stream *base, bool reset)
{
    struct socket_stream *s = self(base);
    if (s->closed)
        return;
    s->closed = true;
    defer_stop(&s->late);
    uv_read_stop(&s->uv.stream);
    if (reset && s->tcp && uv_tcp_close_reset(&s->uv.tcp, on_closed) == 0)
        return;
    uv_close(&s->uv.handle, on_closed);
}

static const struct stream_ops socket_ops = {
    .read_start = socket_read_start,
    .read_stop = socket_read_stop,
    .write = socket_write,
    .queued = socket_queued,
    .cork = socket_cork,
    .uncork = socket_uncork,
    .end = socket_end,
    .close = socket_stream_close,
};

static int open_handle(struct socket_stream *s, uv_os_sock_t fd)
{
    s->tcp = sys_socket_is_tcp(fd);
    int r =
        s->tcp ? uv_tcp_init(&s->loop->uv, &s->uv.tcp) : uv_pipe_init(&s->loop->uv, &s->uv.pipe, 0);
    if (r < 0) {
        mem_free(s);
        return loop_err(r);
    }
    s->uv.handle.data = s;
    r = s->tcp ? uv_tcp_open(&s->uv.tcp, fd) : uv_pipe_open(&s->uv.pipe, (uv_file)fd);
    if (r < 0) {
        s->closed = true;
        uv_close(&s->uv.handle, on_closed);
        return loop_err(r);
    }
    if (s->tcp)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    return 0;
}

static struct socket_stream *new_stream(struct loop *loop)
{
    struct socket_stream *s = NEW(struct socket_stream);
    if (s == NULL)
        return NULL;
    s->base.ops = &socket_ops;
    s->loop = loop;
    buf_init(&s->sending, STREAM_QUEUE_MAX);
    buf_init(&s->waiting, STREAM_QUEUE_MAX);
    defer_init(&s->late, run_late, s);
    return s;
}

int socket_stream_new(struct loop *loop, uv_os_sock_t fd, struct stream **ret)
{
    struct socket_stream *s = new_stream(loop);
    if (s == NULL)
        return ERR_NOMEM;
    int r = open_handle(s, fd);
    if (r < 0)
        return r;
    *ret = &s->base;
    return 0;
}

int pipe_stream_new(struct loop *loop, uv_pipe_t **ret_pipe, struct stream **ret)
{
    struct socket_stream *s = new_stream(loop);
    if (s == NULL)
        return ERR_NOMEM;
    int r = uv_pipe_init(&loop->uv, &s->uv.pipe, 0);
    if (r < 0) {
        mem_free(s);
        return loop_err(r);
    }
    s->uv.handle.data = s;
    *ret_pipe = &s->uv.pipe;
    *ret = &s->base;
    return 0;
}

void socket_close(uv_os_sock_t fd)
{
    sys_socket_close(fd);
}
