#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "cli/output.h"

static void check(const char *given, bool keep_lines, const char *wanted)
{
    char text[128];
    assert_int_equal(str_copy(text, sizeof(text), given), 0);
    output_tame(text, keep_lines);
    assert_string_equal(text, wanted);
}

static void ordinary_text_stays(void **state)
{
    (void)state;
    check("", false, "");
    check("plain ~ text, déjà vu, 日本, 😀", false, "plain ~ text, déjà vu, 日本, 😀");
}

static void control_characters_become_question_marks(void **state)
{
    (void)state;
    check("a\x1b[31mred\x07\r\tz\x7f", false, "a?[31mred???z?");
    check("\xc2\x9b"
          "31m \xc2\xa0",
          false, "??31m \xc2\xa0");
}

static void line_breaks_stay_only_where_they_may(void **state)
{
    (void)state;
    check("one\ntwo\r\n", true, "one\ntwo?\n");
    check("one\ntwo", false, "one?two");
}

static void what_is_no_utf8_becomes_question_marks(void **state)
{
    (void)state;
    check("a\xff"
          "b\xc3",
          false, "a?b?");
    check("\xe2\x82", false, "??");
    check("\xc0\xaf \xed\xa0\x80", false, "?? ???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_text_stays),
        cmocka_unit_test(control_characters_become_question_marks),
        cmocka_unit_test(line_breaks_stay_only_where_they_may),
        cmocka_unit_test(what_is_no_utf8_becomes_question_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
