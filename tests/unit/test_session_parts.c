/* Parts of a system session that need no broker: the network that is chosen, and what is told of log-ins. */
#include "testing.h"

#include <string.h>

#include "agent/login_watch.h"
#include "agent/session_network.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "profile_maker.h"
#include "temp_dir.h"

/* ---- the network ---- */

static struct broker_welcome offer(void)
{
    struct broker_welcome w = {.range_count = 2};
    w.ranges[0] = (struct broker_range){.addr = {198, 18, 0, 0}, .bits = 15};
    w.ranges[1] = (struct broker_range){.addr = {10, 213, 0, 0}, .bits = 16};
    return w;
}

static struct name_list list_of(const char *a, const char *b)
{
    struct name_list l = {.count = b != NULL ? 2 : 1, .names = {a, b}};
    return l;
}

/* An address that the session needs is the one way to be in the way that needs no host. */
static struct conflict_needed needed_at(const char *text)
{
    struct conflict_needed n = {.what = "the resolver"};
    assert_int_equal(ip_addr_parse(text, &n.addr), 0);
    return n;
}

static int choose(const struct session_network_wish *wish, struct name_list ranges,
                  const struct conflict_needed *needed, size_t count, struct broker_network *ret,
                  char why[SESSION_NETWORK_TEXT_SIZE], struct diag *d)
{
    struct host_view view = {0};
    struct broker_welcome w = offer();
    const struct conflict_query q = {.view = &view, .needed = needed, .needed_count = count};
    return session_network_choose(wish, &ranges, &w, &q, ret, why, d);
}

static void check_range(const struct broker_network *n, size_t i, const char *text)
{
    char got[PREFIX_TEXT_SIZE];
    struct prefix p = {.addr = ip_addr_from(4, n->ranges[i].addr),
                       .bits = (uint8_t)n->ranges[i].bits};
    assert_true(i < n->range_count);
    prefix_format(&p, got);
    assert_string_equal(got, text);
}

static void wanted_ranges_are_taken_if_nothing_is_in_the_way(void **state)
{
    (void)state;
    const struct session_network_wish wish = {.mtu = 1500};
    struct broker_network n;
    char why[SESSION_NETWORK_TEXT_SIZE];
    struct diag d = {0};
    assert_int_equal(choose(&wish, list_of("100.64.0.0/10", "10.7.0.0/16"), NULL, 0, &n, why, &d),
                     0);
    assert_int_equal(n.range_count, 2);
    check_range(&n, 0, "100.64.0.0/10");
    check_range(&n, 1, "10.7.0.0/16");
    assert_string_equal(why, "");
    assert_int_equal(n.mtu, 1500);
    assert_int_equal(n.ipv6_prefix[0], 0xfd);
}

static void clusters_that_overlap_share_a_range(void **state)
{
    (void)state;
    const struct session_network_wish wish = {.mtu = 1500};
    struct broker_network n;
    char why[SESSION_NETWORK_TEXT_SIZE];
    struct diag d = {0};
    assert_int_equal(choose(&wish, list_of("100.64.0.0/10", "100.64.0.0/16"), NULL, 0, &n, why, &d),
                     0);
    assert_int_equal(n.range_count, 1);
    assert_int_equal(choose(&wish, list_of("127.0.0.0/8", "junk"), NULL, 0, &n, why, &d), 0);
    assert_int_equal(n.range_count, 1);
    check_range(&n, 0, "100.64.0.0/10"); /* the default */
}

static void a_range_in_use_gives_way_to_the_next_that_is_free(void **state)
{
    (void)state;
    const struct session_network_wish wish = {.mtu = 1500};
    const struct conflict_needed needed[] = {needed_at("100.100.0.1"), needed_at("198.18.3.3")};
    struct broker_network n;
    char why[SESSION_NETWORK_TEXT_SIZE];
    struct diag d = {0};
    assert_int_equal(choose(&wish, list_of("100.64.0.0/10", NULL), needed, 2, &n, why, &d), 0);
    assert_int_equal(n.range_count, 1);
    check_range(&n, 0, "10.213.0.0/16");
    assert_non_null(strstr(why, "100.64.0.0/10"));
    assert_non_null(strstr(why, "10.213.0.0/16"));
}

