#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "policy/l4_check.h"
#include "policy/l4_json.h"

#define POLICY(settings)  "{\"Type\":\"L4WFPPROXY\",\"Settings\":{" settings "}}"
#define GUARDED(settings) POLICY("\"UserID\":\"1337\",\"UserSID\":\"S-1-5-18\"," settings)

static struct l4_policies list_of(const char *text)
{
    struct l4_policies l;
    struct diag d = {0};

    if (l4_json_read(slice_str(text), &l, &d) < 0)
        fail_msg("%s: %s", text, d.text);
    return l;
}

static void expect_good(const char *text, enum l4_system system)
{
    struct l4_policies l = list_of(text);
    struct diag d = {0};

    if (l4_check(&l, system, &d) < 0)
        fail_msg("%s: %s", text, d.text);
    l4_policies_release(&l);
}

static void expect_refused(const char *text, enum l4_system system, int err, const char *words)
{
    struct l4_policies l = list_of(text);
    struct diag d = {0};

    assert_int_equal(l4_check(&l, system, &d), err);
    assert_int_equal(d.err, err);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", d.text, words);
    l4_policies_release(&l);
}

static void expect_refused_on_windows(const char *text, const char *limit)
{
    expect_refused(text, L4_WINDOWS, ERR_UNSUPPORTED, limit);
    expect_refused(text, L4_WINDOWS, ERR_UNSUPPORTED, "a limit of HNS");
}

static void test_limits_of_windows_are_refused_by_name_and_are_none_on_linux(void **state)
{
    (void)state;
    static const struct {
        const char *text, *limit;
    } cases[] = {
        {GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"Protocols\":\"17\"}"), "no UDP"},
        {GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"Protocols\":\"6,17\"}"), "no UDP"},
        {GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"LocalAddresses\":\"10.0.0.1,fd00::1\"}"),
         "no IPv6 on Windows (a limit of HNS): LocalAddresses has fd00::1"},
        {GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"RemoteAddresses\":\"::/0\"}"),
         "RemoteAddresses has ::/0"},
        {GUARDED("\"Port\":\"1\",\"InboundExceptions\":{\"IpAddressExceptions\":[\"::1\"]}"),
         "InboundExceptions.IpAddressExceptions has ::1"},
        {GUARDED("\"Port\":\"1\",\"OutboundExceptions\":{\"IpAddressExceptions\":[\"::1\"]}"),
         "OutboundExceptions.IpAddressExceptions has ::1"},
        {GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"LocalPorts\":\"8000-8100\"}"),
         "no port ranges on Windows (a limit of HNS): LocalPorts has 8000-8100"},
        {GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"RemotePorts\":\"8000-8100\"}"), "RemotePorts"},
        {GUARDED("\"Port\":\"1\",\"InboundExceptions\":{\"PortExceptions\":[\"8000-8100\"]}"),
         "InboundExceptions.PortExceptions has 8000-8100"},
        {GUARDED("\"Port\":\"1\",\"OutboundExceptions\":{\"PortExceptions\":[\"8000-8100\"]}"),
         "OutboundExceptions.PortExceptions has 8000-8100"},
        {"[" GUARDED("\"Port\":\"1\"") "," GUARDED("\"Port\":\"2\"") "]",
         "policy 2: one proxy per endpoint"},
        {POLICY("\"Port\":\"1\",\"UserID\":\"1\""), "no uid, gid or cgroup"},
        {POLICY("\"Port\":\"1\",\"GroupID\":\"1\""), "no uid, gid or cgroup"},
        {POLICY("\"Port\":\"1\",\"Cgroup\":\"a\""), "no uid, gid or cgroup"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_refused_on_windows(cases[i].text, cases[i].limit);
        expect_good(cases[i].text, L4_LINUX);
    }
}

