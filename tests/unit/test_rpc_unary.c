/* Unary calls between our client and our server: what is asked and answered. */
#include "rpc_pair.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

static void answer_big(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Vnet__V1__PingRequest *request = (const Stile__Vnet__V1__PingRequest *)message;
    Stile__Vnet__V1__PingResponse response = STILE__VNET__V1__PING_RESPONSE__INIT;
    size_t size = (size_t)strtoul(request->version, NULL, 10);
    char *text = mem_alloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    response.version = text;
    int r = rpc_call_reply(call, &response.base);
    assert_int_equal(r, size > RPC_MESSAGE_MAX - 5 ? ERR_TOOBIG : 0);
    mem_free(text);
}

static void refuse(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Vnet__V1__PingRequest *request = (const Stile__Vnet__V1__PingRequest *)message;
    rpc_call_fail(call, (enum rpc_status)strtoul(request->version, NULL, 10), "%s",
                  "no \303\251 100%\n more");
}

static const struct rpc_handler echo_handlers[] = {{&client_application_ping, echo}};
static const struct rpc_server_config echo_config = {.handlers = echo_handlers, .handler_count = 1};

static void setup(struct rpc_pair *p,
                  void (*handle)(struct rpc_call *, const ProtobufCMessage *, void *))
{
    static struct rpc_handler handlers[1];
    handlers[0] = (struct rpc_handler){&client_application_ping, handle};
    struct rpc_server_config config = {.handlers = handlers, .handler_count = 1};
    pair_streams(p);
    pair_client(p);
    pair_server(p, &config);
}

static void a_call_gets_its_reply(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, echo);
    assert_int_equal(ping(&p, "1.2.3", 0, &o, NULL), 0);
    assert_int_equal(o.ends, 0); /* never from inside the call */
    assert_int_equal(rpc_client_calls(p.client), 1);
    TURN_UNTIL(&p, o.ends > 0);
    assert_int_equal(o.status, RPC_OK);
    assert_string_equal(o.version, "1.2.3");
    assert_string_equal(o.text, "");
    assert_int_equal(rpc_client_calls(p.client), 0);
    TURN_UNTIL(&p, rpc_server_conn_calls(p.conn) == 0);
    pair_end(&p);
    assert_int_equal(o.ends, 1);
    assert_int_equal(p.client_closed, 1);
}

static void bytes_may_come_one_by_one(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o[3] = {0};
    pair_streams(&p);
    stream_pair_set_chunk(p.streams[0], 1);
    stream_pair_set_chunk(p.streams[1], 1);
    pair_client(&p);
    pair_server(&p, &echo_config);
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        assert_int_equal(ping(&p, "drip", 0, &o[i], NULL), 0);
    TURN_UNTIL(&p, o[0].ends + o[1].ends + o[2].ends == 3);
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        assert_string_equal(o[i].version, "drip");
    pair_end(&p);
}

#define MANY 3000

static void more_calls_than_the_server_takes_at_once_wait_their_turn(UNUSED void **state)
{
    static struct outcome o[MANY];
    struct rpc_pair p;
    memset(o, 0, sizeof(o));
    setup(&p, echo);
    for (size_t i = 0; i < MANY; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%zu", i);
        assert_int_equal(ping(&p, text, 0, &o[i], NULL), 0);
    }
    TURN_UNTIL(&p, rpc_client_calls(p.client) == 0);
    for (size_t i = 0; i < MANY; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%zu", i);
        assert_int_equal(o[i].ends, 1);
        assert_int_equal(o[i].status, RPC_OK);
        assert_string_equal(o[i].version, text);
    }
    pair_end(&p);
}

static void more_calls_than_a_client_may_have_are_refused(UNUSED void **state)
{
    static struct outcome o;
    struct rpc_pair p;
    pair_streams(&p);
    pair_client(&p);
    for (size_t i = 0; i < RPC_CLIENT_CALLS_MAX; i++)
        assert_int_equal(ping(&p, "x", 0, &o, NULL), 0);
    assert_int_equal(ping(&p, "x", 0, &o, NULL), ERR_LIMIT);
    pair_end(&p);
    assert_int_equal(o.ends, RPC_CLIENT_CALLS_MAX);
}

static void expect_size(struct rpc_pair *p, size_t size, enum rpc_status status)
{
    struct outcome o = {0};
    char text[16];
    snprintf(text, sizeof(text), "%zu", size);
    assert_int_equal(ping(p, text, 0, &o, NULL), 0);
    TURN_UNTIL(p, o.ends > 0);
    assert_int_equal(o.status, status);
    if (status == RPC_OK)
        assert_int_equal(o.size, size);
}

static void a_response_may_have_4_mib_and_no_byte_more(UNUSED void **state)
{
    struct rpc_pair p;
    setup(&p, answer_big);
    expect_size(&p, 1000000, RPC_OK);
    expect_size(&p, RPC_MESSAGE_MAX - 5, RPC_OK); /* tag and length of the one field take 5 */
    expect_size(&p, RPC_MESSAGE_MAX - 4, RPC_RESOURCE_EXHAUSTED);
    expect_size(&p, 10, RPC_OK);
    pair_end(&p);
}

static int ping_sized(struct rpc_pair *p, size_t size, struct outcome *o)
{
    Stile__Vnet__V1__PingRequest request = STILE__VNET__V1__PING_REQUEST__INIT;
    char *text = mem_alloc(size + 1);
    memset(text, 'y', size);
    text[size] = '\0';
    request.version = text;
    int r =
        rpc_client_call(p->client, &client_application_ping, &request.base, 0, note_reply, o, NULL);
    mem_free(text);
    return r;
}

