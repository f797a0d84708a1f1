#include "testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/log_journal.h"
#include "base/str.h"

static FILE *file;
static char written[1 << 18];

static int setup(void **state UNUSED)
{
    file = tmpfile();
    if (file == NULL)
        return -1;
    log_set_fd(fileno(file));
    return 0;
}

static int teardown(void **state UNUSED)
{
    log_setup("stile", LOG_WARN, LOG_TEXT);
    log_set_fd(2);
    return fclose(file);
}

/* All that was logged so far. */
static const char *logged(void)
{
    assert_true(lseek(fileno(file), 0, SEEK_SET) == 0);
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fileno(file), written + len, (unsigned int)(sizeof(written) - 1 - len));
        assert_true(n >= 0);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    written[len] = '\0';
    return written;
}

/* One line: a time, then exactly this. */
static void check_text_line(const char *want)
{
    const char *line = logged();
    assert_true(strlen(line) > CLOCK_TEXT_SIZE);
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[CLOCK_TEXT_SIZE - 2], 'Z');
    assert_string_equal(line + CLOCK_TEXT_SIZE - 1, want);
}

static void check_json_line(const char *want)
{
    const char *line = logged();
    size_t intro = strlen("{\"time\":\"");
    assert_memory_equal(line, "{\"time\":\"", intro);
    assert_string_equal(line + intro + CLOCK_TEXT_SIZE - 1, want);
}

static void only_the_level_and_above_are_written(void **state UNUSED)
{
    log_setup("agent", LOG_WARN, LOG_TEXT);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    log_debug("no");
    log_info("no");
    assert_string_equal(logged(), "");
    log_warn("port %d is taken", 443);
    check_text_line(" warn agent: port 443 is taken\n");
}

static void debug_arguments_are_not_computed_when_off(void **state UNUSED)
{
    int computed = 0;
    log_setup("agent", LOG_INFO, LOG_TEXT);
    log_debug("%d", ++computed);
    assert_int_equal(computed, 0);
    log_setup("agent", LOG_DEBUG, LOG_TEXT);
    log_debug("%d", ++computed);
    assert_int_equal(computed, 1);
    check_text_line(" debug agent: 1\n");
}

static void a_peer_cannot_forge_a_line_of_text(void **state UNUSED)
{
    log_setup("engine", LOG_INFO, LOG_TEXT);
    log_info("name %s", "a\nb\r\x1b[31m\x7f\xc3\xa4");
    check_text_line(" info engine: name a\\x0ab\\x0d\\x1b[31m\\x7f\\xc3\\xa4\n");
}

static void json_is_escaped(void **state UNUSED)
{
    log_setup("engine", LOG_INFO, LOG_JSON);
    log_error("say \"hi\"\\ %s", "\n\x01");
    check_json_line("\",\"level\":\"error\",\"component\":\"engine\","
                    "\"message\":\"say \\\"hi\\\"\\\\ \\u000a\\u0001\"}\n");
}

static void json_keeps_every_character_in_ascii(void **state UNUSED)
{
    log_setup("engine", LOG_INFO, LOG_JSON);
    log_error("%s", "\xc3\xa4\xe2\x89\xa4\xf0\x9f\x90\x84\x7f\xff|");
    check_json_line("\",\"level\":\"error\",\"component\":\"engine\","
                    "\"message\":\"\\u00e4\\u2264\\ud83d\\udc04\\u007f\\ufffd|\"}\n");
}

static void long_messages_are_cut_visibly(void **state UNUSED)
{
    static char text[5000];
    memset(text, '\x01', sizeof(text) - 1); /* the longest when escaped */
    log_setup("engine", LOG_INFO, LOG_JSON);
    log_error("%s", text);
    const char *line = logged();
    assert_true(str_ends(line, "\\u0001...\"}\n"));
    assert_int_equal(strlen(strstr(line, "\\u0001")), 1020 * 6 + strlen("...\"}\n"));
}

static void errno_survives_logging(void **state UNUSED)
{
    log_setup("engine", LOG_INFO, LOG_TEXT);
    log_set_fd(-1);
    errno = ENOENT;
    log_error("nowhere to write");
    assert_int_equal(errno, ENOENT);
}

