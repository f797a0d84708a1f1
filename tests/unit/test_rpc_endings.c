/* How calls and connections end: deadlines, cancelling, closing, loss, GOAWAY, idleness. */
#include "rpc_pair.h"

#define KEPT_MAX 8

static struct rpc_call *kept[KEPT_MAX];
static size_t kept_count;
static int canceled;

static void on_cancel(UNUSED void *arg)
{
    canceled++;
}

static void keep(struct rpc_call *call, UNUSED const ProtobufCMessage *request, UNUSED void *arg)
{
    kept[kept_count++] = call;
    rpc_call_on_cancel(call, on_cancel, NULL);
}

/* Answers all, late or not. */
static void release_kept(void)
{
    while (kept_count > 0)
        rpc_call_fail(kept[--kept_count], RPC_ABORTED, "too late");
}

static void fail_at_once(void *arg)
{
    canceled++;
    rpc_call_fail(arg, RPC_CANCELLED, "nobody there");
}

static void wait_and_answer_cancel(struct rpc_call *call, UNUSED const ProtobufCMessage *request,
                                   UNUSED void *arg)
{
    kept_count++;
    rpc_call_on_cancel(call, fail_at_once, call);
}

static void close_conn(struct rpc_call *call, UNUSED const ProtobufCMessage *request, void *arg)
{
    struct rpc_pair *p = arg;
    rpc_server_conn_close(p->conn);
    p->conn = NULL;
    assert_null(rpc_call_conn(call));
    assert_true(rpc_call_canceled(call));
    rpc_call_on_cancel(call, on_cancel, NULL); /* at once: it is too late */
    rpc_call_fail(call, RPC_ABORTED, "closed");
}

static void setup_with(struct rpc_pair *p, struct rpc_server_config config,
                       void (*handle)(struct rpc_call *, const ProtobufCMessage *, void *))
{
    static struct rpc_handler handlers[1];
    handlers[0] = (struct rpc_handler){&client_application_ping, handle};
    config.handlers = handlers;
    config.handler_count = 1;
    kept_count = 0;
    canceled = 0;
    pair_streams(p);
    pair_client(p);
    pair_server(p, &config);
}

static void setup(struct rpc_pair *p,
                  void (*handle)(struct rpc_call *, const ProtobufCMessage *, void *))
{
    setup_with(p, (struct rpc_server_config){0}, handle);
}

static void wait_ms(struct rpc_pair *p, unsigned ms)
{
    uint64_t until = clock_mono_ns() + ms * NS_PER_MS;
    while (clock_mono_ns() < until) {
        loop_turn(&p->loop, false);
        uv_sleep(1);
    }
}

static void a_deadline_ends_the_call_on_both_sides(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, keep);
    assert_int_equal(ping(&p, "", 30, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 1);
    assert_int_equal(o.ends, 0);
    wait_ms(&p, 60);
    assert_int_equal(o.ends, 1);
    assert_int_equal(o.status, RPC_DEADLINE_EXCEEDED);
    assert_int_equal(canceled, 1);
    assert_true(rpc_call_canceled(kept[0]));
    assert_int_equal(rpc_server_conn_calls(p.conn), 1); /* until its handler answers */
    release_kept();
    assert_int_equal(rpc_server_conn_calls(p.conn), 0);
    pair_end(&p);
    assert_int_equal(o.ends, 1);
}

static void a_deadline_runs_while_no_server_is_there(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o[3] = {0};
    pair_streams(&p);
    pair_client(&p);
    assert_int_equal(ping(&p, "", 300, &o[0], NULL), 0);
    assert_int_equal(ping(&p, "", 20, &o[1], NULL), 0);
    assert_int_equal(ping(&p, "", 0, &o[2], NULL), 0);
    wait_ms(&p, 40);
    assert_int_equal(o[0].ends, 0);
    assert_int_equal(o[1].status, RPC_DEADLINE_EXCEEDED);
    wait_ms(&p, 320);
    assert_int_equal(o[0].status, RPC_DEADLINE_EXCEEDED);
    assert_int_equal(o[2].ends, 0);
    pair_end(&p);
    assert_int_equal(o[2].status, RPC_CANCELLED);
}

