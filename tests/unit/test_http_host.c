#include "testing.h"

#include <string.h>

#include "net/http_host.h"

static char wiki[] = "wiki.demo.test";
static char with_port[] = "other.demo.test:8080";
static char *const allowed[] = {wiki, with_port};

static enum http_host_verdict check(const char *text)
{
    struct slice host;

    return http_host_check(slice_str(text), allowed, 2, &host);
}

static void test_allowed_hosts_pass_in_any_case_and_with_any_port(void **state)
{
    (void)state;
    static const char *const good[] = {
        "GET / HTTP/1.1\r\nHost: wiki.demo.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhOST:WIKI.demo.TEST:8080  \r\nX: y\r\n\r\nbody",
        "POST /a HTTP/1.1\nHost: other.demo.test:8080\n\n",
        "GET http://wiki.demo.test/x HTTP/1.1\r\nHost: wiki.demo.test\r\n\r\n",
        "GET /?u=http://evil.example/ HTTP/1.1\r\nHost: wiki.demo.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(check(good[i]), HTTP_HOST_ALLOWED);
}

static void test_foreign_and_missing_hosts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: wiki.demo.test.evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evilwiki.demo.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: other.demo.test\r\n\r\n", /* listed with its port only */
        "GET / HTTP/1.1\r\nHost: 100.64.0.7\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: wiki.demo.test\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(check(bad[i]), HTTP_HOST_FOREIGN);
}

static void test_heads_that_could_be_read_in_two_ways_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nHost: wiki.demo.test\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : wiki.demo.test\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        " / HTTP/1.1\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(check(bad[i]), HTTP_HOST_MALFORMED);
}

static void test_an_unfinished_head_waits_for_more_but_not_without_end(void **state)
{
    (void)state;
    static const char whole[] = "GET / HTTP/1.1\r\nHost: wiki.demo.test\r\n\r\n";
    static char long_head[HTTP_HEAD_MAX + 1];
    struct slice host;

    for (size_t len = 0; len < sizeof(whole) - 1; len++)
        assert_int_equal(http_host_check(slice_of(whole, len), allowed, 2, &host), HTTP_HOST_MORE);
    memset(long_head, 'a', sizeof(long_head));
    memcpy(long_head, whole, sizeof(whole) - 3);
    assert_int_equal(http_host_check(slice_of(long_head, HTTP_HEAD_MAX - 1), allowed, 2, &host),
                     HTTP_HOST_MORE);
    assert_int_equal(http_host_check(slice_of(long_head, HTTP_HEAD_MAX), allowed, 2, &host),
                     HTTP_HOST_MALFORMED);
}

static void test_the_host_is_told(void **state)
{
    (void)state;
    struct slice host;

    assert_int_equal(http_host_check(slice_str("GET / HTTP/1.1\r\nHost: evil.example:80\r\n\r\n"),
                                     allowed, 2, &host),
                     HTTP_HOST_FOREIGN);
    assert_true(slice_eq_str(host, "evil.example:80"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed_hosts_pass_in_any_case_and_with_any_port),
        cmocka_unit_test(test_foreign_and_missing_hosts_are_refused),
        cmocka_unit_test(test_heads_that_could_be_read_in_two_ways_are_refused),
        cmocka_unit_test(test_an_unfinished_head_waits_for_more_but_not_without_end),
        cmocka_unit_test(test_the_host_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
