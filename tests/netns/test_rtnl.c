#include "network.h"

#include "netcfg/rtnl.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rtnl *rtnl;
static struct tun tun;
static struct rtnl_link link_;
static struct diag d;

static int make_link(void **state UNUSED)
{
    network_enter(); /* each test has its own */
    tun = network_tun("stile0");
    assert_int_equal(rtnl_open(&rtnl, &d), 0);
    assert_int_equal(rtnl_link_by_name(rtnl, "stile0", &link_, &d), 0);
    assert_int_equal(rtnl_link_up(rtnl, link_.index, 1400, 77, &d), 0);
    return 0;
}

static int remove_link(void **state UNUSED)
{
    rtnl_close(rtnl);
    tun_close(&tun);
    return 0;
}

static struct rtnl_route route_to(const char *dst)
{
    return (struct rtnl_route){.dst = prefix_from(dst), .link_index = link_.index};
}

static void a_link_is_what_was_asked_for(void **state UNUSED)
{
    assert_int_equal(rtnl_link_by_index(rtnl, link_.index, &link_, &d), 0);
    assert_string_equal(link_.name, "stile0");
    assert_string_equal(link_.kind, "tun");
    assert_int_equal(link_.mtu, 1400);
    assert_int_equal(link_.queue_len, 77);
    assert_true(link_.up);
    assert_true(link_.ipv6);
    assert_false(link_.loopback);
    assert_int_equal(rtnl_link_set(rtnl, link_.index, 0, 0, false, &d), 0);
    assert_int_equal(rtnl_link_by_name(rtnl, "stile0", &link_, &d), 0);
    assert_false(link_.up);
    assert_int_equal(link_.mtu, 1400);
}

static void a_link_makes_no_address_of_its_own_if_told_so(void **state UNUSED)
{
    static const char shown[] = "-d link show dev stile5", none[] = "addrgenmode none";
    struct tun other;
    unsigned index = 0;

    assert_int_equal(tun_open("stile5", 1, &other, &d), 0);
    assert_int_equal(rtnl_link_index("stile5", &index, &d), 0);
    assert_false(network_ip_says(shown, none));
    rtnl_link_no_own_address(rtnl, index);
    assert_true(network_ip_says(shown, none));
    rtnl_link_no_own_address(rtnl, 4711);
    tun_close(&other);
}

static char first_of(const char *path)
{
    char c = '?';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, &c, 1), 1);
    (void)close(fd);
    return c;
}

static void the_other_end_of_a_link_can_be_told_not_to_pass_for_others_or_route(void **state UNUSED)
{
    struct tun other;
    unsigned index = 0;

    assert_int_equal(tun_open("stile5", 1, &other, &d), 0);
    assert_int_equal(rtnl_link_index("stile5", &index, &d), 0);
    rtnl_link_own_sources(rtnl, index);
    assert_int_equal(first_of("/proc/sys/net/ipv4/conf/stile5/rp_filter"), '1');
    assert_int_not_equal(first_of("/proc/sys/net/ipv6/conf/stile5/accept_ra"), '0');
    assert_int_equal(rtnl_link_no_routers("stile5", &d), 0);
    assert_int_equal(first_of("/proc/sys/net/ipv6/conf/stile5/accept_ra"), '0');
    rtnl_link_own_sources(rtnl, 4711);
    assert_int_equal(rtnl_link_no_routers("stile6", &d), 0);
    assert_int_equal(rtnl_link_no_routers("../all", &d), ERR_INVAL);
    tun_close(&other);
}

