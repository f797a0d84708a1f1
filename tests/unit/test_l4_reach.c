#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "policy/l4_reach.h"

enum { LISTS = 300, LENGTH = 40 };

/* Whether a decides about all that b would, each list by itself. */
static bool takes_all_of(const struct l4_policy *a, const struct l4_policy *b)
{
    return (b->inbound.proxy_port == 0 || a->inbound.proxy_port != 0) &&
           (b->outbound.proxy_port == 0 || a->outbound.proxy_port != 0) &&
           (b->protocols & ~a->protocols) == 0 &&
           (a->local_ports.count == 0 || port_set_eq(&a->local_ports, &b->local_ports)) &&
           (a->remote_ports.count == 0 || port_set_eq(&a->remote_ports, &b->remote_ports)) &&
           (a->local_addresses.count == 0 ||
            prefix_set_eq(&a->local_addresses, &b->local_addresses)) &&
           (a->remote_addresses.count == 0 ||
            prefix_set_eq(&a->remote_addresses, &b->remote_addresses));
}

/* Each against each. */
static size_t expected(const struct l4_policies *l, size_t b)
{
    for (size_t a = 0; a < l->count; a++) {
        uint16_t of_a = l->items[a].priority, of_b = l->items[b].priority;
        if ((of_a < of_b || (of_a == of_b && a < b)) && takes_all_of(&l->items[a], &l->items[b]))
            return a + 1;
    }
    return 0;
}

static unsigned chance(unsigned *seed, unsigned of)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % of;
}

static struct l4_policy any_policy(unsigned *seed)
{
    static const char *const ports[] = {"53", "80,443", "443,80", "1-100"};
    static const char *const addresses[] = {"10.0.0.0/8", "10.0.0.1,fd00::1", "fd00::1,10.0.0.1"};
    struct l4_policy p;

    l4_policy_init(&p);
    p.priority = (uint16_t)chance(seed, 3);
    p.protocols = 1 + chance(seed, 3);
    p.inbound.proxy_port = (uint16_t)chance(seed, 2);
    p.outbound.proxy_port = (uint16_t)chance(seed, 2);
    if (chance(seed, 2) > 0)
        (void)port_set_add_list(&p.remote_ports, ports[chance(seed, 4)], NULL);
    if (chance(seed, 3) == 0)
        (void)port_set_add_list(&p.local_ports, ports[chance(seed, 4)], NULL);
    if (chance(seed, 2) > 0)
        (void)prefix_set_add_list(&p.remote_addresses, addresses[chance(seed, 3)], NULL);
    if (chance(seed, 3) == 0)
        (void)prefix_set_add_list(&p.local_addresses, addresses[chance(seed, 3)], NULL);
    return p;
}

static void test_it_is_the_first_in_the_list_of_those_that_are_earlier_and_take_all(void **state)
{
    (void)state;
    struct l4_reach reach;
    unsigned seed = 1;
    size_t taken = 0;

    for (size_t i = 0; i < LISTS; i++) {
        struct l4_policies l;
        l4_policies_init(&l);
        for (size_t n = 0; n < LENGTH; n++) {
            struct l4_policy p = any_policy(&seed);
            assert_int_equal(l4_policies_add(&l, &p), 0);
        }
        l4_reach_find(&l, &reach);
        for (size_t n = 0; n < LENGTH; n++) {
            assert_int_equal(reach.taken_by[n], expected(&l, n));
            taken += reach.taken_by[n] != 0;
        }
        l4_policies_release(&l);
    }
    /* Lists in which nothing, or everything, is taken would show nothing. */
    assert_in_range(taken, LISTS * LENGTH / 10, LISTS * LENGTH * 9 / 10);
}

static void test_no_policies_are_no_problem(void **state)
{
    (void)state;
    struct l4_policies l;
    struct l4_reach reach = {{7}};

    l4_policies_init(&l);
    l4_reach_find(&l, &reach);
    assert_int_equal(reach.taken_by[0], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_the_first_in_the_list_of_those_that_are_earlier_and_take_all),
        cmocka_unit_test(test_no_policies_are_no_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
