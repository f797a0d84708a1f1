#include "testing.h"

#include "base/str.h"
#include "tls/sessions.h"

#define NOW 1000000

static struct session_cache *cache;

static int set_up(void **state)
{
    (void)state;
    return session_cache_new(3, &cache);
}

static int tear_down(void **state)
{
    (void)state;
    session_cache_free(cache);
    return 0;
}

/* A session as if from a ticket with the longest lifetime there is: DER with a hint of 7200 s (i2d_SSL_SESSION's form). */
static SSL_SESSION *new_session(void)
{
    static const uint8_t der[] = {
        0x30, 0x37,                      /* SEQUENCE */
        0x02, 0x01, 0x01,                /* structure version */
        0x02, 0x02, 0x03, 0x04,          /* TLS 1.3 */
        0x04, 0x02, 0x13, 0x01,          /* TLS_AES_128_GCM_SHA256 */
        0x04, 0x04, 1,    2,    3,    4, /* session id */
        0x04, 0x10, 1,    2,    3,    4,    5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, /* secret */
        0xa1, 0x06, 0x02, 0x04, 0x5f, 0,    0, 0,                                      /* time */
        0xa2, 0x04, 0x02, 0x02, 0x1c, 0x20,                                            /* timeout */
        0xa9, 0x04, 0x02, 0x02, 0x1c, 0x20, /* [9] ticket lifetime hint */
    };
    const uint8_t *next = der;
    SSL_SESSION *s = d2i_SSL_SESSION(NULL, &next, (long)sizeof(der));
    assert_non_null(s);
    return s;
}

static void put(const char *key, int64_t not_after, int64_t now)
{
    session_cache_put(cache, slice_str(key), new_session(), not_after, now);
}

static bool take(const char *key, int64_t now)
{
    SSL_SESSION *s = session_cache_take(cache, slice_str(key), now);
    SSL_SESSION_free(s);
    return s != NULL;
}

static void session_is_given_once_and_only_for_its_key(void **state)
{
    (void)state;
    put("demo/pg/5432", INT64_MAX, NOW);
    assert_false(take("demo/pg/5433", NOW));
    assert_true(take("demo/pg/5432", NOW));
    assert_false(take("demo/pg/5432", NOW));
}

static void session_lives_ten_minutes_at_most(void **state)
{
    (void)state;
    put("a", INT64_MAX, NOW);
    put("b", INT64_MAX, NOW);
    assert_true(take("a", NOW + 599));
    assert_false(take("b", NOW + 600));
    assert_int_equal(session_cache_count(cache), 0);
}

static void session_does_not_outlive_its_certificate(void **state)
{
    (void)state;
    put("a", NOW + 5, NOW);
    put("b", NOW, NOW); /* over already */
    assert_int_equal(session_cache_count(cache), 1);
    assert_false(take("a", NOW + 5));
}

static void oldest_goes_over_the_cap(void **state)
{
    (void)state;
    put("a", INT64_MAX, NOW);
    put("b", INT64_MAX, NOW);
    put("c", INT64_MAX, NOW);
    put("d", INT64_MAX, NOW);
    assert_int_equal(session_cache_count(cache), 3);
    assert_false(take("a", NOW));
    assert_true(take("b", NOW));
}

static void one_key_keeps_a_bounded_number(void **state)
{
    (void)state;
    session_cache_free(cache);
    assert_int_equal(session_cache_new(100, &cache), 0);
    put("other", INT64_MAX, NOW);
    for (int i = 0; i < 50; i++)
        put("same", INT64_MAX, NOW);
    assert_int_equal(session_cache_count(cache), 32 + 1);
    assert_true(take("other", NOW));
}

static void dropping_and_clearing_forget(void **state)
{
    (void)state;
    put("a", INT64_MAX, NOW);
    put("a", INT64_MAX, NOW);
    put("b", INT64_MAX, NOW);
    session_cache_drop(cache, slice_str("a"));
    assert_int_equal(session_cache_count(cache), 1);
    session_cache_clear(cache);
    assert_int_equal(session_cache_count(cache), 0);
}

static void gathered_sessions_are_the_same_and_still_given_once(void **state)
{
    (void)state;
    put("a", INT64_MAX, NOW);
    put("b", INT64_MAX, NOW);
    session_cache_gather(cache);
    assert_int_equal(session_cache_count(cache), 2);
    unsigned len = 0;
    SSL_SESSION *s = session_cache_take(cache, slice_str("a"), NOW);
    assert_non_null(s);
    assert_memory_equal(SSL_SESSION_get_id(s, &len), "\1\2\3\4", 4);
    assert_int_equal(len, 4);
    SSL_SESSION_free(s);
    assert_false(take("a", NOW));
    assert_false(take("b", NOW + 600));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(session_is_given_once_and_only_for_its_key),
        TEST(session_lives_ten_minutes_at_most),
        TEST(session_does_not_outlive_its_certificate),
        TEST(oldest_goes_over_the_cap),
        TEST(one_key_keeps_a_bounded_number),
        TEST(dropping_and_clearing_forget),
        TEST(gathered_sessions_are_the_same_and_still_given_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