static void a_link_that_is_not_there_is_not_found(void **state UNUSED)
{
    struct rtnl_link none;

    assert_int_equal(rtnl_link_by_name(rtnl, "stile7", &none, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile7"));
    assert_int_equal(rtnl_link_by_name(rtnl, "a-name-that-is-too-long", &none, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_link_by_index(rtnl, 4711, &none, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_link_by_index(rtnl, 0, &none, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_link_set(rtnl, 4711, 0, 0, true, &d), ERR_NOTFOUND);
}

static void an_address_carries_the_tag(void **state UNUSED)
{
    const struct ip_addr addrs[] = {addr_from("100.64.0.1"), addr_from("fd00:1::1")};
    struct rtnl_address found;

    for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
        uint8_t bits = (uint8_t)(ip_addr_len(&addrs[i]) * 8);
        assert_int_equal(rtnl_find_address(rtnl, link_.index, &addrs[i], bits, &found, &d),
                         ERR_NOTFOUND);
        assert_int_equal(rtnl_add_address(rtnl, link_.index, &addrs[i], &d), 0);
        assert_int_equal(rtnl_find_address(rtnl, link_.index, &addrs[i], bits, &found, &d), 0);
        assert_int_equal(found.protocol, RTNL_PROTOCOL);
        assert_true(rtnl_address_is_ours(rtnl, &found));
        assert_int_equal(rtnl_add_address(rtnl, link_.index, &addrs[i], &d), ERR_EXISTS);
        assert_int_equal(rtnl_delete_address(rtnl, &found, &d), 0);
        assert_int_equal(rtnl_delete_address(rtnl, &found, &d), ERR_NOTFOUND);
    }
}

static void an_address_brings_no_route_of_the_kernel(void **state UNUSED)
{
    const struct rtnl_address a = {
        .link_index = link_.index, .addr = addr_from("10.9.8.1"), .bits = 24};

    assert_int_equal(rtnl_new_address(rtnl, &a, &d), 0);
    assert_false(network_ip_says("route show table main", "10.9.8"));
}

static void an_address_of_another_length_or_link_is_another(void **state UNUSED)
{
    const struct rtnl_address a = {
        .link_index = link_.index, .addr = addr_from("10.9.8.1"), .bits = 24};
    struct rtnl_address found;
    struct rtnl_address other = a;

    assert_int_equal(rtnl_new_address(rtnl, &a, &d), 0);
    other.bits = 32;
    assert_int_equal(rtnl_find_address(rtnl, a.link_index, &a.addr, 32, &found, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_delete_address(rtnl, &other, &d), ERR_NOTFOUND);
    other = a;
    other.link_index = 1;
    assert_int_equal(rtnl_find_address(rtnl, 1, &a.addr, 24, &found, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_delete_address(rtnl, &other, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_find_address(rtnl, a.link_index, &a.addr, 24, &found, &d), 0);
}

static void an_untagged_address_is_ours_only_where_no_kernel_could_tag(void **state UNUSED)
{
    struct ip_addr addr = addr_from("10.9.8.7");
    struct rtnl_address found;

    network_ip("address add 10.9.8.7/32 dev stile0");
    assert_int_equal(rtnl_find_address(rtnl, link_.index, &addr, 32, &found, &d), 0);
    assert_false(rtnl_address_is_ours(rtnl, &found));
    rtnl_forget_address_protocol(rtnl);
    assert_true(rtnl_address_is_ours(rtnl, &found));
    assert_int_equal(rtnl_delete_address(rtnl, &found, &d), 0);
    assert_int_equal(rtnl_add_address(rtnl, link_.index, &addr, &d), 0);
    assert_int_equal(rtnl_find_address(rtnl, link_.index, &addr, 32, &found, &d), 0);
    assert_int_equal(found.protocol, 0);
}

static void a_route_carries_the_tag_and_goes_exactly(void **state UNUSED)
{
    struct ip_addr source = addr_from("100.64.0.1");
    struct rtnl_route route = route_to("100.64.0.0/10");
    struct rtnl_route found;

    assert_int_equal(rtnl_add_address(rtnl, link_.index, &source, &d), 0);
    assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), ERR_NOTFOUND);
    assert_int_equal(rtnl_add_route(rtnl, link_.index, &route.dst, &source, &d), 0);
    assert_true(network_ip_says("route show proto 115", "100.64.0.0/10 dev stile0"));
    assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), 0);
    assert_int_equal(found.protocol, RTNL_PROTOCOL);
    assert_int_equal(found.link_index, link_.index);
    assert_int_equal(found.table, RTNL_TABLE_MAIN);
    assert_true(ip_addr_eq(&found.source, &source));
    assert_int_equal(rtnl_new_route(rtnl, &route, &d), ERR_EXISTS);
    assert_int_equal(rtnl_delete_route(rtnl, &found, &d), 0);
    assert_int_equal(rtnl_delete_route(rtnl, &found, &d), ERR_NOTFOUND);
    assert_false(network_ip_says("route show table all", "100.64.0.0/10"));
}

/* One route, and the others that differ from it in one thing. */
static void only_the_very_route_is_removed(void **state UNUSED)
{
    const char *dsts[] = {"100.64.0.0/10", "fd00:1::/48"};
    const char *others[][4] = {
        {"route add 100.64.0.0/10 dev stile0 metric 7", "route add 100.64.0.0/10 dev lo table 1000",
         "route add 100.64.0.0/11 dev stile0",
         "route add 100.64.0.0/10 dev stile0 metric 9 proto 115"},
        {"-6 route add fd00:1::/48 dev stile0 metric 7",
         "-6 route add fd00:1::/48 dev lo table 1000", "-6 route add fd00:1::/49 dev stile0",
         "-6 route add fd00:1::/48 dev stile0 metric 9 proto 115"}};
    const char *show[] = {"-4 route show table all", "-6 route show table all"};

    network_ip("link set lo up");
    for (size_t i = 0; i < ARRAY_LEN(dsts); i++) {
        struct rtnl_route route = route_to(dsts[i]);
        struct rtnl_route found;
        char before[8192];
        char after[8192];
        for (size_t k = 0; k < 4; k++)
            network_ip(others[i][k]);
        assert_int_equal(network_ip_output(show[i], before, sizeof(before)), 0);
        assert_int_equal(rtnl_new_route(rtnl, &route, &d), 0);
        assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), 0);
        assert_int_equal(rtnl_delete_route(rtnl, &found, &d), 0);
        assert_int_equal(network_ip_output(show[i], after, sizeof(after)), 0);
        assert_string_equal(before, after);
        found.metric = 7;
        assert_int_equal(rtnl_delete_route(rtnl, &found, &d), ERR_NOTFOUND); /* not our tag */
        assert_int_equal(network_ip_output(show[i], after, sizeof(after)), 0);
        assert_string_equal(before, after);
    }
}

static void a_route_in_another_table_is_found_there(void **state UNUSED)
{
    struct rtnl_route route = route_to("10.1.0.0/16");
    struct rtnl_route found;

    route.table = 70000; /* more than rtm_table can hold */
    route.metric = 5;
    assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), ERR_NOTFOUND); /* no such table */
    assert_int_equal(rtnl_new_route(rtnl, &route, &d), 0);
    assert_true(network_ip_says("route show table 70000", "10.1.0.0/16"));
    assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), 0);
    assert_int_equal(found.table, 70000);
    assert_int_equal(rtnl_delete_route(rtnl, &found, &d), 0);
}

