/* Server streaming: order, ends, back-pressure, both sides giving up. */
#include "raw_h2.h"
#include "rpc_pair.h"

#include "base/mem.h"

/* What the handler does, set by each test. */
static struct plan {
    unsigned count;
    size_t zones; /* per message: its size */
    enum rpc_status status;
    bool open; /* don't end */
} plan;

static struct rpc_call *open_call;
static unsigned sent;
static int canceled;

static void on_cancel(UNUSED void *arg)
{
    canceled++;
}

/* A message of so many zones, 19 bytes each on the wire. */
static int send_zones(size_t count)
{
    static char zone[] = "zone.example.test";
    char **zones = mem_array(count, sizeof(char *));
    Stile__Vnet__V1__TargetConfiguration message = STILE__VNET__V1__TARGET_CONFIGURATION__INIT;
    for (size_t i = 0; i < count; i++)
        zones[i] = zone;
    message.dns_zones = zones;
    message.n_dns_zones = count;
    int r = rpc_call_send(open_call, &message.base);
    mem_free(zones);
    return r;
}

/* Sends until the plan is done or the queue is full. */
static void send_on(UNUSED void *arg)
{
    int r = 0;
    while (sent < plan.count && (r = send_zones(plan.zones)) == 0)
        sent++;
    assert_true(r == 0 || r == ERR_AGAIN);
    if (r == ERR_AGAIN || plan.open)
        return;
    if (plan.status == RPC_OK)
        rpc_call_finish(open_call);
    else
        rpc_call_fail(open_call, plan.status, "as planned");
    open_call = NULL;
}

static void watch(struct rpc_call *call, UNUSED const ProtobufCMessage *request, UNUSED void *arg)
{
    open_call = call;
    rpc_call_on_cancel(call, on_cancel, NULL);
    rpc_call_on_drain(call, send_on, NULL);
    send_on(NULL);
}

static const struct rpc_handler handlers[] = {
    {&client_application_watch_target_configuration, watch},
    {&client_application_ping, echo},
};
static const struct rpc_server_config config = {.handlers = handlers,
                                                .handler_count = ARRAY_LEN(handlers)};

static void prepare(struct rpc_pair *p, struct plan wanted)
{
    plan = wanted;
    open_call = NULL;
    sent = 0;
    canceled = 0;
    pair_streams(p);
    pair_server(p, &config);
}

static void setup(struct rpc_pair *p, struct plan wanted)
{
    prepare(p, wanted);
    pair_client(p);
}

static int start(struct rpc_pair *p, unsigned timeout_ms, rpc_on_reply *on_reply, void *arg,
                 struct rpc_pending **ret_pending)
{
    Stile__Vnet__V1__WatchTargetConfigurationRequest request =
        STILE__VNET__V1__WATCH_TARGET_CONFIGURATION_REQUEST__INIT;
    return rpc_client_call(p->client, &client_application_watch_target_configuration, &request.base,
                           timeout_ms, on_reply, arg, ret_pending);
}

static void expect_stream(struct plan wanted)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, wanted);
    assert_int_equal(start(&p, 0, note_reply, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends == 1);
    assert_int_equal(o.messages, wanted.count);
    assert_int_equal(o.status, wanted.status);
    assert_string_equal(o.text, wanted.status == RPC_OK ? "" : "as planned");
    assert_int_equal(rpc_client_calls(p.client), 0);
    pair_end(&p);
    assert_int_equal(canceled, 0);
}

static void messages_come_and_then_the_status(UNUSED void **state)
{
    expect_stream((struct plan){.count = 0});
    expect_stream((struct plan){.count = 1, .zones = 1});
    expect_stream((struct plan){.count = 1000, .zones = 10});
    expect_stream((struct plan){.count = 0, .status = RPC_NOT_FOUND});
    expect_stream((struct plan){.count = 3, .zones = 2, .status = RPC_ABORTED});
}

static void more_than_the_queue_holds_arrives_in_the_end(UNUSED void **state)
{
    expect_stream((struct plan){.count = 40, .zones = 50000});
}

static void a_message_is_delivered_while_the_stream_is_open(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    struct outcome unary = {0};
    setup(&p, (struct plan){.count = 1, .zones = 1, .open = true});
    assert_int_equal(start(&p, 0, note_reply, &o, NULL), 0);
    TURN_UNTIL(&p, o.messages == 1);
    assert_int_equal(o.ends, 0);
    plan.count = 2;
    send_on(NULL);
    TURN_UNTIL(&p, o.messages == 2);
    assert_int_equal(ping(&p, "beside", 0, &unary, NULL), 0);
    TURN_UNTIL(&p, unary.ends == 1);
    assert_int_equal(unary.status, RPC_OK);
    rpc_call_finish(open_call);
    TURN_UNTIL(&p, o.ends == 1);
    assert_int_equal(o.status, RPC_OK);
    pair_end(&p);
}

