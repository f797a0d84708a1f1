#include "network.h"

#include <sys/timex.h>

#include "base/mem.h"

#include "netcfg/rtnl.h"
#include "netcfg/watch.h"

static struct loop loop;
static struct rtnl *own;
static struct watch *watch;
static struct diag d;
static uint32_t seen;  /* all reasons since the last `reasons` */
static unsigned wakes; /* how often there was one */
static bool clock_was_set;

/* The clock is everybody's: someone else may set it at any time. */
static void on_event(void *arg UNUSED, uint32_t reasons)
{
    if ((reasons & WATCH_CLOCK) != 0)
        clock_was_set = true;
    seen |= reasons & ~WATCH_CLOCK;
    wakes += (reasons & ~WATCH_CLOCK) != 0;
}

static void on_quiet(uv_timer_t *timer UNUSED)
{
    loop_stop(&loop);
}

static void on_timer_closed(uv_handle_t *handle UNUSED)
{
}

/* Why there were events until now. The kernel's own late ones (carrier, duplicate detection) get their time. */
static uint32_t reasons(void)
{
    enum { QUIET_MS = 60 };
    uv_timer_t timer;

    uv_update_time(&loop.uv); /* much time may have passed since it ran */
    assert_int_equal(uv_timer_init(&loop.uv, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, on_quiet, QUIET_MS, 0), 0);
    assert_int_equal(loop_run(&loop), 0);
    uv_close((uv_handle_t *)&timer, on_timer_closed);
    loop_turn(&loop, false);
    uint32_t r = seen;
    seen = 0;
    return r;
}

/* Whether this is among the reasons, soon. */
static bool told(uint32_t reason)
{
    uint32_t all = 0;
    for (int i = 0; i < 300 && !(all & reason); i++)
        all |= reasons();
    return (all & reason) != 0;
}

/* The first that come, soon. */
static uint32_t first_reasons(void)
{
    uint32_t r = 0;
    for (int i = 0; i < 300 && r == 0; i++)
        r = reasons();
    return r;
}

static int start(void **state UNUSED)
{
    network_enter();
    network_ip("link set lo up");
    network_ip("link add veth0 type veth peer name veth1");
    network_ip("link set veth0 addrgenmode none"); /* the kernel would make some up, late */
    network_ip("link set veth1 addrgenmode none");
    network_ip("link set veth0 up");
    network_ip("link set veth1 up");
    network_ip("address add 192.0.2.1/24 dev veth0");
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(rtnl_open(&own, &d), 0);
    if (watch_new(&loop, own, on_event, NULL, &watch, &d) < 0)
        fail_msg("%s", d.text);
    do {
        wakes = 0;
        (void)reasons();
    } while (wakes > 0); /* the setting up has settled */
    return 0;
}

static int stop(void **state UNUSED)
{
    watch_free(watch);
    loop_turn(&loop, false);
    assert_int_equal(loop_release(&loop), 0);
    rtnl_close(own);
    return 0;
}

static void a_quiet_host_wakes_nobody(void **state UNUSED)
{
    assert_int_equal(reasons(), 0);
    assert_int_equal(wakes, 0);
}

static void addresses_of_the_host_are_told(void **state UNUSED)
{
    network_ip("address add 198.51.100.1/24 dev veth0");
    assert_true(told(WATCH_ADDRESS));
    network_ip("address del 198.51.100.1/24 dev veth0");
    assert_true(told(WATCH_ADDRESS));
    network_ip("-6 address add fd00:9::1/64 dev veth0 nodad");
    assert_true(told(WATCH_ADDRESS));
}

static void a_renewed_address_is_no_change(void **state UNUSED)
{
    network_ip("address change 192.0.2.1/24 dev veth0 valid_lft 1000 preferred_lft 500");
    network_ip("address change 192.0.2.1/24 dev veth0 valid_lft 2000 preferred_lft 500");
    assert_int_equal(reasons() & WATCH_ADDRESS, 0);
    network_ip("address del 192.0.2.1/24 dev veth0");
    assert_true(told(WATCH_ADDRESS));
    network_ip("address add 192.0.2.1/24 dev veth0");
    assert_true(told(WATCH_ADDRESS));
}

