#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "policy/l4_check.h"
#include "policy/l4_options.h"

#define READ(ret, ...)                                                                             \
    read_good((const struct l4_setting[]){__VA_ARGS__},                                            \
              sizeof((const struct l4_setting[]){__VA_ARGS__}) / sizeof(struct l4_setting), ret)

static void read_good(const struct l4_setting *settings, size_t count, struct l4_policy *ret)
{
    struct diag d = {0};

    if (l4_options_read(settings, count, ret, &d) < 0)
        fail_msg("%s", d.text);
}

static void expect_refused(const char *name, const char *value, int err, const char *words)
{
    struct l4_setting s = {name, value};
    struct l4_policy p = {.priority = 7};
    struct diag d = {0};

    assert_int_equal(l4_options_read(&s, 1, &p, &d), err);
    assert_int_equal(p.priority, 7);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", d.text, words);
}

static void test_port_alone_sets_both_directions(void **state)
{
    (void)state;
    struct l4_policy p;

    READ(&p, {"port", "8000"});
    assert_int_equal(p.inbound.proxy_port, 8000);
    assert_int_equal(p.outbound.proxy_port, 8000);
    assert_int_equal(p.protocols, L4_TCP);
}

static void test_a_port_for_one_direction_wins_there(void **state)
{
    (void)state;
    struct l4_policy p;

    READ(&p, {"inbound-port", "9000"}, {"port", "8000"});
    assert_int_equal(p.inbound.proxy_port, 9000);
    assert_int_equal(p.outbound.proxy_port, 8000);
    READ(&p, {"port", "8000"}, {"outbound-port", "9000"});
    assert_int_equal(p.inbound.proxy_port, 8000);
    assert_int_equal(p.outbound.proxy_port, 9000);
    READ(&p, {"outbound-port", "9000"});
    assert_int_equal(p.inbound.proxy_port, 0);
    assert_int_equal(p.outbound.proxy_port, 9000);
}

static void test_every_setting_reaches_its_member(void **state)
{
    (void)state;
    struct l4_policy p;

    READ(&p, {"inbound-port", "1"}, {"outbound-port", "2"}, {"usersid", "S-1-5-32-556"},
         {"uid", "1337"}, {"gid", "1338"}, {"cgroup", "/a/b"}, {"protocol", "tcp,udp"},
         {"udp", "redirect"}, {"priority", "3"}, {"localaddr", "10.0.0.1"},
         {"remoteaddr", "10.1.0.0/16"}, {"localports", "4"}, {"remoteports", "5-6"},
         {"inbound-port-exceptions", "7"}, {"inbound-address-exceptions", "fd00::7"},
         {"outbound-port-exceptions", "8"}, {"outbound-address-exceptions", "fd00::8"});
    assert_int_equal(p.inbound.proxy_port, 1);
    assert_int_equal(p.outbound.proxy_port, 2);
    assert_string_equal(p.guard.user_sid, "S-1-5-32-556");
    assert_true(p.guard.has_uid && p.guard.uid == 1337 && p.guard.has_gid && p.guard.gid == 1338);
    assert_string_equal(p.guard.cgroup, "a/b");
    assert_int_equal(p.protocols, L4_TCP | L4_UDP);
    assert_int_equal(p.udp, L4_UDP_REDIRECT);
    assert_int_equal(p.priority, 3);

    struct prefix_set addresses = {0};
    assert_int_equal(prefix_set_add(&addresses, "10.0.0.1", NULL), 0);
    assert_true(prefix_set_eq(&p.local_addresses, &addresses));
    addresses.count = 0;
    assert_int_equal(prefix_set_add(&addresses, "10.1.0.0/16", NULL), 0);
    assert_true(prefix_set_eq(&p.remote_addresses, &addresses));
    addresses.count = 0;
    assert_int_equal(prefix_set_add(&addresses, "fd00::7", NULL), 0);
    assert_true(prefix_set_eq(&p.inbound.address_exceptions, &addresses));
    addresses.count = 0;
    assert_int_equal(prefix_set_add(&addresses, "fd00::8", NULL), 0);
    assert_true(prefix_set_eq(&p.outbound.address_exceptions, &addresses));
    assert_true(port_set_contains(&p.local_ports, 4) && !port_set_contains(&p.local_ports, 5));
    assert_true(port_set_contains(&p.remote_ports, 6));
    assert_true(port_set_contains(&p.inbound.port_exceptions, 7));
    assert_true(port_set_contains(&p.outbound.port_exceptions, 8));
}

static void test_the_word_system_is_a_sid(void **state)
{
    (void)state;
    struct l4_policy p;

    READ(&p, {"port", "1"}, {"usersid", "system"});
    assert_string_equal(p.guard.user_sid, "S-1-5-18");
}

