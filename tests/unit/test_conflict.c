#include "testing.h"

#include <string.h>

#include "base/str.h"
#include "netcfg/conflict.h"

/* A host that is filled by hand. */
static struct host_link links[16];
static struct host_address addresses[16];
static struct host_route routes[16];
static struct host_view view;
static struct conflict_query query;
static struct conflict found;

static int make_host(void **state UNUSED)
{
    view = (struct host_view){.links = links, .addresses = addresses, .routes = routes};
    query = (struct conflict_query){.view = &view};
    return 0;
}

static void add_link(uint32_t index, const char *name, const char *kind)
{
    struct host_link *l = &links[view.link_count++];

    *l = (struct host_link){.index = index, .up = true};
    assert_int_equal(str_copy(l->name, sizeof(l->name), name), 0);
    assert_int_equal(str_copy(l->kind, sizeof(l->kind), kind), 0);
}

static struct prefix prefix_from(const char *text)
{
    struct prefix p;

    assert_int_equal(prefix_parse(text, &p), 0);
    return p;
}

static struct ip_addr addr_from(const char *text)
{
    struct ip_addr a;

    assert_int_equal(ip_addr_parse(text, &a), 0);
    return a;
}

static void add_address(uint32_t link, const char *text, uint8_t bits)
{
    addresses[view.address_count++] =
        (struct host_address){.link_index = link, .addr = addr_from(text), .bits = bits};
}

static struct host_route *add_route(uint32_t link, const char *dst)
{
    routes[view.route_count] = (struct host_route){.link_index = link, .dst = prefix_from(dst)};
    return &routes[view.route_count++];
}

static void add_way(uint32_t link, const char *dst, const char *via)
{
    add_route(link, dst)->via = addr_from(via);
}

static bool is_taken(const char *wanted)
{
    struct prefix p = prefix_from(wanted);

    found = (struct conflict){.kind = CONFLICT_ROUTE};
    return conflict_find(&query, &p, &found);
}

/* An ordinary host: one card, IPv4 and IPv6. */
static void add_card(void)
{
    add_link(1, "lo", "");
    add_link(2, "eth0", "");
    add_address(1, "127.0.0.1", 8);
    add_address(2, "192.168.1.5", 24);
    add_address(2, "2001:db8::5", 64);
    add_route(2, "192.168.1.0/24");
    add_route(2, "2001:db8::/64");
    add_way(2, "0.0.0.0/0", "192.168.1.1");
    add_way(2, "::/0", "fe80::1");
}

static void an_ordinary_host_has_no_conflict(void **state UNUSED)
{
    add_card();
    assert_false(is_taken("100.64.0.0/10"));
    assert_false(is_taken("fd12:3456:789a::/48"));
    assert_true(is_taken("192.168.0.0/16"));
    assert_true(is_taken("2001:db8::/48"));
}

static void default_routes_and_their_halves_do_not_count(void **state UNUSED)
{
    add_link(3, "wg0", "wireguard");
    add_route(3, "0.0.0.0/0");
    add_route(3, "0.0.0.0/1");
    add_route(3, "128.0.0.0/1");
    add_route(3, "::/0");
    add_route(3, "::/1");
    add_route(3, "8000::/1");
    assert_false(is_taken("100.64.0.0/10"));
    assert_false(is_taken("fd12:3456:789a::/48"));
    add_route(3, "64.0.0.0/2");
    assert_true(is_taken("100.64.0.0/10"));
}

static void a_route_around_or_inside_is_in_the_way(void **state UNUSED)
{
    add_link(3, "wg0", "wireguard");
    add_route(3, "10.0.0.0/8");
    assert_true(is_taken("10.213.0.0/16"));
    assert_int_equal(found.kind, CONFLICT_ROUTE);
    assert_string_equal(found.interface, "wg0");
    assert_string_equal(found.text, "the route 10.0.0.0/8 on wg0 (wireguard)");
    assert_false(is_taken("11.0.0.0/8"));
    add_route(3, "fd12::/16");
    assert_true(is_taken("fd12:3456:789a::/48"));
    assert_string_equal(found.text, "the route fd12::/16 on wg0 (wireguard)");
}