static void the_caller_cancels(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    struct rpc_pending *pending;
    setup(&p, keep);
    assert_int_equal(ping(&p, "", 0, &o, &pending), 0);
    TURN_UNTIL(&p, kept_count == 1);
    rpc_pending_cancel(pending);
    TURN_UNTIL(&p, canceled == 1);
    release_kept();
    pair_end(&p);
    assert_int_equal(o.ends, 0);
}

static void a_call_cancelled_before_it_is_sent_never_arrives(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    struct rpc_pending *pending;
    setup_with(&p, (struct rpc_server_config){.calls_max = 1}, keep);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 1);
    pair_turns(&p, 10);                                 /* the server's limit becomes known */
    assert_int_equal(ping(&p, "", 0, &o, &pending), 0); /* waits */
    pair_turns(&p, 10);
    rpc_pending_cancel(pending);
    release_kept();
    TURN_UNTIL(&p, o.ends == 1);
    pair_turns(&p, 20);
    assert_int_equal(kept_count, 0);
    assert_int_equal(rpc_client_calls(p.client), 0);
    pair_end(&p);
}

static void a_handler_may_answer_in_on_cancel(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, wait_and_answer_cancel);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 5);
    rpc_client_close(p.client);
    p.client = NULL;
    assert_int_equal(o.ends, 5);
    assert_int_equal(o.status, RPC_CANCELLED);
    TURN_UNTIL(&p, p.server_closed != 1);
    assert_int_equal(p.server_closed, ERR_CLOSED);
    assert_int_equal(canceled, 5);
    pair_end(&p);
}

static void a_lost_connection_makes_all_calls_unavailable(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, keep);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ping(&p, "", 5000, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 3);
    rpc_server_conn_close(p.conn);
    p.conn = NULL;
    assert_int_equal(canceled, 3);
    release_kept(); /* after the connection: must do no harm */
    TURN_UNTIL(&p, p.client_closed != 1);
    assert_int_equal(o.ends, 3);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    assert_int_equal(p.client_closed, ERR_CLOSED);
    assert_true(p.client_text[0] != '\0');
    pair_end(&p);
}

static void dont_close(void *arg, int err, UNUSED const struct diag *diag)
{
    struct rpc_pair *p = arg;
    p->client_closed = err;
}

static void calls_on_a_lost_connection_are_refused(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    pair_streams(&p);
    assert_int_equal(rpc_client_new(p.streams[0], &p.loop, "gw:1", dont_close, &p, &p.client), 0);
    p.streams[0] = NULL;
    stream_close(p.streams[1]);
    p.streams[1] = NULL;
    TURN_UNTIL(&p, p.client_closed != 1);
    assert_int_equal(ping(&p, "", 0, &o, NULL), ERR_CLOSED);
    pair_end(&p);
    assert_int_equal(o.ends, 0);
}

static void a_handler_may_close_its_connection(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, close_conn);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends == 2);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    assert_int_equal(canceled, 1);
    pair_end(&p);
}

static void close_client(void *arg, enum rpc_status status, UNUSED const char *message,
                         UNUSED const ProtobufCMessage *reply)
{
    struct rpc_pair *p = arg;
    if (status == RPC_CANCELLED) {
        p->client_closed--;
        return;
    }
    struct rpc_client *client = p->client;
    p->client = NULL;
    rpc_client_close(client);
}

static void a_callback_may_close_the_client(UNUSED void **state)
{
    struct rpc_pair p;
    Stile__Vnet__V1__PingRequest request = STILE__VNET__V1__PING_REQUEST__INIT;
    setup(&p, echo);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rpc_client_call(p.client, &client_application_ping, &request.base, 0,
                                         close_client, &p, NULL),
                         0);
    TURN_UNTIL(&p, p.client == NULL);
    assert_int_equal(p.client_closed, -1); /* the two others were told */
    pair_end(&p);
}

static void shutdown_lets_open_calls_end_and_takes_no_more(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    struct outcome refused = {0};
    setup(&p, keep);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 1);
    rpc_server_conn_shutdown(p.conn);
    pair_turns(&p, 20);
    assert_int_equal(o.ends, 0);
    assert_int_equal(p.client_closed, 1);
    assert_int_equal(ping(&p, "", 0, &refused, NULL), ERR_CLOSED);
    release_kept();
    TURN_UNTIL(&p, p.client_closed != 1 && p.server_closed != 1);
    assert_int_equal(o.status, RPC_ABORTED);
    assert_int_equal(p.client_closed, ERR_CLOSED);
    assert_int_equal(p.server_closed, ERR_CLOSED);
    pair_end(&p);
}

