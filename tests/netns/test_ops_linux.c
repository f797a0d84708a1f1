#include "network.h"

#include "netcfg/ops_linux.h"

#include "base/str.h"

/* One object through the table, with its undo bytes. */
static struct ops_linux os;
static struct tun tun;
static uint32_t link_index;
static struct buf undo_bytes;
static struct diag why;

/* ---- The back-end that the DNS row asks ---- */

static const char *dns_asked;
static struct dns_backend backend = {.exclusive = true};

int dns_backend_capture(struct dns_backend *b, const struct object *o UNUSED, struct buf *undo,
                        struct diag *d UNUSED)
{
    dns_asked = b == &backend ? "capture" : "another";
    return buf_put_str(undo, "fake");
}

int dns_backend_apply(struct dns_backend *b, const struct object *o UNUSED,
                      const struct object *old, struct diag *d UNUSED)
{
    dns_asked = b == &backend && old == NULL ? "apply" : "change";
    return 0;
}

int dns_backend_verify(struct dns_backend *b UNUSED, const struct object *o UNUSED,
                       struct slice undo, enum object_presence *ret, struct diag *d UNUSED)
{
    dns_asked = slice_eq_str(undo, "fake") ? "verify" : "other bytes";
    *ret = OBJECT_FOREIGN;
    return 0;
}

int dns_backend_undo(struct dns_backend *b UNUSED, const struct object *o UNUSED, struct slice undo,
                     enum object_undone *ret, struct diag *d UNUSED)
{
    dns_asked = slice_eq_str(undo, "fake") ? "undo" : "other bytes";
    *ret = OBJECT_LEFT;
    return 0;
}

/* ---- Short words for the operations ---- */

static int capture(const struct object *o)
{
    buf_clear(&undo_bytes);
    return os.ops.kinds[o->kind]->capture(os.ops.os, o, &undo_bytes, &why);
}

static int apply(const struct object *o, const struct object *old)
{
    return os.ops.kinds[o->kind]->apply(os.ops.os, o, old, &why);
}

static enum object_presence verify(const struct object *o)
{
    enum object_presence p = OBJECT_FOREIGN;

    assert_int_equal(os.ops.kinds[o->kind]->verify(os.ops.os, o, buf_slice(&undo_bytes), &p, &why),
                     0);
    return p;
}

static enum object_undone take_back(const struct object *o)
{
    enum object_undone u = OBJECT_LEFT;

    assert_int_equal(os.ops.kinds[o->kind]->undo(os.ops.os, o, buf_slice(&undo_bytes), &u, &why),
                     0);
    return u;
}

static void put(const struct object *o)
{
    if (capture(o) < 0 || apply(o, NULL) < 0)
        fail_msg("%s", why.text);
    assert_int_equal(verify(o), OBJECT_PRESENT);
}

static struct object on_link(enum object_kind kind)
{
    struct object o = {.kind = kind, .link_index = link_index};

    assert_int_equal(str_copy(o.link, sizeof(o.link), "stile0"), 0);
    return o;
}

static struct object settings(uint32_t mtu, uint32_t queue_len)
{
    struct object o = on_link(OBJECT_LINK);

    o.settings = (struct object_link){.mtu = mtu, .queue_len = queue_len, .up = true};
    return o;
}

static struct object address(const char *text)
{
    struct object o = on_link(OBJECT_ADDRESS);

    o.address.addr = addr_from(text);
    o.address.bits = (uint8_t)(ip_addr_len(&o.address.addr) * 8);
    return o;
}

static struct object route(const char *dst, const char *source)
{
    struct object o = on_link(OBJECT_ROUTE);

    o.route.dst = prefix_from(dst);
    if (source != NULL)
        o.route.source = addr_from(source);
    return o;
}

/* A link that is up, with the session's addresses; each test in a namespace of its own. */
static int make_session(void **state UNUSED)
{
    struct rtnl_link l;

    network_enter();
    network_ip("link set lo up");
    tun = network_tun("stile0");
    buf_init(&undo_bytes, OBJECT_UNDO_MAX);
    assert_int_equal(ops_linux_init(&os, &backend, &why), 0);
    assert_int_equal(rtnl_link_by_name(os.rtnl, "stile0", &l, &why), 0);
    link_index = l.index;
    return 0;
}

