#include "testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/engine_log.h"
#include "base/str.h"

static FILE *file;
static char written[1 << 18];
static struct loop loop;
static int ends[2];
static struct engine_log *engine_log;

static int setup(void **state UNUSED)
{
    file = tmpfile();
    if (file == NULL || loop_init(&loop) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    log_set_fd(fileno(file));
    log_setup("agent", LOG_INFO, LOG_TEXT);
    return engine_log_new(&loop, ends[0], &engine_log);
}

static int teardown(void **state UNUSED)
{
    log_setup("stile", LOG_WARN, LOG_TEXT);
    log_set_fd(2);
    return fclose(file);
}

static void tell(const char *text)
{
    assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
    (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
}

/* What our log has when the engine is gone. */
static const char *logged(void)
{
    close(ends[1]);
    engine_log_free(engine_log);
    loop_release(&loop);
    assert_true(lseek(fileno(file), 0, SEEK_SET) == 0);
    ssize_t n = read(fileno(file), written, sizeof(written) - 1);
    assert_true(n >= 0);
    written[n] = '\0';
    return written;
}

static void a_line_keeps_its_time_level_and_fields(void **state UNUSED)
{
    tell("{\"time\":\"2026-11-22T08:00:00.000001Z\",\"level\":\"warn\",\"component\":\"engine\","
         "\"message\":\"no answer\",\"port\":53,\"name\":\"a b\"}\n");
    assert_string_equal(
        logged(), "2026-11-22T08:00:00.000001Z warn engine: no answer port=53 name=\"a b\"\n");
}

static void a_line_may_come_in_pieces(void **state UNUSED)
{
    tell("{\"time\":\"2026-11-22T08:00:00.000001Z\",\"level\":\"info\",\"compon");
    tell("ent\":\"engine\",\"message\":\"x\"}");
    tell("\n");
    assert_string_equal(logged(), "2026-11-22T08:00:00.000001Z info engine: x\n");
}

static void its_level_is_judged_by_our_own(void **state UNUSED)
{
    tell("{\"time\":\"2026-11-22T08:00:00.000001Z\",\"level\":\"debug\",\"component\":\"engine\","
         "\"message\":\"x\"}\n");
    assert_string_equal(logged(), "");
}

static void last_words_are_a_warning_also_without_an_end(void **state UNUSED)
{
    tell("free(): invalid\x1b[2J pointer");
    assert_true(str_ends(logged(), "Z warn engine: free(): invalid\\x1b[2J pointer\n"));
}

static void an_engine_cannot_speak_for_others(void **state UNUSED)
{
    tell("{\"time\":\"2026-11-22T08:00:00.000001Z\",\"level\":\"info\",\"component\":\"broker\","
         "\"message\":\"x\"}\n");
    assert_string_equal(logged(), "2026-11-22T08:00:00.000001Z info engine: x\n");
}

static void lines_without_end_are_cut(void **state UNUSED)
{
    static char much[1024];
    memset(much, 'x', sizeof(much) - 1);
    for (int i = 0; i < 40; i++)
        tell(much);
    tell("\nnext\n");
    const char *text = logged();
    assert_true(strlen(text) < (size_t)2 * ENGINE_LOG_LINE_MAX);
    assert_true(str_ends(text, "Z warn engine: next\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_keeps_its_time_level_and_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_may_come_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(its_level_is_judged_by_our_own, setup, teardown),
        cmocka_unit_test_setup_teardown(last_words_are_a_warning_also_without_an_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_engine_cannot_speak_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_without_end_are_cut, setup, teardown),
    };
    return cmocka_run_group_tests_name("engine_log", tests, NULL, NULL);
}