static void a_request_may_have_4_mib_and_no_byte_more(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, echo);
    assert_int_equal(ping_sized(&p, RPC_MESSAGE_MAX - 5, &o), 0);
    TURN_UNTIL(&p, o.ends > 0);
    assert_int_equal(o.status, RPC_OK);
    assert_int_equal(o.size, RPC_MESSAGE_MAX - 5);
    assert_int_equal(ping_sized(&p, RPC_MESSAGE_MAX - 4, &o), ERR_TOOBIG);
    assert_int_equal(rpc_client_calls(p.client), 0);
    pair_end(&p);
}

static void a_request_over_the_servers_own_cap_is_resource_exhausted(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome big = {0};
    struct outcome small = {0};
    struct rpc_server_config config = echo_config;
    config.message_max = 1000;
    pair_streams(&p);
    pair_client(&p);
    pair_server(&p, &config);
    assert_int_equal(ping_sized(&p, 2000000, &big), 0);
    TURN_UNTIL(&p, big.ends > 0);
    assert_int_equal(big.status, RPC_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(big.text, "1000 bytes"));
    assert_int_equal(ping_sized(&p, 997, &small), 0);
    TURN_UNTIL(&p, small.ends > 0);
    assert_int_equal(small.status, RPC_OK);
    pair_end(&p);
}

static void every_status_and_its_text_come_through(UNUSED void **state)
{
    struct rpc_pair p;
    setup(&p, refuse);
    for (int status = 1; status <= RPC_STATUS_MAX; status++) {
        struct outcome o = {0};
        char text[16];
        snprintf(text, sizeof(text), "%d", status);
        assert_int_equal(ping(&p, text, 0, &o, NULL), 0);
        TURN_UNTIL(&p, o.ends > 0);
        assert_int_equal(o.status, status);
        assert_string_equal(o.text, "no \303\251 100%? more"); /* unprintable bytes are not shown */
    }
    pair_end(&p);
}

static void failing_with_ok_is_internal(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, refuse);
    assert_int_equal(ping(&p, "0", 0, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends > 0);
    assert_int_equal(o.status, RPC_INTERNAL);
    pair_end(&p);
}

static void an_unknown_method_is_unimplemented(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    Stile__Access__V1__ListAppsRequest request = STILE__ACCESS__V1__LIST_APPS_REQUEST__INIT;
    setup(&p, echo);
    assert_int_equal(
        rpc_client_call(p.client, &access_list_apps, &request.base, 0, note_reply, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends > 0);
    assert_int_equal(o.status, RPC_UNIMPLEMENTED);
    pair_end(&p);
}

static void a_request_of_another_type_is_invalid_argument(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    uint8_t bytes[] = {0xff, 0xff, 0xff};
    /* The caller sends bytes where the server expects a message. */
    const struct rpc_method theirs = {"/test/Wrong",
                                      &stile__vnet__v1__sign_for_app_response__descriptor,
                                      &stile__vnet__v1__ping_response__descriptor, false};
    const struct rpc_method ours = {"/test/Wrong",
                                    &stile__vnet__v1__resolve_app_info_response__descriptor,
                                    &stile__vnet__v1__ping_response__descriptor, false};
    const struct rpc_handler handlers[] = {{&ours, echo}};
    const struct rpc_server_config config = {.handlers = handlers, .handler_count = 1};
    Stile__Vnet__V1__SignForAppResponse request = STILE__VNET__V1__SIGN_FOR_APP_RESPONSE__INIT;
    request.signature = (ProtobufCBinaryData){sizeof(bytes), bytes};
    pair_streams(&p);
    pair_client(&p);
    pair_server(&p, &config);
    assert_int_equal(rpc_client_call(p.client, &theirs, &request.base, 0, note_reply, &o, NULL), 0);
    TURN_UNTIL(&p, o.ends > 0);
    assert_int_equal(o.status, RPC_INVALID_ARGUMENT);
    pair_end(&p);
}

static struct rpc_call *kept;
static const ProtobufCMessage *kept_request;

static void keep(struct rpc_call *call, const ProtobufCMessage *request, UNUSED void *arg)
{
    kept = call;
    kept_request = request;
}

static void a_handler_may_answer_later(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup(&p, keep);
    kept = NULL;
    assert_int_equal(ping(&p, "later", 60000, &o, NULL), 0);
    TURN_UNTIL(&p, kept != NULL);
    pair_turns(&p, 20);
    assert_int_equal(o.ends, 0);
    assert_ptr_equal(rpc_call_conn(kept), p.conn);
    assert_ptr_equal(rpc_call_method(kept), &client_application_ping);
    uint64_t left = rpc_call_deadline(kept) - clock_mono_ns();
    assert_in_range(left, 50 * NS_PER_S, 60 * NS_PER_S);
    echo(kept, kept_request, NULL);
    assert_int_equal(o.ends, 0);
    TURN_UNTIL(&p, o.ends > 0);
    assert_string_equal(o.version, "later");
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_gets_its_reply),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(more_calls_than_the_server_takes_at_once_wait_their_turn),
        cmocka_unit_test(more_calls_than_a_client_may_have_are_refused),
        cmocka_unit_test(a_response_may_have_4_mib_and_no_byte_more),
        cmocka_unit_test(a_request_may_have_4_mib_and_no_byte_more),
        cmocka_unit_test(a_request_over_the_servers_own_cap_is_resource_exhausted),
        cmocka_unit_test(every_status_and_its_text_come_through),
        cmocka_unit_test(failing_with_ok_is_internal),
        cmocka_unit_test(an_unknown_method_is_unimplemented),
        cmocka_unit_test(a_request_of_another_type_is_invalid_argument),
        cmocka_unit_test(a_handler_may_answer_later),
    };
    return cmocka_run_group_tests_name("rpc_unary", tests, NULL, NULL);
}
