/* The broker as its callers see it, in a network namespace of its own. As root; otherwise everything is skipped. */
#include "broker_world.h"

#define NEED_ROOT                                                                                  \
    if (geteuid() != 0)                                                                            \
    skip()

static void test_engine_runs_as_its_own_uid_with_nothing_but_what_it_is_given(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c;
    struct engine_report r;
    union broker_message m;
    NEED_ROOT;
    world_start(w);
    network_standard(&n, 1);
    n.uid_count = 1;
    n.uids[0] = 4242;
    caller_start(w, ALICE, &n, &c, &m);
    if (m.header.type == BROKER_REFUSED)
        fail_msg("%s", m.refused.text);
    assert_int_equal(m.header.type, BROKER_STARTED);
    assert_int_equal(m.header.id, 7);
    assert_string_equal(m.started.interface_name, "stile0");
    caller_report(&c, &r);
    assert_true(r.uid >= 61120 && r.uid <= 61183);
    assert_int_equal(r.gid, r.uid);
    assert_int_equal(r.groups, 0);
    assert_int_equal(r.no_new_privs, 1);
    assert_int_equal(r.cap_eff | r.cap_prm | r.cap_inh | r.cap_bnd, 0);
    assert_int_equal(r.fd_count, 6);
    assert_int_equal(r.death_signal, SIGKILL);
    assert_int_equal(r.core_limit, 0);
    assert_int_equal(r.env_count, 1);
    assert_int_equal(r.ppid, w->broker);
    assert_int_equal(r.device.uid_count, 2);
    assert_int_equal(r.device.uids[0], ALICE);
    assert_int_equal(r.device.uids[1], 4242);
    assert_int_equal(r.device.mtu, 9000);
    assert_string_equal(r.device.interface_name, "stile0");
    /* The host first, then the engine, then the answer. */
    assert_int_equal(caller_ask(&c, BROKER_STOP, &m), 0);
    assert_int_equal(m.header.type, BROKER_EVENT);
    assert_int_equal(m.event.kind, BROKER_EVENT_RESTORED);
    assert_int_equal(caller_recv(c.sock, &m), 0);
    assert_int_equal(m.header.type, BROKER_STOPPED);
    assert_true(link_goes("stile0"));
    caller_close(&c);
    assert_int_equal(world_stop(w), 0);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(int argc, char **argv)
{
    engine_main(argc, argv);
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_engine_runs_as_its_own_uid_with_nothing_but_what_it_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