static int make_up(void **state)
{
    (void)make_session(state);
    assert_int_equal(rtnl_link_up(os.rtnl, link_index, 0, 0, &why), 0);
    return 0;
}

static int end_session(void **state UNUSED)
{
    ops_linux_release(&os);
    buf_release(&undo_bytes);
    tun_close(&tun);
    return 0;
}

/* The link under the same name, but another one. */
static void make_link_anew(void)
{
    tun_close(&tun);
    tun = network_tun("stile0");
    network_ip("link set stile0 up");
}

/* ---- LINK ---- */

static void a_link_gets_its_settings_and_the_old_ones_back(void **state UNUSED)
{
    struct object o = settings(9000, 4096);
    struct rtnl_link before;
    struct rtnl_link after;

    assert_int_equal(rtnl_link_by_name(os.rtnl, "stile0", &before, &why), 0);
    assert_int_equal(capture(&o), 0);
    assert_int_equal(verify(&o), OBJECT_MISSING);
    assert_int_equal(apply(&o, NULL), 0);
    assert_int_equal(verify(&o), OBJECT_PRESENT);
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
    assert_int_equal(rtnl_link_by_name(os.rtnl, "stile0", &after, &why), 0);
    assert_int_equal(after.mtu, before.mtu);
    assert_int_equal(after.queue_len, before.queue_len);
    assert_false(after.up);
    assert_int_equal(take_back(&o), OBJECT_UNDONE); /* and again: nothing else happens */
}

static void a_link_that_was_up_stays_up(void **state UNUSED)
{
    struct object o = settings(9000, 0);

    put(&o);
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
    assert_true(network_ip_says("link show stile0", ",UP"));
}

static void a_link_taken_down_by_someone_is_missing(void **state UNUSED)
{
    struct object o = settings(9000, 0);

    put(&o);
    network_ip("link set stile0 down");
    assert_int_equal(verify(&o), OBJECT_MISSING);
    assert_int_equal(apply(&o, NULL), 0);
    assert_int_equal(verify(&o), OBJECT_PRESENT);
}

static void a_setting_of_someone_elses_stays(void **state UNUSED)
{
    struct object o = settings(9000, 4096);

    put(&o);
    network_ip("link set stile0 mtu 1300");
    assert_int_equal(verify(&o), OBJECT_FOREIGN);
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
    assert_true(network_ip_says("link show stile0", "mtu 1300"));
    assert_false(network_ip_says("link show stile0", "qlen 4096"));
}

static void a_link_that_went_is_gone(void **state UNUSED)
{
    struct object o = settings(9000, 0);

    put(&o);
    tun_close(&tun);
    assert_int_equal(verify(&o), OBJECT_MISSING);
    assert_int_equal(take_back(&o), OBJECT_GONE);
    assert_int_equal(apply(&o, NULL), ERR_NOTFOUND);
}

static void another_link_of_the_same_name_is_not_ours(void **state UNUSED)
{
    struct object o = settings(9000, 0);

    put(&o);
    make_link_anew();
    network_ip("link set stile0 mtu 9000");
    assert_int_equal(verify(&o), OBJECT_FOREIGN);
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_true(network_ip_says("link show stile0", "mtu 9000"));
}

static void a_renamed_link_is_not_ours(void **state UNUSED)
{
    struct object o = settings(9000, 0);

    put(&o);
    network_ip("link set stile0 down");
    network_ip("link set stile0 name theirs0");
    assert_int_equal(verify(&o), OBJECT_MISSING);
    assert_int_equal(take_back(&o), OBJECT_GONE);
    assert_true(network_ip_says("link show theirs0", "mtu 9000"));
}

static void damaged_undo_bytes_of_a_link_are_refused(void **state UNUSED)
{
    struct object o = settings(9000, 0);
    enum object_undone u = OBJECT_GONE;

    put(&o);
    for (size_t cut = 0; cut < buf_len(&undo_bytes); cut++) {
        struct slice part = slice_first(buf_slice(&undo_bytes), cut);
        assert_int_equal(os.ops.kinds[OBJECT_LINK]->undo(&os, &o, part, &u, &why), ERR_FORMAT);
    }
    assert_true(network_ip_says("link show stile0", "mtu 9000"));
}

