/* The table with a hash of the test's own, which stands in for the library's: it can be made to
 * collide, and to be 0. */
#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/table.h"

static const uint8_t secret[16] = {1, 2, 3};

static uint64_t (*hash_fn)(struct slice key);

uint64_t siphash13(const uint64_t secret_words[2], struct slice key)
{
    assert_true(secret_words[0] == 0x030201 && secret_words[1] == 0);
    return hash_fn(key);
}

static uint64_t zero(struct slice key UNUSED)
{
    return 0;
}

/* All at the end of the slots, so that runs wrap around to the front. */
static uint64_t crowded(struct slice key)
{
    return UINT64_MAX - key.data[0] % 3;
}

static uint64_t spread(struct slice key)
{
    uint64_t h = 1;
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ key.data[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t (*const hashes[])(struct slice) = {zero, crowded, spread};

static void an_empty_table_finds_nothing(void **state UNUSED)
{
    hash_fn = spread;
    mem_fail_at(0);
    struct table t;
    size_t i = 0;
    table_init(&t, secret);
    assert_null(table_get(&t, SLICE_LIT("a")));
    assert_null(table_remove(&t, SLICE_LIT("a")));
    assert_null(table_next(&t, &i));
    assert_int_equal(mem_fail_at(0), 0);
    table_release(&t);
}

static void what_was_put_is_found_until_removed(void **state UNUSED)
{
    int a = 1;
    int b = 2;
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        hash_fn = hashes[i];
        struct table t;
        table_init(&t, secret);
        assert_int_equal(table_put(&t, SLICE_LIT("a"), &a), 0);
        assert_int_equal(table_put(&t, SLICE_LIT("b"), &b), 0);
        assert_ptr_equal(table_get(&t, SLICE_LIT("a")), &a);
        assert_ptr_equal(table_get(&t, SLICE_LIT("b")), &b);
        assert_null(table_get(&t, SLICE_LIT("ab")));
        assert_ptr_equal(table_remove(&t, SLICE_LIT("a")), &a);
        assert_null(table_get(&t, SLICE_LIT("a")));
        assert_null(table_remove(&t, SLICE_LIT("a")));
        assert_ptr_equal(table_get(&t, SLICE_LIT("b")), &b);
        assert_int_equal(t.count, 1);
        table_release(&t);
    }
}

static void a_key_is_put_once(void **state UNUSED)
{
    int a = 1;
    int b = 2;
    hash_fn = zero;
    struct table t;
    table_init(&t, secret);
    assert_int_equal(table_put(&t, slice_of(NULL, 0), &a), 0);
    assert_int_equal(table_put(&t, slice_of(NULL, 0), &b), ERR_EXISTS);
    assert_ptr_equal(table_get(&t, slice_of(NULL, 0)), &a);
    assert_int_equal(t.count, 1);
    table_release(&t);
}

struct entry {
    uint8_t key[2];
    bool in;
};

#define ENTRIES 300

static struct slice key_of(const struct entry *e)
{
    return slice_of(e->key, sizeof(e->key));
}

static void check_all(const struct table *t, const struct entry *entries)
{
    size_t in = 0;
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct entry *want = entries[i].in ? &entries[i] : NULL;
        assert_ptr_equal(table_get(t, key_of(&entries[i])), want);
        in += entries[i].in;
    }
    assert_int_equal(t->count, in);
}

/* Puts and removes at random, and asks for everything after each step. */
static void run_against_model(void)
{
    static struct entry entries[ENTRIES];
    memset(entries, 0, sizeof(entries));
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i].key[0] = (uint8_t)i;
        entries[i].key[1] = (uint8_t)(i >> 8);
    }
    struct table t;
    table_init(&t, secret);
    uint32_t random = 1;
    for (int step = 0; step < 1500; step++) {
        random = random * 1664525 + 1013904223;
        struct entry *e = &entries[(random >> 8) % ENTRIES];
        if (e->in)
            assert_ptr_equal(table_remove(&t, key_of(e)), e);
        else
            assert_int_equal(table_put(&t, key_of(e), e), 0);
        e->in = !e->in;
        if (step % 8 == 0)
            check_all(&t, entries);
    }
    check_all(&t, entries);
    table_release(&t);
}

static void it_agrees_with_a_plain_array_whatever_the_hash(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        hash_fn = hashes[i];
        run_against_model();
    }
}

static void the_loop_visits_everything_once(void **state UNUSED)
{
    uint8_t keys[100];
    int visits[100] = {0};
    hash_fn = spread;
    struct table t;
    table_init(&t, secret);
    for (size_t i = 0; i < 100; i++) {
        keys[i] = (uint8_t)i;
        assert_int_equal(table_put(&t, slice_of(&keys[i], 1), &visits[i]), 0);
    }
    int *v;
    for (size_t i = 0; (v = table_next(&t, &i)) != NULL;)
        ++*v;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(visits[i], 1);
    table_release(&t);
}

static void failed_growth_leaves_the_table_unchanged(void **state UNUSED)
{
    uint8_t keys[200];
    hash_fn = spread;
    struct table t;
    table_init(&t, secret);
    size_t failures = 0;
    for (size_t i = 0; i < 200; i++) {
        keys[i] = (uint8_t)i;
        mem_fail_at(1);
        int r = table_put(&t, slice_of(&keys[i], 1), &keys[i]);
        if (mem_fail_at(0) == 0)
            continue; /* there was room */
        failures++;
        assert_int_equal(r, ERR_NOMEM);
        assert_int_equal(t.count, i);
        for (size_t k = 0; k < i; k++)
            assert_ptr_equal(table_get(&t, slice_of(&keys[k], 1)), &keys[k]);
        assert_int_equal(table_put(&t, slice_of(&keys[i], 1), &keys[i]), 0);
    }
    assert_in_range(failures, 3, 6); /* amortised */
    table_release(&t);
}

static void a_released_table_is_empty_and_usable(void **state UNUSED)
{
    int a = 1;
    hash_fn = spread;
    struct table t;
    table_init(&t, secret);
    assert_int_equal(table_put(&t, SLICE_LIT("a"), &a), 0);
    table_release(&t);
    assert_null(table_get(&t, SLICE_LIT("a")));
    assert_int_equal(table_put(&t, SLICE_LIT("a"), &a), 0);
    assert_ptr_equal(table_get(&t, SLICE_LIT("a")), &a);
    table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_finds_nothing),
        cmocka_unit_test(what_was_put_is_found_until_removed),
        cmocka_unit_test(a_key_is_put_once),
        cmocka_unit_test(it_agrees_with_a_plain_array_whatever_the_hash),
        cmocka_unit_test(the_loop_visits_everything_once),
        cmocka_unit_test(failed_growth_leaves_the_table_unchanged),
        cmocka_unit_test(a_released_table_is_empty_and_usable),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
