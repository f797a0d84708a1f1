#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "tls/target_status.h"

static void encode(enum target_code code, const char *text, uint8_t message[TARGET_STATUS_LEN])
{
    struct target_status st;
    target_status_set(&st, code, text);
    target_status_encode(&st, message);
}

static int decode(const uint8_t *message, size_t len, struct target_status *st)
{
    return target_status_decode(slice_of(message, len), st);
}

static void every_code_survives_the_wire(void **state)
{
    (void)state;
    for (int code = 0; code < TARGET_CODE_COUNT; code++) {
        uint8_t message[TARGET_STATUS_LEN];
        struct target_status st;
        encode((enum target_code)code, "why — because", message);
        assert_int_equal(decode(message, sizeof(message), &st), 0);
        assert_int_equal(st.code, code);
        assert_string_equal(st.text, "why — because");
    }
}

static void layout_is_the_documented_one(void **state)
{
    (void)state;
    uint8_t message[TARGET_STATUS_LEN];
    uint8_t expected[TARGET_STATUS_LEN] = {1, 2, 2, 0, 0, 0, 0, 0, 'n', 'o'};
    encode(TARGET_REFUSED, "no", message);
    assert_memory_equal(message, expected, sizeof(expected));
}

static void other_lengths_are_refused(void **state)
{
    (void)state;
    uint8_t message[TARGET_STATUS_LEN + 1] = {0};
    struct target_status st;
    encode(TARGET_OK, "", message);
    for (size_t len = 0; len < TARGET_STATUS_LEN; len++)
        assert_int_equal(decode(message, len, &st), ERR_TRUNCATED);
    assert_int_equal(decode(message, TARGET_STATUS_LEN + 1, &st), ERR_FORMAT);
}

static void other_bytes_in_fixed_places_are_refused(void **state)
{
    (void)state;
    struct target_status st;
    uint8_t good[TARGET_STATUS_LEN];
    encode(TARGET_DENIED, "not you", good);
    for (size_t i = 0; i < TARGET_STATUS_LEN; i++) {
        uint8_t message[TARGET_STATUS_LEN];
        memcpy(message, good, sizeof(good));
        message[i] = 0x80; /* no code, no padding, no length, and not UTF-8 */
        int r = decode(message, sizeof(message), &st);
        assert_int_equal(r, i == 0 ? ERR_VERSION : ERR_FORMAT);
    }
}

static void text_that_must_not_be_shown_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x1b[2J",
        "line\nbreak",
        "\x7f",
        "\xc2\x85" /* C1 */,
        "\xc0\xaf" /* overlong */,
        "\xed\xa0\x80" /* surrogate */,
        "\xf4\x90\x80\x80" /* past the end */,
        "\xe2\x80\xae" /* right-to-left: NOLINT(misc-misleading-bidirectional) */,
        "\xe2\x82" /* cut */,
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t message[TARGET_STATUS_LEN] = {1, 0, (uint8_t)strlen(bad[i])};
        memcpy(message + 8, bad[i], strlen(bad[i]));
        struct target_status st;
        assert_int_equal(decode(message, sizeof(message), &st), ERR_FORMAT);
    }
}

static void long_text_is_cut_at_a_character(void **state)
{
    (void)state;
    char text[200] = "x";
    for (int i = 0; i < 60; i++)
        memcpy(text + 1 + 2 * i, "ü", 3);
    struct target_status st;
    target_status_set(&st, TARGET_FAILED, text);
    assert_int_equal(strlen(st.text), 119);
    uint8_t message[TARGET_STATUS_LEN];
    target_status_encode(&st, message);
    assert_int_equal(decode(message, sizeof(message), &st), 0);
    assert_int_equal(strlen(st.text), 119);
}

static void unprintable_bytes_become_question_marks(void **state)
{
    (void)state;
    struct target_status st;
    target_status_set(&st, TARGET_FAILED, "a\n\xff");
    assert_string_equal(st.text, "a??");
}

static void errors_and_codes_translate_both_ways(void **state)
{
    (void)state;
    for (int code = 0; code < TARGET_CODE_COUNT; code++)
        assert_int_equal(target_code_from_err(target_code_to_err((enum target_code)code)), code);
    assert_int_equal(target_code_from_err(ERR_TIMEOUT), TARGET_UNREACHABLE);
    assert_int_equal(target_code_from_err(ERR_NOMEM), TARGET_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_survives_the_wire),
        cmocka_unit_test(layout_is_the_documented_one),
        cmocka_unit_test(other_lengths_are_refused),
        cmocka_unit_test(other_bytes_in_fixed_places_are_refused),
        cmocka_unit_test(text_that_must_not_be_shown_is_refused),
        cmocka_unit_test(long_text_is_cut_at_a_character),
        cmocka_unit_test(unprintable_bytes_become_question_marks),
        cmocka_unit_test(errors_and_codes_translate_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
