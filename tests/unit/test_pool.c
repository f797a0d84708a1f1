#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/pool.h"

static struct prefix parsed(const char *text)
{
    struct prefix p;

    assert_int_equal(prefix_parse(text, &p), 0);
    return p;
}

static void test_every_address_is_handed_out_once_and_the_reserved_ones_never(void **state)
{
    (void)state;
    struct prefix range = parsed("10.9.8.0/24");

    for (uint32_t start = 0; start < 600; start += 37) {
        struct pool p;
        bool seen[256] = {false};
        struct ip_addr a;

        assert_int_equal(pool_init(&p, &range, start), 0);
        for (unsigned i = 0; i < 252; i++) {
            assert_int_equal(pool_take(&p, &a), 0);
            assert_true(prefix_contains(&range, &a));
            assert_false(seen[a.bytes[3]]);
            seen[a.bytes[3]] = true;
        }
        assert_int_equal(pool_take(&p, &a), ERR_LIMIT);
        assert_false(seen[0] || seen[1] || seen[2] || seen[255]);
    }
}

static void test_the_start_depends_on_the_random_number(void **state)
{
    (void)state;
    struct prefix range = parsed("100.64.0.0/10");
    struct pool p;
    struct pool q;
    struct ip_addr a;
    struct ip_addr b;

    assert_int_equal(pool_init(&p, &range, 12345), 0);
    assert_int_equal(pool_init(&q, &range, 54321), 0);
    assert_int_equal(pool_take(&p, &a), 0);
    assert_int_equal(pool_take(&q, &b), 0);
    assert_false(ip_addr_eq(&a, &b));
}

static void test_small_and_ipv6_ranges_are_refused(void **state)
{
    (void)state;
    struct pool p;
    struct prefix small = parsed("10.0.0.0/30");
    struct prefix six = parsed("fd00::/48");
    struct prefix least = parsed("10.0.0.0/29");

    assert_int_equal(pool_init(&p, &small, 0), ERR_INVAL);
    assert_int_equal(pool_init(&p, &six, 0), ERR_INVAL);
    assert_int_equal(pool_init(&p, &least, 0), 0);
}

static void test_ipv6_embeds_ipv4_both_ways(void **state)
{
    (void)state;
    struct prefix six = parsed("fd60:67ec:4325::/48");
    struct ip_addr v4;
    struct ip_addr back;
    struct ip_addr other;
    char text[IP_ADDR_TEXT_SIZE];

    assert_int_equal(ip_addr_parse("100.68.51.151", &v4), 0);
    struct ip_addr v6 = pool_embed(&six, &v4);
    ip_addr_format(&v6, text);
    assert_string_equal(text, "fd60:67ec:4325::6444:3397");
    assert_int_equal(pool_unembed(&six, &v6, &back), 0);
    assert_true(ip_addr_eq(&back, &v4));

    assert_int_equal(ip_addr_parse("fd60:67ec:4325:1::6444:3397", &other), 0);
    assert_int_equal(pool_unembed(&six, &other, &back), ERR_NOTFOUND);
    assert_int_equal(ip_addr_parse("fd60:67ec:4326::6444:3397", &other), 0);
    assert_int_equal(pool_unembed(&six, &other, &back), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_address_is_handed_out_once_and_the_reserved_ones_never),
        cmocka_unit_test(test_the_start_depends_on_the_random_number),
        cmocka_unit_test(test_small_and_ipv6_ranges_are_refused),
        cmocka_unit_test(test_ipv6_embeds_ipv4_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
