/* Every allocation of a connection with calls on it fails once, each in its turn: nothing may crash, hang, leak or be told
 * twice. */
#include "rpc_pair.h"

#include "base/mem.h"

#define ALLOCATIONS_MAX 5000u

static void echo_if_memory(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Vnet__V1__PingRequest *request = (const Stile__Vnet__V1__PingRequest *)message;
    Stile__Vnet__V1__PingResponse response = STILE__VNET__V1__PING_RESPONSE__INIT;
    response.version = request->version;
    rpc_call_reply(call, &response.base);
}

static void watch_if_memory(struct rpc_call *call, UNUSED const ProtobufCMessage *message,
                            UNUSED void *arg)
{
    Stile__Vnet__V1__TargetConfiguration response = STILE__VNET__V1__TARGET_CONFIGURATION__INIT;
    for (int i = 0; i < 3; i++) {
        int r = rpc_call_send(call, &response.base);
        if (r < 0) {
            rpc_call_fail(call, rpc_status_from_err(r), "%s", err_text(r));
            return;
        }
    }
    rpc_call_finish(call);
}

static const struct rpc_handler handlers[] = {
    {&client_application_ping, echo_if_memory},
    {&client_application_watch_target_configuration, watch_if_memory},
};

/* One connection's life. Returns how many allocations it asked for. ret_good: how many of its two calls succeeded. */
static uint64_t live(struct rpc_pair *p, uint64_t fail_at, int *ret_good)
{
    struct rpc_server_config config = {.handlers = handlers,
                                       .handler_count = ARRAY_LEN(handlers),
                                       .service_arg = p,
                                       .on_closed = note_server_closed};
    Stile__Vnet__V1__WatchTargetConfigurationRequest watch =
        STILE__VNET__V1__WATCH_TARGET_CONFIGURATION_REQUEST__INIT;
    struct outcome unary = {0};
    struct outcome stream = {0};
    int asked[2] = {ERR_CLOSED, ERR_CLOSED};
    pair_streams(p);

    mem_fail_at(fail_at);
    if (rpc_client_new(p->streams[0], &p->loop, NULL, note_client_closed, p, &p->client) == 0)
        p->streams[0] = NULL;
    if (rpc_server_conn_new(p->streams[1], &p->loop, &config, &p->conn) == 0)
        p->streams[1] = NULL;
    if (p->client != NULL) {
        asked[0] = ping(p, "memory", 0, &unary, NULL);
        asked[1] = rpc_client_call(p->client, &client_application_watch_target_configuration,
                                   &watch.base, 0, note_reply, &stream, NULL);
    }
    pair_turns(p, 40);
    uint64_t total = mem_fail_at(0);

    bool served = p->conn != NULL || p->server_closed != 1;
    if (served && asked[0] == 0)
        assert_int_equal(unary.ends, 1);
    if (served && asked[1] == 0)
        assert_int_equal(stream.ends, 1);
    pair_end(p);
    assert_int_equal(unary.ends, asked[0] == 0 ? 1 : 0);
    assert_int_equal(stream.ends, asked[1] == 0 ? 1 : 0);
    if (stream.ends == 1 && stream.status == RPC_OK)
        assert_int_equal(stream.messages, 3);
    int good =
        (asked[0] == 0 && unary.status == RPC_OK) + (asked[1] == 0 && stream.status == RPC_OK);
    if (ret_good != NULL)
        *ret_good = good;
    else
        assert_int_equal(good, 2);
    return total;
}

static void any_allocation_may_fail(UNUSED void **state)
{
    struct rpc_pair p;
    int hurt = 0;
    uint64_t total = live(&p, 0, NULL);
    assert_in_range(total, 50, ALLOCATIONS_MAX);
    for (uint64_t n = 1; n <= total; n++) {
        int good;
        live(&p, n, &good);
        hurt += good < 2;
    }
    assert_true(hurt > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("rpc_memory", tests, NULL, NULL);
}