/* ---- ADDRESS ---- */

static void an_address_comes_and_goes(void **state UNUSED)
{
    const char *texts[] = {"100.64.0.1", "fd00:1::1"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct object o = address(texts[i]);
        assert_int_equal(capture(&o), 0);
        assert_int_equal(verify(&o), OBJECT_MISSING);
        assert_int_equal(take_back(&o), OBJECT_GONE); /* died before apply */
        assert_int_equal(apply(&o, NULL), 0);
        assert_int_equal(apply(&o, NULL), 0); /* what is there is left as it is */
        assert_int_equal(verify(&o), OBJECT_PRESENT);
        assert_int_equal(take_back(&o), OBJECT_UNDONE);
        assert_false(network_ip_says("address show dev stile0", texts[i]));
        assert_int_equal(take_back(&o), OBJECT_GONE);
    }
}

static void an_address_that_someone_has_given_is_refused(void **state UNUSED)
{
    struct object o = address("100.64.0.1");

    network_ip("address add 100.64.0.1/32 dev stile0");
    assert_int_equal(capture(&o), ERR_EXISTS);
    assert_non_null(strstr(why.text, "100.64.0.1"));
    assert_int_equal(apply(&o, NULL), ERR_EXISTS);
    assert_int_equal(verify(&o), OBJECT_FOREIGN);
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_true(network_ip_says("address show dev stile0", "100.64.0.1"));
}

static void an_address_given_anew_by_someone_stays(void **state UNUSED)
{
    struct object o = address("100.64.0.1");

    put(&o);
    network_ip("address del 100.64.0.1/32 dev stile0");
    assert_int_equal(verify(&o), OBJECT_MISSING);
    network_ip("address add 100.64.0.1/32 dev stile0");
    assert_int_equal(verify(&o), OBJECT_FOREIGN);
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_true(network_ip_says("address show dev stile0", "100.64.0.1"));
}

static void a_kernel_without_tags_tells_by_link_and_address(void **state UNUSED)
{
    struct object o = address("100.64.0.1");

    rtnl_forget_address_protocol(os.rtnl);
    put(&o);
    network_ip("address add 100.64.0.2/32 dev stile0");
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
    assert_false(network_ip_says("address show dev stile0", "100.64.0.1/"));
    assert_true(network_ip_says("address show dev stile0", "100.64.0.2/"));
}

static void the_address_on_another_link_of_the_same_name_stays(void **state UNUSED)
{
    struct object o = address("100.64.0.1");

    put(&o);
    make_link_anew();
    network_ip("address add 100.64.0.1/32 dev stile0");
    assert_int_equal(take_back(&o), OBJECT_GONE);
    assert_true(network_ip_says("address show dev stile0", "100.64.0.1"));
}

/* The engine may live a little longer than its broker. */
static void a_link_that_outlived_its_owner_loses_address_and_route(void **state UNUSED)
{
    struct object a = address("100.64.0.1");
    struct object r = route("100.64.0.0/10", "100.64.0.1");

    put(&a);
    put(&r);
    ops_linux_release(&os);
    assert_int_equal(ops_linux_init(&os, NULL, &why), 0);
    assert_int_equal(take_back(&r), OBJECT_UNDONE);
    assert_int_equal(take_back(&a), OBJECT_UNDONE);
    assert_false(network_ip_says("route show table all", "100.64"));
}

static void ipv6_that_is_off_is_unsupported(void **state UNUSED)
{
    struct object o = address("fd00:1::1");

    if (!network_sysctl("/proc/sys/net/ipv6/conf/stile0/disable_ipv6", "1"))
        skip();
    assert_int_equal(capture(&o), 0);
    assert_int_equal(apply(&o, NULL), ERR_UNSUPPORTED);
    assert_int_equal(take_back(&o), OBJECT_GONE);
}

/* ---- ROUTE ---- */

