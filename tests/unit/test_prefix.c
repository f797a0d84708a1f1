#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/prefix.h"

static struct prefix parsed(const char *text)
{
    struct prefix p;

    assert_int_equal(prefix_parse(text, &p), 0);
    return p;
}

static struct ip_addr address(const char *text)
{
    struct ip_addr a;

    assert_int_equal(ip_addr_parse(text, &a), 0);
    return a;
}

static void test_text_round_trips(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.0.0.0/0", "100.64.0.0/10",       "10.1.2.3/32",
                                        "::/0",      "fd60:67ec:4325::/48", "2001:db8::1/128"};
    char text[PREFIX_TEXT_SIZE];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct prefix p = parsed(texts[i]);
        prefix_format(&p, text);
        assert_string_equal(text, texts[i]);
    }
}

static void test_bad_text_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           "10.0.0.0",    "10.0.0.0/",  "10.0.0.0/33",
                                        "10.0.0.1/8", "10.0.0/8",    "fd00::/129", "fd00::1/64",
                                        "/8",         "10.0.0.0/-1", "10.0.0.0/8 "};
    struct prefix p;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(prefix_parse(texts[i], &p), ERR_FORMAT);
}

static void test_contains_ends_exactly_at_the_borders(void **state)
{
    (void)state;
    struct prefix p = parsed("100.64.0.0/10");
    struct prefix six = parsed("fd60:67ec:4325::/48");
    struct ip_addr in[] = {address("100.64.0.0"), address("100.127.255.255")};
    struct ip_addr out[] = {address("100.63.255.255"), address("100.128.0.0"), address("fd60::")};

    assert_true(prefix_contains(&p, &in[0]) && prefix_contains(&p, &in[1]));
    for (size_t i = 0; i < 3; i++)
        assert_false(prefix_contains(&p, &out[i]));
    struct ip_addr six_in = address("fd60:67ec:4325:ffff::1");
    struct ip_addr six_out = address("fd60:67ec:4326::");
    assert_true(prefix_contains(&six, &six_in));
    assert_false(prefix_contains(&six, &six_out));
}

static void test_overlap_is_symmetric(void **state)
{
    (void)state;
    struct prefix big = parsed("100.64.0.0/10");
    struct prefix small = parsed("100.100.0.0/16");
    struct prefix other = parsed("100.128.0.0/10");
    struct prefix six = parsed("::/0");

    assert_true(prefix_overlaps(&big, &small) && prefix_overlaps(&small, &big));
    assert_false(prefix_overlaps(&big, &other) || prefix_overlaps(&other, &big));
    assert_false(prefix_overlaps(&big, &six) || prefix_overlaps(&six, &big));
}

static void test_offset_carries_between_bytes(void **state)
{
    (void)state;
    struct prefix p = parsed("10.0.0.0/8");
    struct ip_addr want = address("10.1.0.255");
    struct ip_addr got = prefix_at(&p, 0x100ff);

    assert_true(ip_addr_eq(&got, &want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_round_trips),
        cmocka_unit_test(test_bad_text_is_refused),
        cmocka_unit_test(test_contains_ends_exactly_at_the_borders),
        cmocka_unit_test(test_overlap_is_symmetric),
        cmocka_unit_test(test_offset_carries_between_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
