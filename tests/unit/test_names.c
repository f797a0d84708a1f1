#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/names.h"

static struct name parsed(const char *text)
{
    struct name n;

    assert_int_equal(name_parse(text, &n), 0);
    return n;
}

static Stile__Vnet__V1__AppInfo *info_in(const char *range)
{
    Stile__Vnet__V1__AppInfo *info = NEW(Stile__Vnet__V1__AppInfo);

    assert_non_null(info);
    stile__vnet__v1__app_info__init(info);
    info->ipv4_cidr_range = mem_strdup(range);
    return info;
}

static int setup(void **state)
{
    struct names_config c = {.range_count = 2};
    struct names *n;

    assert_int_equal(prefix_parse("fd60:67ec:4325::/48", &c.prefix6), 0);
    assert_int_equal(prefix_parse("100.64.0.0/10", &c.ranges[0]), 0);
    assert_int_equal(prefix_parse("10.9.0.0/29", &c.ranges[1]), 0);
    assert_int_equal(names_new(&c, &n), 0);
    char demo[] = "demo.test", deep[] = "deep.demo.test", bad[] = "not a name",
         gateway[] = "gw.demo.test";
    char *zones[] = {demo, deep, bad, demo};
    char *forwarded[] = {gateway};
    assert_int_equal(names_set_zones(n, zones, 4, forwarded, 1), 0);
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    names_free(*state);
    return 0;
}

static void test_longest_zone_wins_and_forwarded_names_are_no_apps(void **state)
{
    struct names *n = *state;
    struct name zone;
    struct name q = parsed("pg.demo.test");

    assert_int_equal(names_place(n, &q, &zone), NAMES_INSIDE);
    assert_string_equal(zone.text, "demo.test");
    q = parsed("a.deep.demo.test");
    assert_int_equal(names_place(n, &q, &zone), NAMES_INSIDE);
    assert_string_equal(zone.text, "deep.demo.test");
    q = parsed("gw.demo.test");
    assert_int_equal(names_place(n, &q, &zone), NAMES_FORWARDED);
    q = parsed("baddemo.test");
    assert_int_equal(names_place(n, &q, &zone), NAMES_OUTSIDE);
}

static void test_an_address_stays_with_its_name_when_the_app_is_asked_again(void **state)
{
    struct names *n = *state;
    struct name q = parsed("PG.demo.test");
    struct names_app *first;
    struct names_app *second;

    assert_int_equal(names_put(n, &q, info_in("100.64.0.0/10"), 1, &first), 0);
    assert_int_equal(names_put(n, &q, info_in("100.64.0.0/10"), 2, &second), 0);
    assert_ptr_not_equal(first, second);
    assert_true(ip_addr_eq(&first->v4, &second->v4));
    assert_true(ip_addr_eq(&first->v6, &second->v6));

    struct names_app *by_v4 = names_by_addr(n, &first->v4);
    struct names_app *by_v6 = names_by_addr(n, &first->v6);
    struct names_app *by_name = names_by_name(n, &q);
    assert_ptr_equal(by_v4, second);
    assert_ptr_equal(by_v6, second);
    assert_ptr_equal(by_name, second);
    assert_int_equal(first->resolved_ns, 1); /* the reader's own record is untouched */
    names_app_unref(by_v4);
    names_app_unref(by_v6);
    names_app_unref(by_name);
    names_app_unref(first);
    names_app_unref(second);
}

static void test_the_app_s_own_range_is_used_until_it_is_full(void **state)
{
    struct names *n = *state;
    const char *fqdns[] = {"a.demo.test", "b.demo.test", "c.demo.test", "d.demo.test",
                           "e.demo.test"};
    struct names_app *app;

    for (size_t i = 0; i < 4; i++) { /* a /29 has room for 4 apps */
        struct name q = parsed(fqdns[i]);
        assert_int_equal(names_put(n, &q, info_in("10.9.0.0/29"), 1, &app), 0);
        assert_true(prefix_contains(&names_config(n)->ranges[1], &app->v4));
        names_app_unref(app);
    }
    struct name q = parsed(fqdns[4]);
    assert_int_equal(names_put(n, &q, info_in("10.9.0.0/29"), 1, &app), ERR_LIMIT);
    assert_null(names_by_name(n, &q));
}

static void test_service_addresses_are_known(void **state)
{
    struct names *n = *state;
    static const struct {
        const char *text;
        bool tun, dns, ours;
    } rows[] = {
        {"100.64.0.1", true, false, true},        {"100.64.0.2", false, true, true},
        {"10.9.0.1", false, false, true},         {"fd60:67ec:4325::1", true, false, true},
        {"fd60:67ec:4325::2", false, true, true}, {"8.8.8.8", false, false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip_addr a;
        assert_int_equal(ip_addr_parse(rows[i].text, &a), 0);
        assert_int_equal(names_is_tun(n, &a), rows[i].tun);
        assert_int_equal(names_is_dns(n, &a), rows[i].dns);
        assert_int_equal(names_in_ranges(n, &a), rows[i].ours);
    }
}

static void test_failing_memory_leaves_what_was_there(void **state)
{
    struct names *n = *state;
    struct name q = parsed("pg.demo.test");
    struct names_app *app;
    char other[] = "other.test";
    char *zones[] = {other};
    int err = ERR_NOMEM;

    for (uint64_t i = 1; err == ERR_NOMEM; i++) {
        (void)mem_fail_at(i);
        err = names_set_zones(n, zones, 1, NULL, 0);
        (void)mem_fail_at(0);
        struct name zone;
        assert_int_equal(names_place(n, &q, &zone), err == 0 ? NAMES_OUTSIDE : NAMES_INSIDE);
    }
    err = ERR_NOMEM;
    for (uint64_t i = 1; err == ERR_NOMEM; i++) {
        Stile__Vnet__V1__AppInfo *info = info_in("");
        (void)mem_fail_at(i);
        err = names_put(n, &q, info, 1, &app);
        (void)mem_fail_at(0);
        assert_int_equal(err, err == 0 ? 0 : ERR_NOMEM);
    }
    names_app_unref(app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_longest_zone_wins_and_forwarded_names_are_no_apps,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_an_address_stays_with_its_name_when_the_app_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_app_s_own_range_is_used_until_it_is_full, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_service_addresses_are_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_memory_leaves_what_was_there, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
