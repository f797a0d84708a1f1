#include "engine/flow_relay.h"

#include "base/clock.h"

static struct flow_relay *relay_of(struct flow_handler *h)
{
    return CONTAINER_OF(h, struct flow_relay, handler);
}

static void forget_burst(struct flow_relay *r)
{
    list_remove(&r->node);
    r->in_burst = false;
}

/* Notes what waits for the stream now. */
static size_t count_queued(struct flow_relay *r, size_t queued)
{
    r->all->queued = r->all->queued - r->queued + queued;
    r->queued = queued;
    return queued;
}

static void drop_stream(struct flow_relay *r, bool reset)
{
    struct stream *stream = STEAL(r->stream);
    forget_burst(r);
    (void)count_queued(r, 0);
    if (stream == NULL)
        return;
    if (reset)
        stream_reset(stream);
    else
        stream_close(stream);
}

static void drop_flow(struct flow_relay *r)
{
    struct tcp_flow *flow = STEAL(r->flow);
    if (flow != NULL)
        tcp_abort(flow, clock_mono_ns());
}

static void far_failed(struct flow_relay *r, const struct diag *d)
{
    drop_flow(r);
    drop_stream(r, false);
    r->on_done(r->arg, FLOW_RELAY_FAR_FAILED, d);
}

static void far_error(struct flow_relay *r, int err)
{
    struct diag d = {0};
    diag_set(&d, err, 0, "Failed to write to the gateway: %s", err_text(err));
    far_failed(r, &d);
}

/* ---- up: program → app ---- */

static size_t most_now(const struct flow_relays *all)
{
    if (all->queued < FLOW_RELAY_ALL_MAX / 2)
        return FLOW_RELAY_UP_MAX;
    return all->queued < FLOW_RELAY_ALL_MAX ? FLOW_RELAY_UP_SOME : FLOW_RELAY_UP_LEAST;
}

/* How much more the program may send: what the stream still has to send counts against it. */
static void set_room(struct flow_relay *r)
{
    size_t queued = count_queued(r, stream_queued(r->stream));
    size_t most = most_now(r->all);
    tcp_set_receive_room(r->flow, queued < most ? most - queued : 0);
}

static void join_burst(struct flow_relay *r)
{
    if (r->in_burst)
        return;
    r->in_burst = true;
    if (r->gather)
        stream_cork(r->stream);
    list_push_back(&r->all->burst, &r->node);
}

static void up_data(struct flow_handler *h, struct slice bytes)
{
    struct flow_relay *r = relay_of(h);
    join_burst(r);
    r->up += bytes.len;
    int err = stream_write(r->stream, &bytes, 1);
    if (err < 0)
        far_error(r, err);
}

static void up_end(struct flow_handler *h)
{
    struct flow_relay *r = relay_of(h);
    int err = stream_end(r->stream);
    if (err < 0)
        far_error(r, err);
}

void flow_relays_settle(struct flow_relays *all)
{
    struct list *node;
    while ((node = list_pop_front(&all->burst)) != NULL) {
        struct flow_relay *r = LIST_ENTRY(node, struct flow_relay, node);
        r->in_burst = false;
        if (r->gather)
            stream_uncork(r->stream);
        if (r->flow != NULL)
            set_room(r);
    }
}

static void flow_closed(struct flow_handler *h, enum tcp_end why)
{
    struct flow_relay *r = relay_of(h);
    r->flow = NULL;
    if (why == TCP_END_DONE) {
        if (r->in_burst) {
            forget_burst(r);
            if (r->gather)
                stream_uncork(r->stream);
        }
        if (stream_queued(r->stream) > 0)
            return; /* on_drain ends it */
        drop_stream(r, false);
        r->on_done(r->arg, FLOW_RELAY_DONE, NULL);
        return;
    }
    drop_stream(r, true);
    r->on_done(r->arg, FLOW_RELAY_CLIENT_RESET, NULL);
}

static void stream_drained(void *arg)
{
    struct flow_relay *r = arg;
    if (r->flow != NULL) {
        set_room(r);
        return;
    }
    drop_stream(r, false);
    r->on_done(r->arg, FLOW_RELAY_DONE, NULL);
}

/* ---- down: app → program ---- */

static struct span down_space(void *arg)
{
    struct flow_relay *r = arg;
    struct tcp_space space[2];
    if (r->flow == NULL || tcp_send_space(r->flow, space) == 0) {
        r->paused = true;
        return (struct span){0};
    }
    return (struct span){.data = space[0].data, .len = space[0].len};
}

static void down_data(void *arg, struct slice bytes)
{
    struct flow_relay *r = arg;
    r->down += bytes.len;
    tcp_send_commit(r->flow, bytes.len, clock_mono_ns());
}

static void down_room(struct flow_handler *h)
{
    struct flow_relay *r = relay_of(h);
    if (!r->paused)
        return;
    r->paused = false;
    int err = stream_read_start(r->stream);
    if (err < 0)
        far_error(r, err);
}

static void down_end(void *arg)
{
    struct flow_relay *r = arg;
    if (r->flow != NULL)
        tcp_send_end(r->flow, clock_mono_ns());
}

static void stream_failed(void *arg, int err, const struct diag *d)
{
    (void)err;
    far_failed(arg, d);
}

static const struct stream_events stream_events = {
    .get_space = down_space,
    .on_data = down_data,
    .on_end = down_end,
    .on_drain = stream_drained,
    .on_error = stream_failed,
};

/* ---- life ---- */

void flow_relays_init(struct flow_relays *all)
{
    list_init(&all->burst);
    all->queued = 0;
}

void flow_relay_start(struct flow_relay *r, struct tcp_flow *flow, struct stream *stream,
                      bool gather, struct flow_relays *all,
                      void (*on_done)(void *arg, enum flow_relay_end end, const struct diag *d),
                      void *arg)
{
    *r = (struct flow_relay){
        .handler = {.on_data = up_data,
                    .on_end = up_end,
                    .on_space = down_room,
                    .on_closed = flow_closed},
        .flow = flow,
        .stream = stream,
        .gather = gather,
        .all = all,
        .on_done = on_done,
        .arg = arg,
    };
    list_init(&r->node);
    stack_take(flow, &r->handler);
    stream_set_events(stream, &stream_events, r);
    set_room(r);
    int err = stream_read_start(stream);
    if (err < 0)
        far_error(r, err);
}

void flow_relay_abort(struct flow_relay *r)
{
    drop_flow(r);
    drop_stream(r, true);
}