static void a_route_comes_and_goes(void **state UNUSED)
{
    const char *dsts[] = {"100.64.0.0/10", "fd00:1::/48"};
    char before[8192];
    char after[8192];

    for (size_t i = 0; i < ARRAY_LEN(dsts); i++) {
        struct object o = route(dsts[i], NULL);
        assert_int_equal(network_ip_output("route show table all", before, sizeof(before)), 0);
        assert_int_equal(capture(&o), 0);
        assert_int_equal(verify(&o), OBJECT_MISSING);
        assert_int_equal(take_back(&o), OBJECT_GONE);
        assert_int_equal(apply(&o, NULL), 0);
        assert_int_equal(apply(&o, NULL), 0);
        assert_int_equal(verify(&o), OBJECT_PRESENT);
        assert_int_equal(take_back(&o), OBJECT_UNDONE);
        assert_int_equal(take_back(&o), OBJECT_GONE);
        assert_int_equal(network_ip_output("route show table all", after, sizeof(after)), 0);
        assert_string_equal(before, after);
    }
}

static void a_changed_route_has_the_new_source(void **state UNUSED)
{
    struct object o = route("100.64.0.0/10", NULL);
    struct object changed = route("100.64.0.0/10", "100.64.0.1");
    struct object a = address("100.64.0.1");

    put(&a);
    put(&o);
    assert_int_equal(apply(&changed, &o), 0);
    assert_int_equal(verify(&changed), OBJECT_PRESENT);
    assert_true(network_ip_says("route show 100.64.0.0/10", "src 100.64.0.1"));
    assert_int_equal(apply(&o, &changed), 0);
    assert_false(network_ip_says("route show 100.64.0.0/10", "src"));
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
}

static void a_route_that_lost_its_source_with_the_address_is_missing(void **state UNUSED)
{
    struct object a = address("fd00::1");
    struct object o = route("fd00::/48", "fd00::1");

    put(&a);
    put(&o);
    network_ip("-6 addr del fd00::1/128 dev stile0");
    assert_true(network_ip_says("-6 route show fd00::/48", "stile0")); /* the kernel leaves it */
    assert_int_equal(verify(&o), OBJECT_MISSING);
    assert_int_equal(apply(&a, NULL), 0);
    assert_int_equal(apply(&o, NULL), 0);
    assert_int_equal(verify(&o), OBJECT_PRESENT);
    assert_true(network_ip_says("-6 route show fd00::/48", "src fd00::1"));
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
}

static void a_route_that_someone_has_is_refused(void **state UNUSED)
{
    struct object o = route("100.64.0.0/10", NULL);

    network_ip("route add 100.64.0.0/10 dev lo");
    assert_int_equal(capture(&o), ERR_EXISTS);
    assert_non_null(strstr(why.text, "on lo"));
    assert_int_equal(apply(&o, NULL), ERR_EXISTS);
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_true(network_ip_says("route show 100.64.0.0/10", "dev lo"));
}

static void a_route_replaced_by_someone_stays(void **state UNUSED)
{
    const char *replacements[] = {"route replace 100.64.0.0/10 dev lo",
                                  "route replace 100.64.0.0/10 dev stile0",
                                  "route replace unreachable 100.64.0.0/10"};

    for (size_t i = 0; i < ARRAY_LEN(replacements); i++) {
        struct object o = route("100.64.0.0/10", NULL);
        put(&o);
        network_ip(replacements[i]);
        assert_int_equal(verify(&o), OBJECT_FOREIGN);
        assert_int_equal(take_back(&o), OBJECT_LEFT);
        assert_true(network_ip_says("route show table main", "100.64.0.0/10"));
        network_ip("route del 100.64.0.0/10");
    }
}

static void routes_beside_ours_stay(void **state UNUSED)
{
    struct object o = route("100.64.0.0/10", NULL);

    network_ip("route add 100.64.0.0/10 dev lo metric 50");
    network_ip("route add 100.64.0.0/10 dev stile0 metric 60 proto 115");
    network_ip("route add 100.64.0.0/16 dev lo");
    network_ip("route add 100.64.0.0/10 dev lo table 52");
    put(&o);
    assert_int_equal(take_back(&o), OBJECT_UNDONE);
    assert_true(network_ip_says("route show", "metric 50"));
    assert_true(network_ip_says("route show", "metric 60"));
    assert_true(network_ip_says("route show", "100.64.0.0/16"));
    assert_true(network_ip_says("route show table 52", "100.64.0.0/10"));
}

