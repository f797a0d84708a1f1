/* One question on its way at a time: who joins, who asks, who hears. */
#include "testing.h"

#include "base/err.h"
#include "base/mem.h"
#include "engine/flight.h"

static struct flights flights;

static int setup(void **state)
{
    (void)state;
    flights_init(&flights);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    flights_release(&flights);
    return 0;
}

static void heard(void)
{
}

static unsigned hand_out(struct flight *f)
{
    unsigned count = 0;
    struct waiter *waiter;
    while ((waiter = flight_next(f)) != NULL) {
        assert_ptr_equal(waiter->done, heard);
        (*(unsigned *)waiter->arg)++;
        mem_free(waiter);
        count++;
    }
    return count;
}

static void only_the_first_asks_and_all_hear(void **state)
{
    (void)state;
    unsigned calls[3] = {0};
    struct flight *f[3];
    bool first[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            flight_join(&flights, slice_str("pg:5432"), heard, &calls[i], &f[i], &first[i]), 0);
    assert_true(first[0] && !first[1] && !first[2]);
    assert_ptr_equal(f[0], f[2]);
    flight_land(&flights, f[0]);
    assert_int_equal(hand_out(f[0]), 3);
    flight_free(f[0]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(calls[i], 1);
}

static void other_questions_are_asked_by_themselves(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct flight *a, *b;
    bool first = false;
    assert_int_equal(flight_join(&flights, slice_str("pg:5432"), heard, &calls, &a, &first), 0);
    assert_int_equal(flight_join(&flights, slice_str("pg:5433"), heard, &calls, &b, &first), 0);
    assert_true(first);
    assert_ptr_not_equal(a, b);
}

static void after_landing_the_next_asks_anew(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct flight *f, *g;
    bool first = false;
    assert_int_equal(flight_join(&flights, slice_str("x"), heard, &calls, &f, &first), 0);
    flight_land(&flights, f);
    assert_int_equal(flight_join(&flights, slice_str("x"), heard, &calls, &g, &first), 0);
    assert_true(first);
    assert_int_equal(hand_out(f), 1);
    flight_free(f);
}

static void waiters_are_bounded(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct flight *f;
    bool first;
    for (int i = 0; i < FLIGHT_WAITERS_MAX; i++)
        assert_int_equal(flight_join(&flights, slice_str("x"), heard, &calls, &f, &first), 0);
    assert_int_equal(flight_join(&flights, slice_str("x"), heard, &calls, &f, &first), ERR_LIMIT);
}

static void memory_that_runs_out_leaves_nothing_half_done(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct flight *f;
    bool first = false;
    int r = ERR_NOMEM;
    for (uint64_t n = 1; r == ERR_NOMEM; n++) {
        assert_true(n < 20);
        (void)mem_fail_at(n);
        r = flight_join(&flights, slice_str("x"), heard, &calls, &f, &first);
        (void)mem_fail_at(0);
    }
    assert_int_equal(r, 0);
    assert_true(first);
    flight_land(&flights, f);
    assert_int_equal(hand_out(f), 1);
    flight_free(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_first_asks_and_all_hear),
        TEST(other_questions_are_asked_by_themselves),
        TEST(after_landing_the_next_asks_anew),
        TEST(waiters_are_bounded),
        TEST(memory_that_runs_out_leaves_nothing_half_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
