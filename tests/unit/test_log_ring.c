#include "testing.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log_ring.h"

static void put(struct log_ring *r, const char *line)
{
    log_ring_put(r, slice_str(line));
}

static void check(struct log_ring *r, const char *want)
{
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(log_ring_copy(r, &b), 0);
    assert_string_equal(buf_cstr(&b), want);
}

static void lines_come_back_in_order(void **state UNUSED)
{
    struct log_ring *r = NULL;
    assert_int_equal(log_ring_new(100, &r), 0);
    check(r, "");
    put(r, "one\n");
    put(r, "two\n");
    check(r, "one\ntwo\n");
    check(r, "one\ntwo\n");
    log_ring_free(r);
}

static void the_oldest_lines_go_whole(void **state UNUSED)
{
    struct log_ring *r = NULL;
    assert_int_equal(log_ring_new(10, &r), 0);
    put(r, "1234\n");
    put(r, "abcd\n");
    check(r, "1234\nabcd\n");
    put(r, "x\n");
    check(r, "abcd\nx\n");
    put(r, "567890\n");
    check(r, "x\n567890\n");
    put(r, "123456789\n"); /* the whole ring */
    check(r, "123456789\n");
    put(r, "\n");
    check(r, "\n");
    log_ring_free(r);
}

static void a_line_longer_than_the_ring_is_left_out(void **state UNUSED)
{
    struct log_ring *r = NULL;
    assert_int_equal(log_ring_new(10, &r), 0);
    put(r, "1234\n");
    put(r, "12345678901\n");
    check(r, "1234\n");
    log_ring_free(r);
}

/* Against the plainest way to say the same. */
static void it_holds_the_longest_end_that_fits_whatever_the_lengths(void **state UNUSED)
{
    enum { SIZE = 97, COUNT = 2000 };
    static char all[COUNT * 32 + 1];
    size_t len = 0;
    struct log_ring *r = NULL;
    assert_int_equal(log_ring_new(SIZE, &r), 0);
    for (unsigned int i = 0; i < COUNT; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "%u%.*s\n", i, (int)(i * 7 % 17), "----------------");
        memcpy(all + len, line, (size_t)n + 1);
        len += (size_t)n;
        put(r, line);
        const char *want = all + len;
        for (const char *p = all + len - 1; p >= all && len - (size_t)(p - all) <= SIZE; p--)
            if (p == all || p[-1] == '\n')
                want = p;
        check(r, want);
    }
    log_ring_free(r);
}

static void too_small_a_buffer_is_an_error_and_stays_as_it_was(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf b;
    struct log_ring *r = NULL;
    buf_init(&b, 4);
    assert_int_equal(log_ring_new(100, &r), 0);
    put(r, "12345\n");
    assert_int_equal(log_ring_copy(r, &b), ERR_TOOBIG);
    assert_int_equal(buf_len(&b), 0);
    log_ring_free(r);
}

static void *put_lines(void *arg)
{
    for (int i = 0; i < 5000; i++)
        put(arg, "aaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    return NULL;
}

static void threads_do_not_mix_lines(void **state UNUSED)
{
    struct log_ring *r = NULL;
    pthread_t threads[3];
    CLEANUP(buf_release) struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(log_ring_new(1000, &r), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_lines, r), 0);
    for (int i = 0; i < 200; i++) {
        buf_clear(&b);
        assert_int_equal(log_ring_copy(r, &b), 0);
        assert_int_equal(buf_len(&b) % 28, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    buf_clear(&b);
    assert_int_equal(log_ring_copy(r, &b), 0);
    assert_int_equal(buf_len(&b), 1000 / 28 * 28);
    log_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back_in_order),
        cmocka_unit_test(the_oldest_lines_go_whole),
        cmocka_unit_test(a_line_longer_than_the_ring_is_left_out),
        cmocka_unit_test(it_holds_the_longest_end_that_fits_whatever_the_lengths),
        cmocka_unit_test(too_small_a_buffer_is_an_error_and_stays_as_it_was),
        cmocka_unit_test(threads_do_not_mix_lines),
    };
    return cmocka_run_group_tests_name("log_ring", tests, NULL, NULL);
}
