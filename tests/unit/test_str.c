#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"

static void copies_fit_or_leave_the_empty_string(void **state UNUSED)
{
    char dst[4] = "???";
    assert_int_equal(str_copy(dst, sizeof(dst), "abc"), 0);
    assert_string_equal(dst, "abc");
    assert_int_equal(str_copy(dst, sizeof(dst), "abcd"), ERR_TOOBIG);
    assert_string_equal(dst, "");
    assert_int_equal(str_copy(dst, sizeof(dst), ""), 0);
    assert_string_equal(dst, "");
    assert_int_equal(str_copy(dst, 0, ""), ERR_TOOBIG);
}

static void slices_with_a_nul_are_no_text(void **state UNUSED)
{
    char dst[8] = "???";
    assert_int_equal(str_copy_slice(dst, sizeof(dst), SLICE_LIT("ab\0c")), ERR_FORMAT);
    assert_string_equal(dst, "");
    assert_int_equal(str_copy_slice(dst, sizeof(dst), SLICE_LIT("1234567")), 0);
    assert_string_equal(dst, "1234567");
    assert_int_equal(str_copy_slice(dst, sizeof(dst), SLICE_LIT("12345678")), ERR_TOOBIG);
    assert_int_equal(str_copy_slice(dst, sizeof(dst), slice_of(NULL, 0)), 0);
    assert_string_equal(dst, "");
}

static void formatting_says_when_it_cut(void **state UNUSED)
{
    char dst[4];
    assert_int_equal(str_format(dst, sizeof(dst), "%d", 123), 0);
    assert_string_equal(dst, "123");
    assert_int_equal(str_format(dst, sizeof(dst), "%d", 1234), ERR_TOOBIG);
    assert_string_equal(dst, "123");
}

static void comparison_without_case_is_ascii(void **state UNUSED)
{
    assert_true(str_eq("abc", "abc"));
    assert_false(str_eq("abc", "Abc"));
    assert_true(str_eq_nocase("Pg.CORP.example", "pG.corp.EXAMPLE"));
    assert_true(str_eq_nocase("", ""));
    assert_false(str_eq_nocase("abc", "abcd"));
    assert_false(str_eq_nocase("abcd", "abc"));
    assert_false(str_eq_nocase("[", "{")); /* differ by the same bit as letters do */
    assert_false(str_eq_nocase("@", "`"));
    assert_false(str_eq_nocase("\xc4", "\xe4"));
    char s[] = "AZaz@[`{09\xc4";
    str_lower(s);
    assert_string_equal(s, "azaz@[`{09\xc4");
}

static void prefixes_and_suffixes_are_found(void **state UNUSED)
{
    assert_true(str_starts("stile-tcp", "stile"));
    assert_true(str_starts("stile", "stile"));
    assert_true(str_starts("stile", ""));
    assert_false(str_starts("sti", "stile"));
    assert_true(str_ends("a.example", ".example"));
    assert_true(str_ends("a.example", ""));
    assert_true(str_ends("a", "a"));
    assert_false(str_ends("a.exampl", ".example"));
    assert_false(str_ends("le", "example"));
    assert_true(str_is_empty(NULL));
    assert_true(str_is_empty(""));
    assert_false(str_is_empty(" "));
}

static void check_number(const char *s, uint64_t max, int want_r, uint64_t want)
{
    uint64_t v = 77;
    assert_int_equal(str_to_u64(s, max, &v), want_r);
    assert_true(v == (want_r == 0 ? want : 77));
}

static void numbers_are_whole_and_in_range(void **state UNUSED)
{
    check_number("0", 0, 0, 0);
    check_number("007", 9, 0, 7);
    check_number("18446744073709551615", UINT64_MAX, 0, UINT64_MAX);
    check_number("18446744073709551616", UINT64_MAX, ERR_TOOBIG, 0);
    check_number("18446744073709551620", UINT64_MAX, ERR_TOOBIG, 0);
    check_number("99999999999999999999999999", UINT64_MAX, ERR_TOOBIG, 0);
    check_number("100", 100, 0, 100);
    check_number("101", 100, ERR_TOOBIG, 0);
}