static void test_a_policy_with_guards_of_both_systems_is_good_on_both(void **state)
{
    (void)state;
    const char *text = GUARDED("\"Port\":\"8000\",\"FilterTuple\":{\"RemotePorts\":\"80,443\"},"
                               "\"InboundExceptions\":{\"PortExceptions\":[\"9001\",\"9002\"]}");

    expect_good(text, L4_LINUX);
    expect_good(text, L4_WINDOWS);
}

static void test_outbound_needs_a_loop_guard_on_linux(void **state)
{
    (void)state;
    expect_refused(POLICY("\"Port\":\"1\""), L4_LINUX, ERR_INVAL, "UserID, GroupID, Cgroup");
    expect_refused(POLICY("\"OutboundProxyPort\":\"1\",\"UserSID\":\"S-1-5-18\""), L4_LINUX,
                   ERR_INVAL, "A SID counts on Windows alone");
    expect_good(POLICY("\"InboundProxyPort\":\"1\""), L4_LINUX);
    expect_good(POLICY("\"Port\":\"1\",\"UserID\":\"0\""), L4_LINUX);
    expect_good(POLICY("\"Port\":\"1\",\"GroupID\":\"0\""), L4_LINUX);
    expect_good(POLICY("\"Port\":\"1\",\"Cgroup\":\"a\""), L4_LINUX);
    expect_good(POLICY("\"Port\":\"1\""), L4_WINDOWS);
}

static void test_what_makes_no_sense_is_refused_on_both_systems(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {GUARDED("\"FilterTuple\":{}"), "it has no proxy port"},
        {GUARDED("\"Port\":\"80\",\"InboundExceptions\":{\"PortExceptions\":[\"79\",\"80\"]}"),
         "its own inbound proxy port 80"},
        {GUARDED("\"Port\":\"80\",\"FilterTuple\":{\"LocalAddresses\":\"10.0.0.1\","
                 "\"RemoteAddresses\":\"fd00::1\"}"),
         "no connection matches"},
        {GUARDED("\"Port\":\"80\",\"UdpMode\":\"redirect\""), "UDP isn't among its protocols"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_refused(cases[i].text, L4_LINUX, ERR_INVAL, cases[i].words);
        expect_refused(cases[i].text, L4_WINDOWS, ERR_INVAL, cases[i].words);
    }
    expect_good(GUARDED("\"Port\":\"80\",\"OutboundExceptions\":{\"PortExceptions\":[\"80\"]}"),
                L4_LINUX);
    expect_good(GUARDED("\"Port\":\"80\",\"FilterTuple\":{\"LocalAddresses\":\"10.0.0.1\","
                        "\"RemoteAddresses\":\"fd00::1,10.0.0.2\"}"),
                L4_LINUX);
}

static void test_no_policies_are_good(void **state)
{
    (void)state;
    expect_good("[]", L4_LINUX);
    expect_good("[]", L4_WINDOWS);
}

static void put_line(void *lines, size_t policy, const char *text)
{
    assert_int_equal(buf_printf(lines, "%zu %s\n", policy, text), 0);
}

static void test_all_problems_are_told_with_their_policies(void **state)
{
    (void)state;
    struct l4_policies l = list_of("[" POLICY("\"FilterTuple\":{\"Protocols\":\"17\"}") "," GUARDED(
        "\"Port\":\"80\",\"InboundExceptions\":{\"PortExceptions\":[\"80\"],"
        "\"IpAddressExceptions\":[\"::1\"]}") "]");
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, 65536);
    assert_int_equal(l4_check_all(&l, L4_WINDOWS, put_line, &b), 5);
    const char *text = buf_cstr(&b);
    assert_true(str_starts(text, "0 it has no proxy port"));
    assert_non_null(strstr(text, "\n0 no UDP"));
    assert_non_null(strstr(text, "\n1 its inbound exceptions"));
    assert_non_null(strstr(text, "\n1 no IPv6"));
    assert_non_null(strstr(text, "\n1 one proxy"));
    buf_clear(&b);
    assert_int_equal(l4_check_all(&l, L4_LINUX, put_line, &b), 2);
    l4_policies_release(&l);
}

