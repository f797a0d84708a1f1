#include "loop/stream_pair.h"

#include "base/buf.h"
#include "base/mem.h"

struct pair;

struct side {
    struct stream base;
    struct pair *pair;
    struct side *peer;
    struct buf out;       /* written here, not yet read by the peer */
    struct defer deliver; /* of the peer's bytes to this side */
    size_t chunk;
    bool reading;
    bool ended;      /* this side ended its writing */
    bool told_end;   /* this side was told of the peer's */
    bool told_error; /* this side was told that the peer reset */
    bool reset;      /* this side was reset by its owner */
    bool closed;
};

struct pair {
    struct loop *loop;
    size_t window;
    struct side sides[2];
    struct defer release;
};

static struct side *self(struct stream *s)
{
    return CONTAINER_OF(s, struct side, base);
}

static size_t over_window(const struct side *s)
{
    size_t len = buf_len(&s->out);
    return len > s->pair->window ? len - s->pair->window : 0;
}

static void wake(struct side *s)
{
    if (!s->closed)
        defer_start(s->pair->loop, &s->deliver);
}

static void tell_reset(struct side *s)
{
    if (s->told_error)
        return;
    s->told_error = true;
    struct diag d;
    diag_set(&d, ERR_CLOSED, 0, "The connection was reset by the peer");
    if (s->base.events.on_error != NULL)
        s->base.events.on_error(s->base.arg, ERR_CLOSED, &d);
}

static void tell_end(struct side *s)
{
    s->told_end = true;
    if (s->base.events.on_end != NULL)
        s->base.events.on_end(s->base.arg);
}

/* Moves bytes from the peer's out buffer to the reader's memory. 0: the reader has no space. */
static struct slice move_bytes(struct side *s)
{
    struct buf *from = &s->peer->out;
    struct span space = {s->pair->loop->scratch, s->pair->loop->scratch_size};
    if (s->base.events.get_space != NULL)
        space = s->base.events.get_space(s->base.arg);
    size_t n = MIN(space.len, buf_len(from));
    if (s->chunk > 0)
        n = MIN(n, s->chunk);
    for (size_t i = 0; i < n; i++)
        space.data[i] = from->data[from->start + i];
    buf_consume(from, n);
    return slice_of(space.data, n);
}

static void tell_drained(struct side *writer)
{
    if (!writer->closed && writer->base.events.on_drain != NULL)
        writer->base.events.on_drain(writer->base.arg);
}

static void deliver_bytes(struct side *s)
{
    struct side *peer = s->peer;
    bool was_over = over_window(peer) > 0;
    struct slice bytes = move_bytes(s);
    if (bytes.len == 0) {
        s->reading = false;
        return;
    }
    /* More, or the end, next turn; before the callbacks, which may close. */
    wake(s);
    if (s->base.events.on_data != NULL)
        s->base.events.on_data(s->base.arg, bytes);
    if (was_over && over_window(peer) == 0)
        tell_drained(peer);
}

static void run_deliver(void *arg)
{
    struct side *s = arg;
    if (s->peer->reset)
        tell_reset(s);
    else if (s->reading && buf_len(&s->peer->out) > 0)
        deliver_bytes(s);
    else if (s->reading && s->peer->ended && !s->told_end && buf_len(&s->peer->out) == 0)
        tell_end(s);
}

static int pair_read_start(struct stream *base)
{
    self(base)->reading = true;
    wake(self(base));
    return 0;
}

static void pair_read_stop(struct stream *base)
{
    self(base)->reading = false;
}

static int pair_write(struct stream *base, const struct slice *parts, size_t count)
{
    struct side *s = self(base);
    if (s->ended || s->peer->closed)
        return ERR_CLOSED;
    for (size_t i = 0; i < count; i++) {
        int r = buf_put(&s->out, parts[i]);
        if (r < 0)
            return r;
    }
    wake(s->peer);
    return 0;
}

static size_t pair_queued(const struct stream *base)
{
    return over_window((const struct side *)base);
}

static void pair_cork(struct stream *base)
{
    (void)base; /* delivery waits for the next turn anyway */
}

static int pair_end(struct stream *base)
{
    struct side *s = self(base);
    s->ended = true;
    wake(s->peer);
    return 0;
}

static void run_release(void *arg)
{
    struct pair *p = arg;
    buf_release(&p->sides[0].out);
    buf_release(&p->sides[1].out);
    mem_free(p);
}

static void pair_close(struct stream *base, bool reset)
{
    struct side *s = self(base);
    if (s->closed)
        return;
    s->closed = true;
    s->ended = true;
    s->reset = reset;
    defer_stop(&s->deliver);
    wake(s->peer);
    if (s->peer->closed)
        defer_start(s->pair->loop, &s->pair->release);
}

static const struct stream_ops pair_ops = {
    .read_start = pair_read_start,
    .read_stop = pair_read_stop,
    .write = pair_write,
    .queued = pair_queued,
    .cork = pair_cork,
    .uncork = pair_cork,
    .end = pair_end,
    .close = pair_close,
};

static void side_init(struct pair *p, size_t index)
{
    struct side *s = &p->sides[index];
    s->base.ops = &pair_ops;
    s->pair = p;
    s->peer = &p->sides[1 - index];
    buf_init(&s->out, STREAM_QUEUE_MAX);
    defer_init(&s->deliver, run_deliver, s);
}

int stream_pair_new(struct loop *loop, size_t window, struct stream **ret_a, struct stream **ret_b)
{
    struct pair *p = NEW(struct pair);
    if (p == NULL)
        return ERR_NOMEM;
    p->loop = loop;
    p->window = window;
    side_init(p, 0);
    side_init(p, 1);
    defer_init(&p->release, run_release, p);
    *ret_a = &p->sides[0].base;
    *ret_b = &p->sides[1].base;
    return 0;
}

void stream_pair_set_chunk(struct stream *side, size_t bytes)
{
    self(side)->chunk = bytes;
}
