#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/l4_index.h"

static struct l4_policy policy(unsigned n)
{
    struct l4_policy p;

    l4_policy_init(&p);
    p.priority = (uint16_t)n;
    p.outbound.proxy_port = 1;
    return p;
}

static void fill(struct l4_policies *l, unsigned count, unsigned different)
{
    l4_policies_init(l);
    for (unsigned n = 0; n < count; n++) {
        struct l4_policy p = policy(n % different);
        assert_int_equal(l4_policies_add(l, &p), 0);
    }
}

static void test_what_is_known_is_found_where_it_stands_first(void **state)
{
    (void)state;
    struct l4_policies l;
    struct l4_index x;
    struct l4_policy p;
    size_t at = 99;

    fill(&l, 9, 3);
    l4_index_init(&x, &l);
    p = policy(2);
    assert_false(l4_index_find(&x, &p, &at));
    l4_index_extend(&x, 2);
    assert_false(l4_index_find(&x, &p, &at));
    assert_int_equal(at, 99);
    l4_index_extend(&x, l.count);
    assert_true(l4_index_find(&x, &p, &at));
    assert_int_equal(at, 2);
    p = policy(3);
    assert_false(l4_index_find(&x, &p, &at));
    l4_policies_release(&l);
}

static void test_the_list_may_grow(void **state)
{
    (void)state;
    struct l4_policies l;
    struct l4_index x;
    size_t at = 0;

    l4_policies_init(&l);
    l4_index_init(&x, &l);
    for (unsigned n = 0; n < 100; n++) {
        struct l4_policy p = policy(n);
        assert_false(l4_index_find(&x, &p, &at));
        assert_int_equal(l4_policies_add(&l, &p), 0);
        l4_index_extend(&x, l.count);
        assert_true(l4_index_find(&x, &p, &at));
        assert_int_equal(at, n);
    }
    l4_policies_release(&l);
}

static void test_a_full_list_finds_its_own_and_nothing_else(void **state)
{
    (void)state;
    struct l4_policies l;
    struct l4_index x;
    struct l4_policy p;
    size_t at = 0;

    fill(&l, L4_POLICIES_MAX, L4_POLICIES_MAX);
    l4_index_init(&x, &l);
    l4_index_extend(&x, l.count);
    for (size_t i = 0; i < l.count; i++) {
        assert_true(l4_index_find(&x, &l.items[i], &at));
        assert_int_equal(at, i);
    }
    p = policy(L4_POLICIES_MAX);
    assert_false(l4_index_find(&x, &p, &at));
    l4_policies_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_known_is_found_where_it_stands_first),
        cmocka_unit_test(test_the_list_may_grow),
        cmocka_unit_test(test_a_full_list_finds_its_own_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