static void the_most_specific_owner_is_told(void **state UNUSED)
{
    add_link(2, "docker0", "bridge");
    add_link(3, "tailscale0", "tun");
    add_route(2, "100.0.0.0/8");
    add_route(3, "100.64.0.0/10")->table = 52;
    assert_true(is_taken("100.64.0.0/10"));
    assert_string_equal(found.text, "the route 100.64.0.0/10 on tailscale0 (tun, Tailscale)");
    assert_true(is_taken("100.0.0.0/10"));
    assert_string_equal(found.text, "the route 100.0.0.0/8 on docker0 (bridge)");
}

static void an_address_is_told_before_its_local_route(void **state UNUSED)
{
    add_link(3, "tailscale0", "tun");
    add_route(3, "100.101.102.103/32")->local = true;
    add_address(3, "100.101.102.103", 32);
    assert_true(is_taken("100.64.0.0/10"));
    assert_int_equal(found.kind, CONFLICT_ADDRESS);
    assert_string_equal(found.text, "the address 100.101.102.103 on tailscale0 (tun, Tailscale)");
}

static void a_next_hop_is_in_the_way_of_its_default_route_too(void **state UNUSED)
{
    add_link(2, "wwan0", "");
    add_way(2, "0.0.0.0/0", "100.70.0.1");
    assert_true(is_taken("100.64.0.0/10"));
    assert_int_equal(found.kind, CONFLICT_NEXT_HOP);
    assert_string_equal(found.text, "the next hop 100.70.0.1 on wwan0");
    assert_false(is_taken("198.18.0.0/15"));
}

static void what_the_session_needs_is_in_the_way(void **state UNUSED)
{
    const struct conflict_needed needed[] = {
        {.addr = addr_from("100.100.100.100"), .what = "the resolver"},
        {.addr = addr_from("fd00:1::5"), .what = "the gateway gw.example.com"},
    };

    add_card();
    query.needed = needed;
    query.needed_count = ARRAY_LEN(needed);
    assert_true(is_taken("100.64.0.0/10"));
    assert_int_equal(found.kind, CONFLICT_NEEDED);
    assert_string_equal(found.text, "the resolver 100.100.100.100");
    assert_string_equal(found.interface, "");
    assert_true(is_taken("fd00:1::/48"));
    assert_string_equal(found.text, "the gateway gw.example.com fd00:1::5");
    assert_false(is_taken("198.18.0.0/15"));
    /* whose it is says more */
    add_link(3, "tailscale0", "tun");
    add_route(3, "100.64.0.0/10");
    assert_true(is_taken("100.64.0.0/10"));
    assert_string_equal(found.interface, "tailscale0");
}

static void an_unreachable_range_counts_inside_only(void **state UNUSED)
{
    add_route(0, "10.0.0.0/8");
    assert_false(is_taken("10.213.0.0/16"));
    add_route(0, "10.213.7.0/26");
    assert_true(is_taken("10.213.0.0/16"));
    assert_string_equal(found.text, "the route 10.213.7.0/26");
    assert_string_equal(found.interface, "");
}

static void other_sessions_count_and_the_own_does_not(void **state UNUSED)
{
    add_link(4, "stile0", "tun");
    add_route(4, "100.64.0.0/10")->ours = true;
    add_address(4, "100.64.0.1", 32);
    assert_true(is_taken("100.64.0.0/10"));
    assert_string_equal(found.interface, "stile0");
    query.own_link = "stile0";
    assert_false(is_taken("100.64.0.0/10"));
    query.own_link = "stile1";
    assert_true(is_taken("100.64.0.0/10"));
}

static void the_families_do_not_meet(void **state UNUSED)
{
    add_link(2, "eth0", "");
    add_route(2, "6440::/10"); /* begins with the same bits as 100.64.0.0 */
    assert_false(is_taken("100.64.0.0/10"));
    assert_true(is_taken("6440::/16"));
}

/* ---- Choosing ---- */

static const char *const defaults[] = {"100.64.0.0/10", "198.18.0.0/15", "10.213.0.0/16"};

static int choose(size_t *ret_index, char text[RANGE_CHOICE_TEXT_SIZE])
{
    struct prefix candidates[ARRAY_LEN(defaults)];

    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        candidates[i] = prefix_from(defaults[i]);
    return range_choose(&query, candidates, ARRAY_LEN(defaults), ret_index, text);
}

static void the_first_free_range_is_chosen_silently(void **state UNUSED)
{
    char text[RANGE_CHOICE_TEXT_SIZE] = "?";
    size_t index = 9;

    add_card();
    assert_int_equal(choose(&index, text), 0);
    assert_int_equal(index, 0);
    assert_string_equal(text, "");
}

