#include "testing.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

static void every_code_has_its_own_name_and_text(void **state UNUSED)
{
    for (int a = -1; a >= ERR_LAST; a--) {
        assert_string_not_equal(err_name(a), "UNKNOWN");
        assert_true(strlen(err_text(a)) > 0);
        for (int b = a - 1; b >= ERR_LAST; b--)
            assert_string_not_equal(err_name(a), err_name(b));
    }
    assert_string_equal(err_name(ERR_NOTFOUND), "NOTFOUND");
    assert_string_equal(err_text(ERR_NOTFOUND), "not found");
    assert_string_equal(err_name(ERR_IO), "IO");
}

static void codes_outside_the_list_are_unknown(void **state UNUSED)
{
    const int outside[] = {0, 1, 1000, ERR_LAST - 1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
        assert_string_equal(err_name(outside[i]), "UNKNOWN");
        assert_string_equal(err_text(outside[i]), "unknown error");
    }
}

static void errno_is_translated(void **state UNUSED)
{
    assert_int_equal(err_from_errno(ENOENT), ERR_NOTFOUND);
    assert_int_equal(err_from_errno(EACCES), ERR_PERM);
    assert_int_equal(err_from_errno(EAGAIN), ERR_AGAIN);
    assert_int_equal(err_from_errno(EWOULDBLOCK), ERR_AGAIN);
    assert_int_equal(err_from_errno(ECONNREFUSED), ERR_REFUSED);
    assert_int_equal(err_from_errno(ENETUNREACH), ERR_UNREACHABLE);
    assert_int_equal(err_from_errno(ETIMEDOUT), ERR_TIMEOUT);
    assert_int_equal(err_from_errno(EEXIST), ERR_EXISTS);
    assert_int_equal(err_from_errno(ENOMEM), ERR_NOMEM);
    assert_int_equal(err_from_errno(EOPNOTSUPP), ERR_UNSUPPORTED);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(123456), ERR_IO);
    assert_int_equal(err_from_errno(-ENOENT), ERR_IO);
}

static void win32_codes_are_translated(void **state UNUSED)
{
    assert_int_equal(err_from_win32(2), ERR_NOTFOUND);
    assert_int_equal(err_from_win32(5), ERR_PERM);
    assert_int_equal(err_from_win32(87), ERR_INVAL);
    assert_int_equal(err_from_win32(109), ERR_CLOSED);
    assert_int_equal(err_from_win32(183), ERR_EXISTS);
    assert_int_equal(err_from_win32(234), ERR_TOOBIG);
    assert_int_equal(err_from_win32(997), ERR_AGAIN);
    assert_int_equal(err_from_win32(10061), ERR_REFUSED);
    assert_int_equal(err_from_win32(0xdeadbeef), ERR_IO);
}

static void no_system_error_is_an_internal_one(void **state UNUSED)
{
    assert_int_equal(err_from_errno(0), ERR_INTERNAL);
    assert_int_equal(err_from_win32(0), ERR_INTERNAL);
}

static void diag_set_records_and_returns_the_code(void **state UNUSED)
{
    struct diag d = {0};
    assert_int_equal(diag_set(&d, ERR_PERM, 13, "Failed to open %s", "/dev/net/tun"), ERR_PERM);
    assert_int_equal(d.err, ERR_PERM);
    assert_int_equal(d.os_code, 13);
    assert_string_equal(d.text, "Failed to open /dev/net/tun");
}

static void diag_without_a_place_only_returns_the_code(void **state UNUSED)
{
    assert_int_equal(diag_set(NULL, ERR_IO, 5, "x"), ERR_IO);
    assert_int_equal(diag_prefix(NULL, "x"), 0);
}

static void diag_set_may_quote_the_text_it_replaces(void **state UNUSED)
{
    struct diag d = {0};
    diag_set(&d, ERR_IO, 5, "disk");
    diag_set(&d, ERR_FORMAT, 0, "outer (%s)", d.text);
    assert_string_equal(d.text, "outer (disk)");
    assert_int_equal(d.err, ERR_FORMAT);
    assert_int_equal(d.os_code, 0);
}

static void diag_prefix_keeps_code_and_text(void **state UNUSED)
{
    struct diag d = {0};
    diag_set(&d, ERR_NOTFOUND, 2, "no such file");
    assert_int_equal(diag_prefix(&d, "Failed to load profile %s: ", "demo"), ERR_NOTFOUND);
    assert_string_equal(d.text, "Failed to load profile demo: no such file");
    assert_int_equal(d.os_code, 2);
}

static void diag_text_has_no_line_break_at_its_end(void **state UNUSED)
{
    struct diag d = {0};
    diag_set(&d, ERR_IO, 0, "first\nsecond\r\n\n");
    assert_string_equal(d.text, "first\nsecond");
    diag_set(&d, ERR_IO, 0, "%s", "\n");
    assert_string_equal(d.text, "");
}

static void long_diag_texts_are_cut(void **state UNUSED)
{
    struct diag d = {0};
    char text[sizeof(d.text) + 40];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    diag_set(&d, ERR_IO, 0, "%s", text);
    assert_int_equal(strlen(d.text), sizeof(d.text) - 1);
    diag_prefix(&d, "b%s", text);
    assert_int_equal(strlen(d.text), sizeof(d.text) - 1);
    assert_int_equal(d.text[0], 'b');

    text[sizeof(d.text) - 1] = '\0'; /* what just fits is kept whole */
    diag_set(&d, ERR_IO, 0, "%s", text);
    assert_string_equal(d.text, text);
}

/* Fills all but `left` bytes, then appends a character that doesn't fit: it must vanish whole. */
static void check_cut_character(const char *character, size_t left)
{
    struct diag d = {0};
    size_t filled = sizeof(d.text) - 1 - left;
    diag_set(&d, ERR_IO, 0, "%0*d%s", (int)filled, 0, character);
    size_t want = strlen(character) <= left ? filled + strlen(character) : filled;
    assert_int_equal(strlen(d.text), want);
}

static void diag_texts_are_never_cut_inside_a_character(void **state UNUSED)
{
    const char *const characters[] = {"\xc3\xa4", "\xe2\x89\xa4", "\xf0\x9f\x90\x84"};
    for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
        for (size_t left = 0; left <= strlen(characters[i]); left++)
            check_cut_character(characters[i], left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name_and_text),
        cmocka_unit_test(codes_outside_the_list_are_unknown),
        cmocka_unit_test(errno_is_translated),
        cmocka_unit_test(win32_codes_are_translated),
        cmocka_unit_test(no_system_error_is_an_internal_one),
        cmocka_unit_test(diag_set_records_and_returns_the_code),
        cmocka_unit_test(diag_without_a_place_only_returns_the_code),
        cmocka_unit_test(diag_set_may_quote_the_text_it_replaces),
        cmocka_unit_test(diag_prefix_keeps_code_and_text),
        cmocka_unit_test(diag_text_has_no_line_break_at_its_end),
        cmocka_unit_test(long_diag_texts_are_cut),
        cmocka_unit_test(diag_texts_are_never_cut_inside_a_character),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
