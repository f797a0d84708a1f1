/* The whole transaction on a real kernel, in a namespace of the test's own. */
#include "network.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "../unit/temp_dir.h"

#include "base/str.h"
#include "netcfg/netcfg.h"
#include "netcfg/ops_linux.h"

enum { SESSION = 7, SNAPSHOT_SIZE = 32768 };

static char dir[TEMP_DIR_SIZE];
static struct tun tun;
static uint32_t link_index;
static struct ops_linux os;
static struct netcfg *netcfg;
static struct netcfg_report report;
static struct diag d;
static char before[SNAPSHOT_SIZE];

/* What `ip` shows of everything that a plan may touch. */
static void take_snapshot(char text[SNAPSHOT_SIZE])
{
    const char *views[] = {"link show", "address show", "-4 route show table all",
                           "-6 route show table all", "rule show"};
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        assert_int_equal(network_ip_output(views[i], text + len, SNAPSHOT_SIZE - len), 0);
        len += strlen(text + len);
    }
}

static void assert_as_before(void)
{
    char now[SNAPSHOT_SIZE];

    take_snapshot(now);
    assert_string_equal(before, now);
}

/* A process that starts: it locks, reads, undoes what the last one left. */
static void open_netcfg(uint8_t boot)
{
    struct netcfg_config config = {.ops = &os.ops, .boot_id = {boot}, .namespace_id = 1};

    assert_int_equal(ops_linux_init(&os, NULL, &d), 0);
    assert_int_equal(store_open(dir, &config.store, &d), 0);
    if (netcfg_open(&config, &netcfg, &d) < 0)
        fail_msg("%s", d.text);
    netcfg_report_init(&report);
    assert_int_equal(netcfg_recover(netcfg, &report), 0);
}

static void close_netcfg(void)
{
    netcfg_close(netcfg);
    netcfg = NULL;
    ops_linux_release(&os);
}

static int start(void **state UNUSED)
{
    network_enter();
    network_ip("link set lo up");
    tun = network_tun("stile0");
    network_ip("link set stile0 up"); /* the kernel chooses its queueing then, and keeps it */
    network_ip("link set stile0 down");
    temp_dir_make(dir);
    open_netcfg(1);
    assert_int_equal(rtnl_link_index("stile0", &link_index, &d), 0);
    take_snapshot(before);
    return 0;
}

static int stop(void **state UNUSED)
{
    close_netcfg();
    tun_close(&tun);
    temp_dir_remove(dir);
    return 0;
}

static void add_range(struct plan *p, const char *range, uint32_t metric)
{
    struct object_route r = {.dst = prefix_from(range), .metric = metric};

    r.source = prefix_at(&r.dst, 1);
    assert_int_equal(
        plan_add_address(p, "stile0", link_index, &r.source, (uint8_t)(ip_addr_len(&r.source) * 8)),
        0);
    assert_int_equal(plan_add_route(p, "stile0", link_index, &r), 0);
}

static void make_plan(struct plan *p, const char *range, const char *prefix6)
{
    const struct object_link settings = {.mtu = 9000, .queue_len = 4096, .up = true};

    plan_init(p);
    assert_int_equal(plan_add_link(p, "stile0", link_index, &settings), 0);
    add_range(p, range, 0);
    if (prefix6 != NULL)
        add_range(p, prefix6, 0);
}

static int apply(uint32_t session, const char *range, const char *prefix6)
{
    CLEANUP(plan_release) struct plan p;

    make_plan(&p, range, prefix6);
    netcfg_report_init(&report);
    return netcfg_apply(netcfg, session, &p, &report, &d);
}

static void assert_applied(const char *range, const char *prefix6)
{
    if (apply(SESSION, range, prefix6) < 0)
        fail_msg("%s", d.text);
    assert_true(network_ip_says("-4 route show", range));
    if (prefix6 != NULL)
        assert_true(network_ip_says("-6 route show", prefix6));
}

static void a_plan_is_applied_and_taken_back(void **state UNUSED)
{
    assert_applied("100.64.0.0/10", "fd00:1::/48");
    assert_int_equal(netcfg_applied(netcfg), 5);
    assert_int_equal(netcfg_end(netcfg, SESSION, &report), 0);
    assert_as_before();
    assert_int_equal(netcfg_leftovers(netcfg), 0);
}

/* ---- An unchanged plan ---- */

/* All groups of rtnetlink that a mask can name, with room for all that comes. */
static int open_monitor(void)
{
    const struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = UINT32_MAX};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&all, sizeof(all)), 0);
    return fd;
}

/* Messages until there was none for a while. */
static size_t events(int monitor)
{
    enum { QUIET_MS = 150 };
    struct pollfd p = {.fd = monitor, .events = POLLIN};
    char message[32768];
    size_t count = 0;

    while (poll(&p, 1, QUIET_MS) > 0 && recv(monitor, message, sizeof(message), 0) > 0)
        count++;
    return count;
}