static void the_route_on_another_link_of_the_same_name_stays(void **state UNUSED)
{
    struct object o = route("100.64.0.0/10", NULL);

    put(&o);
    make_link_anew();
    network_ip("route add 100.64.0.0/10 dev stile0 proto 115");
    assert_int_equal(verify(&o), OBJECT_FOREIGN);
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_true(network_ip_says("route show", "100.64.0.0/10"));
}

static void the_route_on_a_renamed_link_stays(void **state UNUSED)
{
    struct object o = route("100.64.0.0/10", NULL);

    put(&o);
    network_ip("link set stile0 down");
    network_ip("link set stile0 name theirs0");
    network_ip("link set theirs0 up");
    network_ip("route add 100.64.0.0/10 dev theirs0 proto 115");
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_true(network_ip_says("route show", "100.64.0.0/10 dev theirs0"));
}

static void a_route_lost_with_its_link_going_down_is_missing(void **state UNUSED)
{
    struct object o = route("100.64.0.0/10", NULL);

    put(&o);
    network_ip("link set stile0 down");
    assert_int_equal(verify(&o), OBJECT_MISSING);
    assert_int_equal(take_back(&o), OBJECT_GONE);
}

/* ---- DNS, and the table ---- */

static void dns_is_the_back_ends(void **state UNUSED)
{
    struct object o = on_link(OBJECT_DNS);

    assert_true(os.ops.kinds[OBJECT_DNS]->exclusive);
    assert_int_equal(capture(&o), 0);
    assert_string_equal(dns_asked, "capture");
    assert_int_equal(apply(&o, NULL), 0);
    assert_string_equal(dns_asked, "apply");
    assert_int_equal(apply(&o, &o), 0);
    assert_string_equal(dns_asked, "change");
    assert_int_equal(verify(&o), OBJECT_FOREIGN);
    assert_string_equal(dns_asked, "verify");
    assert_int_equal(take_back(&o), OBJECT_LEFT);
    assert_string_equal(dns_asked, "undo");
}

/* Records of a back-end that writes files may come from before a reboot, whichever is in use today. */
static void dns_alone_outlives_a_reboot(void **state UNUSED)
{
    assert_true(os.ops.kinds[OBJECT_DNS]->persistent);
    assert_false(os.ops.kinds[OBJECT_LINK]->persistent);
    assert_false(os.ops.kinds[OBJECT_ADDRESS]->persistent);
    assert_false(os.ops.kinds[OBJECT_ROUTE]->persistent);
}

#define TEST(f)         cmocka_unit_test_setup_teardown(f, make_up, end_session)
#define TEST_ON_DOWN(f) cmocka_unit_test_setup_teardown(f, make_session, end_session)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_ON_DOWN(a_link_gets_its_settings_and_the_old_ones_back),
        TEST(a_link_that_was_up_stays_up),
        TEST(a_link_taken_down_by_someone_is_missing),
        TEST(a_setting_of_someone_elses_stays),
        TEST(a_link_that_went_is_gone),
        TEST(another_link_of_the_same_name_is_not_ours),
        TEST(a_renamed_link_is_not_ours),
        TEST(damaged_undo_bytes_of_a_link_are_refused),
        TEST(an_address_comes_and_goes),
        TEST(an_address_that_someone_has_given_is_refused),
        TEST(an_address_given_anew_by_someone_stays),
        TEST(a_kernel_without_tags_tells_by_link_and_address),
        TEST(the_address_on_another_link_of_the_same_name_stays),
        TEST(a_link_that_outlived_its_owner_loses_address_and_route),
        TEST(ipv6_that_is_off_is_unsupported),
        TEST(a_route_comes_and_goes),
        TEST(a_changed_route_has_the_new_source),
        TEST(a_route_that_lost_its_source_with_the_address_is_missing),
        TEST(a_route_that_someone_has_is_refused),
        TEST(a_route_replaced_by_someone_stays),
        TEST(routes_beside_ours_stay),
        TEST(the_route_on_another_link_of_the_same_name_stays),
        TEST(the_route_on_a_renamed_link_stays),
        TEST(a_route_lost_with_its_link_going_down_is_missing),
        TEST(dns_is_the_back_ends),
        TEST(dns_alone_outlives_a_reboot),
    };

    network_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
