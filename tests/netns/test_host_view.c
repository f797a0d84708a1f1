#include "network.h"

#include "base/mem.h"
#include "netcfg/conflict.h"
#include "netcfg/host_view.h"

/* What is read of a real kernel, and what follows from it. */
static struct host_view view;
static struct diag d;

static int start(void **state UNUSED)
{
    network_enter();
    network_ip("link set lo up");
    network_ip("link add veth0 type veth peer name veth1");
    network_ip("link set veth0 up");
    network_ip("link set veth1 up");
    network_ip("address add 192.0.2.5/24 dev veth0");
    network_ip("route add default via 192.0.2.1");
    view = (struct host_view){0};
    return 0;
}

static int stop(void **state UNUSED)
{
    host_view_release(&view);
    return 0;
}

static void look(void)
{
    host_view_release(&view);
    if (host_view_load(&view, &d) < 0)
        fail_msg("%s", d.text);
    assert_false(view.cut);
}

static struct conflict conflict_of(const char *range)
{
    const struct conflict_query query = {.view = &view};
    struct prefix p = prefix_from(range);
    struct conflict found = {.text = "nothing"};

    (void)conflict_find(&query, &p, &found);
    return found;
}

static void links_have_their_kinds(void **state UNUSED)
{
    struct tun tun = network_tun("tun7");

    network_ip("link add br7 type bridge");
    network_ip("tuntap add tap7 mode tap");
    look();
    assert_string_equal(host_view_link_named(&view, "veth0")->kind, "veth");
    assert_string_equal(host_view_link_named(&view, "br7")->kind, "bridge");
    assert_string_equal(host_view_link_named(&view, "lo")->kind, "");
    const struct host_link *link = host_view_link_named(&view, "tun7");
    assert_string_equal(link->kind, "tun");
    assert_false(link->ethernet);
    assert_true(host_view_link_named(&view, "tap7")->ethernet);
    assert_ptr_equal(host_view_link(&view, link->index), link);
    assert_null(host_view_link_named(&view, "tun8"));
    tun_close(&tun);
}

static void the_tun_of_a_vpn_is_seen(void **state UNUSED)
{
    struct tun tun = network_tun("tailscale0");
    struct tun own = network_tun("stile0");
    struct host_vpn vpns[4];

    network_ip("tuntap add vnet3 mode tap");
    look();
    assert_int_equal(host_view_vpns(&view, vpns, ARRAY_LEN(vpns)), 1);
    assert_string_equal(vpns[0].link->name, "tailscale0");
    assert_string_equal(vpns[0].product, "Tailscale");
    tun_close(&tun);
    tun_close(&own);
}

/* As Tailscale does it. */
static void routes_of_other_tables_are_in_the_way(void **state UNUSED)
{
    struct tun tun = network_tun("tailscale0");

    network_ip("link set tailscale0 up");
    look();
    assert_string_equal(conflict_of("100.64.0.0/10").text, "nothing");
    network_ip("route add 100.64.0.0/10 dev tailscale0 table 52");
    look();
    assert_string_equal(conflict_of("100.64.0.0/10").text,
                        "the route 100.64.0.0/10 on tailscale0 (tun, Tailscale)");
    network_ip("-6 route add fd7a:115c:a1e0::/48 dev tailscale0 table 52");
    look();
    assert_string_equal(conflict_of("fd7a:115c:a1e0::/48").interface, "tailscale0");
    assert_string_equal(conflict_of("fd7a:115c:a1e1::/48").text, "nothing");
    tun_close(&tun);
}

static void addresses_and_next_hops_are_in_the_way(void **state UNUSED)
{
    look();
    assert_string_equal(conflict_of("192.0.2.0/29").text, "the address 192.0.2.5 on veth0 (veth)");
    network_ip("route add 10.0.0.0/8 nexthop via 192.0.2.200 nexthop via 192.0.2.201");
    look();
    assert_string_equal(conflict_of("192.0.2.200/31").text,
                        "the next hop 192.0.2.200 on veth0 (veth)");
    assert_string_equal(conflict_of("10.213.0.0/16").text, "the route 10.0.0.0/8 on veth0 (veth)");
}

static void routes_that_lead_nowhere_have_no_interface(void **state UNUSED)
{
    network_ip("route add blackhole 10.213.7.0/26");
    look();
    assert_string_equal(conflict_of("10.213.0.0/16").text, "the route 10.213.7.0/26");
    assert_string_equal(conflict_of("10.213.7.0/28").text, "nothing");
}

static void ours_are_told_from_others(void **state UNUSED)
{
    size_t ours = 0;

    network_ip("route add 10.1.0.0/16 dev veth0 proto 115");
    network_ip("route add 10.2.0.0/16 dev veth0 proto 116");
    look();
    for (size_t i = 0; i < view.route_count; i++)
        ours += view.routes[i].ours;
    assert_int_equal(ours, 1);
}

static void a_link_without_ipv6_says_so(void **state UNUSED)
{
    if (!network_sysctl("/proc/sys/net/ipv6/conf/veth0/disable_ipv6", "1"))
        skip();
    look();
    assert_false(host_view_link_named(&view, "veth0")->ipv6);
    assert_true(host_view_link_named(&view, "veth1")->ipv6);
}

/* In a child that is nobody. */
static int as_nobody(void)
{
    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 1;
    if (host_view_load(&view, &d) < 0)
        return 2;
    return strcmp(conflict_of("10.1.0.0/16").text, "the route 10.1.0.0/16 on veth0 (veth)") != 0;
}

static void anyone_may_look(void **state UNUSED)
{
    int status;

    network_ip("route add 10.1.0.0/16 dev veth0");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(as_nobody());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void failing_memory_leaves_nothing(void **state UNUSED)
{
    int err = ERR_NOMEM;

    for (uint64_t n = 1; err != 0; n++) {
        struct host_view v = {0};
        (void)mem_fail_at(n);
        err = host_view_load(&v, &d);
        (void)mem_fail_at(0);
        assert_true(err == 0 || err == ERR_NOMEM);
        assert_true(err == 0 || v.links == NULL);
        host_view_release(&v);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(links_have_their_kinds),
        TEST(the_tun_of_a_vpn_is_seen),
        TEST(routes_of_other_tables_are_in_the_way),
        TEST(addresses_and_next_hops_are_in_the_way),
        TEST(routes_that_lead_nowhere_have_no_interface),
        TEST(ours_are_told_from_others),
        TEST(a_link_without_ipv6_says_so),
        TEST(anyone_may_look),
        TEST(failing_memory_leaves_nothing),
    };

    network_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