static off_t journal_size(void)
{
    char path[TEMP_DIR_SIZE + 16];
    int fd;

    assert_int_equal(str_format(path, sizeof(path), "%s/journal", dir), 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    (void)close(fd);
    return size;
}

static void an_unchanged_plan_touches_nothing(void **state UNUSED)
{
    int monitor = open_monitor();

    assert_applied("100.64.0.0/10", "fd00:1::/48");
    assert_true(events(monitor) >= 5); /* the monitor does see what happens */
    off_t size = journal_size();
    for (int i = 0; i < 3; i++)
        assert_applied("100.64.0.0/10", "fd00:1::/48");
    assert_int_equal(netcfg_repair(netcfg, NULL, NULL, &report), 0);
    assert_int_equal(events(monitor), 0);
    assert_int_equal(journal_size(), size);
    (void)close(monitor);
}

static void a_changed_plan_touches_what_differs(void **state UNUSED)
{
    int monitor = open_monitor();

    assert_applied("100.64.0.0/10", "fd00:1::/48");
    (void)events(monitor);
    assert_applied("198.18.0.0/15", "fd00:1::/48");
    /* One address and one route go and come; each address has a local route of the kernel's. */
    assert_in_range(events(monitor), 4, 8);
    assert_false(network_ip_says("route show table all", "100.64"));
    assert_int_equal(netcfg_end(netcfg, SESSION, NULL), 0);
    assert_as_before();
    (void)close(monitor);
}

/* ---- A dead process ---- */

static void the_next_process_takes_back_what_the_last_one_did(void **state UNUSED)
{
    assert_applied("100.64.0.0/10", "fd00:1::/48");
    close_netcfg();
    open_netcfg(1);
    assert_int_equal(netcfg_report_of(&report, NETCFG_UNDONE), 5);
    assert_int_equal(netcfg_leftovers(netcfg), 0);
    assert_as_before();
}

static void the_next_process_finds_all_gone_with_the_link(void **state UNUSED)
{
    assert_applied("100.64.0.0/10", "fd00:1::/48");
    close_netcfg();
    tun_close(&tun);
    open_netcfg(1);
    assert_int_equal(netcfg_report_of(&report, NETCFG_GONE), 5);
    assert_int_equal(netcfg_leftovers(netcfg), 0);
    assert_false(network_ip_says("route show table all", "100.64"));
}

/* After a reboot the same names and numbers mean something else. */
static void after_a_reboot_nothing_is_touched(void **state UNUSED)
{
    char now[SNAPSHOT_SIZE];

    assert_applied("100.64.0.0/10", "fd00:1::/48");
    take_snapshot(before);
    close_netcfg();
    open_netcfg(2);
    assert_int_equal(netcfg_leftovers(netcfg), 0);
    take_snapshot(now);
    assert_string_equal(before, now);
}

/* ---- Others ---- */

static void what_is_in_the_way_refuses_the_whole_plan(void **state UNUSED)
{
    network_ip("route add 100.64.0.0/10 dev lo");
    take_snapshot(before);
    assert_int_equal(apply(SESSION, "100.64.0.0/10", "fd00:1::/48"), ERR_EXISTS);
    assert_non_null(strstr(d.text, "100.64.0.0/10"));
    assert_as_before();
    assert_int_equal(netcfg_leftovers(netcfg), 0);
}

static void what_someone_removed_is_repaired_once(void **state UNUSED)
{
    assert_applied("100.64.0.0/10", "fd00:1::/48");
    network_ip("link set stile0 down"); /* with it all routes, and the addresses of IPv6 */
    network_ip("address flush dev stile0");
    netcfg_report_init(&report);
    assert_int_equal(netcfg_repair(netcfg, NULL, NULL, &report), 0);
    assert_int_equal(netcfg_report_of(&report, NETCFG_REPAIRED), 5);
    assert_true(network_ip_says("-4 route show", "100.64.0.0/10 dev stile0"));
    assert_int_equal(netcfg_end(netcfg, SESSION, NULL), 0);
    assert_false(network_ip_says("route show table all", "stile0"));
    assert_true(network_ip_says("link show stile0", "state DOWN"));
}

static void what_someone_replaced_is_left_and_said(void **state UNUSED)
{
    assert_applied("100.64.0.0/10", NULL);
    network_ip("route replace 100.64.0.0/10 dev lo");
    netcfg_report_init(&report);
    assert_int_equal(netcfg_repair(netcfg, NULL, NULL, &report), 0);
    assert_int_equal(netcfg_report_of(&report, NETCFG_LEFT), 1);
    assert_int_equal(netcfg_report_of(&report, NETCFG_REPAIRED), 0);
    netcfg_report_init(&report);
    assert_int_equal(netcfg_end(netcfg, SESSION, &report), 0);
    assert_true(network_ip_says("-4 route show", "100.64.0.0/10 dev lo"));
    network_ip("route del 100.64.0.0/10 dev lo");
    assert_as_before();
    assert_int_equal(netcfg_leftovers(netcfg), 0);
}

static void a_family_that_is_off_refuses_the_plan_and_leaves_nothing(void **state UNUSED)
{
    if (!network_sysctl("/proc/sys/net/ipv6/conf/stile0/disable_ipv6", "1"))
        skip();
    take_snapshot(before);
    assert_int_equal(apply(SESSION, "100.64.0.0/10", "fd00:1::/48"), ERR_UNSUPPORTED);
    assert_as_before();
    assert_applied("100.64.0.0/10", NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_plan_is_applied_and_taken_back),
        TEST(an_unchanged_plan_touches_nothing),
        TEST(a_changed_plan_touches_what_differs),
        TEST(the_next_process_takes_back_what_the_last_one_did),
        TEST(the_next_process_finds_all_gone_with_the_link),
        TEST(after_a_reboot_nothing_is_touched),
        TEST(what_is_in_the_way_refuses_the_whole_plan),
        TEST(what_someone_removed_is_repaired_once),
        TEST(what_someone_replaced_is_left_and_said),
        TEST(a_family_that_is_off_refuses_the_plan_and_leaves_nothing),
    };

    network_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
