#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/l4_policy.h"

static struct l4_policy policy(uint16_t port, uint16_t priority)
{
    struct l4_policy p;

    l4_policy_init(&p);
    p.outbound.proxy_port = port;
    p.priority = priority;
    return p;
}

static void add(struct l4_policies *l, uint16_t port, uint16_t priority)
{
    struct l4_policy p = policy(port, priority);

    assert_int_equal(l4_policies_add(l, &p), 0);
}

static void expect_text(const struct l4_policy *p, const char *text)
{
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, 4096);
    assert_int_equal(l4_policy_format(p, &b), 0);
    assert_string_equal(buf_cstr(&b), text);
}

static void test_a_new_policy_is_of_tcp_and_has_no_ports(void **state)
{
    (void)state;
    struct l4_policy p;

    l4_policy_init(&p);
    assert_int_equal(p.protocols, L4_TCP);
    assert_int_equal(p.inbound.proxy_port, 0);
    assert_int_equal(p.outbound.proxy_port, 0);
    expect_text(&p, "TCP to no port");
}

/* Each change alone makes another policy. */
static void test_every_member_counts_for_equality(void **state)
{
    (void)state;
    struct l4_policy a = policy(8000, 0), b;
    size_t at = 0;

#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        b = a;                                                                                     \
        assert_true(l4_policy_eq(&a, &b));                                                         \
        change;                                                                                    \
        assert_false(l4_policy_eq(&a, &b));                                                        \
        assert_false(l4_policy_eq(&b, &a));                                                        \
        assert_true(l4_policy_hash(&a) != l4_policy_hash(&b));                                     \
        at++;                                                                                      \
    } while (0)
    DIFFERS(b.inbound.proxy_port = 1);
    DIFFERS(b.outbound.proxy_port = 1);
    DIFFERS(b.protocols = L4_UDP);
    DIFFERS(b.udp = L4_UDP_REDIRECT);
    DIFFERS(b.priority = 1);
    DIFFERS((void)port_set_add(&b.local_ports, "1", NULL));
    DIFFERS((void)port_set_add(&b.remote_ports, "1", NULL));
    DIFFERS((void)port_set_add(&b.inbound.port_exceptions, "1", NULL));
    DIFFERS((void)port_set_add(&b.outbound.port_exceptions, "1", NULL));
    DIFFERS((void)prefix_set_add(&b.local_addresses, "10.0.0.1", NULL));
    DIFFERS((void)prefix_set_add(&b.remote_addresses, "10.0.0.1", NULL));
    DIFFERS((void)prefix_set_add(&b.inbound.address_exceptions, "10.0.0.1", NULL));
    DIFFERS((void)prefix_set_add(&b.outbound.address_exceptions, "10.0.0.1", NULL));
    DIFFERS(b.guard.has_uid = true);
    DIFFERS(b.guard.has_gid = true);
    DIFFERS(b.guard.user_sid[0] = 'S');
    DIFFERS(b.guard.cgroup[0] = 'a');
#undef DIFFERS
    assert_int_equal(at, 17);
    /* A number that doesn't count. */
    b = a;
    b.guard.uid = 7;
    assert_true(l4_policy_eq(&a, &b));
    assert_true(l4_policy_hash(&a) == l4_policy_hash(&b));
}

static void test_the_order_of_addresses_counts_neither_for_equality_nor_for_the_hash(void **state)
{
    (void)state;
    struct l4_policy a = policy(8000, 0), b = a;

    assert_int_equal(prefix_set_add_list(&a.remote_addresses, "fd00::/8,10.0.0.1", NULL), 0);
    assert_int_equal(prefix_set_add_list(&b.remote_addresses, "10.0.0.1,fd00::/8", NULL), 0);
    assert_true(l4_policy_eq(&a, &b));
    assert_true(l4_policy_hash(&a) == l4_policy_hash(&b));
}

static void test_a_line_for_people_names_all_that_is_set(void **state)
{
    (void)state;
    struct l4_policy p = policy(8000, 0);

    p.guard.has_uid = true;
    p.guard.uid = 1337;
    expect_text(&p, "outbound TCP to port 8000, not of uid 1337");
    p.inbound.proxy_port = 8000;
    expect_text(&p, "inbound and outbound TCP to port 8000, not of uid 1337");
    p.inbound.proxy_port = 9000;
    p.protocols = L4_TCP | L4_UDP;
    p.udp = L4_UDP_REDIRECT;
    p.priority = 7;
    p.guard.has_gid = true;
    (void)memcpy(p.guard.cgroup, "a/b", 4);
    (void)memcpy(p.guard.user_sid, "S-1-5-18", 9);
    assert_int_equal(prefix_set_add_list(&p.local_addresses, "10.0.0.1", NULL), 0);
    assert_int_equal(port_set_add_list(&p.local_ports, "1", NULL), 0);
    assert_int_equal(prefix_set_add_list(&p.remote_addresses, "fd00::/8,10.0.0.0/8", NULL), 0);
    assert_int_equal(port_set_add_list(&p.remote_ports, "2-4", NULL), 0);
    assert_int_equal(port_set_add_list(&p.inbound.port_exceptions, "5", NULL), 0);
    assert_int_equal(prefix_set_add_list(&p.inbound.address_exceptions, "10.0.0.6", NULL), 0);
    assert_int_equal(port_set_add_list(&p.outbound.port_exceptions, "7", NULL), 0);
    assert_int_equal(prefix_set_add_list(&p.outbound.address_exceptions, "10.0.0.8", NULL), 0);
    expect_text(
        &p, "inbound TCP and UDP to port 9000, outbound TCP and UDP to port 8000 (UDP by "
            "redirect), local addresses 10.0.0.1, local ports 1, remote addresses "
            "fd00::/8,10.0.0.0/8, remote ports 2-4, not inbound ports 5, not inbound from "
            "10.0.0.6, not outbound ports 7, not outbound to 10.0.0.8, not of SID S-1-5-18, not "
            "of uid 1337, not of gid 0, not of cgroup a/b, priority 7");
}

