#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/log_merge.h"

#define LINE(time, component, message)                                                             \
    "{\"time\":\"2026-11-22T08:00:0" time                                                          \
    ".000000Z\",\"level\":\"info\",\"component\":\"" component "\",\"message\":\"" message "\""

static void add(struct log_merge *m, const char *lines, uint32_t pid)
{
    assert_int_equal(log_merge_add(m, slice_str(lines), pid), 0);
}

static void check(struct log_merge *m, enum log_format format, struct redactor *r, const char *want)
{
    CLEANUP(buf_release) struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(log_merge_write(m, format, r, &out), 0);
    assert_string_equal(buf_cstr(&out), want);
}

static void lines_of_several_processes_are_in_order_of_time(void **state UNUSED)
{
    struct log_merge m;
    log_merge_init(&m);
    add(&m, LINE("1", "agent", "one") "}\n" LINE("3", "agent", "three") "}\n", 0);
    add(&m, LINE("2", "broker", "two") ",\"uid\":7}\n" LINE("4", "broker", "four") "}", 0);
    check(&m, LOG_TEXT, NULL,
          "2026-11-22T08:00:01.000000Z info agent: one\n"
          "2026-11-22T08:00:02.000000Z info broker: two uid=7\n"
          "2026-11-22T08:00:03.000000Z info agent: three\n"
          "2026-11-22T08:00:04.000000Z info broker: four\n");
    log_merge_release(&m);
}

static void equal_times_keep_their_order(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out;
    struct log_merge m;
    log_merge_init(&m);
    buf_init(&out, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        char line[256];
        assert_int_equal(
            str_format(line, sizeof(line), "%s%d\"}", LINE("1", "agent", "n") ",\"i\":\"", i), 0);
        add(&m, line, 0);
    }
    assert_int_equal(log_merge_write(&m, LOG_TEXT, NULL, &out), 0);
    const char *at = buf_cstr(&out);
    for (int i = 0; i < 1000; i++) {
        char want[32];
        assert_int_equal(str_format(want, sizeof(want), "i=%d\n", i), 0);
        at = strstr(at, "i=");
        assert_non_null(at);
        assert_true(str_starts(at, want));
        at++;
    }
    log_merge_release(&m);
}

static void the_pid_tells_agents_apart(void **state UNUSED)
{
    struct log_merge m;
    log_merge_init(&m);
    add(&m, LINE("1", "agent", "x") "}", 42);
    check(&m, LOG_JSON, NULL, LINE("1", "agent", "x") ",\"pid\":42}\n");
    log_merge_release(&m);
}

static void what_is_no_line_is_left_out(void **state UNUSED)
{
    struct log_merge m;
    log_merge_init(&m);
    add(&m, "\n\nnothing\n{}\n[1]\n{\"time\":\"x\",\"level\":\"info\"}\n{\"time\":1}\n\xff\xfe\n",
        1);
    assert_int_equal(m.count, 0);
    check(&m, LOG_TEXT, NULL, "");
    log_merge_release(&m);
}

static void texts_cannot_steer_a_terminal_or_forge_a_line(void **state UNUSED)
{
    struct log_merge m;
    log_merge_init(&m);
    add(&m, LINE("1", "agent", "a\\nb\\u001b[31m") ",\"name\":\"x\\ny\"}", 0);
    check(&m, LOG_TEXT, NULL,
          "2026-11-22T08:00:01.000000Z info agent: a\\x0ab\\x1b[31m name=x\\x0ay\n");
    log_merge_release(&m);
}

static void only_what_was_said_is_redacted(void **state UNUSED)
{
    struct redactor *r = NULL;
    struct log_merge m;
    log_merge_init(&m);
    assert_int_equal(redactor_new(&r), 0);
    assert_int_equal(redact_name(r, "alice"), 0);
    add(&m, LINE("1", "agent", "alice at 10.1.2.3") ",\"name\":\"pg.corp.example\",\"port\":5432}",
        0);
    add(&m, LINE("2", "agent", "pg.corp.example again") "}", 0);
    check(&m, LOG_TEXT, r,
          "2026-11-22T08:00:01.000000Z info agent: name-1 at address-1 name=name-2 port=5432\n"
          "2026-11-22T08:00:02.000000Z info agent: name-2 again\n");
    redactor_free(r);
    log_merge_release(&m);
}

static void too_much_is_an_error(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf out;
    struct log_merge m;
    log_merge_init(&m);
    buf_init(&out, 20);
    add(&m, LINE("1", "agent", "x") "}", 0);
    assert_int_equal(log_merge_write(&m, LOG_TEXT, NULL, &out), ERR_TOOBIG);
    log_merge_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_several_processes_are_in_order_of_time),
        cmocka_unit_test(equal_times_keep_their_order),
        cmocka_unit_test(the_pid_tells_agents_apart),
        cmocka_unit_test(what_is_no_line_is_left_out),
        cmocka_unit_test(texts_cannot_steer_a_terminal_or_forge_a_line),
        cmocka_unit_test(only_what_was_said_is_redacted),
        cmocka_unit_test(too_much_is_an_error),
    };
    return cmocka_run_group_tests_name("log_merge", tests, NULL, NULL);
}
