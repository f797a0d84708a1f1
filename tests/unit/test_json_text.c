#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "policy/json_text.h"

/* jansson's own parser and ours agree on the value. */
static void expect_same(const char *text)
{
    json_error_t e;
    json_t *ours = NULL, *theirs = json_loads(text, JSON_DECODE_ANY, &e);
    struct diag d = {0};

    assert_non_null(theirs);
    if (json_text_read(slice_str(text), 0, &ours, &d) < 0)
        fail_msg("%s: %s", text, d.text);
    assert_int_equal(json_equal(ours, theirs), 1);
    json_decref(ours);
    json_decref(theirs);
}

static void expect_bytes_refused(struct slice text, const char *words)
{
    json_t *value = NULL;
    struct diag d = {0};

    assert_int_equal(json_text_read(text, 0, &value, &d), ERR_FORMAT);
    assert_null(value);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", d.text, words);
}

static void expect_refused(const char *text, const char *words)
{
    expect_bytes_refused(slice_str(text), words);
}

static void test_values_of_every_kind_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "7",
        "-7",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "-1.5e-3",
        "1E+2",
        "0.0",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[[],[{}],[1,2,3]]",
        "{\"a\":{\"b\":[null,true,{\"c\":\"d\"}]},\"e\":1}",
        " \t\r\n[ 1 , 2 ] \n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00 \xc3\xa9\"",
        "{\"\":0}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        expect_same(texts[i]);
}

static void test_a_number_over_64_bits_is_a_real(void **state)
{
    (void)state;
    json_t *v = NULL;

    assert_int_equal(json_text_read(slice_str("18446744073709551615"), 0, &v, NULL), 0);
    assert_true(json_is_real(v));
    json_decref(v);
    assert_int_equal(json_text_read(slice_str("1e999"), 0, &v, NULL), 0);
    assert_true(json_is_real(v));
    json_decref(v);
}

/* The program's, not ours: a library takes it as it is. */
static bool set_locale_with_a_comma(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "German_Germany.1252"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (setlocale(LC_ALL, names[i]) != NULL && str_eq(localeconv()->decimal_point, ","))
            return true;
    (void)setlocale(LC_ALL, "C");
    return false;
}

static void test_numbers_are_the_same_in_every_locale(void **state)
{
    (void)state;
    json_t *v = NULL;

    assert_true(set_locale_with_a_comma());
    int r = json_text_read(slice_str("1234.5e1"), 0, &v, NULL);
    (void)setlocale(LC_ALL, "C");
    assert_int_equal(r, 0);
    assert_true(json_real_value(v) == 12345.0);
    json_decref(v);
}

static void test_what_is_wrong_is_told_with_line_and_column(void **state)
{
    (void)state;
    expect_refused("", "line 1, column 1: the text ends too early");
    expect_refused("[1,\n 2,\n x]", "line 3, column 2: this is no JSON");
    expect_refused("[1 2]", "line 1, column 4: a comma or ] is expected");
    expect_refused("{\"a\":1 \"b\"}", "line 1, column 8: a comma or } is expected");
    expect_refused("{\"a\" 1}", "line 1, column 6: a colon is expected");
    expect_refused("{a:1}", "the name of a member is expected");
    expect_refused("{\"a\":1,}", "the name of a member is expected");
    expect_refused("[1,]", "this is no JSON");
    expect_refused("[", "the text ends too early");
    expect_refused("{\"a\":", "the text ends too early");
    expect_refused("[1", "a comma or ]");
    expect_refused("{", "the name of a member");
    expect_refused("1 2", "something behind the end");
    expect_refused("[]]", "something behind the end");
    expect_refused("nul", "this is no JSON");
    expect_refused("True", "this is no JSON");
    expect_refused("NaN", "this is no JSON");
    expect_refused("// x\n[]", "this is no JSON");
    expect_refused("{\"a\":1,\"b\":2,\"a\":3}", "this member is there twice");
    expect_refused("{\"a\":1,\"\\u0061\":3}", "this member is there twice");
}