static void test_sorting_is_by_priority_and_stable(void **state)
{
    (void)state;
    struct l4_policies l;

    l4_policies_init(&l);
    for (uint16_t i = 0; i < 1000; i++)
        add(&l, (uint16_t)(i + 1), (uint16_t)((i * 7919U) % 10));
    l4_policies_sort(&l);
    for (size_t i = 1; i < l.count; i++) {
        const struct l4_policy *a = &l.items[i - 1], *b = &l.items[i];
        assert_true(a->priority < b->priority || (a->priority == b->priority &&
                                                  a->outbound.proxy_port < b->outbound.proxy_port));
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < l.count; i++)
        sum += l.items[i].outbound.proxy_port;
    assert_int_equal(sum, 1000 * 1001 / 2);
    l4_policies_release(&l);
}

static void test_few_policies_sort_too(void **state)
{
    (void)state;
    struct l4_policies l;

    l4_policies_init(&l);
    l4_policies_sort(&l);
    add(&l, 1, 5);
    l4_policies_sort(&l);
    assert_int_equal(l.items[0].outbound.proxy_port, 1);
    add(&l, 2, 3);
    add(&l, 3, 4);
    l4_policies_sort(&l);
    assert_int_equal(l.items[0].outbound.proxy_port, 2);
    assert_int_equal(l.items[1].outbound.proxy_port, 3);
    assert_int_equal(l.items[2].outbound.proxy_port, 1);
    l4_policies_release(&l);
}

static void test_lists_are_equal_when_they_are_evaluated_alike(void **state)
{
    (void)state;
    struct l4_policies a, b;

    l4_policies_init(&a);
    l4_policies_init(&b);
    assert_true(l4_policies_eq(&a, &b));
    add(&a, 1, 2);
    add(&a, 2, 1);
    add(&b, 2, 1);
    assert_false(l4_policies_eq(&a, &b));
    add(&b, 1, 2);
    assert_true(l4_policies_eq(&a, &b));
    /* Of the same priority, their order counts. */
    add(&a, 3, 5);
    add(&a, 4, 5);
    add(&b, 4, 5);
    add(&b, 3, 5);
    assert_false(l4_policies_eq(&a, &b));
    l4_policies_release(&a);
    l4_policies_release(&b);
}

static void test_a_copy_is_its_own(void **state)
{
    (void)state;
    struct l4_policies l, copy, none;

    l4_policies_init(&l);
    assert_int_equal(l4_policies_copy(&l, &none), 0);
    assert_int_equal(none.count, 0);
    add(&l, 1, 0);
    assert_int_equal(l4_policies_copy(&l, &copy), 0);
    l.items[0].outbound.proxy_port = 2;
    assert_int_equal(copy.items[0].outbound.proxy_port, 1);
    add(&copy, 3, 0);
    assert_int_equal(l.count, 1);
    l4_policies_release(&l);
    l4_policies_release(&copy);
    l4_policies_release(&none);
}

static void test_a_list_has_a_limit(void **state)
{
    (void)state;
    struct l4_policies l;
    struct l4_policy p = policy(1, 0);

    l4_policies_init(&l);
    for (size_t i = 0; i < L4_POLICIES_MAX; i++)
        assert_int_equal(l4_policies_add(&l, &p), 0);
    assert_int_equal(l4_policies_add(&l, &p), ERR_LIMIT);
    assert_int_equal(l.count, L4_POLICIES_MAX);
    l4_policies_sort(&l);
    l4_policies_release(&l);
}

static void test_a_list_survives_lack_of_memory(void **state)
{
    (void)state;
    struct l4_policies l, copy = {.count = 7};
    struct l4_policy p = policy(1, 0);

    l4_policies_init(&l);
    (void)mem_fail_at(1);
    assert_int_equal(l4_policies_add(&l, &p), ERR_NOMEM);
    assert_int_equal(l.count, 0);
    add(&l, 1, 0);
    (void)mem_fail_at(1);
    assert_int_equal(l4_policies_copy(&l, &copy), ERR_NOMEM);
    assert_int_equal(copy.count, 7);
    (void)mem_fail_at(0);
    l4_policies_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_policy_is_of_tcp_and_has_no_ports),
        cmocka_unit_test(test_every_member_counts_for_equality),
        cmocka_unit_test(test_the_order_of_addresses_counts_neither_for_equality_nor_for_the_hash),
        cmocka_unit_test(test_a_line_for_people_names_all_that_is_set),
        cmocka_unit_test(test_sorting_is_by_priority_and_stable),
        cmocka_unit_test(test_few_policies_sort_too),
        cmocka_unit_test(test_lists_are_equal_when_they_are_evaluated_alike),
        cmocka_unit_test(test_a_copy_is_its_own),
        cmocka_unit_test(test_a_list_has_a_limit),
        cmocka_unit_test(test_a_list_survives_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
