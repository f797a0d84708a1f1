#include "testing.h"

#include <string.h>

#include "base/mem.h"

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static void zeroed_memory_is_zero(void **state UNUSED)
{
    for (int round = 0; round < 100; round++) {
        CLEANUP(mem_freep) uint8_t *a = mem_zalloc(200);
        CLEANUP(mem_freep) uint8_t *b = mem_array(10, 20);
        assert_true(all_zero(a, 200) && all_zero(b, 200));
        memset(a, 0xff, 200);
        memset(b, 0xff, 200);
    }
}

static void nothing_is_a_valid_size(void **state UNUSED)
{
    CLEANUP(mem_freep) void *a = mem_alloc(0);
    CLEANUP(mem_freep) void *b = mem_zalloc(0);
    CLEANUP(mem_freep) void *c = mem_array(0, 8);
    CLEANUP(mem_freep) void *d = mem_dup(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_non_null(d);
    void *e = mem_resize(STEAL(a), 0, 8);
    assert_non_null(e);
    mem_free(e);
}

static void sizes_that_overflow_give_null(void **state UNUSED)
{
    assert_null(mem_array(SIZE_MAX / 2, 3));
    assert_null(mem_array(SIZE_MAX, SIZE_MAX));
    assert_null(mem_alloc(SIZE_MAX));
    assert_null(mem_zalloc(SIZE_MAX / 2 + 1));
    CLEANUP(mem_freep) char *p = mem_strdup("kept");
    assert_null(mem_resize(p, SIZE_MAX / 4, 5));
    assert_string_equal(p, "kept");
}

static void resizing_keeps_the_content(void **state UNUSED)
{
    char *p = mem_strdup("12345678");
    p = mem_resize(p, 1000, 4);
    assert_string_equal(p, "12345678");
    p = mem_resize(p, 9, 1);
    assert_string_equal(p, "12345678");
    mem_free(p);
    p = mem_resize(NULL, 4, 1);
    assert_non_null(p);
    mem_free(p);
}

static void texts_are_copied(void **state UNUSED)
{
    static const char text[] = "some text";
    CLEANUP(mem_freep) char *whole = mem_strdup(text);
    CLEANUP(mem_freep) char *part = mem_strndup(text, 4);
    CLEANUP(mem_freep) char *over = mem_strndup(text, 100);
    CLEANUP(mem_freep) char *bytes = mem_dup(text, sizeof(text));
    assert_ptr_not_equal(whole, text);
    assert_string_equal(whole, text);
    assert_string_equal(part, "some");
    assert_string_equal(over, text);
    assert_memory_equal(bytes, text, sizeof(text));
}

static void a_text_without_nul_is_read_up_to_its_length_only(void **state UNUSED)
{
    CLEANUP(mem_freep) char *three = mem_dup("abc", 3); /* the sanitizer watches its end */
    CLEANUP(mem_freep) char *copy = mem_strndup(three, 3);
    assert_string_equal(copy, "abc");
}

static void the_chosen_allocation_fails_once(void **state UNUSED)
{
    mem_fail_at(2);
    void *first = mem_alloc(1);
    void *second = mem_alloc(1);
    void *third = mem_alloc(1);
    assert_int_equal(mem_fail_at(0), 3);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    mem_free(first);
    mem_free(third);
}

static void every_way_to_allocate_can_fail(void **state UNUSED)
{
    CLEANUP(mem_freep) char *kept = mem_strdup("kept");
    mem_fail_at(1);
    assert_null(mem_zalloc(1));
    mem_fail_at(1);
    assert_null(mem_array(1, 1));
    mem_fail_at(1);
    assert_null(mem_resize(kept, 100, 1));
    mem_fail_at(1);
    assert_null(mem_strdup("x"));
    mem_fail_at(1);
    assert_null(mem_strndup("x", 1));
    mem_fail_at(1);
    assert_null(mem_dup("x", 1));
    assert_int_equal(mem_fail_at(0), 1);
    assert_string_equal(kept, "kept");
}

static void without_a_chosen_one_none_fails(void **state UNUSED)
{
    mem_fail_at(0);
    for (int i = 0; i < 10; i++) {
        CLEANUP(mem_freep) void *p = mem_alloc(1);
        assert_non_null(p);
    }
    assert_int_equal(mem_fail_at(0), 10);
    assert_int_equal(mem_fail_at(0), 0);
}

static void wiping_leaves_zeros_and_the_neighbours(void **state UNUSED)
{
    uint8_t secret[8];
    memset(secret, 0x5a, sizeof(secret));
    mem_wipe(secret + 1, 6);
    assert_int_equal(secret[0], 0x5a);
    assert_true(all_zero(secret + 1, 6));
    assert_int_equal(secret[7], 0x5a);
    mem_wipe(NULL, 0);
    mem_free_wiped(NULL, 8);
    void *p = mem_alloc(8);
    mem_free_wiped(p, 8);
}

static void secrets_are_equal_only_if_every_byte_is(void **state UNUSED)
{
    uint8_t a[33];
    uint8_t b[33];
    memset(a, 0xa5, sizeof(a));
    memset(b, 0xa5, sizeof(b));
    assert_true(mem_equal_secret(a, b, sizeof(a)));
    assert_true(mem_equal_secret(a, b, 0));
    for (size_t i = 0; i < sizeof(a); i++) {
        for (unsigned int bit = 0; bit < 8; bit++) {
            b[i] = (uint8_t)(a[i] ^ 1u << bit);
            assert_false(mem_equal_secret(a, b, sizeof(a)));
        }
        b[i] = a[i];
    }
}

static void a_stolen_pointer_outlives_its_scope(void **state UNUSED)
{
    char *out;
    {
        CLEANUP(mem_freep) char *p = mem_strdup("moved");
        out = STEAL(p);
        assert_null(p);
    }
    assert_string_equal(out, "moved");
    mem_free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(nothing_is_a_valid_size),
        cmocka_unit_test(sizes_that_overflow_give_null),
        cmocka_unit_test(resizing_keeps_the_content),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(a_text_without_nul_is_read_up_to_its_length_only),
        cmocka_unit_test(the_chosen_allocation_fails_once),
        cmocka_unit_test(every_way_to_allocate_can_fail),
        cmocka_unit_test(without_a_chosen_one_none_fails),
        cmocka_unit_test(wiping_leaves_zeros_and_the_neighbours),
        cmocka_unit_test(secrets_are_equal_only_if_every_byte_is),
        cmocka_unit_test(a_stolen_pointer_outlives_its_scope),
    };
    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
