#include "gateway/bridge.h"

#include "base/mem.h"

/* Theory of operation: a side reads while the other one's queue is short. It has ended when its peer said so, which was
 * passed on as stream_end. When both have ended and nothing waits in either queue, both are closed. */
struct side {
    struct bridge *bridge;
    struct stream *stream;
    struct side *other;
    uint64_t bytes; /* read here */
    bool ended;
    bool stopped; /* until the other one's queue has drained */
};

struct bridge {
    struct side client;
    struct side target;
    bridge_ended_fn *ended;
    void *arg;
};

static void end(struct bridge *r, int err, const char *where, const char *text)
{
    struct bridge_result result = {
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
    bridge_ended_fn *ended = r->ended;
    void *arg = r->arg;
    mem_free(r);
    ended(arg, &result);
}

static void fail(struct side *s, int err, const char *text)
{
    end(s->bridge, err, s == &s->bridge->client ? "client" : "target", text);
}

static void end_if_done(struct bridge *r)
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
        end_if_done(s->bridge);
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
    end_if_done(s->bridge);
}

static void on_error(void *arg, int err, const struct diag *d)
{
    fail(arg, err, d->text[0] != '\0' ? d->text : err_text(err));
}

static void join(struct bridge *r, struct side *s, struct stream *stream, struct side *other)
{
    static const struct stream_events events = {
        .on_data = on_data,
        .on_end = on_end,
        .on_drain = on_drain,
        .on_error = on_error,
    };
    s->bridge = r;
    s->stream = stream;
    s->other = other;
    stream_set_events(stream, &events, s);
}

int bridge_start(struct stream *client, struct stream *target, bridge_ended_fn *ended, void *arg,
                 struct bridge **ret)
{
    struct bridge *r = NEW(struct bridge);
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

void bridge_abort(struct bridge *r)
{
    end(r, ERR_CANCELED, "gateway", "the gateway is stopping");
}