static void test_protocols_are_words_or_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned protocols;
    } cases[] = {{"tcp", L4_TCP},  {"UDP", L4_UDP},           {"6", L4_TCP},
                 {"17", L4_UDP},   {"6,17", L4_TCP | L4_UDP}, {"udp, tcp", L4_TCP | L4_UDP},
                 {"tcp,6", L4_TCP}};
    struct l4_policy p;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        READ(&p, {"protocol", cases[i].text});
        assert_int_equal(p.protocols, cases[i].protocols);
    }
    expect_refused("protocol", "icmp", ERR_FORMAT, "protocol: protocol \"icmp\"");
    expect_refused("protocol", "1", ERR_FORMAT, "protocol: protocol \"1\"");
    expect_refused("protocol", "", ERR_FORMAT, "protocol: ");
}

static void test_lists_grow_and_others_are_given_once(void **state)
{
    (void)state;
    struct l4_policy p = {.priority = 7};
    struct diag d = {0};
    const struct l4_setting twice[] = {{"port", "1"}, {"port", "1"}};

    READ(&p, {"localports", "1"}, {"localports", "2,3"}, {"remoteaddr", "10.0.0.1"},
         {"remoteaddr", "10.0.0.2"});
    assert_true(port_set_contains(&p.local_ports, 1) && port_set_contains(&p.local_ports, 3));
    assert_int_equal(p.remote_addresses.count, 2);
    assert_int_equal(l4_options_read(twice, 2, &p, &d), ERR_INVAL);
    assert_string_equal(d.text, "port is given twice");
}

static void test_wrong_values_are_refused_under_their_name(void **state)
{
    (void)state;
    expect_refused("port", "90001", ERR_FORMAT, "port: port 90001 is over 65535");
    expect_refused("port", "0", ERR_FORMAT, "port: port 0");
    expect_refused("port", "8000-8001", ERR_FORMAT, "port: \"8000-8001\" is no port");
    expect_refused("port", "", ERR_FORMAT, "port: \"\" is no port");
    expect_refused("inbound-port", "x", ERR_FORMAT, "inbound-port: ");
    expect_refused("outbound-port", "-1", ERR_FORMAT, "outbound-port: ");
    expect_refused("usersid", "me", ERR_FORMAT, "usersid: \"me\" is no SID");
    expect_refused("priority", "65536", ERR_FORMAT, "priority: \"65536\"");
    expect_refused("localaddr", "10.0.0.1/8", ERR_FORMAT, "localaddr: \"10.0.0.1/8\"");
    expect_refused("outbound-port-exceptions", "80,", ERR_FORMAT, "outbound-port-exceptions: ");
    expect_refused("udp", "fast", ERR_FORMAT, "udp: \"fast\"");
    expect_refused("cgroup", "..", ERR_FORMAT, "cgroup: \"..\"");
    expect_refused("uid", "4294967295", ERR_FORMAT, "uid: ");
    expect_refused("uid", "1x", ERR_FORMAT, "uid: ");
    expect_refused("uid", "", ERR_FORMAT, "uid: ");
    expect_refused("prot", "tcp", ERR_INVAL, "no setting \"prot\"");
    expect_refused("", "tcp", ERR_INVAL, "no setting \"\"");
    expect_refused(NULL, "tcp", ERR_INVAL, "NULL");
    expect_refused("port", NULL, ERR_INVAL, "NULL");
}

static void test_names_of_users_are_those_of_this_host(void **state)
{
    (void)state;
    struct l4_policy p;

    if (l4_system_here() == L4_WINDOWS) {
        expect_refused("uid", "root", ERR_UNSUPPORTED, "uid: \"root\"");
        return;
    }
    READ(&p, {"uid", "root"}, {"gid", "root"});
    assert_true(p.guard.has_uid && p.guard.uid == 0 && p.guard.has_gid && p.guard.gid == 0);
    expect_refused("uid", "no-such-user-here", ERR_NOTFOUND, "no user \"no-such-user-here\"");
    expect_refused("gid", "no-such-group-here", ERR_NOTFOUND, "no group \"no-such-group-here\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_alone_sets_both_directions),
        cmocka_unit_test(test_a_port_for_one_direction_wins_there),
        cmocka_unit_test(test_every_setting_reaches_its_member),
        cmocka_unit_test(test_the_word_system_is_a_sid),
        cmocka_unit_test(test_protocols_are_words_or_numbers),
        cmocka_unit_test(test_lists_grow_and_others_are_given_once),
        cmocka_unit_test(test_wrong_values_are_refused_under_their_name),
        cmocka_unit_test(test_names_of_users_are_those_of_this_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