static void someone_elses_route_is_shown_as_theirs(void **state UNUSED)
{
    struct rtnl_route route = route_to("10.1.0.0/16");
    struct rtnl_route found;

    network_ip("link set lo up");
    assert_int_equal(rtnl_new_route(rtnl, &route, &d), 0);
    network_ip("route replace 10.1.0.0/16 dev lo");
    assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), 0);
    assert_int_equal(found.link_index, 1);
    assert_int_not_equal(found.protocol, RTNL_PROTOCOL);
}

static void a_route_needs_a_link_that_is_up(void **state UNUSED)
{
    struct rtnl_route route = route_to("10.1.0.0/16");

    assert_int_equal(rtnl_link_set(rtnl, link_.index, 0, 0, false, &d), 0);
    assert_int_equal(rtnl_new_route(rtnl, &route, &d), ERR_UNREACHABLE);
    route.link_index = 4711;
    assert_int_equal(rtnl_new_route(rtnl, &route, &d), ERR_NOTFOUND);
}

static void a_replaced_route_has_the_new_source(void **state UNUSED)
{
    struct rtnl_route route = route_to("10.1.0.0/16");
    struct rtnl_route found;
    struct ip_addr source = addr_from("10.1.0.1");

    assert_int_equal(rtnl_new_route(rtnl, &route, &d), 0);
    assert_int_equal(rtnl_add_address(rtnl, link_.index, &source, &d), 0);
    route.source = source;
    assert_int_equal(rtnl_replace_route(rtnl, &route, &d), 0);
    assert_int_equal(rtnl_find_route(rtnl, &route, &found, &d), 0);
    assert_true(ip_addr_eq(&found.source, &source));
}