static void when_everything_is_in_use_the_remedy_is_told(void **state)
{
    (void)state;
    const struct session_network_wish wish = {.mtu = 1500};
    const struct conflict_needed needed[] = {needed_at("100.100.0.1"), needed_at("198.18.3.3"),
                                             needed_at("10.213.0.1")};
    struct broker_network n = {.mtu = 77};
    char why[SESSION_NETWORK_TEXT_SIZE] = "as before";
    struct diag d = {0};
    assert_int_equal(choose(&wish, list_of("100.64.0.0/10", NULL), needed, 3, &n, why, &d),
                     ERR_EXISTS);
    assert_non_null(strstr(d.text, "--range"));
    assert_int_equal(n.mtu, 77); /* nothing is written */
    assert_string_equal(why, "as before");
}

static void a_second_cluster_shares_the_first_range_if_nothing_else_is_free(void **state)
{
    (void)state;
    const struct session_network_wish wish = {.mtu = 1500};
    const struct conflict_needed needed[] = {needed_at("10.7.0.1"), needed_at("198.18.3.3"),
                                             needed_at("10.213.0.1")};
    struct broker_network n;
    char why[SESSION_NETWORK_TEXT_SIZE];
    struct diag d = {0};
    assert_int_equal(choose(&wish, list_of("100.64.0.0/10", "10.7.0.0/16"), needed, 3, &n, why, &d),
                     0);
    assert_int_equal(n.range_count, 1);
    check_range(&n, 0, "100.64.0.0/10");
}

static void a_forced_range_is_taken_and_the_collision_told(void **state)
{
    (void)state;
    struct session_network_wish wish = {.mtu = 1500, .forced_count = 1};
    const struct conflict_needed needed[] = {needed_at("10.9.0.1")};
    struct broker_network n;
    char why[SESSION_NETWORK_TEXT_SIZE];
    struct diag d = {0};
    assert_int_equal(session_network_parse_range("10.9.0.0/16", &wish.forced[0], &d), 0);
    assert_int_equal(choose(&wish, list_of("100.64.0.0/10", NULL), needed, 1, &n, why, &d), 0);
    assert_int_equal(n.range_count, 1);
    check_range(&n, 0, "10.9.0.0/16");
    assert_non_null(strstr(why, "--range"));
}

static void ranges_that_cant_be_virtual_are_refused_with_the_remedy(void **state)
{
    (void)state;
    const char *bad[] = {"10.9.0.1/16", "10.0.0.0/7",     "10.9.0.0/31", "127.0.0.0/8",
                         "fd00::/48",   "169.254.0.0/16", "224.0.0.0/8", "x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct prefix p;
        struct diag d = {0};
        assert_int_equal(session_network_parse_range(bad[i], &p, &d), ERR_INVAL);
        assert_non_null(strstr(d.text, "range"));
    }
}

