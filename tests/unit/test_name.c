#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "net/name.h"

static struct name parsed(const char *text)
{
    struct name n;

    assert_int_equal(name_parse(text, &n), 0);
    return n;
}

static void test_spellings_of_one_name_are_equal(void **state)
{
    (void)state;
    struct name a = parsed("PG.Demo.stile.TEST.");
    struct name b = parsed("pg.demo.stile.test");

    assert_true(name_eq(&a, &b));
    assert_string_equal(a.text, "pg.demo.stile.test");
    assert_int_equal(name_labels(&a), 4);
}

static void test_bad_names_are_refused(void **state)
{
    (void)state;
    struct name n;
    char label[80];
    char whole[300];

    memset(label, 'a', sizeof(label));
    label[64] = '\0';
    memset(whole, 0, sizeof(whole));
    for (size_t i = 0; i < 254; i++)
        whole[i] = i % 32 == 31 ? '.' : 'a';
    const char *bad[] = {"",      ".",    "a..b",    ".a",  "a b", "x;id",
                         "$(id)", "a\nb", "ex*mple", label, whole};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(name_parse(bad[i], &n), ERR_FORMAT);
    label[63] = '\0';
    assert_int_equal(name_parse(label, &n), 0);
    whole[253] = '\0';
    assert_int_equal(name_parse(whole, &n), 0);
}

static void test_wire_form_round_trips_with_odd_bytes(void **state)
{
    (void)state;
    static const uint8_t wire[] = {3, 'A', '.', 0x80, 2, '\\', 'b', 1, '-', 0, 0xff};
    struct rd r = rd_init(slice_of(wire, sizeof(wire)));
    struct name n;
    struct slice raw;
    uint8_t out[32];
    struct wr w = wr_init(out, sizeof(out));

    assert_int_equal(name_read(&r, &n, &raw), 0);
    assert_int_equal(raw.len, 10);
    assert_int_equal(rd_left(&r), 1);
    assert_string_equal(n.text, "a\\046\\128.\\092b.-");
    name_write(&w, &n);
    assert_int_equal(wr_end(&w), 0);
    assert_int_equal(wr_len(&w), 10);
    assert_memory_equal(out + 2, wire + 2, 8); /* all but the folded letter */
    assert_int_equal(out[1], 'a');
}

static void test_hostile_wire_names_are_refused(void **state)
{
    (void)state;
    uint8_t wire[300];
    struct name n;
    struct slice raw;

    static const uint8_t pointer[] = {0xc0, 0x0c};
    struct rd r = rd_init(slice_of(pointer, sizeof(pointer)));
    assert_int_equal(name_read(&r, &n, &raw), ERR_FORMAT);

    static const uint8_t cut[] = {5, 'a', 'b'};
    r = rd_init(slice_of(cut, sizeof(cut)));
    assert_int_equal(name_read(&r, &n, &raw), ERR_TRUNCATED);

    for (size_t i = 0; i < sizeof(wire); i++)
        wire[i] = i % 2 == 0 ? 1 : 'x'; /* labels without end */
    r = rd_init(slice_of(wire, sizeof(wire)));
    assert_int_equal(name_read(&r, &n, &raw), ERR_FORMAT);
}

static void test_zone_holds_itself_and_what_is_below(void **state)
{
    (void)state;
    struct name zone = parsed("demo.test");
    struct name self = parsed("demo.test");
    struct name below = parsed("a.b.demo.test");
    struct name suffix = parsed("baddemo.test");
    struct name above = parsed("test");

    assert_true(name_in_zone(&self, &zone));
    assert_true(name_in_zone(&below, &zone));
    assert_false(name_in_zone(&suffix, &zone));
    assert_false(name_in_zone(&above, &zone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings_of_one_name_are_equal),
        cmocka_unit_test(test_bad_names_are_refused),
        cmocka_unit_test(test_wire_form_round_trips_with_odd_bytes),
        cmocka_unit_test(test_hostile_wire_names_are_refused),
        cmocka_unit_test(test_zone_holds_itself_and_what_is_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
