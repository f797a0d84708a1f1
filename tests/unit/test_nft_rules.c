#include "nft_world.h"

#include "base/mem.h"
#include "policy/nft_record.h"

#define MARK "meta mark set meta mark | 0x00100000"

static void expect_chain(const char *settings, const char *chain, const char *lines)
{
    CLEANUP(buf_release) struct buf b = document_of(settings);
    const char *got = chain_of(&b, chain);

    if (lines == NULL)
        assert_null(got);
    else
        assert_non_null(got);
    if (lines != NULL)
        assert_string_equal(got, lines);
}

static void test_an_outbound_policy_decides_in_a_chain_of_its_own(void **state)
{
    (void)state;
    const char *p =
        "'OutboundProxyPort':'15001','UserID':'1337','GroupID':'7','FilterTuple':{'Protocols':'6'},"
        "'OutboundExceptions':{'PortExceptions':['22','8000-8100'],'IpAddressExceptions':['fd00::/"
        "8','10.0.0.1']}";

    expect_chain(p, "outbound_redirect", "meta l4proto tcp goto outbound_policy_1\n");
    expect_chain(p, "outbound_policy_1",
                 "meta skuid 1337 return\nmeta skgid 7 return\nth dport 22 return\nth dport "
                 "8000-8100 return\n"
                 "ip daddr 10.0.0.1 return\nip6 daddr fd00::/8 return\n" MARK "\n");
    expect_chain(p, "outbound_redirect_to", "meta l4proto tcp redirect to :15001\ndrop\n");
    expect_chain(p, "closed_tcp",
                 "meta l4proto tcp ct original proto-dst 15001 reject with "
                 "tcp reset\n");
}

