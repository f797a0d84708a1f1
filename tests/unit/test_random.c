#include "testing.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"

static void every_byte_is_filled(void **state UNUSED)
{
    enum { SIZE = 3 << 20 }; /* more than one request to the system takes */
    CLEANUP(mem_freep) uint8_t *p = mem_zalloc(SIZE);
    assert_non_null(p);
    random_bytes(p, SIZE);
    /* 64 zeros in a row are a place that was left out: chance gives them once in 2^490. */
    size_t zeros = 0;
    for (size_t i = 0; i < SIZE; i++) {
        zeros = p[i] == 0 ? zeros + 1 : 0;
        assert_true(zeros < 64);
    }
}

static void all_of_the_place_and_nothing_else_is_filled(void **state UNUSED)
{
    uint8_t p[34] = {0};
    uint8_t ever[34] = {0};
    for (int i = 0; i < 100; i++) {
        random_bytes(p + 1, 32);
        for (size_t k = 0; k < sizeof(p); k++)
            ever[k] |= p[k];
    }
    for (size_t k = 1; k < 33; k++)
        assert_int_equal(ever[k], 0xff); /* chance leaves a bit out once in 2^92 */
    assert_int_equal(ever[0] | ever[33], 0);
    random_bytes(p, 0);
    assert_int_equal(p[0], 0);
}

static void numbers_do_not_repeat(void **state UNUSED)
{
    uint64_t seen[64];
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        seen[i] = random_u64();
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_filled),
        cmocka_unit_test(all_of_the_place_and_nothing_else_is_filled),
        cmocka_unit_test(numbers_do_not_repeat),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