static void expect_warning(const char *text, enum l4_system system, const char *words)
{
    struct l4_policies l = list_of(text);
    CLEANUP(buf_release) struct buf b;

    buf_init(&b, 65536);
    assert_int_equal(l4_check(&l, system, NULL), 0);
    assert_int_equal(l4_check_warnings(&l, system, put_line, &b), words != NULL ? 1 : 0);
    if (words != NULL && strstr(buf_cstr(&b), words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", buf_cstr(&b), words);
    l4_policies_release(&l);
}

static void test_what_is_perhaps_not_meant_is_warned_of(void **state)
{
    (void)state;
    expect_warning(GUARDED("\"Port\":\"1\""), L4_LINUX, NULL);
    expect_warning(GUARDED("\"Port\":\"1\""), L4_WINDOWS, NULL);
    expect_warning(POLICY("\"Port\":\"1\",\"UserID\":\"0\""), L4_LINUX, "root (uid 0)");
    expect_warning(POLICY("\"Port\":\"1\",\"GroupID\":\"0\""), L4_LINUX, "root (gid 0)");
    expect_warning(POLICY("\"Port\":\"1\""), L4_WINDOWS, "say by UserSID");
    expect_warning(GUARDED("\"OutboundProxyPort\":\"1\",\"InboundExceptions\":{\"PortExceptions\":"
                           "[\"80\"]}"),
                   L4_LINUX, "its inbound exceptions have no effect");
    expect_warning(GUARDED("\"InboundProxyPort\":\"1\",\"OutboundExceptions\":{"
                           "\"IpAddressExceptions\":[\"10.0.0.1\"]}"),
                   L4_LINUX, "its outbound exceptions have no effect");
    expect_warning(GUARDED("\"InboundProxyPort\":\"1\",\"OutboundProxyPort\":\"2\","
                           "\"InboundExceptions\":{\"PortExceptions\":[\"2\"]}"),
                   L4_LINUX, "inbound exception 2 is a proxy's port");
    /* Once, though it is the proxy of two. */
    expect_warning(
        "[" GUARDED(
            "\"InboundProxyPort\":\"1\",\"OutboundProxyPort\":\"2\","
            "\"InboundExceptions\":{\"PortExceptions\":[\"2\"]}") "," GUARDED("\"OutboundProxyPort"
                                                                              "\":\"2\","
                                                                              "\"FilterTuple\":{"
                                                                              "\"Protocols\":"
                                                                              "\"17\"}") "]",
        L4_LINUX, "0 inbound exception 2 is a proxy's port");
}

static void test_a_policy_that_nothing_reaches_is_warned_of(void **state)
{
    (void)state;
    expect_warning("[" GUARDED("\"Port\":\"1\"") "," GUARDED("\"Port\":\"2\"") "]", L4_LINUX,
                   "1 no connection reaches it: policy 1 comes first and decides about all of "
                   "them. Give that one a "
                   "priority over 0");
    expect_warning("[" GUARDED("\"Port\":\"1\",\"FilterTuple\":{\"Priority\":2}") "," GUARDED(
                       "\"Port\":\"2\",\"FilterTuple\":{\"Priority\":1}") "]",
                   L4_LINUX,
                   "0 no connection reaches it: policy 2 comes first and decides about all of "
                   "them. Give this one a "
                   "priority under 1");
    /* DNS before everything, and each direction by itself. */
    expect_warning(
        "[" GUARDED(
            "\"OutboundProxyPort\":\"1\",\"FilterTuple\":{\"RemotePorts\":"
            "\"53\"}") "," GUARDED("\"OutboundProxyPort\":\"2\"") "," GUARDED("\"InboundProxyPort\""
                                                                              ":\"2\"") "]",
        L4_LINUX, NULL);
    expect_warning("[" GUARDED("\"Port\":\"1\"") "," GUARDED(
                       "\"Port\":\"1\",\"FilterTuple\":{\"Protocols\":\"6,17\"}") "]",
                   L4_LINUX, NULL);
}

static void test_a_policy_that_is_there_twice_counts_once_and_is_warned_of_once(void **state)
{
    (void)state;
    static const char *const twice =
        "[" GUARDED("\"Port\":\"1\"") "," GUARDED("\"Port\":\"1\"") "]";

    expect_good(twice, L4_LINUX);
    expect_good(twice, L4_WINDOWS);
    expect_warning(twice, L4_LINUX, "1 it is the same as policy 1, and counts once");
    expect_warning(twice, L4_WINDOWS, "1 it is the same as policy 1, and counts once");
}

/* So many that differ in their address; each has an exception that is another's proxy. */
static struct l4_policies many(size_t count)
{
    struct l4_policies l = list_of(GUARDED("\"Port\":\"1\""));
    struct l4_policy p = l.items[0];

    l4_policies_release(&l);
    assert_int_equal(port_set_add(&p.inbound.port_exceptions, "3-65535", NULL), 0);
    for (size_t i = 0; i < count; i++) {
        char text[32];
        p.outbound.proxy_port = (uint16_t)(i == 0 ? 3 : 2);
        p.remote_addresses.count = 0;
        (void)str_format(text, sizeof(text), "10.%zu.%zu.1", i / 256, i % 256);
        assert_int_equal(prefix_set_add(&p.remote_addresses, text, NULL), 0);
        assert_int_equal(l4_policies_add(&l, &p), 0);
    }
    return l;
}

static void count_closed(void *count, size_t policy, const char *text)
{
    (void)policy;
    assert_true(str_starts(text, "inbound exception 3 is a proxy's port"));
    ++*(size_t *)count;
}

static void check_them(const struct l4_policies *l)
{
    size_t closed = 0;

    assert_int_equal(l4_check(l, L4_LINUX, NULL), 0);
    assert_int_equal(l4_check_warnings(l, L4_LINUX, count_closed, &closed), l->count);
    assert_int_equal(closed, l->count);
}

/* What can't but look at each of them once. */
static void look_at_each(const struct l4_policies *l)
{
    uint64_t all = 0;

    for (size_t i = 0; i < l->count; i++)
        all += l4_policy_hash(&l->items[i]);
    assert_true(all != 0);
}

/* The shortest of several, as the machine may be busy. */
static uint64_t time_of(void (*act)(const struct l4_policies *), const struct l4_policies *l)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 5; i++) {
        uint64_t from = clock_mono_ns();
        act(l);
        best = MIN(best, clock_mono_ns() - from);
    }
    return best;
}

