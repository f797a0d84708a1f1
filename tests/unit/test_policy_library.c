/* The part of libstile-policy that asks no system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "stile/policy.h"

#define ONE                                                                                        \
    "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"InboundProxyPort\":\"9091\",\"FilterTuple\":{"       \
    "\"Protocols\":\"6\"},\"InboundExceptions\":{\"PortExceptions\":[\"80\"],"                     \
    "\"IpAddressExceptions\":[\"10.0.0.1\"]},\"UserSID\":\"S-1-5-18\",\"UserID\":\"1337\"}}"

static struct stile_policies *new_list(void)
{
    struct stile_policies *p = NULL;

    assert_int_equal(stile_policies_new(&p, NULL), 0);
    assert_int_equal(stile_policies_count(p), 0);
    return p;
}

static void expect_json(const struct stile_policies *p, const char *text)
{
    char *json = NULL;

    assert_int_equal(stile_policies_write_json(p, &json, NULL), 0);
    assert_string_equal(json, text);
    stile_policy_free(json);
}

static void expect_error(int r, int code, const struct stile_policy_error *error, const char *words)
{
    assert_int_equal(r, code);
    assert_int_equal(error->code, code);
    if (strstr(error->text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error->text, words);
}

static void test_the_version_is_that_of_the_header(void **state)
{
    (void)state;
    char number[16];

    assert_string_equal(stile_policy_version(), STILE_POLICY_VERSION);
    (void)snprintf(number, sizeof(number), "%d.%d.%d", STILE_POLICY_VERSION_NUMBER / 10000,
                   STILE_POLICY_VERSION_NUMBER / 100 % 100, STILE_POLICY_VERSION_NUMBER % 100);
    assert_string_equal(number, STILE_POLICY_VERSION);
}

/* Programs that were built with an older header bring structures of their own. */
static void test_structures_keep_their_size(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct stile_policy_error), 16 + 512);
    assert_int_equal(offsetof(struct stile_policy_error, text), 16);
    assert_int_equal(sizeof(struct stile_endpoint_names), 4 * sizeof(void *));
    assert_int_equal(sizeof(struct stile_policy_result), 10 * sizeof(void *));
    assert_int_equal(sizeof(struct stile_policy_setting), 2 * sizeof(void *));
}

static void test_every_code_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(stile_policy_code_name(STILE_POLICY_OK), "STILE_POLICY_OK");
    assert_string_equal(stile_policy_code_name(STILE_POLICY_ENOMEM), "STILE_POLICY_ENOMEM");
    assert_string_equal(stile_policy_code_name(STILE_POLICY_EIO), "STILE_POLICY_EIO");
    assert_string_equal(stile_policy_code_name(STILE_POLICY_EBLOCKED), "STILE_POLICY_EBLOCKED");
    for (int code = STILE_POLICY_EBLOCKED; code <= 0; code++)
        assert_non_null(strstr(stile_policy_code_name(code), "STILE_POLICY_"));
    assert_string_equal(stile_policy_code_name(STILE_POLICY_EBLOCKED - 1), "unknown code");
    assert_string_equal(stile_policy_code_name(1), "unknown code");
    assert_string_equal(stile_policy_code_name(INT32_MIN), "unknown code");
    assert_string_equal(stile_policy_code_name(INT32_MAX), "unknown code");
}

static void test_a_list_becomes_what_json_says(void **state)
{
    (void)state;
    struct stile_policies *p = new_list();
    struct stile_policy_error error = {0};

    assert_int_equal(stile_policies_read_json(p, "[" ONE "]", sizeof("[" ONE "]") - 1, &error), 0);
    assert_int_equal(error.code, 0);
    expect_json(p, "[" ONE "]");
    /* Anew, not in addition; and an error leaves it. */
    assert_int_equal(stile_policies_read_json(p, ONE, sizeof(ONE) - 1, NULL), 0);
    assert_int_equal(stile_policies_count(p), 1);
    expect_error(stile_policies_read_json(p, "[{}]", 4, &error), STILE_POLICY_EFORMAT, &error,
                 "policy 1, Type");
    expect_json(p, "[" ONE "]");
    stile_policies_free(p);
}