static void ipv6_that_is_off_is_told_apart(void **state UNUSED)
{
    struct ip_addr addr = addr_from("fd00:1::1");
    struct rtnl_route route = route_to("fd00:1::/48");

    assert_true(rtnl_ipv6_available(rtnl, "stile0"));
    assert_true(rtnl_ipv6_available(rtnl, NULL));
    if (!network_sysctl("/proc/sys/net/ipv6/conf/stile0/disable_ipv6", "1"))
        skip();
    assert_false(rtnl_ipv6_available(rtnl, "stile0"));
    assert_int_equal(rtnl_add_address(rtnl, link_.index, &addr, &d), ERR_UNSUPPORTED);
    assert_non_null(strstr(d.text, "switched off"));
    assert_true(rtnl_new_route(rtnl, &route, &d) < 0);
    assert_true(rtnl_ipv6_available(rtnl, NULL)); /* the host has it */
    assert_true(network_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    assert_false(rtnl_ipv6_available(rtnl, NULL));
    assert_false(rtnl_ipv6_available(rtnl, "stile9"));
    assert_true(network_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"));
}

static void a_small_mtu_has_no_ipv6(void **state UNUSED)
{
    struct ip_addr addr = addr_from("fd00:1::1");

    assert_int_equal(rtnl_link_up(rtnl, link_.index, 1000, 0, &d), 0);
    assert_false(rtnl_ipv6_available(rtnl, "stile0"));
    assert_true(rtnl_add_address(rtnl, link_.index, &addr, &d) < 0);
}

enum { UNICAST = 1 }; /* RTN_UNICAST */

struct seen {
    size_t count;
    size_t stop_at;
    struct rtnl_route last;
};

static int count_ten(void *arg, const struct rtnl_route *route)
{
    struct seen *seen = arg;

    if (route->dst.addr.version != 4 || route->dst.addr.bytes[0] != 10 || route->type != UNICAST)
        return 0;
    seen->last = *route;
    return ++seen->count == seen->stop_at ? 42 : 0;
}

static void a_route_comes_once_for_each_next_hop(void **state UNUSED)
{
    struct seen seen = {0};

    network_ip("address add 10.1.0.1/24 dev stile0 noprefixroute");
    network_ip("route add 10.1.0.0/24 dev stile0");
    network_ip("route add 10.8.0.0/16 nexthop via 10.1.0.2 nexthop via 10.1.0.3 weight 2");
    assert_int_equal(rtnl_each_route(rtnl, count_ten, &seen, &d), 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.last.via.version, 4);
    seen = (struct seen){.stop_at = 3};
    assert_int_equal(rtnl_each_route(rtnl, count_ten, &seen, &d), 42);
}

/* More than one datagram holds; what is left of a dump that was ended doesn't disturb the next question. */
static void a_long_dump_can_be_ended(void **state UNUSED)
{
    enum { ROUTES = 2000 };
    struct seen seen = {0};
    struct rtnl_link found;

    for (uint32_t i = 0; i < ROUTES; i++) {
        struct rtnl_route route = route_to("10.0.0.0/8");
        struct ip_addr a = prefix_at(&route.dst, i * 256);
        assert_int_equal(prefix_of(&a, 24, &route.dst), 0);
        assert_int_equal(rtnl_new_route(rtnl, &route, &d), 0);
    }
    assert_int_equal(rtnl_each_route(rtnl, count_ten, &seen, &d), 0);
    assert_int_equal(seen.count, ROUTES);
    seen = (struct seen){.stop_at = 3};
    assert_int_equal(rtnl_each_route(rtnl, count_ten, &seen, &d), 42);
    assert_int_equal(seen.count, 3);
    assert_int_equal(rtnl_link_by_name(rtnl, "stile0", &found, &d), 0);
    assert_int_equal(found.index, link_.index);
}

/* In a child that is nobody. Returns what went wrong, 0 for nothing. */
static int as_nobody(void)
{
    struct rtnl *own = NULL;
    struct rtnl_link found;
    struct seen seen = {0};
    struct ip_addr addr = addr_from("100.64.0.1");

    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 1;
    if (rtnl_open(&own, &d) < 0 || rtnl_link_by_name(own, "stile0", &found, &d) < 0)
        return 2;
    if (rtnl_each_route(own, count_ten, &seen, &d) < 0 || seen.count != 1)
        return 3;
    if (rtnl_add_address(own, found.index, &addr, &d) != ERR_PERM)
        return 4;
    rtnl_close(own);
    return 0;
}

static void anyone_may_look_but_not_touch(void **state UNUSED)
{
    int status;

    network_ip("route add 10.1.0.0/24 dev stile0");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(as_nobody());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_link, remove_link)

/* ---- Rules, and another namespace than one's own ---- */

struct rules {
    size_t count;
    struct rtnl_rule last;
};

static int keep_ours(void *arg, const struct rtnl_rule *rule)
{
    struct rules *r = arg;

    if (rule->protocol == RTNL_PROTOCOL) {
        r->count++;
        r->last = *rule;
    }
    return 0;
}

static struct rules rules_of(uint8_t version)
{
    struct rules r = {0};

    assert_int_equal(rtnl_each_rule(rtnl, version, keep_ours, &r, &d), 0);
    return r;
}

static void a_rule_comes_and_goes(void **state UNUSED)
{
    for (uint8_t version = 4; version <= 6; version += 2) {
        const struct rtnl_rule rule = {.version = version,
                                       .table = 57110,
                                       .priority = 5711,
                                       .mark = 0x100000,
                                       .mask = 0x300000,
                                       .protocol = RTNL_PROTOCOL};
        const char *shown = version == 4 ? "rule" : "-6 rule";

        assert_int_equal(rtnl_new_rule(rtnl, &rule, &d), 0);
        assert_true(network_ip_says(
            shown, "5711:\tfrom all fwmark 0x100000/0x300000 lookup 57110 proto 115"));
        assert_int_equal(rtnl_new_rule(rtnl, &rule, &d), ERR_EXISTS);
        struct rules found = rules_of(version);
        assert_int_equal(found.count, 1);
        assert_true(found.last.is_plain);
        assert_int_equal(found.last.version, version);
        assert_int_equal(found.last.table, rule.table);
        assert_int_equal(found.last.priority, rule.priority);
        assert_int_equal(found.last.mark, rule.mark);
        assert_int_equal(found.last.mask, rule.mask);
        assert_int_equal(rtnl_delete_rule(rtnl, &rule, &d), 0);
        assert_int_equal(rtnl_delete_rule(rtnl, &rule, &d), ERR_NOTFOUND);
        assert_int_equal(rules_of(version).count, 0);
    }
}

static void a_rule_with_another_condition_is_not_plain(void **state UNUSED)
{
    static const char *const conditions[] = {
        "from 10.0.0.0/8",      "to 10.0.0.1",  "iif stile0",  "oif lo",
        "ipproto udp dport 53", "uidrange 5-6", "not tos 0x10"};
    char words[128];

    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        (void)snprintf(words, sizeof(words), "rule add %s fwmark 1 lookup 7 pref 99 protocol 115",
                       conditions[i]);
        network_ip(words);
        struct rules found = rules_of(4);
        assert_int_equal(found.count, 1);
        assert_false(found.last.is_plain);
        network_ip("rule del pref 99");
    }
}

static void a_rule_for_what_is_sent_here_is_known_as_such(void **state UNUSED)
{
    const struct rtnl_rule rule = {.version = 4,
                                   .table = 7,
                                   .priority = 99,
                                   .mark = 1,
                                   .mask = 1,
                                   .protocol = 115,
                                   .local = true};

    assert_int_equal(rtnl_new_rule(rtnl, &rule, &d), 0);
    assert_true(network_ip_says("rule show pref 99", "fwmark 0x1/0x1 iif lo lookup 7"));
    struct rules found = rules_of(4);
    assert_int_equal(found.count, 1);
    assert_true(found.last.is_plain && found.last.local);
    assert_int_equal(rtnl_delete_rule(rtnl, &rule, &d), 0);
    assert_int_equal(rules_of(4).count, 0);
}

static void a_socket_of_another_namespace_is_of_that_one(void **state UNUSED)
{
    struct rtnl *other = NULL;
    struct rtnl_link found;

    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_true(fd >= 0);
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    assert_int_equal(rtnl_open_on(fd, &other, &d), 0);
    assert_int_equal(rtnl_link_by_name(other, "stile0", &found, &d), 0);
    rtnl_close(other);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    int no_socket = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(rtnl_open_on(no_socket, &other, &d) < 0);
    assert_int_equal(fcntl(no_socket, F_GETFD), -1);
}

static void a_local_route_is_of_this_host_alone(void **state UNUSED)
{
    const struct rtnl_route route = {.dst = prefix_from("0.0.0.0/0"),
                                     .table = 57110,
                                     .link_index = 1,
                                     .type = 2 /* RTN_LOCAL */,
                                     .protocol = RTNL_PROTOCOL};

    network_ip("link set lo up");
    assert_int_equal(rtnl_new_route(rtnl, &route, &d), 0);
    assert_true(
        network_ip_says("route show table 57110", "local default dev lo proto 115 scope host"));
    assert_false(network_ip_says("route show table 57110", "congctl"));
    assert_int_equal(rtnl_delete_route(rtnl, &route, &d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_link_is_what_was_asked_for),
        TEST(a_link_makes_no_address_of_its_own_if_told_so),
        TEST(the_other_end_of_a_link_can_be_told_not_to_pass_for_others_or_route),
        TEST(a_link_that_is_not_there_is_not_found),
        TEST(an_address_carries_the_tag),
        TEST(an_address_brings_no_route_of_the_kernel),
        TEST(an_address_of_another_length_or_link_is_another),
        TEST(an_untagged_address_is_ours_only_where_no_kernel_could_tag),
        TEST(a_route_carries_the_tag_and_goes_exactly),
        TEST(only_the_very_route_is_removed),
        TEST(a_route_in_another_table_is_found_there),
        TEST(someone_elses_route_is_shown_as_theirs),
        TEST(a_route_needs_a_link_that_is_up),
        TEST(a_replaced_route_has_the_new_source),
        TEST(ipv6_that_is_off_is_told_apart),
        TEST(a_small_mtu_has_no_ipv6),
        TEST(a_route_comes_once_for_each_next_hop),
        TEST(a_long_dump_can_be_ended),
        TEST(a_rule_comes_and_goes),
        TEST(a_rule_with_another_condition_is_not_plain),
        TEST(a_rule_for_what_is_sent_here_is_known_as_such),
        TEST(a_socket_of_another_namespace_is_of_that_one),
        TEST(a_local_route_is_of_this_host_alone),
        TEST(anyone_may_look_but_not_touch),
    };

    network_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