/* By time: about five times a look at each. If each were held against each it would be hundreds of times. */
static void test_a_check_of_thousands_does_not_hold_each_against_each(void **state)
{
    (void)state;
    struct l4_policies l = many(L4_POLICIES_MAX);
    uint64_t once = 1, check = UINT64_MAX;

    for (int tries = 0; tries < 5 && check >= 60 * once; tries++) {
        once = time_of(look_at_each, &l);
        check = time_of(check_them, &l);
    }
    if (check >= 60 * once)
        fail_msg("a look at each takes %llu ns, a check %llu", (unsigned long long)once,
                 (unsigned long long)check);
    l4_policies_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_of_windows_are_refused_by_name_and_are_none_on_linux),
        cmocka_unit_test(test_a_policy_with_guards_of_both_systems_is_good_on_both),
        cmocka_unit_test(test_outbound_needs_a_loop_guard_on_linux),
        cmocka_unit_test(test_what_makes_no_sense_is_refused_on_both_systems),
        cmocka_unit_test(test_no_policies_are_good),
        cmocka_unit_test(test_all_problems_are_told_with_their_policies),
        cmocka_unit_test(test_what_is_perhaps_not_meant_is_warned_of),
        cmocka_unit_test(test_a_policy_that_nothing_reaches_is_warned_of),
        cmocka_unit_test(test_a_policy_that_is_there_twice_counts_once_and_is_warned_of_once),
        cmocka_unit_test(test_a_check_of_thousands_does_not_hold_each_against_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