static void test_what_is_no_number_is_refused(void **state)
{
    (void)state;
    expect_refused("01", "no number");
    expect_refused("-", "no number");
    expect_refused("-01", "no number");
    expect_refused("1.", "no number");
    expect_refused(".5", "no JSON");
    expect_refused("1e", "no number");
    expect_refused("1e+", "no number");
    expect_refused("+1", "no JSON");
    expect_refused("0x10", "something behind");
    expect_refused("1111111111111111111111111111111111111111111111111111111111111111", "too long");
}

static void test_what_is_no_text_is_refused(void **state)
{
    (void)state;
    expect_refused("\"a", "the text has no end");
    expect_refused("\"a\\", "no such escape");
    expect_refused("\"a\nb\"", "control character");
    expect_refused("\"\\x\"", "no such escape");
    expect_refused("\"\\u12\"", "four hexadecimal digits");
    expect_refused("\"\\u0000\"", "\\u0000 is not allowed");
    expect_refused("\"\\ud800\"", "surrogate");
    expect_refused("\"\\ud800x\"", "surrogate");
    expect_refused("\"\\ud800\\u0041\"", "surrogate");
    expect_refused("\"\\udc00\"", "surrogate");
    expect_refused("\"\xff\"", "not UTF-8");
    expect_refused("\"\xc3\x28\"", "not UTF-8");
    expect_refused("\"\xed\xa0\x80\"", "not UTF-8");
    expect_refused("'a'", "no JSON");
    expect_bytes_refused(SLICE_LIT("\"a\0b\""), "control character");
    expect_bytes_refused(SLICE_LIT("[]\0"), "something behind the end");
    expect_bytes_refused(SLICE_LIT("\0"), "no JSON");
    expect_bytes_refused(SLICE_LIT("[1\0]"), "a comma or ]");
    expect_bytes_refused(SLICE_LIT("\"\\\0\""), "no such escape");
}

static void test_a_nul_is_read_in_values_when_it_is_allowed(void **state)
{
    (void)state;
    json_t *v = NULL;

    assert_int_equal(json_text_read(slice_str("\"a\\u0000b\""), JSON_TEXT_NUL, &v, NULL), 0);
    assert_int_equal(json_string_length(v), 3);
    assert_memory_equal(json_string_value(v), "a\0b", 4);
    json_decref(v);
    assert_int_equal(json_text_read(slice_str("{\"a\\u0000b\":1}"), JSON_TEXT_NUL, &v, NULL),
                     ERR_FORMAT);
}

static void test_brackets_may_be_so_deep_and_no_deeper(void **state)
{
    (void)state;
    char text[2 * (JSON_TEXT_DEPTH + 1) + 1];
    json_t *v = NULL;

    for (size_t depth = JSON_TEXT_DEPTH; depth <= JSON_TEXT_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        int r = json_text_read(slice_of(text, 2 * depth), 0, &v, NULL);
        assert_int_equal(r, depth <= JSON_TEXT_DEPTH ? 0 : ERR_FORMAT);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_kind_are_read),
        cmocka_unit_test(test_a_number_over_64_bits_is_a_real),
        cmocka_unit_test(test_what_is_wrong_is_told_with_line_and_column),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_what_is_no_text_is_refused),
        cmocka_unit_test(test_a_nul_is_read_in_values_when_it_is_allowed),
        cmocka_unit_test(test_brackets_may_be_so_deep_and_no_deeper),
        cmocka_unit_test(test_numbers_are_the_same_in_every_locale),
    };
    /* The last one needs a locale that few machines have: tests/library makes one and runs it. */
    size_t left_out = set_locale_with_a_comma() ? 0 : 1;
    (void)setlocale(LC_ALL, "C");
    return _cmocka_run_group_tests("tests", tests, ARRAY_LEN(tests) - left_out, NULL, NULL);
}
