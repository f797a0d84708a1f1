#include "gateway/relay.h"

#include "base/mem.h"

/* Theory of operation: a side reads while the other one's queue is short. It has ended when its peer said so, which was
 * passed on as stream_end. When both have ended and nothing waits in either queue, both are closed. */
struct side {
    struct relay *relay;
    struct stream *stream;
    struct side *other;
    uint64_t bytes; /* read here */
    bool ended;
    bool stopped; /* until the other one's queue has drained */
};

struct relay {
    struct side client;
    struct side target;
    relay_ended_fn *ended;
    void *arg;
};

static void end(struct relay *r, int err, const char *where, const char *text)
{
    struct relay_result result = {
        .err = err,
        .where = where,
        .bytes_up = r->client.bytes,
        .bytes_down = r->target.bytes,
        .text = text,
    };
    if (err == 0) {
        stream_close(r->client.stream);
        stream_close(r->target.stream);
    } else {
        stream_reset(r->client.stream);
        stream_reset(r->target.stream);
    }
    relay_ended_fn *ended = r->ended;
    void *arg = r->arg;
    mem_free(r);
    ended(arg, &result);
}

static void fail(struct side *s, int err, const char *text)
{
    end(s->relay, err, s == &s->relay->client ? "client" : "target", text);
}

static void end_if_done(struct relay *r)
{
    if (r->client.ended && r->target.ended && stream_queued(r->client.stream) == 0 &&
        stream_queued(r->target.stream) == 0)
        end(r, 0, "", "");
}

static void on_data(void *arg, struct slice bytes)
{
    struct side *s = arg;
    struct stream *to = s->other->stream;
    s->bytes += bytes.len;
    int r = stream_write(to, &bytes, 1);
    if (r < 0) {
        fail(s->other, r, err_text(r));
        return;
    }
    if (stream_queued(to) > STREAM_QUEUE_HIGH) {
        s->stopped = true;
        stream_read_stop(s->stream);
    }
}

static void on_end(void *arg)
{
    struct side *s = arg;
    s->ended = true;
    int r = stream_end(s->other->stream);
    if (r < 0)
        fail(s->other, r, err_text(r));
    else
        end_if_done(s->relay);
}

/* This side's queue is empty. */
static void on_drain(void *arg)
{
    struct side *s = arg;
    if (s->other->stopped) {
        s->other->stopped = false;
        int r = stream_read_start(s->other->stream);
        if (r < 0) {
            fail(s->other, r, err_text(r));
            return;
        }
    }
    end_if_done(s->relay);
}

static void on_error(void *arg, int err, const struct diag *d)
{
    fail(arg, err, d->text[0] != '\0' ? d->text : err_text(err));
}

static void join(struct relay *r, struct side *s, struct stream *stream, struct side *other)
{
    static const struct stream_events events = {
        .on_data = on_data,
        .on_end = on_end,
        .on_drain = on_drain,
        .on_error = on_error,
    };
    s->relay = r;
    s->stream = stream;
    s->other = other;
    stream_set_events(stream, &events, s);
}

int relay_start(struct stream *client, struct stream *target, relay_ended_fn *ended, void *arg,
                struct relay **ret)
{
    struct relay *r = NEW(struct relay);
    if (r == NULL)
        return ERR_NOMEM;
    r->ended = ended;
    r->arg = arg;
    int err = stream_read_start(client);
    if (err == 0)
        err = stream_read_start(target);
    if (err < 0) {
        mem_free(r);
        return err;
    }
    join(r, &r->client, client, &r->target);
    join(r, &r->target, target, &r->client);
    *ret = r;
    return 0;
}

void relay_abort(struct relay *r)
{
    end(r, ERR_CANCELED, "gateway", "the gateway is stopping");
}
