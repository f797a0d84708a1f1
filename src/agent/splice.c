#include "agent/splice.h"

#include "base/mem.h"

struct side {
    struct splice *splice;
    struct side *other;
    struct stream *stream;
    uint64_t *bytes; /* counter of what is read here */
    bool ended;      /* its peer has sent its last byte, and the other side was told */
};

struct splice {
    struct side a, b;
    struct splice_result result;
    void (*on_done)(void *arg, const struct splice_result *result);
    void *arg;
};

static void finish(struct splice *r)
{
    r->on_done(r->arg, &r->result);
    mem_free(r);
}

static void fail(struct splice *r, int err, const struct diag *d)
{
    stream_reset(r->a.stream);
    stream_reset(r->b.stream);
    r->result.err = err;
    if (d != NULL)
        r->result.diag = *d;
    finish(r);
}

/* True, and the splice is gone, if all that was to be said has left. */
static bool finish_if_over(struct splice *r)
{
    if (!r->a.ended || !r->b.ended || stream_queued(r->a.stream) > 0 ||
        stream_queued(r->b.stream) > 0)
        return false;
    stream_close(r->a.stream);
    stream_close(r->b.stream);
    finish(r);
    return true;
}

static void on_data(void *arg, struct slice bytes)
{
    struct side *s = arg;
    *s->bytes += bytes.len;
    int r = stream_write(s->other->stream, &bytes, 1);
    if (r < 0) {
        fail(s->splice, r, NULL);
        return;
    }
    if (stream_queued(s->other->stream) > STREAM_QUEUE_HIGH)
        stream_read_stop(s->stream);
}

static void on_end(void *arg)
{
    struct side *s = arg;
    int r = stream_end(s->other->stream);
    s->ended = true;
    if (r < 0)
        fail(s->splice, r, NULL);
    else
        finish_if_over(s->splice);
}

static void on_drain(void *arg)
{
    struct side *s = arg;
    if (!finish_if_over(s->splice) && !s->other->ended && stream_read_start(s->other->stream) < 0)
        fail(s->splice, ERR_IO, NULL);
}

static void on_error(void *arg, int err, const struct diag *d)
{
    struct side *s = arg;
    fail(s->splice, err, d);
}

static void side_init(struct side *s, struct splice *r, struct side *other, struct stream *stream,
                      uint64_t *bytes)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_error = on_error};
    *s = (struct side){.splice = r, .other = other, .stream = stream, .bytes = bytes};
    stream_set_events(stream, &events, s);
}

int splice_new(struct stream *a, struct stream *b,
               void (*on_done)(void *arg, const struct splice_result *result), void *arg,
               struct splice **ret)
{
    struct splice *r = NEW(struct splice);
    if (r == NULL)
        return ERR_NOMEM;
    r->on_done = on_done;
    r->arg = arg;
    side_init(&r->a, r, &r->b, a, &r->result.bytes_up);
    side_init(&r->b, r, &r->a, b, &r->result.bytes_down);
    int err = stream_read_start(a);
    if (err == 0)
        err = stream_read_start(b);
    if (err < 0) {
        mem_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

void splice_abort(struct splice *r)
{
    stream_reset(r->a.stream);
    stream_reset(r->b.stream);
    mem_free(r);
}