static void routes_of_the_host_are_told(void **state UNUSED)
{
    network_ip("route add 10.0.0.0/8 via 192.0.2.2");
    assert_int_equal(first_reasons(), WATCH_ROUTE);
    network_ip("route del 10.0.0.0/8");
    assert_int_equal(first_reasons(), WATCH_ROUTE);
    network_ip("-6 route add fd00:8::/48 dev veth0");
    assert_int_equal(first_reasons(), WATCH_ROUTE);
    network_ip("route add 10.0.0.0/8 via 192.0.2.2 table 52");
    assert_int_equal(first_reasons(), WATCH_ROUTE);
}

static void links_of_the_host_are_told(void **state UNUSED)
{
    network_ip("link set veth1 down");
    assert_true(told(WATCH_LINK));
    network_ip("link set veth1 up");
    assert_true(told(WATCH_LINK));
    network_ip("link del veth0");
    assert_true(told(WATCH_LINK));
}

static void a_setting_that_changes_nothing_is_not_told(void **state UNUSED)
{
    network_ip("link set veth0 alias uplink");
    network_ip("link set veth0 up");
    assert_int_equal(reasons(), 0);
}

/* ---- Ours ---- */

struct session {
    struct tun tun;
    unsigned index;
    struct ip_addr addr;
    struct prefix range;
};

/* As the broker does it. */
static struct session make_session(void)
{
    struct session s = {.tun = network_tun("stile0"),
                        .addr = addr_from("100.64.0.1"),
                        .range = prefix_from("100.64.0.0/10")};

    assert_int_equal(rtnl_link_index("stile0", &s.index, &d), 0);
    assert_int_equal(rtnl_link_up(own, s.index, 0, 0, &d), 0);
    assert_int_equal(rtnl_add_address(own, s.index, &s.addr, &d), 0);
    assert_int_equal(rtnl_add_route(own, s.index, &s.range, &s.addr, &d), 0);
    return s;
}

static void what_we_do_is_no_change_of_the_network(void **state UNUSED)
{
    struct session s = make_session();

    assert_int_equal(reasons() & WATCH_NETWORK, 0);
    const struct rtnl_route route = {
        .dst = s.range, .link_index = s.index, .protocol = RTNL_PROTOCOL};
    const struct rtnl_address a = {.link_index = s.index, .addr = s.addr, .bits = 32};
    assert_int_equal(rtnl_delete_route(own, &route, &d), 0);
    assert_int_equal(rtnl_add_route(own, s.index, &s.range, &s.addr, &d), 0);
    assert_int_equal(rtnl_delete_route(own, &route, &d), 0);
    assert_int_equal(rtnl_delete_address(own, &a, &d), 0);
    assert_int_equal(reasons(), 0); /* not even a look at ours */
    tun_close(&s.tun);
    assert_int_equal(reasons() & WATCH_NETWORK, 0);
}

/* Each thing that someone does to the session alone. */
static void what_others_do_to_ours_is_told(void **state UNUSED)
{
    const char *deeds[] = {
        "address del 100.64.0.1/32 dev stile0",
        "address add 100.64.0.9/32 dev stile0",
        "route del 100.64.0.0/10",
        "route replace 100.64.0.0/10 dev lo proto 115",
        "link set stile0 mtu 1300",
        "link set stile0 down",
        "link set stile0 name theirs0",
    };

    for (size_t i = 0; i < ARRAY_LEN(deeds); i++) {
        struct session s = make_session();
        (void)reasons();
        if (strstr(deeds[i], "name") != NULL)
            network_ip("link set stile0 down");
        (void)reasons();
        network_ip(deeds[i]);
        if ((reasons() & WATCH_OURS) == 0)
            fail_msg("unnoticed: ip %s", deeds[i]);
        (void)network_ip_output("route flush 100.64.0.0/10", NULL, 0);
        tun_close(&s.tun);
        assert_true(told(WATCH_OURS));
    }
}