static void test_settings_make_one_more_policy(void **state)
{
    (void)state;
    const struct stile_policy_setting good[] = {
        {"inbound-port", "9091"}, {"usersid", "system"},
        {"uid", "1337"},          {"inbound-port-exceptions", "80"},
        {"protocol", "tcp"},      {"inbound-address-exceptions", "10.0.0.1"}};
    const struct stile_policy_setting bad = {"port", "90001"}, unknown = {"colour", "red"};
    struct stile_policies *p = new_list();
    struct stile_policy_error error;

    assert_int_equal(stile_policies_add(p, good, 6, NULL), 0);
    expect_json(p, "[" ONE "]");
    expect_error(stile_policies_add(p, &bad, 1, &error), STILE_POLICY_EFORMAT, &error,
                 "port 90001 is over 65535");
    expect_error(stile_policies_add(p, &unknown, 1, &error), STILE_POLICY_EINVAL, &error, "colour");
    assert_int_equal(stile_policies_count(p), 1);
    assert_int_equal(stile_policies_add(p, NULL, 0, NULL), 0);
    assert_int_equal(stile_policies_count(p), 2);
    stile_policies_free(p);
}

static void test_a_list_has_a_limit_and_says_so(void **state)
{
    (void)state;
    struct stile_policies *p = new_list();
    struct stile_policy_error error;
    int r = 0;

    for (size_t i = 0; i <= 4096 && r == 0; i++)
        r = stile_policies_add(p, NULL, 0, &error);
    expect_error(r, STILE_POLICY_ELIMIT, &error, "4096");
    assert_int_equal(stile_policies_count(p), 4096);
    stile_policies_free(p);
}

static void test_a_policy_is_described_in_a_line(void **state)
{
    (void)state;
    const struct stile_policy_setting settings[] = {{"outbound-port", "8000"}, {"uid", "1337"}};
    struct stile_policies *p = new_list();
    struct stile_policy_error error;
    char *text = NULL;

    assert_int_equal(stile_policies_add(p, settings, 2, NULL), 0);
    assert_int_equal(stile_policies_describe(p, 0, &text, NULL), 0);
    assert_string_equal(text, "outbound TCP to port 8000, not of uid 1337");
    stile_policy_free(text);
    expect_error(stile_policies_describe(p, 1, &text, &error), STILE_POLICY_EINVAL, &error,
                 "number");
    stile_policies_free(p);
}

static void test_validation_is_for_the_system_that_is_asked_for(void **state)
{
    (void)state;
    const struct stile_policy_setting udp[] = {{"port", "1"}, {"uid", "1"}, {"protocol", "udp"}};
    const struct stile_policy_setting unguarded = {"port", "1"};
    struct stile_policies *p = new_list();
    struct stile_policy_error error;

    assert_int_equal(stile_policies_add(p, udp, 3, NULL), 0);
    assert_int_equal(stile_policies_validate(p, STILE_POLICY_LINUX, NULL), 0);
    expect_error(stile_policies_validate(p, STILE_POLICY_WINDOWS, &error),
                 STILE_POLICY_EUNSUPPORTED, &error, "no UDP on Windows");
    assert_int_equal(stile_policies_add(p, &unguarded, 1, NULL), 0);
    expect_error(stile_policies_validate(p, STILE_POLICY_LINUX, &error), STILE_POLICY_EINVAL,
                 &error, "policy 2: ");
    assert_true(stile_policies_validate(p, STILE_POLICY_HERE, NULL) < 0);
    expect_error(stile_policies_validate(p, 7, &error), STILE_POLICY_EINVAL, &error,
                 "no such system");
    stile_policies_free(p);
}

