#include "testing.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "rpc/metadata.h"

static void expect_timeout(unsigned ms, const char *want)
{
    char text[RPC_TIMEOUT_SIZE];
    rpc_timeout_format(ms, text);
    assert_string_equal(text, want);
}

static void timeouts_are_written_in_8_digits(UNUSED void **state)
{
    expect_timeout(0, "0m");
    expect_timeout(1500, "1500m");
    expect_timeout(99999999, "99999999m");
    expect_timeout(100000000, "100000S");
    expect_timeout(100000001, "100001S"); /* never shorter than asked */
    expect_timeout(UINT32_MAX, "4294968S");
}

static void expect_ns(const char *text, uint64_t want)
{
    uint64_t ns = 0;
    assert_int_equal(rpc_timeout_parse(slice_str(text), &ns), 0);
    assert_true(ns == want);
}

static void timeouts_are_read_in_each_unit(UNUSED void **state)
{
    expect_ns("1H", 3600 * NS_PER_S);
    expect_ns("2M", 120 * NS_PER_S);
    expect_ns("3S", 3 * NS_PER_S);
    expect_ns("4m", 4 * NS_PER_MS);
    expect_ns("5u", 5 * NS_PER_US);
    expect_ns("6n", 6);
    expect_ns("00000000n", 0);
    expect_ns("99999999H", UINT64_MAX);
}

static void what_isnt_a_timeout_is_refused(UNUSED void **state)
{
    static const char *const bad[] = {"",    "1",    "m",  "-1m", "+1m",       " 1m",
                                      "1m ", "1.5S", "1s", "1x",  "123456789m"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t ns = 77;
        assert_int_equal(rpc_timeout_parse(slice_str(bad[i]), &ns), ERR_FORMAT);
        assert_int_equal(ns, 77);
    }
}

static void expect_text(const char *text, const char *want)
{
    char encoded[RPC_TEXT_ENCODED_SIZE];
    char decoded[RPC_TEXT_SIZE];
    rpc_text_encode(text, encoded);
    assert_string_equal(encoded, want);
    rpc_text_decode(slice_str(encoded), decoded);
    assert_string_equal(decoded, text);
}

static void texts_are_percent_encoded(UNUSED void **state)
{
    expect_text("", "");
    expect_text("plain ~!", "plain ~!");
    expect_text("100%", "100%25");
    expect_text("\303\244", "%C3%A4");
}

static void long_texts_are_cut(UNUSED void **state)
{
    char text[RPC_TEXT_SIZE + 50];
    char encoded[RPC_TEXT_ENCODED_SIZE];
    char decoded[RPC_TEXT_SIZE];
    memset(text, '%', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    rpc_text_encode(text, encoded);
    assert_int_equal(strlen(encoded), 3 * (RPC_TEXT_SIZE - 1));
    rpc_text_decode(slice_str(encoded), decoded);
    assert_int_equal(strlen(decoded), RPC_TEXT_SIZE - 1);
    rpc_text_decode(slice_str(text), decoded);
    assert_int_equal(strlen(decoded), RPC_TEXT_SIZE - 1);
}

static void expect_decoded(struct slice encoded, const char *want)
{
    char decoded[RPC_TEXT_SIZE];
    rpc_text_decode(encoded, decoded);
    assert_string_equal(decoded, want);
}

static void decoding_takes_anything_and_shows_only_what_can_be_shown(UNUSED void **state)
{
    expect_decoded(SLICE_LIT("%"), "%");
    expect_decoded(SLICE_LIT("%4"), "%4");
    expect_decoded(SLICE_LIT("%4g%G4"), "%4g%G4");
    expect_decoded(SLICE_LIT("%41%e2%82%ac"), "A\342\202\254");
    expect_decoded(SLICE_LIT("a%00b%0Ac%7f\n\0"), "a?b?c???");
}

static void content_types(UNUSED void **state)
{
    static const char *const good[] = {"application/grpc", "application/grpc+proto",
                                       "application/grpc;charset=utf-8"};
    static const char *const bad[] = {"",
                                      "application/grp",
                                      "application/grpc-web",
                                      "application/grpcx",
                                      "application/grpc+json",
                                      "text/html"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(rpc_content_type_ok(slice_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(rpc_content_type_ok(slice_str(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts_are_written_in_8_digits),
        cmocka_unit_test(timeouts_are_read_in_each_unit),
        cmocka_unit_test(what_isnt_a_timeout_is_refused),
        cmocka_unit_test(texts_are_percent_encoded),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(decoding_takes_anything_and_shows_only_what_can_be_shown),
        cmocka_unit_test(content_types),
    };
    return cmocka_run_group_tests_name("rpc_metadata", tests, NULL, NULL);
}