static void a_deadline_ends_a_stream_on_both_sides(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    Stile__Vnet__V1__TargetConfiguration message = STILE__VNET__V1__TARGET_CONFIGURATION__INIT;
    setup(&p, (struct plan){.count = 2, .zones = 1, .open = true});
    assert_int_equal(start(&p, 50, note_reply, &o, NULL), 0);
    while (o.ends == 0 || canceled == 0)
        loop_turn(&p.loop, true);
    assert_int_equal(o.messages, 2);
    assert_int_equal(o.status, RPC_DEADLINE_EXCEEDED);
    assert_int_equal(rpc_call_send(open_call, &message.base), ERR_CLOSED);
    rpc_call_finish(open_call);
    assert_int_equal(rpc_server_conn_calls(p.conn), 0);
    pair_end(&p);
}

struct quitter {
    struct rpc_pair *pair;
    struct rpc_pending *pending;
    int messages;
    int ends;
    bool close;
};

static void quit_after_two(void *arg, UNUSED enum rpc_status status, UNUSED const char *message,
                           const ProtobufCMessage *reply)
{
    struct quitter *q = arg;
    if (reply == NULL) {
        q->ends++;
        return;
    }
    if (++q->messages < 2)
        return;
    if (q->close)
        rpc_client_close(STEAL(q->pair->client));
    else
        rpc_pending_cancel(q->pending);
}

static void a_callback_may_give_up(bool close)
{
    struct rpc_pair p;
    setup(&p, (struct plan){.count = 10, .zones = 1, .open = true});
    struct quitter q = {.pair = &p, .close = close};
    assert_int_equal(start(&p, 0, quit_after_two, &q, &q.pending), 0);
    TURN_UNTIL(&p, canceled == 1);
    assert_int_equal(q.messages, 2);
    assert_int_equal(q.ends,
                     close ? 1 : 0); /* closing ends each call once, cancelling says nothing */
    rpc_call_fail(open_call, RPC_CANCELLED, "x");
    pair_end(&p);
}

static void a_callback_may_cancel_its_call(UNUSED void **state)
{
    a_callback_may_give_up(false);
}

static void a_callback_may_close_its_client(UNUSED void **state)
{
    a_callback_may_give_up(true);
}

/* A caller that grants no more than HTTP/2's initial 64 KiB. */
static void raw_watch(struct raw_h2 *r)
{
    static const char *const headers[] = {
        ":method",
        "POST",
        ":scheme",
        "http",
        ":path",
        "/stile.vnet.v1.ClientApplicationService/WatchTargetConfiguration",
        ":authority",
        "x",
        "content-type",
        "application/grpc",
        NULL};
    raw_send(r, 0, headers, SLICE_LIT("\0\0\0\0\0"), true);
}

static void a_caller_that_doesnt_read_stops_the_sender(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    prepare(&p, (struct plan){.count = 100, .zones = 50000});
    raw_init(&r, STEAL(p.streams[0]), false);
    stream_read_stop(r.stream);
    raw_watch(&r);
    pair_turns(&p, 100);
    unsigned stuck = sent;
    assert_in_range(stuck, 8, 11); /* each has 950 KB, the queue 8 MiB, the stream takes a little */
    pair_turns(&p, 100);
    assert_int_equal(sent, stuck);
    assert_int_equal(stream_read_start(r.stream), 0);
    TURN_UNTIL(&p, r.replies[0].ended);
    assert_int_equal(sent, 100);
    assert_string_equal(r.replies[0].grpc_status, "0");
    raw_release(&r);
    pair_end(&p);
}

static void a_caller_that_vanishes_with_a_full_queue_is_cancelled(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    prepare(&p, (struct plan){.count = 100, .zones = 50000});
    raw_init(&r, STEAL(p.streams[0]), false);
    stream_read_stop(r.stream);
    raw_watch(&r);
    pair_turns(&p, 100);
    assert_int_equal(canceled, 0);
    raw_release(&r);
    TURN_UNTIL(&p, p.server_closed != 1);
    assert_int_equal(canceled, 1);
    rpc_call_finish(open_call);
    pair_end(&p);
}

static void what_waits_for_all_callers_together_is_bounded(UNUSED void **state)
{
    struct rpc_pair p;
    struct raw_h2 r;
    prepare(&p, (struct plan){.open = true});
    raw_init(&r, STEAL(p.streams[0]), false);
    pair_turns(&p, 10);
    stream_read_stop(r.stream);
    size_t refused = 0;
    for (int i = 0; i < 20; i++) {
        open_call = NULL;
        raw_watch(&r);
        TURN_UNTIL(&p, open_call != NULL);
        refused += send_zones(210000) == ERR_LIMIT;
        rpc_call_finish(open_call);
    }
    assert_in_range(refused, 2, 4); /* 16 or so of 4 MB fit */
    raw_release(&r);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_and_then_the_status),
        cmocka_unit_test(more_than_the_queue_holds_arrives_in_the_end),
        cmocka_unit_test(a_message_is_delivered_while_the_stream_is_open),
        cmocka_unit_test(a_deadline_ends_a_stream_on_both_sides),
        cmocka_unit_test(a_callback_may_cancel_its_call),
        cmocka_unit_test(a_callback_may_close_its_client),
        cmocka_unit_test(a_caller_that_doesnt_read_stops_the_sender),
        cmocka_unit_test(a_caller_that_vanishes_with_a_full_queue_is_cancelled),
        cmocka_unit_test(what_waits_for_all_callers_together_is_bounded),
    };
    return cmocka_run_group_tests_name("rpc_streaming", tests, NULL, NULL);
}
