#include "testing.h"

#include <limits.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define US     INT64_C(1000000)
#define DAY_US (86400 * US)

static void check_text(int64_t wall_us, const char *want)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format(wall_us, text);
    assert_string_equal(text, want);
}

static void known_instants_have_their_text(void **state UNUSED)
{
    check_text(0, "1970-01-01T00:00:00.000000Z");
    check_text(1795334400 * US, "2026-11-22T08:00:00.000000Z");
    check_text(951782400 * US, "2000-02-29T00:00:00.000000Z");
    check_text(4107542400 * US - 1, "2100-02-28T23:59:59.999999Z");
    check_text(4107542400 * US, "2100-03-01T00:00:00.000000Z");
    check_text(1234567890 * US + 123456, "2009-02-13T23:31:30.123456Z");
}

static void instants_before_1970_count_down(void **state UNUSED)
{
    check_text(-1, "1969-12-31T23:59:59.999999Z");
    check_text(-US, "1969-12-31T23:59:59.000000Z");
    check_text(-62167219200 * US, "0000-01-01T00:00:00.000000Z");
}

static void years_of_five_digits_stop_at_the_border(void **state UNUSED)
{
    check_text(253402300799 * US + 999999, "9999-12-31T23:59:59.999999Z");
    char text[CLOCK_TEXT_SIZE];
    clock_format(253402300800 * US, text);
    assert_true(str_starts(text, "9999-12-31T23:59:59."));
    clock_format(INT64_MAX, text);
    assert_true(str_starts(text, "9999-12-31T23:59:59."));
    clock_format(INT64_MIN, text);
    assert_true(str_starts(text, "0000-01-01T00:00:00."));
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* Against a calendar that only counts: the first and last day of every month of ten thousand years.
 */
static void every_month_begins_and_ends_on_its_day(void **state UNUSED)
{
    int64_t day = -62167219200 / 86400;
    for (int year = 0; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            int last = days_of_month(year, month);
            char want[64];
            str_format(want, sizeof(want), "%04d-%02d-01T00:00:00.000000Z", year, month);
            check_text(day * DAY_US, want);
            day += last;
            str_format(want, sizeof(want), "%04d-%02d-%02dT23:59:59.999999Z", year, month, last);
            check_text(day * DAY_US - 1, want);
        }
    }
}

static void monotonic_time_never_goes_back(void **state UNUSED)
{
    uint64_t first = clock_mono_ns();
    uint64_t before = first;
    do {
        uint64_t now = clock_mono_ns();
        assert_true(now >= before);
        before = now;
    } while (before < first + NS_PER_MS);
    assert_true(before < first + 60 * NS_PER_S);
}

static void wall_time_agrees_with_the_c_library(void **state UNUSED)
{
    int64_t before = (int64_t)time(NULL);
    int64_t s = clock_wall_s();
    int64_t us = clock_wall_us();
    int64_t after = (int64_t)time(NULL);
    assert_true(s >= before - 1 && s <= after + 1);
    assert_true(us / US >= before - 1 && us / US <= after + 1);
}

static void a_text_is_read_again(void **state UNUSED)
{
    for (int64_t us = 0; us < INT64_C(253402300800) * US; us += 86400 * US * 27 + 3661000007) {
        char text[CLOCK_TEXT_SIZE];
        int64_t read = -1;
        clock_format(us, text);
        assert_int_equal(clock_parse(text, &read), 0);
        assert_true(read == us);
    }
}

static void other_texts_are_no_times(void **state UNUSED)
{
    static const char *const wrong[] = {"",
                                        "2026-11-22T08:00:00.000000",
                                        "2026-11-22T08:00:00.000000Z ",
                                        "2026-11-22 08:00:00.000000Z",
                                        "2026-02-29T08:00:00.000000Z",
                                        "2026-13-01T08:00:00.000000Z",
                                        "2026-11-22T24:00:00.000000Z",
                                        "2026-11-22T08:00:60.000000Z",
                                        "2026-11-2xT08:00:00.000000Z",
                                        "1969-12-31T23:59:59.000000Z",
                                        "\xff\xff\xff\xff-11-22T08:00:00.000000Z"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        int64_t us = 7;
        assert_int_equal(clock_parse(wrong[i], &us), ERR_FORMAT);
        assert_true(us == 7);
    }
}

static void what_is_left_is_never_too_little_and_ends_at_0(void **state UNUSED)
{
    uint64_t now = clock_mono_ns();
    assert_int_equal(clock_left_ms(now), 0);
    assert_int_equal(clock_left_ms(0), 0);
    assert_int_equal(clock_left_ms(UINT64_MAX), INT_MAX);
    int left = clock_left_ms(clock_mono_ns() + 3600 * NS_PER_S);
    assert_in_range(left, 3590000, 3600001);
    uint64_t deadline = clock_mono_ns() + NS_PER_MS / 2;
    left = clock_left_ms(deadline);
    assert_true(left == 1 || clock_mono_ns() >= deadline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_read_again),
        cmocka_unit_test(other_texts_are_no_times),
        cmocka_unit_test(known_instants_have_their_text),
        cmocka_unit_test(instants_before_1970_count_down),
        cmocka_unit_test(years_of_five_digits_stop_at_the_border),
        cmocka_unit_test(every_month_begins_and_ends_on_its_day),
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(what_is_left_is_never_too_little_and_ends_at_0),
        cmocka_unit_test(wall_time_agrees_with_the_c_library),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
