/* Texts of strangers in messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy/shown.h"

static void a_strangers_word_is_short_and_printable(void **state UNUSED)
{
    char longer[70];

    assert_string_equal(shown("web-1").text, "web-1");
    assert_string_equal(shown("a\nb\xc3\xa4\x1b[m").text, "a?b???[m");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(strlen(shown(longer).text), 67);
    assert_string_equal(shown(longer).text + 63, "x...");
}

static void expect_line(const char *text, const char *want)
{
    char line[64];

    (void)snprintf(line, sizeof(line), "%s", text);
    shown_line(line);
    assert_string_equal(line, want);
}

static void a_message_keeps_its_characters_but_is_one_line(void **state UNUSED)
{
    expect_line("", "");
    expect_line("a\xc3\xa4\xe2\x89\xa4\xf0\x9f\x90\x84z", "a\xc3\xa4\xe2\x89\xa4\xf0\x9f\x90\x84z");
    expect_line("a\nb\r\tc\x7f\x1b[m", "a?b??c??[m");
    expect_line("\xc2\x9b"
                "1m\xe2\x80\xa8\xe2\x80\xa9\xc2\xa0",
                "??1m??????\xc2\xa0");
}

static void what_is_no_utf8_is_replaced_byte_by_byte(void **state UNUSED)
{
    expect_line("/run/\xff", "/run/?");
    expect_line("cut \xe2\x89", "cut ??");
    expect_line("\xc3(\xed\xa0\x80\xc0\xaf", "?(?????");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strangers_word_is_short_and_printable),
        cmocka_unit_test(a_message_keeps_its_characters_but_is_one_line),
        cmocka_unit_test(what_is_no_utf8_is_replaced_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
