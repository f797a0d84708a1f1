#include "base/clock.h"

#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

#define US_PER_S    1000000
#define S_PER_DAY   86400
#define YEAR_0_S    INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define YEAR_9999_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

struct date {
    unsigned int year, month, day;
};

/* The proleptic Gregorian calendar repeats every 400 years, which are 146097 days. Years are
 * counted from March here, so that the leap day is the last of its year. */
static struct date date_of_day(unsigned int days_since_0000_03_01)
{
    unsigned int era = days_since_0000_03_01 / 146097;
    unsigned int in_era = days_since_0000_03_01 % 146097;
    unsigned int year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned int in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned int month =
        (5 * in_year + 2) / 153; /* from March; 153 days in every five months from there */
    struct date d = {.day = in_year - (153 * month + 2) / 5 + 1};
    d.month = month < 10 ? month + 3 : month - 9;
    d.year = year + 400 * era + (month < 10 ? 0 : 1);
    return d;
}

/* Day 0 is 0000-01-01; March begins 60 days later, as the year 0 is a leap year. */
static struct date date_of_day_from_year_0(unsigned int day)
{
    if (day >= 60)
        return date_of_day(day - 60);
    struct date d = date_of_day(day + 146097 - 60);
    d.year -= 400;
    return d;
}

int64_t clock_wall_s(void)
{
    return clock_wall_us() / US_PER_S;
}

int clock_left_ms(uint64_t deadline_ns)
{
    uint64_t now = clock_mono_ns();
    uint64_t left = now < deadline_ns ? (deadline_ns - now) / NS_PER_MS + 1 : 0;
    return (int)MIN(left, (uint64_t)INT_MAX);
}

void clock_format(int64_t wall_us, char text[CLOCK_TEXT_SIZE])
{
    int64_t s = wall_us / US_PER_S;
    int64_t us = wall_us % US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        s--;
    }
    uint64_t from_0 = (uint64_t)(MIN(MAX(s, YEAR_0_S), YEAR_9999_S) - YEAR_0_S);
    struct date d = date_of_day_from_year_0((unsigned int)(from_0 / S_PER_DAY));
    unsigned int in_day = (unsigned int)(from_0 % S_PER_DAY);
    str_format(text, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06dZ", d.year, d.month, d.day,
               in_day / 3600, in_day / 60 % 60, in_day % 60, (int)us);
}

/* The digits of text from `at` on; other characters make a wrong number, which is noticed in the end. */
static unsigned int number_at(const char *text, size_t at, size_t digits)
{
    unsigned int n = 0;
    for (size_t i = at; i < at + digits; i++)
        n = n * 10 + (unsigned int)(unsigned char)(text[i] - '0');
    return n;
}

/* Days from 1970-01-01; years begin in March, as above. */
static int64_t day_of_date(struct date d)
{
    unsigned int year = d.month > 2 ? d.year : d.year - 1;
    unsigned int month = d.month > 2 ? d.month - 3 : d.month + 9;
    unsigned int in_year = (153 * month + 2) / 5 + d.day - 1;
    return (int64_t)365 * year + year / 4 - year / 100 + year / 400 + in_year - 719468;
}

int clock_parse(const char *text, int64_t *ret_wall_us)
{
    char again[CLOCK_TEXT_SIZE];
    if (strlen(text) != CLOCK_TEXT_SIZE - 1)
        return ERR_FORMAT;
    struct date d = {.year = number_at(text, 0, 4),
                     .month = number_at(text, 5, 2),
                     .day = number_at(text, 8, 2)};
    if (d.year < 1970 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31)
        return ERR_FORMAT;
    int64_t s = day_of_date(d) * S_PER_DAY + number_at(text, 11, 2) * 3600 +
                number_at(text, 14, 2) * 60 + number_at(text, 17, 2);
    int64_t us = s * US_PER_S + number_at(text, 20, 6);
    clock_format(us, again);
    if (!str_eq(text, again))
        return ERR_FORMAT;
    *ret_wall_us = us;
    return 0;
}