static void a_resolver_set_by_hand_to_our_dns_server_is_not_in_the_way(void **state)
{
    (void)state;
    struct name_list ranges = list_of("100.64.0.0/10", NULL);
    struct broker_welcome w = offer();
    const struct {
        const char *text;
        bool own;
    } cases[] = {{"100.64.0.2", true},
                 {"198.18.0.2", true},
                 {"100.64.0.3", false},
                 {"10.214.0.2", false},
                 {"fd00::2", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_addr a;
        assert_int_equal(ip_addr_parse(cases[i].text, &a), 0);
        assert_int_equal(session_network_is_own_dns(&a, &ranges, &w), cases[i].own);
    }
}

static void zones_are_lower_case_without_the_last_dot_and_bounded(void **state)
{
    (void)state;
    struct broker_network n = {0};
    struct name_list zones = list_of("Demo.Stile.TEST.", "b.test");
    assert_int_equal(session_network_set_zones(&n, &zones), 0);
    assert_int_equal(n.zone_count, 2);
    assert_string_equal(n.zones[0], "demo.stile.test");
    assert_string_equal(n.zones[1], "b.test");
    zones.count = BROKER_ZONES_MAX + 3;
    for (size_t i = 0; i < zones.count; i++)
        zones.names[i] = "c.test";
    assert_int_equal(session_network_set_zones(&n, &zones), 3);
    zones.count = 1;
    assert_int_equal(session_network_set_zones(&n, &zones), 0);
    assert_string_equal(n.zones[1], ""); /* nothing of before is left */
}

static void resolvers_within_our_addresses_are_left_out_of_the_setup(void **state)
{
    (void)state;
    struct broker_network n = {.range_count = 1, .ipv6_prefix = {0xfd, 1, 2, 3, 4, 5}};
    struct broker_resolvers r = {.count = 4};
    struct channel_setup s;
    n.ranges[0] = (struct broker_range){.addr = {100, 64, 0, 0}, .bits = 10};
    assert_int_equal(str_copy(r.addrs[0], BROKER_RESOLVER_SIZE, "100.64.0.2"), 0);
    assert_int_equal(str_copy(r.addrs[1], BROKER_RESOLVER_SIZE, "fd01:203:405::2"), 0);
    assert_int_equal(str_copy(r.addrs[2], BROKER_RESOLVER_SIZE, "192.0.2.1"), 0);
    assert_int_equal(str_copy(r.addrs[3], BROKER_RESOLVER_SIZE, "fe80::1%eth0"), 0);
    log_setup("test", LOG_ERROR, LOG_TEXT);
    session_network_setup(&n, BROKER_NO_IPV6, &r, &s);
    assert_int_equal(s.resolver_count, 2);
    assert_string_equal(s.resolvers[0], "192.0.2.1");
    assert_string_equal(s.resolvers[1], "fe80::1%eth0");
    assert_int_equal(s.flags, CHANNEL_SETUP_NO_IPV6);
    assert_int_equal(channel_check(slice_of(&s, sizeof(s)), 0), 0);
    n.range_count = 0; /* IPv6 alone */
    session_network_setup(&n, BROKER_NO_IPV4, &r, &s);
    assert_int_equal(channel_check(slice_of(&s, sizeof(s)), 0), 0);
}

static void zones_that_were_not_granted_are_taken_out(void **state UNUSED)
{
    static const struct name_list all = {.count = 3, .names = {"a.test", "b.test", "c.test"}};
    static const struct name_list some = {.count = 2, .names = {"c.test", "x.test"}};
    static struct broker_network wanted, granted, expected;

    assert_int_equal(session_network_set_zones(&wanted, &all), 0);
    assert_int_equal(session_network_set_zones(&granted, &some), 0);
    assert_true(session_network_has_zone(&wanted, "B.Test."));
    assert_false(session_network_has_zone(&wanted, "b.tes"));
    assert_false(session_network_same_zones(&wanted, &granted));
    session_network_keep_zones(&wanted, &granted);
    assert_int_equal(wanted.zone_count, 1);
    (void)str_format(expected.zones[0], BROKER_ZONE_SIZE, "c.test");
    expected.zone_count = 1;
    assert_memory_equal(&wanted, &expected, sizeof(wanted)); /* nothing is left behind the zones */
    assert_true(session_network_same_zones(&wanted, &expected));
}

/* ---- log-ins ---- */

struct fixture {
    char path[TEMP_DIR_SIZE];
    struct home home;
    struct loop loop;
    struct clusters *clusters;
    struct login_watch *watch;
    unsigned told;
    char last[512];
};

static void on_profile(void *arg, const char *profile)
{
    (void)arg;
    (void)profile;
}

static void on_change(void *arg)
{
    struct fixture *f = arg;
    if (f->watch != NULL)
        login_watch_look(f->watch);
}

static void tell(void *arg, const char *text)
{
    struct fixture *f = arg;
    f->told++;
    (void)str_format(f->last, sizeof(f->last), "%s", text);
}

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    *state = &f;
    temp_dir_make(f.path);
    assert_int_equal(home_open(f.path, &f.home, NULL), 0);
    return loop_init(&f.loop);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    login_watch_free(f->watch);
    clusters_free(f->clusters);
    loop_run(&f->loop);
    int r = loop_release(&f->loop);
    home_close(&f->home);
    temp_dir_remove(f->path);
    return r;
}

