/* Unary calls between our client and our server. */
#include "rpc_pair.h"

static const struct rpc_handler echo_handlers[] = {{&client_application_ping, echo}};
static const struct rpc_server_config echo_config = {.handlers = echo_handlers, .handler_count = 1};

static void setup_echo(struct rpc_pair *p)
{
    pair_streams(p);
    pair_client(p);
    pair_server(p, &echo_config);
}

static void a_call_gets_its_reply(UNUSED void **state)
{
    struct rpc_pair p;
    struct outcome o = {0};
    setup_echo(&p);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_gets_its_reply),
    };
    return cmocka_run_group_tests_name("rpc_unary", tests, NULL, NULL);
}