static void skipped_ranges_are_explained(void **state UNUSED)
{
    char text[RANGE_CHOICE_TEXT_SIZE];
    size_t index = 9;

    add_link(3, "tailscale0", "tun");
    add_route(3, "100.64.0.0/10");
    assert_int_equal(choose(&index, text), 0);
    assert_int_equal(index, 1);
    assert_string_equal(text, "100.64.0.0/10 is taken by the route 100.64.0.0/10 on tailscale0 "
                              "(tun, Tailscale); using 198.18.0.0/15");
    add_link(5, "bench0", "veth");
    add_route(5, "198.18.0.0/24");
    assert_int_equal(choose(&index, text), 0);
    assert_int_equal(index, 2);
    assert_non_null(strstr(text, ", 198.18.0.0/15 is taken by the route 198.18.0.0/24 on bench0"));
    assert_non_null(strstr(text, "; using 10.213.0.0/16"));
}

static void no_free_range_names_the_remedy(void **state UNUSED)
{
    char text[RANGE_CHOICE_TEXT_SIZE];
    size_t index = 9;

    add_link(3, "wg0", "wireguard");
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        add_route(3, defaults[i]);
    assert_int_equal(choose(&index, text), ERR_EXISTS);
    assert_int_equal(index, 9);
    assert_non_null(strstr(text, "--range"));
}

static void many_reasons_leave_room_for_the_outcome(void **state UNUSED)
{
    enum { MANY = 20 };
    char text[RANGE_CHOICE_TEXT_SIZE];
    struct prefix candidates[MANY];
    size_t index = 9;

    add_link(3, "tailscale0", "tun");
    add_route(3, "100.64.0.0/10");
    for (size_t i = 0; i < MANY; i++)
        candidates[i] = prefix_from(i < MANY - 1 ? "100.64.0.0/10" : "198.18.0.0/15");
    assert_int_equal(range_choose(&query, candidates, MANY, &index, text), 0);
    assert_int_equal(index, MANY - 1);
    assert_true(str_ends(text, "; using 198.18.0.0/15"));
}

/* ---- Other VPNs ---- */

static void vpns_are_seen_by_kind_or_name(void **state UNUSED)
{
    struct host_vpn vpns[16];

    add_card();
    add_link(3, "tailscale0", "tun");
    add_link(4, "office", "wireguard");
    add_link(5, "tun0", "tun");
    add_link(6, "ppp0", "ppp");
    add_link(7, "ztabcdefgh", "tun");
    links[view.link_count - 1].ethernet = true;
    size_t count = view.link_count;
    assert_int_equal(host_view_vpns(&view, vpns, ARRAY_LEN(vpns)), count - 2);
    assert_string_equal(vpns[0].product, "Tailscale");
    assert_string_equal(vpns[1].link->name, "office");
    assert_string_equal(vpns[1].product, "a WireGuard tunnel");
    assert_string_equal(vpns[4].product, "ZeroTier");
    assert_int_equal(host_view_vpns(&view, vpns, 1), 1);
}

static void what_is_no_vpn_is_not_seen(void **state UNUSED)
{
    struct host_vpn vpns[16];

    add_card();
    add_link(3, "docker0", "bridge");
    add_link(4, "vnet3", "tun"); /* a virtual machine's */
    links[view.link_count - 1].ethernet = true;
    add_link(5, "stile0", "tun");
    add_link(6, "wtap0", "veth");
    assert_int_equal(host_view_vpns(&view, vpns, ARRAY_LEN(vpns)), 0);
}

#define TEST(f) cmocka_unit_test_setup(f, make_host)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_ordinary_host_has_no_conflict),
        TEST(default_routes_and_their_halves_do_not_count),
        TEST(a_route_around_or_inside_is_in_the_way),
        TEST(the_most_specific_owner_is_told),
        TEST(an_address_is_told_before_its_local_route),
        TEST(a_next_hop_is_in_the_way_of_its_default_route_too),
        TEST(what_the_session_needs_is_in_the_way),
        TEST(an_unreachable_range_counts_inside_only),
        TEST(other_sessions_count_and_the_own_does_not),
        TEST(the_families_do_not_meet),
        TEST(the_first_free_range_is_chosen_silently),
        TEST(skipped_ranges_are_explained),
        TEST(no_free_range_names_the_remedy),
        TEST(many_reasons_leave_room_for_the_outcome),
        TEST(vpns_are_seen_by_kind_or_name),
        TEST(what_is_no_vpn_is_not_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