static void numbers_are_digits_and_nothing_else(void **state UNUSED)
{
    const char *const bad[] = {"",    " 1",  "1 ", "+1", "-1",
                               "0x1", "1.0", "1a", "a",  "99999999999999999999999z"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_number(bad[i], UINT64_MAX, ERR_FORMAT, 0);
}

static void ports_are_sixteen_bits(void **state UNUSED)
{
    uint16_t v = 7;
    assert_int_equal(str_to_u16("65535", &v), 0);
    assert_int_equal(v, 65535);
    assert_int_equal(str_to_u16("65536", &v), ERR_TOOBIG);
    assert_int_equal(str_to_u16("", &v), ERR_FORMAT);
    assert_int_equal(v, 65535);
}

static void hex_goes_there_and_back(void **state UNUSED)
{
    uint8_t bytes[256];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    char text[2 * sizeof(bytes) + 1];
    str_hex(text, slice_of(bytes, sizeof(bytes)));
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_string_equal(text + 508, "feff");
    uint8_t back[sizeof(bytes)];
    assert_int_equal(str_unhex(text, back, sizeof(back)), 0);
    assert_memory_equal(back, bytes, sizeof(bytes));
    str_hex(text, slice_of(NULL, 0));
    assert_string_equal(text, "");
}

static void hex_must_have_the_exact_length_and_only_digits(void **state UNUSED)
{
    uint8_t dst[2] = {1, 2};
    const char *const bad[] = {"", "12", "123", "12345", "123456", "12g4", "12 4", "0x12", "-123"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(str_unhex(bad[i], dst, 2), ERR_FORMAT);
    assert_int_equal(dst[0], 1);
    assert_int_equal(str_unhex("ABcd", dst, 2), 0);
    assert_int_equal(dst[0], 0xab);
    assert_int_equal(dst[1], 0xcd);
    assert_int_equal(str_unhex("", dst, 0), 0);
}

static void printable_is_ascii_without_controls(void **state UNUSED)
{
    assert_true(str_is_printable(SLICE_LIT(" ~az09")));
    assert_true(str_is_printable(slice_of(NULL, 0)));
    for (unsigned int c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        assert_int_equal(str_is_printable(slice_of(&byte, 1)), c >= 0x20 && c < 0x7f);
    }
}

static void check_char(const char *s, size_t want_len, uint32_t want)
{
    uint32_t c = 77;
    assert_int_equal(str_utf8_first(slice_str(s), &c), want_len);
    assert_int_equal(c, want_len > 0 ? want : 77);
}

static void utf8_characters_are_decoded(void **state UNUSED)
{
    check_char("a", 1, 'a');
    check_char("\x7f", 1, 0x7f);
    check_char("\xc2\x80", 2, 0x80);
    check_char("\xdf\xbf", 2, 0x7ff);
    check_char("\xe0\xa0\x80", 3, 0x800);
    check_char("\xed\x9f\xbf", 3, 0xd7ff);
    check_char("\xee\x80\x80", 3, 0xe000);
    check_char("\xef\xbf\xbf", 3, 0xffff);
    check_char("\xf0\x90\x80\x80", 4, 0x10000);
    check_char("\xf4\x8f\xbf\xbf", 4, 0x10ffff);
    check_char("\xc3\xa4rest", 2, 0xe4);
}

static void what_is_not_utf8_is_refused(void **state UNUSED)
{
    const char *const bad[] = {
        "", /* nothing */
        "\x80",
        "\xbf",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff", /* can't begin a character */
        "\xc3",
        "\xe2\x89",
        "\xf0\x9f\x90", /* cut */
        "\xc3z",
        "\xe2\x89z",
        "\xf0\x9f\x90z", /* not continued */
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf", /* longer than needed */
        "\xed\xa0\x80",
        "\xed\xbf\xbf", /* surrogates */
        "\xf4\x90\x80\x80",
        "\xf7\xbf\xbf\xbf", /* past the last character */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_char(bad[i], 0, 0);
    assert_true(str_is_utf8(SLICE_LIT("a\xc3\xa4\xe2\x89\xa4\xf0\x9f\x90\x84z")));
    assert_true(str_is_utf8(slice_of(NULL, 0)));
    assert_false(str_is_utf8(SLICE_LIT("a\xc3\xa4\xe2\x89")));
}

static void a_cut_character_is_not_completed_from_beyond(void **state UNUSED)
{
    static const char text[] = "\xf0\x9f\x90\x84";
    uint32_t c = 77;
    for (size_t n = 0; n < 4; n++)
        assert_int_equal(str_utf8_first(slice_of(text, n), &c), 0);
    assert_int_equal(c, 77);
    assert_int_equal(str_utf8_first(slice_of(text, 4), &c), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_fit_or_leave_the_empty_string),
        cmocka_unit_test(slices_with_a_nul_are_no_text),
        cmocka_unit_test(formatting_says_when_it_cut),
        cmocka_unit_test(comparison_without_case_is_ascii),
        cmocka_unit_test(prefixes_and_suffixes_are_found),
        cmocka_unit_test(numbers_are_whole_and_in_range),
        cmocka_unit_test(numbers_are_digits_and_nothing_else),
        cmocka_unit_test(ports_are_sixteen_bits),
        cmocka_unit_test(hex_goes_there_and_back),
        cmocka_unit_test(hex_must_have_the_exact_length_and_only_digits),
        cmocka_unit_test(printable_is_ascii_without_controls),
        cmocka_unit_test(utf8_characters_are_decoded),
        cmocka_unit_test(what_is_not_utf8_is_refused),
        cmocka_unit_test(a_cut_character_is_not_completed_from_beyond),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
