#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "policy/prefix_set.h"

static struct prefix_set set_of(const char *list)
{
    struct prefix_set s = {0};

    assert_int_equal(prefix_set_add_list(&s, list, NULL), 0);
    return s;
}

static void expect_one(const char *given, const char *written)
{
    struct prefix_set s = set_of(given);
    char text[PREFIX_TEXT_SIZE];

    assert_int_equal(s.count, 1);
    prefix_set_format_one(&s.prefixes[0], text);
    assert_string_equal(text, written);
}

static void expect_refused(const char *list, const char *words)
{
    struct prefix_set s = set_of("10.9.9.9");
    struct diag d = {0};

    assert_int_equal(prefix_set_add_list(&s, list, &d), ERR_FORMAT);
    assert_int_equal(s.count, 1);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", d.text, words);
}

static void test_addresses_and_prefixes_of_both_families_are_written_as_people_do(void **state)
{
    (void)state;
    expect_one("10.0.0.1", "10.0.0.1");
    expect_one("10.0.0.1/32", "10.0.0.1");
    expect_one("10.0.0.0/8", "10.0.0.0/8");
    expect_one("0.0.0.0/0", "0.0.0.0/0");
    expect_one("FD00:0::1", "fd00::1");
    expect_one("fd00::/8", "fd00::/8");
    expect_one("::/0", "::/0");
    expect_one("fd00::1/128", "fd00::1");
}

static void test_order_is_kept_and_repetitions_are_not(void **state)
{
    (void)state;
    struct prefix_set s = set_of("10.2.0.0/16, 10.1.0.0/16,10.2.0.0/16,fd00::1,FD00::1/128");
    char text[PREFIX_TEXT_SIZE];

    assert_int_equal(s.count, 3);
    prefix_set_format_one(&s.prefixes[0], text);
    assert_string_equal(text, "10.2.0.0/16");
    prefix_set_format_one(&s.prefixes[2], text);
    assert_string_equal(text, "fd00::1");
}

static void test_what_is_no_prefix_is_refused_with_the_remedy(void **state)
{
    (void)state;
    expect_refused("10.0.0.1/8", "Write 10.0.0.0/8");
    expect_refused("fd00::1/64", "Write fd00::/64");
    expect_refused("10.0.0.0/33", "0 to 32");
    expect_refused("fd00::/129", "0 to 128");
    expect_refused("10.0.0.0/", "0 to 32");
    expect_refused("10.0.0.0/-1", "0 to 32");
    expect_refused("10.0.0", "\"10.0.0\" is neither");
    expect_refused("10.0.0.256", "neither");
    expect_refused("example.com", "\"example.com\" is neither");
    expect_refused("/8", "neither");
    expect_refused("", "nothing");
    expect_refused("10.0.0.1,", "nothing");
    expect_refused("10.0.0.1,nonsense", "nonsense");
    expect_refused("fe80::1%eth0", "neither");
    expect_refused("::ffff:10.0.0.1", "write it as IPv4");
    expect_refused("::ffff:0:0/96", "write it as IPv4");
    expect_refused("10.0.0.1\n", "neither");
}

static void test_a_full_set_refuses_one_more_and_takes_what_it_has(void **state)
{
    (void)state;
    struct prefix_set s = {0};
    struct diag d = {0};
    char text[PREFIX_TEXT_SIZE];

    for (unsigned i = 0; i < PREFIX_SET_MAX; i++) {
        assert_int_equal(str_format(text, sizeof(text), "10.0.%u.1", i), 0);
        assert_int_equal(prefix_set_add(&s, text, NULL), 0);
    }
    assert_int_equal(prefix_set_add(&s, "10.1.0.1", &d), ERR_LIMIT);
    assert_non_null(strstr(d.text, "10.1.0.1"));
    assert_non_null(strstr(d.text, "64"));
    assert_int_equal(s.count, PREFIX_SET_MAX);
    assert_int_equal(prefix_set_add(&s, "10.0.5.1", NULL), 0);
}

static void test_sets_are_equal_in_any_order(void **state)
{
    (void)state;
    struct prefix_set a = set_of("10.0.0.1,fd00::/8"), b = set_of("fd00::/8,10.0.0.1");
    struct prefix_set c = set_of("fd00::/8,10.0.0.2"), d = set_of("fd00::/8");

    assert_true(prefix_set_eq(&a, &b));
    assert_false(prefix_set_eq(&a, &c));
    assert_false(prefix_set_eq(&a, &d));
    assert_false(prefix_set_eq(&d, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_and_prefixes_of_both_families_are_written_as_people_do),
        cmocka_unit_test(test_order_is_kept_and_repetitions_are_not),
        cmocka_unit_test(test_what_is_no_prefix_is_refused_with_the_remedy),
        cmocka_unit_test(test_a_full_set_refuses_one_more_and_takes_what_it_has),
        cmocka_unit_test(test_sets_are_equal_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
