#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/slice.h"

static const uint8_t sample[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static void slices_compare_by_content(void **state UNUSED)
{
    assert_true(slice_eq(slice_str("abc"), SLICE_LIT("abc")));
    assert_false(slice_eq(slice_str("abc"), slice_str("abd")));
    assert_false(slice_eq(slice_str("abc"), slice_str("ab")));
    assert_true(slice_eq(slice_of(NULL, 0), slice_str("")));
    assert_true(slice_eq_str(SLICE_LIT("abc"), "abc"));
    assert_false(slice_eq_str(SLICE_LIT("ab\0"), "ab"));
}

static void parts_of_slices_stay_inside(void **state UNUSED)
{
    struct slice s = SLICE_LIT("abcdef");
    assert_true(slice_eq_str(slice_from(s, 0), "abcdef"));
    assert_true(slice_eq_str(slice_from(s, 4), "ef"));
    assert_int_equal(slice_from(s, 6).len, 0);
    assert_int_equal(slice_from(s, SIZE_MAX).len, 0);
    assert_true(slice_eq_str(slice_first(s, 2), "ab"));
    assert_true(slice_eq_str(slice_first(s, SIZE_MAX), "abcdef"));
    assert_int_equal(slice_first(s, 0).len, 0);
}

static void integers_are_read_big_endian(void **state UNUSED)
{
    struct rd r = rd_init(slice_of(sample, 8));
    assert_int_equal(rd_u8(&r), 0x01);
    assert_int_equal(rd_u16(&r), 0x2345);
    assert_int_equal(rd_u32(&r), 0x6789abcd);
    assert_int_equal(rd_left(&r), 1);
    assert_int_equal(rd_u8(&r), 0xef);
    assert_int_equal(rd_end(&r), 0);
    r = rd_init(slice_of(sample, 8));
    assert_true(rd_u64(&r) == UINT64_C(0x0123456789abcdef));
    assert_int_equal(rd_end(&r), 0);
}

static void integers_named_le_are_read_little_endian(void **state UNUSED)
{
    struct rd r = rd_init(slice_of(sample, 8));
    assert_int_equal(rd_u16le(&r), 0x2301);
    assert_int_equal(rd_u32le(&r), 0xab896745);
    r = rd_init(slice_of(sample, 8));
    assert_true(rd_u64le(&r) == UINT64_C(0xefcdab8967452301));
}

static void bytes_are_borrowed_copied_and_skipped(void **state UNUSED)
{
    struct rd r = rd_init(slice_of(sample, 8));
    struct slice two = rd_bytes(&r, 2);
    assert_ptr_equal(two.data, sample);
    assert_int_equal(two.len, 2);
    rd_skip(&r, 1);
    uint8_t copy[3];
    assert_true(rd_copy(&r, copy, 3));
    assert_memory_equal(copy, sample + 3, 3);
    assert_int_equal(rd_end(&r), ERR_FORMAT); /* two are left */
    rd_skip(&r, 2);
    assert_int_equal(rd_end(&r), 0);
}

static void reading_past_the_end_gives_zeros_for_good(void **state UNUSED)
{
    struct rd r = rd_init(slice_of(sample, 3));
    assert_int_equal(rd_u32(&r), 0);
    assert_int_equal(rd_u8(&r), 0); /* though a byte would be there */
    assert_int_equal(rd_u16(&r), 0);
    assert_true(rd_u64(&r) == 0);
    assert_int_equal(rd_bytes(&r, 1).len, 0);
    uint8_t copy[2] = {7, 7};
    assert_false(rd_copy(&r, copy, 2));
    assert_int_equal(copy[0] | copy[1], 0);
    assert_int_equal(rd_end(&r), ERR_TRUNCATED);
}

static void a_length_that_would_wrap_around_is_past_the_end(void **state UNUSED)
{
    struct rd r = rd_init(slice_of(sample, 8));
    rd_skip(&r, 4);
    assert_int_equal(rd_bytes(&r, SIZE_MAX - 2).len, 0);
    assert_int_equal(rd_end(&r), ERR_TRUNCATED);
    r = rd_init(slice_of(sample, 8));
    rd_skip(&r, SIZE_MAX);
    assert_true(r.bad);
}

static void empty_input_ends_well_at_once(void **state UNUSED)
{
    struct rd r = rd_init(slice_of(NULL, 0));
    assert_int_equal(rd_end(&r), 0);
    assert_int_equal(rd_bytes(&r, 0).len, 0);
    assert_true(rd_copy(&r, NULL, 0));
    assert_int_equal(rd_end(&r), 0);
    rd_u8(&r);
    assert_int_equal(rd_end(&r), ERR_TRUNCATED);
}

static void what_is_written_is_read_back(void **state UNUSED)
{
    uint8_t memory[64];
    struct wr w = wr_init(memory, sizeof(memory));
    wr_u8(&w, 0xfe);
    wr_u16(&w, 0xfedc);
    wr_u32(&w, 0xfedcba98);
    wr_u64(&w, UINT64_C(0xfedcba9876543210));
    wr_u16le(&w, 0xfedc);
    wr_u32le(&w, 0xfedcba98);
    wr_u64le(&w, UINT64_C(0xfedcba9876543210));
    wr_bytes(&w, SLICE_LIT("text"));
    wr_zeros(&w, 2);
    assert_int_equal(wr_end(&w), 0);
    assert_int_equal(wr_len(&w), 1 + 2 + 4 + 8 + 2 + 4 + 8 + 4 + 2);

    struct rd r = rd_init(slice_of(memory, wr_len(&w)));
    assert_int_equal(rd_u8(&r), 0xfe);
    assert_int_equal(rd_u16(&r), 0xfedc);
    assert_int_equal(rd_u32(&r), 0xfedcba98);
    assert_true(rd_u64(&r) == UINT64_C(0xfedcba9876543210));
    assert_int_equal(rd_u16le(&r), 0xfedc);
    assert_int_equal(rd_u32le(&r), 0xfedcba98);
    assert_true(rd_u64le(&r) == UINT64_C(0xfedcba9876543210));
    assert_true(slice_eq_str(rd_bytes(&r, 4), "text"));
    assert_int_equal(rd_u16(&r), 0);
    assert_int_equal(rd_end(&r), 0);
}

static void the_byte_order_on_the_wire_is_as_named(void **state UNUSED)
{
    uint8_t memory[8];
    struct wr w = wr_init(memory, sizeof(memory));
    wr_u64(&w, UINT64_C(0x0123456789abcdef));
    assert_memory_equal(memory, sample, 8);
    w = wr_init(memory, sizeof(memory));
    wr_u64le(&w, UINT64_C(0xefcdab8967452301));
    assert_memory_equal(memory, sample, 8);
}

static void a_write_that_does_not_fit_is_the_last(void **state UNUSED)
{
    uint8_t memory[6];
    memset(memory, 0xaa, sizeof(memory));
    struct wr w = wr_init(memory, 5);
    wr_u32(&w, 0);
    wr_u16(&w, 0);
    assert_int_equal(wr_end(&w), ERR_TOOBIG);
    wr_u8(&w, 0); /* would fit, but the message is already broken */
    wr_bytes(&w, SLICE_LIT("x"));
    wr_zeros(&w, 1);
    assert_int_equal(wr_len(&w), 4);
    assert_int_equal(memory[4], 0xaa);
    assert_int_equal(memory[5], 0xaa);
}

static void memory_may_be_filled_to_its_last_byte(void **state UNUSED)
{
    uint8_t memory[4];
    struct wr w = wr_init(memory, sizeof(memory));
    wr_u32(&w, 1);
    wr_bytes(&w, slice_of(NULL, 0));
    wr_zeros(&w, 0);
    assert_int_equal(wr_end(&w), 0);
    wr_zeros(&w, SIZE_MAX);
    assert_int_equal(wr_end(&w), ERR_TOOBIG);
}

static void no_memory_holds_nothing(void **state UNUSED)
{
    struct wr w = wr_init(NULL, 0);
    wr_bytes(&w, slice_of(NULL, 0));
    assert_int_equal(wr_end(&w), 0);
    wr_u8(&w, 1);
    assert_int_equal(wr_end(&w), ERR_TOOBIG);
    assert_int_equal(wr_len(&w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_by_content),
        cmocka_unit_test(parts_of_slices_stay_inside),
        cmocka_unit_test(integers_are_read_big_endian),
        cmocka_unit_test(integers_named_le_are_read_little_endian),
        cmocka_unit_test(bytes_are_borrowed_copied_and_skipped),
        cmocka_unit_test(reading_past_the_end_gives_zeros_for_good),
        cmocka_unit_test(a_length_that_would_wrap_around_is_past_the_end),
        cmocka_unit_test(empty_input_ends_well_at_once),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_byte_order_on_the_wire_is_as_named),
        cmocka_unit_test(a_write_that_does_not_fit_is_the_last),
        cmocka_unit_test(memory_may_be_filled_to_its_last_byte),
        cmocka_unit_test(no_memory_holds_nothing),
    };
    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
