#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "policy/port_set.h"

static void expect_text(const struct port_set *s, const char *text)
{
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, 4096);
    assert_int_equal(port_set_format(s, &b), 0);
    assert_string_equal(buf_cstr(&b), text);
}

static void expect_list(const char *list, const char *text)
{
    struct port_set s = {0};

    assert_int_equal(port_set_add_list(&s, list, NULL), 0);
    expect_text(&s, text);
}

static void expect_refused(const char *list, const char *words)
{
    struct port_set s = {0}, before;
    struct diag d = {0};

    assert_int_equal(port_set_add(&s, "7", &d), 0);
    before = s;
    assert_int_equal(port_set_add_list(&s, list, &d), ERR_FORMAT);
    assert_true(port_set_eq(&s, &before));
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", d.text, words);
}

static void test_lists_are_sorted_and_neighbours_become_ranges(void **state)
{
    (void)state;
    expect_list("80", "80");
    expect_list("443,80", "80,443");
    expect_list("80 , 443", "80,443");
    expect_list(" 80,443 ", "80,443");
    expect_list("9001,9002", "9001-9002");
    expect_list("9002,9001", "9001-9002");
    expect_list("1-65535", "1-65535");
    expect_list("8000-8100,8050-8200", "8000-8200");
    expect_list("10-20,30-40,15-35", "10-40");
    expect_list("10,30,20,11-19,21-29", "10-30");
    expect_list("80,80,80", "80");
    expect_list("65535,1,65534,2", "1-2,65534-65535");
    expect_list("00080", "80");
}

static void test_what_is_no_port_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused("90001", "port 90001 is over 65535");
    expect_refused("65536", "port 65536 is over 65535");
    expect_refused("99999999999999999999999", "over 65535");
    expect_refused("0", "port 0");
    expect_refused("http", "\"http\" is no port");
    expect_refused("-1", "-1");
    expect_refused("80-", "80-");
    expect_refused("80-70", "write 70-80");
    expect_refused("80-90001", "port 90001 is over 65535");
    expect_refused("1-2-3", "2-3");
    expect_refused("0x50", "0x50");
    expect_refused("80.0", "80.0");
    expect_refused("", "nothing");
    expect_refused("80,", "nothing");
    expect_refused(",80", "nothing");
    expect_refused("80,,81", "nothing");
    expect_refused("8 0", "8 0");
    expect_refused("80,81,90001", "90001");
    expect_refused("\x1b[2J", "?[2J");
}

static void test_a_long_item_is_refused_and_cut_in_the_message(void **state)
{
    (void)state;
    char item[1024];

    memset(item, '8', sizeof(item) - 1);
    item[sizeof(item) - 1] = '\0';
    expect_refused(item, "...");
}

static void test_a_full_set_stays_as_it_was(void **state)
{
    (void)state;
    struct port_set s = {0}, before;
    struct diag d = {0};
    char text[12];

    for (uint16_t i = 0; i < PORT_SET_MAX; i++) {
        port_range_format((struct port_range){(uint16_t)(10 + 2 * i), (uint16_t)(10 + 2 * i)},
                          text);
        assert_int_equal(port_set_add(&s, text, NULL), 0);
    }
    before = s;
    assert_int_equal(port_set_add(&s, "60000", &d), ERR_LIMIT);
    assert_non_null(strstr(d.text, "60000"));
    assert_non_null(strstr(d.text, "64"));
    assert_true(port_set_eq(&s, &before));
    /* What joins two others makes room. */
    assert_int_equal(port_set_add(&s, "11", NULL), 0);
    assert_int_equal(port_set_add(&s, "60000", NULL), 0);
    assert_int_equal(port_set_add(&s, "10-60000", NULL), 0);
    expect_text(&s, "10-60000");
}

static void test_a_set_contains_its_ports_and_no_others(void **state)
{
    (void)state;
    struct port_set s = {0};

    assert_false(port_set_contains(&s, 80));
    assert_int_equal(port_set_add_list(&s, "80,8000-8100,65535", NULL), 0);
    assert_true(port_set_contains(&s, 80));
    assert_false(port_set_contains(&s, 79));
    assert_false(port_set_contains(&s, 7999));
    assert_true(port_set_contains(&s, 8000));
    assert_true(port_set_contains(&s, 8100));
    assert_false(port_set_contains(&s, 8101));
    assert_true(port_set_contains(&s, 65535));
}

static void test_sets_are_equal_however_they_were_written(void **state)
{
    (void)state;
    struct port_set a = {0}, b = {0};

    assert_true(port_set_eq(&a, &b));
    assert_int_equal(port_set_add_list(&a, "1,2,3,9", NULL), 0);
    assert_false(port_set_eq(&a, &b));
    assert_int_equal(port_set_add_list(&b, "9,1-3", NULL), 0);
    assert_true(port_set_eq(&a, &b));
    assert_int_equal(port_set_add(&b, "10", NULL), 0);
    assert_false(port_set_eq(&a, &b));
}

static void test_ranges_up_to_sixteen_ports_are_not_long(void **state)
{
    (void)state;
    assert_false(port_range_is_long((struct port_range){80, 80}));
    assert_false(port_range_is_long((struct port_range){1, 16}));
    assert_true(port_range_is_long((struct port_range){1, 17}));
    assert_true(port_range_is_long((struct port_range){1, 65535}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_sorted_and_neighbours_become_ranges),
        cmocka_unit_test(test_what_is_no_port_is_refused_by_name),
        cmocka_unit_test(test_a_long_item_is_refused_and_cut_in_the_message),
        cmocka_unit_test(test_a_full_set_stays_as_it_was),
        cmocka_unit_test(test_a_set_contains_its_ports_and_no_others),
        cmocka_unit_test(test_sets_are_equal_however_they_were_written),
        cmocka_unit_test(test_ranges_up_to_sixteen_ports_are_not_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
