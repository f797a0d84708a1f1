#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "broker/log_limit.h"
#include "broker/user_log.h"

/* Lines about refused connections: so many, then a count. */

struct world {
    struct loop loop;
    struct log_limit limit;
};

static int setup(void **state)
{
    static struct world w;
    *state = &w;
    log_setup("broker", LOG_ERROR, LOG_TEXT);
    assert_int_equal(log_keep(LOG_DEBUG), 0);
    assert_int_equal(loop_init(&w.loop), 0);
    log_limit_init(&w.limit, &w.loop, 30);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    log_limit_close(&w->limit, NULL, NULL);
    (void)loop_run(&w->loop);
    return loop_release(&w->loop);
}

static bool said(const char *text)
{
    CLEANUP(buf_release) struct buf all;
    buf_init(&all, LOG_KEPT_SIZE);
    assert_int_equal(log_kept(&all), 0);
    const char *kept = buf_cstr(&all);
    return kept != NULL && strstr(kept, text) != NULL;
}

static size_t allowed(struct world *w, uint32_t uid, size_t times)
{
    size_t count = 0;
    for (size_t i = 0; i < times; i++)
        count += log_limit_allows(&w->limit, uid) ? 1 : 0;
    return count;
}

static void after_ten_lines_of_a_user_the_rest_is_counted_and_told_at_the_end(void **state)
{
    struct world *w = *state;
    assert_int_equal(allowed(w, 1501, 17), LOG_LIMIT_LINES);
    assert_int_equal(allowed(w, 1502, 3), 3);
    assert_false(said("7 more connections"));
    (void)loop_run(&w->loop); /* until the window has ended */
    assert_true(said("7 more connections or requests of uid 1501 "));
    assert_false(said("of uid 1502 "));
    assert_int_equal(allowed(w, 1501, 4), 4);
    (void)loop_run(&w->loop);
    assert_false(said("0 more connections"));
}

static void many_uids_share_one_count(void **state)
{
    struct world *w = *state;
    size_t lines = 0;
    for (uint32_t uid = 2000; uid < 2200; uid++)
        lines += allowed(w, uid, 20);
    assert_int_equal(lines, LOG_LIMIT_LINES * (LOG_LIMIT_USERS + 1));
    (void)loop_run(&w->loop);
    assert_true(said("3670 more connections or requests of other users "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            after_ten_lines_of_a_user_the_rest_is_counted_and_told_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(many_uids_share_one_count, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