static void a_link_that_was_there_before_is_known(void **state UNUSED)
{
    struct session s = make_session();

    watch_free(watch);
    loop_turn(&loop, false);
    assert_int_equal(watch_new(&loop, own, on_event, NULL, &watch, &d), 0);
    (void)reasons();
    network_ip("route add 10.5.0.0/16 dev stile0");
    assert_int_equal(first_reasons(), WATCH_OURS);
    tun_close(&s.tun);
}

static void without_an_own_rtnl_nothing_is_ours_to_ignore(void **state UNUSED)
{
    watch_free(watch);
    loop_turn(&loop, false);
    assert_int_equal(watch_new(&loop, NULL, on_event, NULL, &watch, &d), 0);
    struct session s = make_session();
    assert_true(told(WATCH_OURS));
    tun_close(&s.tun);
}

/* ---- Lost events, the clock, the end ---- */

/* While the loop doesn't run, more than the kernel has room for; then it goes on as before. */
static void lost_events_are_told_and_the_watch_goes_on(void **state UNUSED)
{
    enum { ROUNDS = 20000 };
    struct rtnl *other;
    unsigned index;
    struct ip_addr a = addr_from("198.51.100.7");

    assert_int_equal(rtnl_open(&other, &d), 0);
    assert_int_equal(rtnl_link_index("veth0", &index, &d), 0);
    const struct rtnl_address gone = {.link_index = index, .addr = a, .bits = 32};
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(rtnl_add_address(other, index, &a, &d), 0);
        assert_int_equal(rtnl_delete_address(other, &gone, &d), 0);
    }
    rtnl_close(other);
    assert_true(told(WATCH_OVERRUN));
    (void)reasons();
    assert_int_equal(reasons(), 0);
    network_ip("route add 10.0.0.0/8 via 192.0.2.2");
    assert_int_equal(first_reasons(), WATCH_ROUTE);
}

/* By a nanosecond forward, and back. */
static void a_set_clock_is_told_each_time(void **state UNUSED)
{
    const struct timeval steps[] = {{0, 1}, {-1, 999999999}};

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct timex t = {.modes = ADJ_SETOFFSET | ADJ_NANO, .time = steps[i]};
        if (adjtimex(&t) < 0)
            skip();
        assert_int_equal(reasons(), 0);
        assert_true(clock_was_set);
        clock_was_set = false;
    }
}

static void nothing_is_told_after_the_end(void **state UNUSED)
{
    network_ip("route add 10.0.0.0/8 via 192.0.2.2");
    watch_free(watch);
    watch = NULL;
    assert_int_equal(reasons(), 0);
}

static void failing_memory_leaves_nothing_open(void **state UNUSED)
{
    struct watch *w;

    for (uint64_t n = 1;; n++) {
        (void)mem_fail_at(n);
        int err = watch_new(&loop, own, on_event, NULL, &w, &d);
        (void)mem_fail_at(0);
        if (err == 0)
            break;
        assert_int_equal(err, ERR_NOMEM);
        loop_turn(&loop, false);
    }
    watch_free(w);
    loop_turn(&loop, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_quiet_host_wakes_nobody),
        TEST(addresses_of_the_host_are_told),
        TEST(a_renewed_address_is_no_change),
        TEST(routes_of_the_host_are_told),
        TEST(links_of_the_host_are_told),
        TEST(a_setting_that_changes_nothing_is_not_told),
        TEST(what_we_do_is_no_change_of_the_network),
        TEST(what_others_do_to_ours_is_told),
        TEST(a_link_that_was_there_before_is_known),
        TEST(without_an_own_rtnl_nothing_is_ours_to_ignore),
        TEST(lost_events_are_told_and_the_watch_goes_on),
        TEST(a_set_clock_is_told_each_time),
        TEST(nothing_is_told_after_the_end),
        TEST(failing_memory_leaves_nothing_open),
    };

    network_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
