/* Command-line options: what is accepted, and that errors name the option and the remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "cli/options.h"

static const struct option own[] = {
    {.name = "gateway",
     .letter = 'g',
     .kind = OPTION_TEXT,
     .value_name = "HOST:PORT",
     .required = true},
    {.name = "port", .kind = OPTION_NUMBER, .value_name = "N", .min = 1},
    {.name = "group", .kind = OPTION_TEXT, .value_name = "NAME", .repeatable = true},
    {.name = "form", .kind = OPTION_CHOICE, .value_name = "text|json"},
    {.name = NULL},
};
static const struct option shared[] = {
    {.name = "verbose", .letter = 'v', .kind = OPTION_FLAG},
    {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG},
    {.name = NULL},
};
static const struct options_spec spec = {.own = own, .shared = shared};

/* Words as main gets them: writable. They live until the next call. */
static int parse(const struct options_spec *with, struct options *o, struct diag *d, size_t count,
                 const char *const *words)
{
    static char text[OPTIONS_MAX + 1][32];
    static char *argv[OPTIONS_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(str_copy(text[i], sizeof(text[i]), words[i]), 0);
        argv[i] = text[i];
    }
    return options_parse(with, (int)count, argv, o, d);
}

#define WORDS(...)                                                                                 \
    ARRAY_LEN(((const char *[]){__VA_ARGS__})), (const char *const[])                              \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static void all_forms_of_values_are_read(void **state)
{
    (void)state;
    struct options o;
    struct diag d = {0};
    assert_int_equal(
        parse(&spec, &o, &d,
              WORDS("one", "--gateway=a:1", "-vq", "--port", "65535", "two", "--", "--three")),
        0);
    assert_string_equal(options_text(&o, "gateway"), "a:1");
    assert_int_equal(options_number(&o, "port", 7), 65535);
    assert_true(options_flag(&o, "verbose"));
    assert_true(options_flag(&o, "quiet"));
    assert_int_equal(o.arg_count, 3);
    assert_string_equal(o.args[0], "one");
    assert_string_equal(o.args[1], "two");
    assert_string_equal(o.args[2], "--three");
    assert_int_equal(options_check(&spec, &o, &d), 0);
}

static void short_options_take_joined_and_separate_values(void **state)
{
    (void)state;
    struct options o;
    struct diag d = {0};
    assert_int_equal(parse(&spec, &o, &d, WORDS("-vga:1")), 0);
    assert_string_equal(options_text(&o, "gateway"), "a:1");
    assert_int_equal(parse(&spec, &o, &d, WORDS("-g", "b:2")), 0);
    assert_string_equal(options_text(&o, "gateway"), "b:2");
}

static void repeated_values_keep_their_order(void **state)
{
    (void)state;
    struct options o;
    struct diag d = {0};
    assert_int_equal(parse(&spec, &o, &d, WORDS("--group", "a", "--group", "b")), 0);
    assert_int_equal(options_count(&o, "group"), 2);
    assert_string_equal(options_text_at(&o, "group", 0), "a");
    assert_string_equal(options_text_at(&o, "group", 1), "b");
    assert_null(options_text_at(&o, "group", 2));
}

static void the_first_argument_ends_options_where_asked(void **state)
{
    (void)state;
    struct options_spec stop = spec;
    stop.stop_at_argument = true;
    struct options o;
    struct diag d = {0};
    assert_int_equal(parse(&stop, &o, &d, WORDS("-v", "psql", "--gateway", "-q")), 0);
    assert_int_equal(o.arg_count, 3);
    assert_string_equal(o.args[1], "--gateway");
    assert_null(options_text(&o, "gateway"));
    assert_false(options_flag(&o, "quiet"));
}

static void double_dash_before_the_command_is_dropped_once(void **state)
{
    (void)state;
    struct options_spec stop = spec;
    stop.stop_at_argument = true;
    struct options o;
    struct diag d = {0};
    assert_int_equal(parse(&stop, &o, &d, WORDS("--", "--", "x")), 0);
    assert_int_equal(o.arg_count, 2);
    assert_string_equal(o.args[0], "--");
}

/* Each row: what is typed, and what the message must name. */
static void errors_name_the_option_and_the_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *words[2];
        const char *named, *remedy;
    } rows[] = {
        {{"--gatewy", "x"}, "--gatewy", "no option"},  {{"-z"}, "-z", "no option"},
        {{"--gatewy=x"}, "--gatewy;", "--gateway?"},   {{"-port", "1"}, "-port;", "--port?"},
        {{"--gateway"}, "--gateway", "HOST:PORT"},     {{"--gateway="}, "--gateway", "HOST:PORT"},
        {{"--verbose=1"}, "--verbose", "leave out"},   {{"--port", "0"}, "--port", "1 to 65535"},
        {{"--port", "65536"}, "--port", "1 to 65535"}, {{"--port", "12x"}, "12x", "1 to 65535"},
        {{"--form", "xml"}, "--form", "text|json"},    {{"--form", "tex"}, "--form", "text|json"},
        {{"-ga:1", "-gb:2"}, "--gateway", "once"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t count = rows[i].words[1] == NULL ? 1 : 2;
        struct options o;
        struct diag d = {0};
        assert_int_equal(parse(&spec, &o, &d, count, rows[i].words), ERR_INVAL);
        assert_non_null(strstr(d.text, rows[i].named));
        assert_non_null(strstr(d.text, rows[i].remedy));
    }
}

static void a_missing_required_option_is_named(void **state)
{
    (void)state;
    struct options o;
    struct diag d = {0};
    assert_int_equal(parse(&spec, &o, &d, WORDS("-v")), 0);
    assert_int_equal(options_check(&spec, &o, &d), ERR_INVAL);
    assert_non_null(strstr(d.text, "--gateway HOST:PORT"));
}

static void too_many_options_are_refused(void **state)
{
    (void)state;
    const char *argv[OPTIONS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        argv[i] = "--group=x";
    struct options o;
    struct diag d = {0};
    assert_int_equal(parse(&spec, &o, &d, OPTIONS_MAX, argv), 0);
    assert_int_equal(parse(&spec, &o, &d, OPTIONS_MAX + 1, argv), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_of_values_are_read),
        cmocka_unit_test(short_options_take_joined_and_separate_values),
        cmocka_unit_test(repeated_values_keep_their_order),
        cmocka_unit_test(the_first_argument_ends_options_where_asked),
        cmocka_unit_test(double_dash_before_the_command_is_dropped_once),
        cmocka_unit_test(errors_name_the_option_and_the_remedy),
        cmocka_unit_test(a_missing_required_option_is_named),
        cmocka_unit_test(too_many_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