static void watch(struct fixture *f)
{
    static const struct clusters_events events = {.on_profile = on_profile, .on_change = on_change};
    assert_int_equal(clusters_new(&f->loop, &f->home, NULL, &events, f, &f->clusters, NULL), 0);
    assert_int_equal(login_watch_new(&f->loop, f->clusters, tell, f, &f->watch), 0);
    /* The first look is due at once; a turn that waits would run it and then wait for the next one. */
    loop_turn(&f->loop, false);
    loop_turn(&f->loop, false);
}

static void log_ins_that_are_there_are_no_news_but_later_ones_are(void **state)
{
    struct fixture *f = *state;
    profile_put(&f->home, "one", "alice", "127.0.0.1:1", 3600);
    watch(f);
    assert_int_equal(f->told, 0);
    profile_put(&f->home, "two", "alice", "127.0.0.1:1", 3600);
    clusters_refresh(f->clusters);
    assert_int_equal(f->told, 1);
    assert_string_equal(f->last, "Logged in to demo as alice");
    assert_int_equal(profile_remove(&f->home, "two", NULL), 0);
    clusters_refresh(f->clusters);
    assert_int_equal(f->told, 2);
    assert_string_equal(f->last, "Logged out of demo");
}

static void a_log_in_that_expires_is_told_once_and_its_renewal(void **state)
{
    struct fixture *f = *state;
    uint64_t end = clock_mono_ns() + 10 * NS_PER_S;
    profile_put(&f->home, "one", "alice", "127.0.0.1:1", 12); /* 10 s of that are the margin */
    watch(f);
    assert_int_equal(f->told, 0);
    while (f->told == 0 && clock_mono_ns() < end)
        loop_turn(&f->loop, true);
    assert_int_equal(f->told, 1);
    assert_non_null(strstr(f->last, "stile login --profile one"));
    login_watch_look(f->watch);
    assert_int_equal(f->told, 1);
    profile_put(&f->home, "one", "alice", "127.0.0.1:1", 3600);
    clusters_refresh(f->clusters);
    assert_int_equal(f->told, 2);
    assert_string_equal(f->last, "Logged in to demo as alice again");
}

static void an_expired_log_in_is_told_at_the_start(void **state)
{
    struct fixture *f = *state;
    profile_put(&f->home, "one", "alice", "127.0.0.1:1", -10);
    watch(f);
    assert_int_equal(f->told, 1);
    assert_non_null(strstr(f->last, "has expired"));
}

int main(void)
{
#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wanted_ranges_are_taken_if_nothing_is_in_the_way),
        cmocka_unit_test(clusters_that_overlap_share_a_range),
        cmocka_unit_test(a_range_in_use_gives_way_to_the_next_that_is_free),
        cmocka_unit_test(when_everything_is_in_use_the_remedy_is_told),
        cmocka_unit_test(a_second_cluster_shares_the_first_range_if_nothing_else_is_free),
        cmocka_unit_test(a_forced_range_is_taken_and_the_collision_told),
        cmocka_unit_test(ranges_that_cant_be_virtual_are_refused_with_the_remedy),
        cmocka_unit_test(a_resolver_set_by_hand_to_our_dns_server_is_not_in_the_way),
        cmocka_unit_test(zones_are_lower_case_without_the_last_dot_and_bounded),
        cmocka_unit_test(zones_that_were_not_granted_are_taken_out),
        cmocka_unit_test(resolvers_within_our_addresses_are_left_out_of_the_setup),
        WITH(log_ins_that_are_there_are_no_news_but_later_ones_are),
        WITH(a_log_in_that_expires_is_told_once_and_its_renewal),
        WITH(an_expired_log_in_is_told_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