static void a_call_that_crosses_a_goaway_is_unavailable(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, keep);
    pair_turns(&p, 20);
    rpc_server_conn_shutdown(p.conn);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends == 1);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    assert_int_equal(kept_count, 0);
    pair_end(&p);
}

static void an_idle_connection_is_ended(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup_with(&p, (struct rpc_server_config){.idle_ms = 250}, keep);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 1);
    wait_ms(&p, 350); /* not idle: a call is open */
    assert_int_equal(p.server_closed, 1);
    release_kept();
    wait_ms(&p, 20);
    assert_int_equal(p.server_closed, 1);
    wait_ms(&p, 350);
    assert_int_equal(p.server_closed, ERR_CLOSED);
    assert_int_equal(p.client_closed, ERR_CLOSED);
    pair_end(&p);
}

/* Lets the loop wait for its timers; false after some seconds. */
static bool turn_until_set(struct rpc_pair *p, const int *error)
{
    uint64_t until = clock_mono_ns() + 10 * NS_PER_S;
    while (*error == 1 && clock_mono_ns() < until)
        loop_turn(&p->loop, true);
    return *error != 1;
}

static void a_silent_server_is_noticed_while_a_call_is_open(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    pair_streams(&p); /* nobody reads at the other end */
    pair_client(&p);
    rpc_client_set_keepalive(p.client, 30);
    wait_ms(&p, 120);
    assert_int_equal(p.client_closed, 1); /* no call, no question */
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    uint64_t start = clock_mono_ns();
    assert_true(turn_until_set(&p, &p.client_closed));
    assert_true(clock_mono_ns() - start >= 55 * NS_PER_MS);
    assert_int_equal(p.client_closed, ERR_TIMEOUT);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    pair_end(&p);
}

static void a_server_that_only_thinks_is_left_alone(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup_with(&p, (struct rpc_server_config){.keepalive_ms = 30}, keep);
    rpc_client_set_keepalive(p.client, 30);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    wait_ms(&p, 300);
    assert_int_equal(p.client_closed, 1);
    assert_int_equal(p.server_closed, 1);
    assert_int_equal(kept_count, 1);
    release_kept();
    TURN_UNTIL(&p, o.ends == 1);
    pair_end(&p);
}

static void a_server_never_holds_more_calls_than_it_says(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    struct rpc_pending *pending[KEPT_MAX];
    setup_with(&p, (struct rpc_server_config){.calls_max = 2}, keep);
    /* Cancelled calls count until their handlers have answered: a caller can't pile up work by resetting. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(ping(&p, "", 0, &o, &pending[i]), 0);
    TURN_UNTIL(&p, kept_count == 2);
    for (int i = 0; i < 2; i++)
        rpc_pending_cancel(pending[i]);
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends == 1);
    assert_int_equal(o.status, RPC_UNAVAILABLE);
    assert_int_equal(kept_count, 2);
    release_kept();
    assert_int_equal(ping(&p, "", 0, &o, NULL), 0);
    TURN_UNTIL(&p, kept_count == 1);
    release_kept();
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_the_call_on_both_sides),
        cmocka_unit_test(a_deadline_runs_while_no_server_is_there),
        cmocka_unit_test(the_caller_cancels),
        cmocka_unit_test(a_call_cancelled_before_it_is_sent_never_arrives),
        cmocka_unit_test(a_handler_may_answer_in_on_cancel),
        cmocka_unit_test(a_lost_connection_makes_all_calls_unavailable),
        cmocka_unit_test(calls_on_a_lost_connection_are_refused),
        cmocka_unit_test(a_handler_may_close_its_connection),
        cmocka_unit_test(a_callback_may_close_the_client),
        cmocka_unit_test(shutdown_lets_open_calls_end_and_takes_no_more),
        cmocka_unit_test(a_call_that_crosses_a_goaway_is_unavailable),
        cmocka_unit_test(an_idle_connection_is_ended),
        cmocka_unit_test(a_silent_server_is_noticed_while_a_call_is_open),
        cmocka_unit_test(a_server_that_only_thinks_is_left_alone),
        cmocka_unit_test(a_server_never_holds_more_calls_than_it_says),
    };
    return cmocka_run_group_tests_name("rpc_endings", tests, NULL, NULL);
}