static void names_of_levels_and_formats_are_parsed(void **state UNUSED)
{
    enum log_level level = LOG_WARN;
    enum log_format format = LOG_TEXT;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("loud", &level), ERR_FORMAT);
    assert_int_equal(log_level_parse("", &level), ERR_FORMAT);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_format_parse("json", &format), 0);
    assert_int_equal(format, LOG_JSON);
    assert_int_equal(log_format_parse("text", &format), 0);
    assert_int_equal(format, LOG_TEXT);
    assert_int_equal(log_format_parse("xml", &format), ERR_FORMAT);
}

/* Text of what is kept. */
static const char *kept_text(struct buf *b)
{
    buf_init(b, 2 * LOG_KEPT_SIZE);
    assert_int_equal(log_kept(b), 0);
    return buf_cstr(b);
}

static void what_is_kept_is_not_what_is_written(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf nothing, b;
    const struct log_field field = {.name = "port", .number = 443};
    log_setup("agent", LOG_WARN, LOG_TEXT);
    assert_string_equal(kept_text(&nothing), "");
    log_debug("before");
    assert_int_equal(log_keep(LOG_DEBUG), 0);
    assert_true(log_enabled(LOG_DEBUG));
    assert_false(log_written(LOG_DEBUG));
    log_debug("kept %d", 1);
    log_event(LOG_INFO, "opened", &field, 1);
    log_only_keep(LOG_WARN, "told otherwise");
    assert_string_equal(logged(), "");
    const char *text = kept_text(&b);
    assert_null(strstr(text, "before"));
    assert_non_null(
        strstr(text, "\"level\":\"debug\",\"component\":\"agent\",\"message\":\"kept 1\"}\n{"));
    assert_non_null(strstr(text, "\"message\":\"opened\",\"port\":443}\n{"));
    assert_true(str_ends(text, "\"message\":\"told otherwise\"}\n"));
}

static void only_the_level_and_above_are_kept(void **state UNUSED)
{
    CLEANUP(buf_release) struct buf b;
    log_setup("agent", LOG_ERROR, LOG_TEXT);
    assert_int_equal(log_keep(LOG_INFO), 0);
    assert_false(log_enabled(LOG_DEBUG));
    log_debug("too little");
    log_info("enough");
    assert_null(strstr(kept_text(&b), "too little"));
    assert_non_null(strstr(buf_cstr(&b), "enough"));
}

static void a_line_of_another_process_keeps_its_time_level_and_component(void **state UNUSED)
{
    const struct log_field field = {.name = "name", .text = "a b"};
    const struct log_line line = {.time_us = 1000000,
                                  .level = LOG_WARN,
                                  .component = "engine",
                                  .message = "no\nanswer",
                                  .fields = &field,
                                  .field_count = 1};
    log_setup("agent", LOG_WARN, LOG_TEXT);
    log_relay(&line);
    assert_string_equal(logged(),
                        "1970-01-01T00:00:01.000000Z warn engine: no\\x0aanswer name=\"a b\"\n");
}

static void without_the_journal_its_lines_go_to_standard_error(void **state UNUSED)
{
    log_setup("agent", LOG_WARN, LOG_JOURNAL);
    (void)log_journal_open("/nonexistent/journal"); /* some systems have none at all */
    log_warn("not lost");
    log_journal_close();
    check_text_line(" warn agent: not lost\n");
}

#define THREADS 4
#define LINES   200

static void *log_lines(void *letter)
{
    char text[64];
    memset(text, *(const char *)letter, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_info("%s", text);
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state UNUSED)
{
    static char letters[] = "abcd";
    pthread_t threads[THREADS];
    log_setup("t", LOG_INFO, LOG_TEXT);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_lines, &letters[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    const char *line = logged();
    int lines = 0;
    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
        assert_true(end - line > 63);
        for (const char *p = end - 63; p < end; p++)
            assert_int_equal(*p, end[-1]);
    }
    assert_int_equal(lines, THREADS * LINES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_the_level_and_above_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(debug_arguments_are_not_computed_when_off, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_cannot_forge_a_line_of_text, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(json_keeps_every_character_in_ascii, setup, teardown),
        cmocka_unit_test_setup_teardown(long_messages_are_cut_visibly, setup, teardown),
        cmocka_unit_test_setup_teardown(errno_survives_logging, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_levels_and_formats_are_parsed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_kept_is_not_what_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_level_and_above_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_line_of_another_process_keeps_its_time_level_and_component, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_journal_its_lines_go_to_standard_error, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(lines_of_several_threads_do_not_mix, setup, teardown),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