static void test_chains_that_no_policy_needs_are_not_there(void **state)
{
    (void)state;
    static const char *const of_udp[] = {"output_udp", "prerouting_udp", "returned_udp",
                                         "closed_udp", "output_answers"};
    static const char *const of_outbound[] = {
        "output_nat",        "output_stray",   "output_udp",     "postrouting",
        "outbound_redirect", "output_lasting", "output_answers", "output_end"};
    static const char *const of_inbound[] = {"prerouting_nat", "inbound_redirect", "input_lasting"};

    for (size_t i = 0; i < ARRAY_LEN(of_udp); i++)
        expect_chain("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6'}",
                     of_udp[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(of_outbound); i++)
        expect_chain("'InboundProxyPort':'1','FilterTuple':{'Protocols':'6,17'}", of_outbound[i],
                     NULL);
    for (size_t i = 0; i < ARRAY_LEN(of_inbound); i++)
        expect_chain("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6,17'}",
                     of_inbound[i], NULL);
}

static void test_answers_for_an_inbound_proxy_are_of_whom_its_guards_know(void **state)
{
    (void)state;

    expect_chain(
        "'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6,17'}|"
        "'InboundProxyPort':'2','UserID':'2','FilterTuple':{'Protocols':'17','LocalPorts':'53'}|"
        "'InboundProxyPort':'2','UserID':'2','FilterTuple':{'Protocols':'17','LocalPorts':'54'}|"
        "'InboundProxyPort':'3','UserID':'3','FilterTuple':{'Protocols':'6'}",
        "output_answers",
        "meta skuid 2 return\nip daddr 127.0.0.0/8 accept\nip6 daddr ::1 accept\n"
        "meta mark set meta mark & 0xffefffff\njump outbound_redirect\njump outbound_tproxy\n"
        "meta mark & 0x00100000 == 0x00100000 drop\n");
}

static void test_inbound_filters_by_its_own_side_as_destination(void **state)
{
    (void)state;
    const char *p = "'InboundProxyPort':'15006','FilterTuple':{'Protocols':'6','LocalPorts':'80','"
                    "RemotePorts':'1-1023',"
                    "'LocalAddresses':'10.0.0.2','RemoteAddresses':'10.0.0.0/24'}";

    expect_chain(p, "inbound_redirect",
                 "ip saddr 10.0.0.0/24 ip daddr 10.0.0.2 tcp sport 1-1023 tcp dport 80 " MARK
                 " return\n");
    expect_chain("'InboundProxyPort':'15006','FilterTuple':{'Protocols':'6'},'UserID':'5','"
                 "InboundExceptions':"
                 "{'IpAddressExceptions':['10.0.0.9']}",
                 "inbound_policy_1", "ip saddr 10.0.0.9 return\n" MARK "\n");
}

static void test_addresses_of_one_family_leave_the_other_alone(void **state)
{
    (void)state;

    expect_chain("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','"
                 "RemoteAddresses':'10.0.0.0/8'}",
                 "outbound_redirect",
                 "ip daddr 10.0.0.0/8 meta l4proto tcp goto outbound_policy_1\n");
    expect_chain("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6',"
                 "'LocalAddresses':'fd00::1,10.0.0.1','RemoteAddresses':'fd00::/8'}",
                 "outbound_redirect",
                 "ip6 saddr fd00::1 ip6 daddr fd00::/8 meta l4proto tcp goto outbound_policy_1\n");
}

static void test_prefixes_that_touch_or_overlap_are_one(void **state)
{
    (void)state;

    expect_chain(
        "'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','RemoteAddresses':"
        "'10.128.0.0/9,10.1.0.0/16,10.0.0.0/9,1.1.1.2,1.1.1.1,255.255.255.255,255.255.255.254'}",
        "outbound_redirect",
        "ip daddr 1.1.1.1-1.1.1.2 meta l4proto tcp goto outbound_policy_1\n"
        "ip daddr 10.0.0.0/8 meta l4proto tcp goto outbound_policy_1\n"
        "ip daddr 255.255.255.254/31 meta l4proto tcp goto outbound_policy_1\n");
    expect_chain("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','"
                 "RemoteAddresses':'0.0.0.0/0,10.0.0.0/8,::/0'}",
                 "outbound_redirect",
                 "ip daddr 0.0.0.0/0 meta l4proto tcp goto outbound_policy_1\n"
                 "ip6 daddr ::/0 meta l4proto tcp goto outbound_policy_1\n");
}

static void test_more_than_eight_combinations_make_a_set_of_the_longest_list(void **state)
{
    (void)state;

    expect_chain("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','LocalPorts':"
                 "'7,9','RemotePorts':'1,3,5,7,9'}",
                 "outbound_redirect",
                 "tcp sport 7 tcp dport { 1, 3, 5, 7, 9 } goto outbound_policy_1\n"
                 "tcp sport 9 tcp dport { 1, 3, 5, 7, 9 } goto outbound_policy_1\n");
    expect_chain(
        "'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','LocalPorts':'7,9','"
        "RemotePorts':'1,3'}",
        "outbound_redirect_to",
        "tcp sport 7 tcp dport 1 redirect to :1\ntcp sport 9 tcp dport 1 redirect to :1\n"
        "tcp sport 7 tcp dport 3 redirect to :1\ntcp sport 9 tcp dport 3 redirect to :1\ndrop\n");
}

static void test_policies_are_asked_by_priority_and_remembered_as_they_were_added(void **state)
{
    (void)state;
    const char *p =
        "'OutboundProxyPort':'2','UserID':'1','FilterTuple':{'Protocols':'6','Priority':9}|"
        "'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','Priority':1}|"
        "'OutboundProxyPort':'3','UserID':'1','FilterTuple':{'Protocols':'6','Priority':9}";
    CLEANUP(buf_release) struct buf b = document_of(p);
    CLEANUP(l4_policies_release) struct l4_policies l;
    struct diag d = {0};

    expect_chain(p, "outbound_redirect_to",
                 "meta l4proto tcp redirect to :1\nmeta l4proto tcp redirect to :2\nmeta l4proto "
                 "tcp redirect to :3\ndrop\n");
    assert_int_equal(nft_read_policies(listing_of(&b), &l, &d), 0);
    assert_int_equal(l.items[0].outbound.proxy_port, 2);
    assert_int_equal(l.items[1].outbound.proxy_port, 1);
    assert_int_equal(l.items[2].outbound.proxy_port, 3);
}

enum { BY_PORT = 33 }; /* so many are looked up, one fewer isn't */

/* Policies for the ports 1, 3, 5…; every third has the proxy 15002, others 15001. Then what `last` says. */
static void put_by_port(struct buf *b, unsigned count, const char *more, const char *last)
{
    buf_init(b, DOCUMENT_CAP);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(
            buf_printf(b,
                       "%s'OutboundProxyPort':'%u','UserID':'1'%s,'FilterTuple':{'Protocols':'6,17'"
                       ",'RemotePorts':'%u'}",
                       n > 0 ? "|" : "", n % 3 == 2 ? 15002 : 15001, more, 2 * n + 1),
            0);
    assert_int_equal(buf_put_str(b, last), 0);
}

static void put_map(struct buf *b, const char *before, const char *value, bool by_proxy)
{
    assert_int_equal(buf_printf(b, "%s{ ", before), 0);
    for (unsigned n = 0; n < BY_PORT; n++)
        assert_int_equal(buf_printf(b, "%s%u : %s%u", n > 0 ? ", " : "", 2 * n + 1, value,
                                    by_proxy ? (n % 3 == 2 ? 15002 : 15001) : n + 1),
                         0);
    assert_int_equal(buf_put_str(b, " }\n"), 0);
}

static void test_many_that_differ_by_port_are_one_look_up(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf p;
    CLEANUP(buf_release) struct buf want;

    put_by_port(&p, BY_PORT, "", "");
    buf_init(&want, DOCUMENT_CAP);
    put_map(&want, "tcp dport vmap ", "goto outbound_policy_", false);
    expect_chain(buf_cstr(&p), "outbound_redirect", buf_cstr(&want));
    buf_clear(&want);
    put_map(&want, "meta l4proto tcp redirect to :tcp dport map ", "", true);
    assert_int_equal(buf_put_str(&want, "drop\n"), 0);
    expect_chain(buf_cstr(&p), "outbound_redirect_to", buf_cstr(&want));
    buf_clear(&want);
    put_map(&want, "udp dport vmap ", "goto outbound_policy_", false);
    expect_chain(buf_cstr(&p), "outbound_tproxy", buf_cstr(&want));
    buf_clear(&want);
    put_map(&want, "udp dport vmap ", "goto tproxy_", true);
    assert_int_equal(buf_put_str(&want, "drop\n"), 0);
    expect_chain(buf_cstr(&p), "outbound_tproxy_to", buf_cstr(&want));
}

static void test_both_protocols_by_redirection_are_looked_up_each_by_itself(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf p;
    CLEANUP(buf_release) struct buf want;

    put_by_port(&p, BY_PORT, ",'UdpMode':'redirect'", "");
    buf_init(&want, DOCUMENT_CAP);
    put_map(&want, "th dport vmap ", "goto outbound_policy_", false);
    expect_chain(buf_cstr(&p), "outbound_redirect", buf_cstr(&want));
    buf_clear(&want);
    put_map(&want, "meta l4proto tcp redirect to :tcp dport map ", "", true);
    put_map(&want, "meta l4proto udp redirect to :udp dport map ", "", true);
    assert_int_equal(buf_put_str(&want, "drop\n"), 0);
    expect_chain(buf_cstr(&p), "outbound_redirect_to", buf_cstr(&want));
}

static void test_few_are_asked_one_after_the_other(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf p;
    CLEANUP(buf_release) struct buf want;

    put_by_port(&p, BY_PORT - 1, "", "");
    buf_init(&want, DOCUMENT_CAP);
    for (unsigned n = 1; n < BY_PORT; n++)
        assert_int_equal(buf_printf(&want, "tcp dport %u goto outbound_policy_%u\n", 2 * n - 1, n),
                         0);
    expect_chain(buf_cstr(&p), "outbound_redirect", buf_cstr(&want));
}

/* One whose port is taken, one with more to its filter, one for everything: what comes first must decide. */
static void test_what_does_not_fit_a_look_up_stands_behind_it(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf p;
    CLEANUP(buf_release) struct buf want;

    put_by_port(&p, BY_PORT, "",
                "|'OutboundProxyPort':'9','UserID':'1','FilterTuple':{'RemotePorts':'2,65'}|"
                "'OutboundProxyPort':'9','UserID':'1','FilterTuple':{'RemotePorts':'80',"
                "'RemoteAddresses':'10.0.0.1'}|"
                "'OutboundProxyPort':'9','UserID':'1','FilterTuple':{}");
    buf_init(&want, DOCUMENT_CAP);
    put_map(&want, "tcp dport vmap ", "goto outbound_policy_", false);
    assert_int_equal(buf_put_str(&want, "tcp dport 2 goto outbound_policy_34\n"
                                        "tcp dport 65 goto outbound_policy_34\n"
                                        "ip daddr 10.0.0.1 tcp dport 80 goto outbound_policy_35\n"
                                        "meta l4proto tcp goto outbound_policy_36\n"),
                     0);
    expect_chain(buf_cstr(&p), "outbound_redirect", buf_cstr(&want));
}

static void test_loopback_is_for_those_who_name_it_and_for_what_they_name(void **state)
{
    (void)state;
    const char *everything = "'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','"
                             "RemoteAddresses':'0.0.0.0/0'}";
    const char *named = "'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6','"
                        "RemoteAddresses':'0.0.0.0/0,127.0.0.53,::1'}";
    CLEANUP(buf_release) struct buf b = document_of(everything);

    expect_chain(everything, "loopback_redirect", NULL);
    assert_non_null(
        strstr(chain_of(&b, "output_nat"), "ip daddr 127.0.0.0/8 accept\nip6 daddr ::1 accept\n"));
    expect_chain(named, "loopback_redirect",
                 "ip daddr 127.0.0.53 meta l4proto tcp goto outbound_policy_1\n"
                 "ip6 daddr ::1 meta l4proto tcp goto outbound_policy_1\n");
}

static void test_udp_taken_in_another_way_is_not_for_the_next_policy(void **state)
{
    (void)state;
    const char *p = "'OutboundProxyPort':'15053','UserID':'1','UdpMode':'redirect','FilterTuple':{'"
                    "Protocols':'6,17','RemotePorts':'53'}|"
                    "'OutboundProxyPort':'15001','UserID':'1','FilterTuple':{'Protocols':'6,17'}";

    expect_chain(p, "outbound_redirect",
                 "th dport 53 goto outbound_policy_1\nmeta l4proto tcp goto "
                 "outbound_policy_2\nmeta l4proto udp return\n");
    expect_chain(p, "outbound_redirect_to",
                 "tcp dport 53 redirect to :15053\nudp dport 53 redirect to :15053\n"
                 "meta l4proto tcp redirect to :15001\nmeta l4proto udp drop\ndrop\n");
    expect_chain(p, "outbound_tproxy",
                 "udp dport 53 return\nmeta l4proto udp goto outbound_policy_2\n");
    expect_chain(p, "outbound_tproxy_to",
                 "udp dport 53 drop\nmeta l4proto udp goto tproxy_15001\ndrop\n");
    expect_chain(p, "tproxy_15001", "meta l4proto udp tproxy to :15001 accept\ndrop\n");
    expect_chain(p, "tproxy_15053", NULL);
}

static void test_a_guard_by_cgroup_has_its_level(void **state)
{
    (void)state;

    expect_chain("'OutboundProxyPort':'1','Cgroup':'system.slice/"
                 "proxy.service','FilterTuple':{'Protocols':'6'}",
                 "outbound_policy_1",
                 "socket cgroupv2 level 2 \"system.slice/proxy.service\" return\n" MARK "\n");
}

static void test_comments_fit_into_nft_and_have_no_quotes_inside(void **state)
{
    (void)state;
    CLEANUP(l4_policies_release)
    struct l4_policies l = policies_from("'OutboundProxyPort':'1','UserID':'1'");
    CLEANUP(buf_release) struct buf b;

    /* What JSON has to escape, and what it could hide a quote in. */
    memcpy(l.items[0].guard.user_sid, "'\\\"\xc3\xa9\n", sizeof("'\\\"\xc3\xa9\n"));
    make_document(&l, &b);
    const char *lines = chain_of(&b, NFT_RECORD_CHAIN);
    for (const char *at = lines; *at != '\0';) {
        const char *end = strchr(at, '\n');
        const char *first = strchr(at, '"');
        assert_true(first != NULL && first < end && end[-1] == '"');
        assert_true(end - first - 2 <= 128);
        assert_null(memchr(first + 1, '"', (size_t)(end - first) - 2));
        for (const char *c = at; c < end; c++)
            assert_true(*c >= ' ' && *c <= '~');
        at = end + 1;
    }
}

static void test_routes_for_udp_are_wanted_by_outbound_tproxy_alone(void **state)
{
    (void)state;
    static const struct {
        const char *settings;
        bool wanted;
    } rows[] = {
        {"'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'17'}", true},
        {"'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6'}", false},
        {"'OutboundProxyPort':'1','UserID':'1','UdpMode':'redirect','FilterTuple':{'Protocols':'17'"
         "}",
         false},
        {"'InboundProxyPort':'1','FilterTuple':{'Protocols':'17'}", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(l4_policies_release) struct l4_policies l = policies_from(rows[i].settings);
        assert_int_equal(nft_rules_want_udp_routes(&l), rows[i].wanted);
    }
}

static void test_removal_is_of_both_tables_and_a_block_of_its_own(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf gone;
    CLEANUP(buf_release) struct buf block;
    struct diag d = {0};

    buf_init(&gone, DOCUMENT_CAP);
    buf_init(&block, DOCUMENT_CAP);
    assert_int_equal(nft_rules_remove(&gone, &d), 0);
    assert_string_equal(
        buf_cstr(&gone),
        "add table inet stile_policy\ndelete table inet stile_policy\n"
        "add table inet stile_policy_block\ndelete table inet stile_policy_block\n");
    assert_int_equal(nft_rules_block(&block, &d), 0);
    assert_non_null(
        strstr(buf_cstr(&block),
               "type filter hook output priority -500; policy drop;\n\t\toif \"lo\" accept\n"));
    assert_null(strstr(buf_cstr(&block), "table inet stile_policy\n"));
}

/* Whatever is written has been removed in the same transaction before. */
static void test_a_replacement_removes_the_old_table_and_the_block_first(void **state)
{
    (void)state;
    CLEANUP(buf_release) struct buf b = document_of("'OutboundProxyPort':'1','UserID':'1'");

    assert_ptr_equal(
        strstr(buf_cstr(&b),
               "add table inet stile_policy\ndelete table inet stile_policy\n"
               "add table inet stile_policy_block\ndelete table inet stile_policy_block\n"
               "table inet stile_policy {\n"),
        buf_cstr(&b));
}

static void test_memory_may_end_at_any_point(void **state)
{
    (void)state;
    CLEANUP(l4_policies_release)
    struct l4_policies l =
        policies_from("'OutboundProxyPort':'1','UserID':'1','FilterTuple':{'Protocols':'6,17'}");
    struct diag d = {0};
    bool done = false;

    for (uint64_t n = 1; !done; n++) {
        CLEANUP(buf_release) struct buf b;
        buf_init(&b, DOCUMENT_CAP);
        (void)mem_fail_at(n);
        int err = nft_rules_replace(&l, &b, &d);
        done = mem_fail_at(0) < n;
        assert_true(err == 0 || err == ERR_NOMEM);
        assert_int_equal(err == 0, done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_outbound_policy_decides_in_a_chain_of_its_own),
        cmocka_unit_test(test_chains_that_no_policy_needs_are_not_there),
        cmocka_unit_test(test_answers_for_an_inbound_proxy_are_of_whom_its_guards_know),
        cmocka_unit_test(test_inbound_filters_by_its_own_side_as_destination),
        cmocka_unit_test(test_addresses_of_one_family_leave_the_other_alone),
        cmocka_unit_test(test_prefixes_that_touch_or_overlap_are_one),
        cmocka_unit_test(test_more_than_eight_combinations_make_a_set_of_the_longest_list),
        cmocka_unit_test(test_policies_are_asked_by_priority_and_remembered_as_they_were_added),
        cmocka_unit_test(test_many_that_differ_by_port_are_one_look_up),
        cmocka_unit_test(test_both_protocols_by_redirection_are_looked_up_each_by_itself),
        cmocka_unit_test(test_few_are_asked_one_after_the_other),
        cmocka_unit_test(test_what_does_not_fit_a_look_up_stands_behind_it),
        cmocka_unit_test(test_loopback_is_for_those_who_name_it_and_for_what_they_name),
        cmocka_unit_test(test_udp_taken_in_another_way_is_not_for_the_next_policy),
        cmocka_unit_test(test_a_guard_by_cgroup_has_its_level),
        cmocka_unit_test(test_comments_fit_into_nft_and_have_no_quotes_inside),
        cmocka_unit_test(test_routes_for_udp_are_wanted_by_outbound_tproxy_alone),
        cmocka_unit_test(test_removal_is_of_both_tables_and_a_block_of_its_own),
        cmocka_unit_test(test_a_replacement_removes_the_old_table_and_the_block_first),
        cmocka_unit_test(test_memory_may_end_at_any_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
