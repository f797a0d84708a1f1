/* The agent's small parts: versions, the session's network, notices, ports in words. */
#include "testing.h"

#include <string.h>

#include "agent/app_text.h"
#include "agent/network.h"
#include "agent/notices.h"
#include "agent/resolvers.h"
#include "agent/versions.h"
#include "base/str.h"

static void versions_are_compared_as_numbers(void **state)
{
    (void)state;
    static const char *const rising[] = {"0.1",    "0.1.0", "0.1.1", "0.9.0", "0.10.0-rc1",
                                         "0.10.0", "1.0.0", "1.0.1", "10.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(rising); i++)
        for (size_t j = 0; j < ARRAY_LEN(rising); j++) {
            int order = versions_compare(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void the_older_side_is_to_be_updated(void **state)
{
    (void)state;
    struct diag d = {0};
    assert_int_equal(versions_check("engine", STILE_VERSION, &d), 0);
    assert_int_equal(versions_check("engine", "0.0.1", &d), ERR_VERSION);
    assert_non_null(strstr(d.text, "update the engine"));
    assert_int_equal(versions_check("engine", "99.0", &d), ERR_VERSION);
    assert_non_null(strstr(d.text, "update the agent"));
    assert_int_equal(versions_check("engine", "", &d), ERR_VERSION);
    assert_int_equal(versions_check("engine", "\033[2J", &d), ERR_VERSION);
    assert_null(strchr(d.text, '\033'));
}

static void choose(const char *const *ranges, size_t count, struct channel_setup *s)
{
    struct name_list list = {0};
    struct resolvers r;
    for (size_t i = 0; i < count; i++)
        list.names[list.count++] = ranges[i];
    resolvers_parse(slice_str("nameserver 10.0.0.1\nnameserver 100.64.0.2\n"), &r);
    network_choose(&list, &r, 0, s);
}

static void ranges_that_overlap_or_cannot_be_virtual_are_left_out(void **state)
{
    (void)state;
    struct channel_setup s;
    char text[NETWORK_TEXT_SIZE];
    static const char *const ranges[] = {"100.64.0.0/10", "100.64.0.0/10",  "100.65.0.0/16",
                                         "127.0.0.0/8",   "169.254.0.0/16", "224.0.0.0/8",
                                         "0.0.0.0/0",     "10.1.2.3/24",    "fd00::/48",
                                         "nonsense",      "10.9.0.0/16",    "10.8.0.0/31"};
    choose(ranges, ARRAY_LEN(ranges), &s);
    assert_int_equal(s.range_count, 2);
    network_range_text(&s, 0, text);
    assert_string_equal(text, "100.64.0.0/10");
    network_range_text(&s, 1, text);
    assert_string_equal(text, "10.9.0.0/16");
}

static void without_a_range_the_default_one_is_used(void **state)
{
    (void)state;
    struct channel_setup s;
    char text[NETWORK_TEXT_SIZE];
    choose(NULL, 0, &s);
    assert_int_equal(s.range_count, 1);
    network_range_text(&s, 0, text);
    assert_string_equal(text, NETWORK_DEFAULT_RANGE);
}

static void a_resolver_in_a_range_is_left_out(void **state)
{
    (void)state;
    struct channel_setup s;
    choose(NULL, 0, &s);
    assert_int_equal(s.resolver_count, 1);
    assert_string_equal(s.resolvers[0], "10.0.0.1");
}

static void each_session_has_a_local_prefix_of_its_own(void **state)
{
    (void)state;
    struct channel_setup a, b;
    char text[NETWORK_TEXT_SIZE];
    choose(NULL, 0, &a);
    choose(NULL, 0, &b);
    assert_int_equal(a.ipv6_prefix[0], 0xfd);
    assert_memory_not_equal(a.ipv6_prefix, b.ipv6_prefix, 6);
    network_prefix_text(&a, text);
    assert_true(str_ends(text, "::/48"));
    union channel_message m;
    m.setup = a;
    assert_int_equal(channel_check(slice_of(&m, sizeof(m.setup)), 0), 0);
}

static int shown;
static char last[NOTICE_SIZE];

static void show(void *arg, const char *text)
{
    (void)arg;
    shown++;
    assert_int_equal(str_copy(last, sizeof(last), text), 0);
}

static void a_notice_is_not_repeated_at_once(void **state)
{
    (void)state;
    static struct notices n;
    n = (struct notices){.show = show};
    shown = 0;
    notices_tell(&n, "port %d", 1);
    notices_tell(&n, "port %d", 1);
    assert_int_equal(shown, 1);
    notices_tell(&n, "port %d", 2);
    assert_int_equal(shown, 2);
    notices_forget(&n);
    notices_tell(&n, "port %d", 1);
    assert_int_equal(shown, 3);
}

static void a_notice_cannot_steer_the_terminal(void **state)
{
    (void)state;
    static struct notices n;
    n = (struct notices){.show = show};
    notices_tell(&n, "a\033[2Jb\nc");
    assert_string_equal(last, "a?[2Jb?c");
}

static void ports_are_told_in_words(void **state)
{
    (void)state;
    Stile__Vnet__V1__App app = STILE__VNET__V1__APP__INIT;
    Stile__Vnet__V1__PortRange ranges[200];
    Stile__Vnet__V1__PortRange *ports[200];
    char text[APP_TEXT_SIZE];
    for (uint32_t i = 0; i < 200; i++) {
        stile__vnet__v1__port_range__init(&ranges[i]);
        ranges[i].first = 10000 + 10 * i;
        ranges[i].last = i == 0 ? 10000 : ranges[i].first + 5;
        ports[i] = &ranges[i];
    }
    app_text_vnet_ports(&app, text);
    assert_string_equal(text, "any");
    app.ports = ports;
    app.n_ports = 2;
    app_text_vnet_ports(&app, text);
    assert_string_equal(text, "10000, 10010-10015");
    app.n_ports = 200;
    app_text_vnet_ports(&app, text);
    assert_true(str_ends(text, ", …"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_are_compared_as_numbers),
        cmocka_unit_test(the_older_side_is_to_be_updated),
        cmocka_unit_test(ranges_that_overlap_or_cannot_be_virtual_are_left_out),
        cmocka_unit_test(without_a_range_the_default_one_is_used),
        cmocka_unit_test(a_resolver_in_a_range_is_left_out),
        cmocka_unit_test(each_session_has_a_local_prefix_of_its_own),
        cmocka_unit_test(a_notice_is_not_repeated_at_once),
        cmocka_unit_test(a_notice_cannot_steer_the_terminal),
        cmocka_unit_test(ports_are_told_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
