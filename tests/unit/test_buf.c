#include "testing.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

static void check_content(const struct buf *b, const char *want)
{
    assert_int_equal(buf_len(b), strlen(want));
    assert_true(slice_eq_str(buf_slice(b), want));
}

static void a_new_buffer_is_empty_and_owns_nothing(void **state UNUSED)
{
    mem_fail_at(0);
    struct buf b;
    buf_init(&b, 10);
    check_content(&b, "");
    assert_int_equal(mem_fail_at(0), 0);
    assert_null(b.data);
    buf_release(&b);
}

static void bytes_come_out_in_the_order_they_went_in(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_put_str(&b, "abc"), 0);
    assert_int_equal(buf_put_u8(&b, 'd'), 0);
    assert_int_equal(buf_put(&b, SLICE_LIT("ef")), 0);
    assert_int_equal(buf_put(&b, slice_of(NULL, 0)), 0);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
    check_content(&b, "abcdef42-x");
    buf_consume(&b, 4);
    check_content(&b, "ef42-x");
    assert_int_equal(buf_put_str(&b, "!"), 0);
    check_content(&b, "ef42-x!");
    buf_clear(&b);
    check_content(&b, "");
    buf_release(&b);
}

static void the_cap_is_exact(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_put_str(&b, "abcdef"), ERR_TOOBIG);
    assert_int_equal(buf_put_str(&b, "abcde"), 0);
    assert_int_equal(buf_put_u8(&b, 'f'), ERR_TOOBIG);
    assert_int_equal(buf_printf(&b, "%d", 1), ERR_TOOBIG);
    check_content(&b, "abcde");
    assert_string_equal(buf_cstr(&b), "abcde");
    buf_consume(&b, 2);
    assert_int_equal(buf_printf(&b, "%d", 123), ERR_TOOBIG);
    assert_int_equal(buf_printf(&b, "%d", 12), 0);
    check_content(&b, "cde12");
    buf_release(&b);
}

static void a_request_near_the_largest_size_is_over_the_cap(void **state UNUSED)
{
    struct buf b;
    uint8_t *space = NULL;
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_put_str(&b, "abc"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX, &space), ERR_TOOBIG);
    assert_int_equal(buf_reserve(&b, SIZE_MAX - 2, &space), ERR_TOOBIG);
    assert_null(space);
    buf_release(&b);
}

static void reserved_space_counts_once_committed(void **state UNUSED)
{
    struct buf b;
    uint8_t *space;
    buf_init(&b, 100);
    assert_int_equal(buf_reserve(&b, 100, &space), 0);
    memset(space, 'x', 100);
    assert_int_equal(buf_len(&b), 0);
    buf_commit(&b, 3);
    check_content(&b, "xxx");
    buf_commit(&b, 0);
    check_content(&b, "xxx");
    buf_release(&b);
}

static void failed_growth_leaves_the_buffer_unchanged(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 10000);
    mem_fail_at(1);
    assert_int_equal(buf_put_str(&b, "abc"), ERR_NOMEM);
    check_content(&b, "");
    assert_int_equal(buf_put_str(&b, "abc"), 0);
    uint8_t *space = NULL;
    mem_fail_at(1);
    assert_int_equal(buf_reserve(&b, 5000, &space), ERR_NOMEM);
    assert_null(space);
    mem_fail_at(1);
    assert_int_equal(buf_printf(&b, "%05000d", 1), ERR_NOMEM);
    mem_fail_at(0);
    check_content(&b, "abc");
    buf_release(&b);
}

/* A queue of bytes that is filled and drained at the same rate must settle in the memory it has. */
static void a_steady_stream_stops_allocating(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 300);
    uint8_t in = 0;
    uint8_t out = 0;
    mem_fail_at(0);
    for (int i = 0; i < 100000; i++) {
        while (buf_len(&b) < 299)
            assert_int_equal(buf_put_u8(&b, in++), 0);
        struct slice s = buf_slice(&b);
        size_t n = (size_t)(i % 7 + 1);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(s.data[k], out++);
        buf_consume(&b, n);
    }
    assert_in_range(mem_fail_at(0), 1, 4);
    buf_release(&b);
}

static void growth_is_amortised(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    mem_fail_at(0);
    for (int i = 0; i < 1 << 20; i++)
        assert_int_equal(buf_put_u8(&b, (uint8_t)i), 0);
    assert_in_range(mem_fail_at(0), 2, 20);
    assert_int_equal(buf_len(&b), 1 << 20);
    buf_release(&b);
}

static void text_is_lent_with_a_nul_that_is_not_counted(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 64);
    assert_string_equal(buf_cstr(&b), "");
    assert_int_equal(buf_put_str(&b, "key=value"), 0);
    buf_consume(&b, 4);
    assert_string_equal(buf_cstr(&b), "value");
    assert_int_equal(buf_put_str(&b, "s"), 0);
    check_content(&b, "values");
    buf_release(&b);

    mem_fail_at(1);
    assert_null(buf_cstr(&b));
    mem_fail_at(0);
}

static void stolen_text_belongs_to_the_thief(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 64);
    assert_int_equal(buf_put_str(&b, "key=value"), 0);
    buf_consume(&b, 4);
    char *text = buf_steal_cstr(&b);
    assert_string_equal(text, "value");
    check_content(&b, "");
    assert_int_equal(buf_put_str(&b, "other"), 0);
    assert_string_equal(text, "value");
    mem_free(text);
    buf_release(&b);

    mem_fail_at(1);
    assert_null(buf_steal_cstr(&b));
    mem_fail_at(0);
}

static void a_released_buffer_may_be_used_again(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 3);
    assert_int_equal(buf_put_str(&b, "abc"), 0);
    buf_release_wiped(&b);
    assert_null(b.data);
    assert_int_equal(buf_put_str(&b, "abcd"), ERR_TOOBIG);
    assert_int_equal(buf_put_str(&b, "xyz"), 0);
    check_content(&b, "xyz");
    buf_release(&b);
    buf_release(&b);
}

static void a_cap_of_nothing_takes_nothing(void **state UNUSED)
{
    struct buf b;
    buf_init(&b, 0);
    assert_int_equal(buf_put_u8(&b, 1), ERR_TOOBIG);
    assert_int_equal(buf_put_str(&b, ""), 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(bytes_come_out_in_the_order_they_went_in),
        cmocka_unit_test(the_cap_is_exact),
        cmocka_unit_test(a_request_near_the_largest_size_is_over_the_cap),
        cmocka_unit_test(reserved_space_counts_once_committed),
        cmocka_unit_test(failed_growth_leaves_the_buffer_unchanged),
        cmocka_unit_test(a_steady_stream_stops_allocating),
        cmocka_unit_test(growth_is_amortised),
        cmocka_unit_test(text_is_lent_with_a_nul_that_is_not_counted),
        cmocka_unit_test(stolen_text_belongs_to_the_thief),
        cmocka_unit_test(a_released_buffer_may_be_used_again),
        cmocka_unit_test(a_cap_of_nothing_takes_nothing),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