static void test_missing_arguments_are_errors_and_freeing_nothing_is_none(void **state)
{
    (void)state;
    struct stile_policies *p = new_list();
    struct stile_endpoint_names names;
    struct stile_endpoint *e;
    struct stile_policy_error error;
    char *text;

    stile_policies_free(NULL);
    stile_policy_free(NULL);
    stile_policy_result_release(NULL);
    stile_endpoint_names_release(NULL);
    stile_endpoint_close(NULL);
    assert_int_equal(stile_policies_count(NULL), 0);
    expect_error(stile_policies_new(NULL, &error), STILE_POLICY_EINVAL, &error, "NULL");
    assert_int_equal(stile_policies_read_json(NULL, "[]", 2, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_policies_read_json(p, NULL, 2, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_policies_write_json(NULL, &text, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_policies_write_json(p, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_policies_describe(NULL, 0, &text, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_policies_add(p, NULL, 1, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_policies_validate(NULL, STILE_POLICY_HERE, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_find(NULL, NULL, &names, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_find(NULL, "a", NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_open(NULL, 0, &e, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_open("a", 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_open("a", 2, &e, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_list(NULL, p, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_add(NULL, p, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_add(NULL, NULL, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_remove(NULL, NULL, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_apply(NULL, NULL, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_reconcile(NULL, NULL, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_clear(NULL, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_block(NULL, 0, NULL, NULL), STILE_POLICY_EINVAL);
    assert_int_equal(stile_endpoint_is_blocked(NULL, NULL, NULL), STILE_POLICY_EINVAL);
    stile_policies_free(p);
}

/* One round of everything; a step that fails ends it. */
static int round_of_all(struct stile_policy_error *error)
{
    static const char text[] = "[" ONE "]";
    const struct stile_policy_setting settings[] = {{"port", "8000"}, {"uid", "1337"}};
    struct stile_policies *p = NULL;
    char *json = NULL, *line = NULL;

    int r = stile_policies_new(&p, error);
    if (r == 0)
        r = stile_policies_read_json(p, text, sizeof(text) - 1, error);
    if (r == 0)
        r = stile_policies_add(p, settings, 2, error);
    if (r == 0)
        r = stile_policies_validate(p, STILE_POLICY_LINUX, error);
    if (r == 0)
        r = stile_policies_write_json(p, &json, error);
    if (r == 0)
        r = stile_policies_describe(p, 1, &line, error);
    if (r == 0)
        assert_non_null(strstr(json, "\"UserID\":\"1337\""));
    stile_policy_free(json);
    stile_policy_free(line);
    stile_policies_free(p);
    return r;
}

static size_t living; /* what jansson holds */

static void *counted(size_t size)
{
    void *p = mem_alloc(size);

    living += p != NULL;
    return p;
}

static void uncounted(void *p)
{
    living -= p != NULL;
    mem_free(p);
}

static void test_each_allocation_that_fails_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    struct stile_policy_error error;
    uint64_t n = 1, made;

    json_set_alloc_funcs(counted, uncounted);
    do {
        error = (struct stile_policy_error){0};
        (void)mem_fail_at(n);
        int r = round_of_all(&error);
        made = mem_fail_at(0);
        assert_true(r == 0 || r == STILE_POLICY_ENOMEM);
        if (r < 0)
            assert_string_equal(error.text, "out of memory");
        assert_int_equal(living, 0);
    } while (made >= n++);
    assert_true(n > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_version_is_that_of_the_header),
        cmocka_unit_test(test_structures_keep_their_size),
        cmocka_unit_test(test_every_code_has_its_name),
        cmocka_unit_test(test_a_list_becomes_what_json_says),
        cmocka_unit_test(test_settings_make_one_more_policy),
        cmocka_unit_test(test_a_list_has_a_limit_and_says_so),
        cmocka_unit_test(test_a_policy_is_described_in_a_line),
        cmocka_unit_test(test_validation_is_for_the_system_that_is_asked_for),
        cmocka_unit_test(test_missing_arguments_are_errors_and_freeing_nothing_is_none),
        cmocka_unit_test(test_each_allocation_that_fails_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
