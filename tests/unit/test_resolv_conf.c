/* The text of a resolv.conf: lines, and the resolvers they name. */
#include "testing.h"

#include <string.h>

#include "base/str.h"
#include "net/resolv_conf.h"

static void parse(const char *text, struct resolvers *r)
{
    resolvers_parse(slice_str(text), r);
}

static void nameservers_are_read(void **state)
{
    (void)state;
    struct resolvers r;
    parse("# nameserver 9.9.9.9\n; nameserver 9.9.9.9\nsearch corp\n nameserver\t10.0.0.1  # "
          "first\r\n"
          "nameserver fe80::1%eth0\nnameserver 10.0.0.1\nnameserver ::1",
          &r);
    assert_int_equal(r.count, 3);
    assert_string_equal(r.addrs[0], "10.0.0.1");
    assert_string_equal(r.addrs[1], "fe80::1%eth0");
    assert_string_equal(r.addrs[2], "::1");
}

static void what_is_no_address_is_left_out_and_none_means_loopback(void **state)
{
    (void)state;
    struct resolvers r;
    static const char *const texts[] = {"",
                                        "nameserver",
                                        "nameserver dns.google\n",
                                        "nameserver 1.2.3\n",
                                        "nameserverx 1.2.3.4\n",
                                        "nameserver 1.2.3.4%eth0\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        parse(texts[i], &r);
        assert_int_equal(r.count, 1);
        assert_string_equal(r.addrs[0], "127.0.0.1");
    }
}

static void more_nameservers_than_fit_are_left_out(void **state)
{
    (void)state;
    char text[1024] = "";
    struct resolvers r;
    for (int i = 0; i < 20; i++) {
        size_t at = strlen(text);
        (void)str_format(text + at, sizeof(text) - at, "nameserver 10.0.0.%d\n", i + 1);
    }
    parse(text, &r);
    assert_int_equal(r.count, RESOLVERS_MAX);
    assert_string_equal(r.addrs[RESOLVERS_MAX - 1], "10.0.0.8");
}

static void a_zone_is_an_interface_name_of_an_ipv6_address(void **state)
{
    (void)state;
    struct resolvers r;
    parse("nameserver fe80::1%\nnameserver fe80::1%a;id\nnameserver fe80::1%$(id)\n"
          "nameserver fe80::1%sixteen-letters-\nnameserver fe80::1%wlp3s0.7\n",
          &r);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.addrs[0], "fe80::1%wlp3s0.7");
}

static void an_address_is_removed_with_any_zone_and_spelling(void **state)
{
    (void)state;
    struct resolvers r;
    struct ip_addr addr;
    parse("nameserver fd00:0::2\nnameserver 10.0.0.1\nnameserver fd00::2%eth0\n", &r);
    assert_int_equal(r.count, 3);
    assert_int_equal(resolver_address("FD00::2", &addr), 0);
    resolvers_remove(&r, &addr);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.addrs[0], "10.0.0.1");
}

static void reading_adds_to_what_is_there(void **state)
{
    (void)state;
    struct resolvers a = {0}, b = {0};
    resolvers_read(slice_str(""), &a);
    assert_int_equal(a.count, 0);
    resolvers_read(slice_str("nameserver 10.0.0.1"), &a);
    resolvers_read(slice_str("nameserver 10.0.0.2\nnameserver 10.0.0.1"), &a);
    assert_int_equal(a.count, 2);
    assert_false(resolvers_equal(&a, &b));
    assert_true(resolvers_add(&b, SLICE_LIT("10.0.0.1")));
    assert_true(resolvers_add(&b, SLICE_LIT("10.0.0.2")));
    assert_false(resolvers_add(&b, SLICE_LIT("10.0.0.2")));
    assert_true(resolvers_equal(&a, &b));
}

static void lines_have_a_keyword_and_a_value(void **state)
{
    (void)state;
    struct slice text = slice_str("\n  options  edns0 trust-ad\r\nsearch\n# a b");
    struct resolv_line line;
    assert_true(resolv_line_next(&text, &line));
    assert_int_equal(line.text.len + line.keyword.len + line.value.len, 0);
    assert_true(resolv_line_next(&text, &line));
    assert_true(slice_eq_str(line.keyword, "options") && slice_eq_str(line.value, "edns0"));
    assert_true(slice_eq_str(line.text, "  options  edns0 trust-ad\r"));
    assert_true(resolv_line_next(&text, &line));
    assert_true(slice_eq_str(line.keyword, "search") && line.value.len == 0);
    assert_true(resolv_line_next(&text, &line));
    assert_true(slice_eq_str(line.keyword, "#"));
    assert_false(resolv_line_next(&text, &line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nameservers_are_read),
        cmocka_unit_test(what_is_no_address_is_left_out_and_none_means_loopback),
        cmocka_unit_test(more_nameservers_than_fit_are_left_out),
        cmocka_unit_test(a_zone_is_an_interface_name_of_an_ipv6_address),
        cmocka_unit_test(an_address_is_removed_with_any_zone_and_spelling),
        cmocka_unit_test(reading_adds_to_what_is_there),
        cmocka_unit_test(lines_have_a_keyword_and_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
