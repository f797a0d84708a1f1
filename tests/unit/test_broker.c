/* The broker's sessions as their callers see them, in a network namespace of its own. As root; otherwise everything is skipped. */
#include "broker_world.h"

#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "broker/cleanup.h"
#include "netcfg/rtnl.h"

static void assert_started(const union broker_message *m, const char *interface_name)
{
    if (m->header.type == BROKER_REFUSED)
        fail_msg("%s", m->refused.text);
    assert_int_equal(m->header.type, BROKER_STARTED);
    assert_string_equal(m->started.interface_name, interface_name);
}

static void assert_refused(const union broker_message *m, int err, const char *text)
{
    assert_int_equal(m->header.type, BROKER_REFUSED);
    if (m->refused.err != err || strstr(m->refused.text, text) == NULL)
        fail_msg("%s: %s, and not %s: %s", err_name(m->refused.err), m->refused.text, err_name(err),
                 text);
}

static void assert_event(int sock, enum broker_event_kind kind)
{
    union broker_message m;
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_int_equal(m.header.type, BROKER_EVENT);
    assert_int_equal(m.event.kind, kind);
}

static void start(const struct broker_world *w, uint32_t uid, uint8_t number,
                  struct world_caller *c, const char *interface_name)
{
    struct broker_network n;
    union broker_message m;
    network_standard(&n, number);
    caller_start(w, uid, &n, c, &m);
    assert_started(&m, interface_name);
}

/* As the next request on a connection that is greeted. */
static void start_again(struct world_caller *c, uint8_t number, union broker_message *m)
{
    struct broker_network n;
    network_standard(&n, number);
    caller_send_start(c, &n);
    assert_int_equal(caller_recv(c->sock, m), 0);
}

static bool has_address(const char *text)
{
    struct ip_addr addr;
    struct rtnl_address found;
    struct rtnl *r = NULL;
    struct diag d;
    unsigned index;
    assert_int_equal(ip_addr_parse(text, &addr), 0);
    assert_int_equal(rtnl_open(&r, &d), 0);
    bool has = rtnl_link_index("stile0", &index, &d) == 0 &&
               rtnl_find_address(r, index, &addr, addr.version == 4 ? 32 : 128, &found, &d) == 0;
    rtnl_close(r);
    return has;
}

/* ---- what a session gets ---- */

static void test_engine_runs_as_its_own_uid_with_nothing_but_what_it_is_given(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c;
    struct engine_report r;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    network_standard(&n, 1);
    n.uid_count = 1;
    n.uids[0] = 4242;
    caller_start(w, ALICE, &n, &c, &m);
    assert_started(&m, "stile0");
    assert_int_equal(m.header.id, 7);
    caller_report(&c, &r);
    assert_true(r.uid >= 61120 && r.uid <= 61183);
    assert_int_equal(r.gid, r.uid);
    assert_int_equal(r.groups, 0);
    assert_int_equal(r.no_new_privs, 1);
    assert_int_equal(r.cap_eff | r.cap_prm | r.cap_inh | r.cap_bnd, 0);
    assert_int_equal(r.fd_count, 6);
    assert_int_equal(r.death_signal, SIGKILL);
    assert_int_equal(r.core_limit, 0);
    assert_int_equal(r.env_count, 1);
    assert_int_equal(r.ppid, w->broker);
    assert_int_equal(r.device.uid_count, 2);
    assert_int_equal(r.device.uids[0], ALICE);
    assert_int_equal(r.device.uids[1], 4242);
    assert_int_equal(r.device.mtu, 9000);
    assert_string_equal(r.device.interface_name, "stile0");
    char text[32] = "";
    assert_true(read(c.log, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "engine here\n");
    /* The host first, then the engine, then the answer. */
    broker_message_init(&m, BROKER_STOP);
    assert_int_equal(broker_message_send(c.sock, &m, NULL, 0), 0);
    assert_event(c.sock, BROKER_EVENT_RESTORED);
    assert_int_equal(caller_recv(c.sock, &m), 0);
    assert_int_equal(m.header.type, BROKER_STOPPED);
    assert_true(link_goes("stile0"));
    caller_close(&c);
    assert_int_equal(world_stop(w), 0);
}

static void test_network_is_there_when_started_is_answered(void **state)
{
    struct broker_world *w = *state;
    struct world_caller c;
    struct broker_network n;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    network_standard(&n, 1);
    caller_start(w, ALICE, &n, &c, &m);
    assert_started(&m, "stile0");
    assert_true(has_address("100.65.0.1"));
    assert_true(has_address("fd00:0:1::1"));
    assert_int_equal(m.started.flags, 0);
    assert_string_equal(m.started.dns_backend, "none");
    assert_non_null(strstr(m.started.notice, "100.65.0.2"));
    assert_non_null(strstr(m.started.notice, "corp1.example"));
    caller_close(&c);
}

static void write_sysctl(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, value, strlen(value)), strlen(value));
    close(fd);
}

#define IPV6_OFF "/proc/sys/net/ipv6/conf/default/disable_ipv6"

static void test_without_ipv6_a_session_starts_and_says_so(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    write_sysctl(IPV6_OFF, "1");
    network_standard(&n, 1);
    caller_start(w, ALICE, &n, &c, &m);
    assert_started(&m, "stile0");
    assert_int_equal(m.started.flags, BROKER_NO_IPV6);
    assert_true(has_address("100.65.0.1"));
    caller_close(&c);
    n.flags = BROKER_NO_IPV4;
    caller_start(w, ALICE, &n, &c, &m);
    assert_refused(&m, ERR_UNSUPPORTED, "disable_ipv6=0");
    caller_close(&c);
    assert_true(link_goes("stile0"));
}

static void test_ipv6_alone_has_no_ipv4(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    network_standard(&n, 1);
    n.flags = BROKER_NO_IPV4;
    caller_start(w, ALICE, &n, &c, &m);
    assert_started(&m, "stile0");
    assert_int_equal(m.started.flags, BROKER_NO_IPV4);
    assert_false(has_address("100.65.0.1"));
    assert_true(has_address("fd00:0:1::1"));
    caller_close(&c);
}

/* ---- several ---- */

static void test_a_user_has_one_session_and_another_user_his_own(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller alice, again, bob;
    struct engine_report of_alice, of_bob;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &alice, "stile0");
    network_standard(&n, 2);
    caller_start(w, ALICE, &n, &again, &m);
    assert_refused(&m, ERR_EXISTS, "stile down");
    caller_close(&again);
    start(w, BOB, 2, &bob, "stile1");
    caller_report(&alice, &of_alice);
    caller_report(&bob, &of_bob);
    assert_int_not_equal(of_alice.uid, of_bob.uid);
    assert_int_equal(of_bob.device.uids[0], BOB);
    assert_int_equal(of_bob.device.uid_count, 1);
    caller_close(&alice);
    assert_true(link_goes("stile0"));
    assert_int_equal(caller_ask(&bob, BROKER_STOP, &m), 0);
    assert_int_equal(m.header.type, BROKER_STOPPED);
    caller_close(&bob);
    assert_int_equal(world_stop(w), 0);
}

static void refuse_zone(const struct broker_world *w, const char *zone, int err, const char *why)
{
    struct broker_network n;
    struct world_caller c;
    union broker_message m;
    network_standard(&n, 2);
    memset(n.zones, 0, sizeof(n.zones));
    (void)str_format(n.zones[0], BROKER_ZONE_SIZE, "%s", zone);
    caller_start(w, BOB, &n, &c, &m);
    assert_refused(&m, err, why);
    assert_null(strstr(m.refused.text, "64001"));
    caller_close(&c);
}

static void test_zone_of_another_user_is_refused_and_stile_run_named(void **state)
{
    struct broker_world *w = *state;
    struct world_caller alice, bob;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &alice, "stile0");
    refuse_zone(w, "corp1.example", ERR_EXISTS, "stile run");
    refuse_zone(w, "deep.corp1.example", ERR_EXISTS, "stile run");
    refuse_zone(w, "example", ERR_DENIED, "one label");
    /* Free again with the end of the session that had it. */
    assert_int_equal(caller_ask(&alice, BROKER_STOP, &m), 0);
    assert_int_equal(m.header.type, BROKER_STOPPED);
    start(w, BOB, 1, &bob, "stile0");
    caller_close(&alice);
    caller_close(&bob);
}

static void test_range_of_another_user_or_of_no_policy_is_refused(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller alice, bob;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &alice, "stile0");
    network_standard(&n, 2);
    n.ranges[0] = (struct broker_range){.addr = {100, 65, 128, 0}, .bits = 17};
    caller_start(w, BOB, &n, &bob, &m);
    assert_refused(&m, ERR_EXISTS, "--range");
    caller_close(&bob);
    n.ranges[0] = (struct broker_range){.addr = {10, 0, 0, 0}, .bits = 8};
    caller_start(w, BOB, &n, &bob, &m);
    assert_refused(&m, ERR_DENIED, "allow_ranges");
    caller_close(&bob);
    caller_close(&alice);
}

static int add_address6(const char *text)
{
    struct ip_addr addr;
    struct rtnl_address a = {.bits = 64, .link_index = if_nametoindex("lo")};
    struct rtnl *rtnl = NULL;
    struct diag d;
    assert_int_equal(ip_addr_parse(text, &addr), 0);
    a.addr = addr;
    assert_int_equal(rtnl_open(&rtnl, &d), 0);
    int r = rtnl_new_address(rtnl, &a, &d);
    rtnl_close(rtnl);
    return r;
}

static void test_ipv6_prefix_in_which_the_host_is_itself_is_refused(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller alice;
    union broker_message m;
    NEED_WORLD(w);
    assert_int_equal(add_address6("fdaa:bbcc:dd00:7::1"), 0);
    world_start(w);
    network_standard(&n, 1);
    memcpy(n.ipv6_prefix, "\xfd\xaa\xbb\xcc\xdd\x00", sizeof(n.ipv6_prefix));
    caller_start(w, ALICE, &n, &alice, &m);
    assert_refused(&m, ERR_EXISTS, "IPv6 prefix");
    caller_close(&alice);
    /* Nor is it had later. */
    start(w, ALICE, 1, &alice, "stile0");
    broker_message_init(&m, BROKER_CONFIGURE);
    m.start.network = n;
    assert_int_equal(broker_message_send(alice.sock, &m, NULL, 0), 0);
    assert_int_equal(caller_recv(alice.sock, &m), 0);
    assert_refused(&m, ERR_EXISTS, "IPv6 prefix");
    caller_close(&alice);
}

static void test_uid_that_somebody_runs_under_is_left_out(void **state)
{
    struct broker_world *w = *state;
    struct world_caller c;
    struct engine_report r;
    int ready[2];
    char byte;
    NEED_WORLD(w);
    assert_int_equal(pipe(ready), 0);
    pid_t other = fork();
    if (other == 0) {
        (void)!setresuid(61120, 61120, 61120);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* a change of user switches it off */
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    fdpass_close(ready, 2);
    world_start(w);
    start(w, ALICE, 1, &c, "stile0");
    caller_report(&c, &r);
    assert_true(r.uid > 61120 && r.uid <= 61183);
    caller_close(&c);
    kill(other, SIGKILL);
    (void)waitpid(other, NULL, 0);
}

/* ---- changes ---- */

static void test_configure_changes_the_plan_and_a_refused_one_changes_nothing(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c, bob;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &c, "stile0");
    broker_message_init(&m, BROKER_CONFIGURE);
    network_standard(&m.start.network, 5);
    m.start.network.ranges[0].addr[1] = 65;
    assert_int_equal(broker_message_send(c.sock, &m, NULL, 0), 0);
    assert_int_equal(caller_recv(c.sock, &m), 0);
    assert_int_equal(m.header.type, BROKER_CONFIGURED);
    assert_true(has_address("fd00:0:5::1"));
    assert_false(has_address("fd00:0:1::1"));
    /* The old zone is free, the new one is taken. */
    network_standard(&n, 1);
    n.ranges[0].addr[1] = 70;
    caller_start(w, BOB, &n, &bob, &m);
    assert_started(&m, "stile1");
    broker_message_init(&m, BROKER_CONFIGURE);
    network_standard(&m.start.network, 1);
    assert_int_equal(broker_message_send(c.sock, &m, NULL, 0), 0);
    assert_int_equal(caller_recv(c.sock, &m), 0);
    assert_refused(&m, ERR_EXISTS, "stile run");
    assert_true(has_address("fd00:0:5::1"));
    caller_close(&bob);
    caller_close(&c);
    assert_true(link_goes("stile0"));
}

/* ---- deaths ---- */

static void test_end_of_the_connection_ends_the_session(void **state)
{
    struct broker_world *w = *state;
    struct world_caller c;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &c, "stile0");
    close(c.sock);
    assert_true(link_goes("stile0"));
    caller_close_fds(&c);
    /* At once: it waits for the rest of the last one. */
    start(w, ALICE, 1, &c, "stile0");
    caller_close(&c);
    start(w, ALICE, 1, &c, "stile0");
    caller_close(&c);
    assert_int_equal(world_stop(w), 0);
}

/* An engine that takes its time: the next session waits for it, and one more isn't let in. */
static void test_one_session_waits_for_the_end_of_the_last_and_no_second_one(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller last, next, more;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &last, "stile0");
    next.sock = caller_greet(w, ALICE, &m);
    more.sock = caller_greet(w, ALICE, &m);
    close(last.sock); /* its rpc channel stays open, so the engine lives until it is killed */
    network_standard(&n, 1);
    usleep(50000);
    caller_send_start(&next, &n);
    caller_wait_read(&next);
    caller_send_start(&more, &n);
    assert_int_equal(caller_recv(more.sock, &m), 0);
    assert_refused(&m, ERR_EXISTS, "stile down");
    struct pollfd p = {.fd = next.sock, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 100), 0);
    assert_int_equal(caller_recv(next.sock, &m), 0);
    assert_started(&m, "stile0");
    caller_close_fds(&last);
    caller_close(&more);
    caller_close(&next);
    assert_int_equal(world_stop(w), 0);
}

static void test_caller_that_waits_may_go(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller last, next;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &last, "stile0");
    next.sock = caller_greet(w, ALICE, &m);
    close(last.sock);
    usleep(50000);
    network_standard(&n, 1);
    caller_send_start(&next, &n);
    caller_wait_read(&next);
    assert_int_equal(caller_ask(&next, BROKER_STATUS, &m), ERR_CLOSED); /* one question at a time */
    caller_close(&next);
    caller_close_fds(&last);
    start(w, ALICE, 1, &next, "stile0");
    kill(w->broker, SIGTERM);
    assert_int_equal(world_wait(w), 0);
    caller_close(&next);
}

static void test_caller_that_goes_while_its_session_starts_leaves_nothing(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    network_standard(&n, 1);
    for (int i = 0; i < 5; i++) {
        c.sock = caller_greet(w, ALICE, &m);
        caller_send_start(&c, &n);
        usleep((useconds_t)i * 3000);
        caller_close(&c);
        assert_true(link_goes("stile0"));
    }
    for (int i = 0; i < 1500; i++) {
        c.sock = caller_greet(w, ALICE, &m);
        start_again(&c, 1, &m);
        if (m.header.type == BROKER_STARTED)
            break;
        caller_close(&c);
        usleep(20000);
    }
    assert_int_equal(m.header.type, BROKER_STARTED);
    caller_close(&c);
    assert_int_equal(world_stop(w), 0);
}

static void test_death_of_the_engine_is_told_and_the_session_may_start_again(void **state)
{
    struct broker_world *w = *state;
    struct world_caller c;
    struct engine_report r;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &c, "stile0");
    caller_report(&c, &r);
    kill((pid_t)r.pid, SIGKILL);
    assert_event(c.sock, BROKER_EVENT_ENGINE_ENDED);
    assert_true(link_goes("stile0"));
    assert_true(world_log_has(w, "signal 9"));
    caller_close_fds(&c);
    start_again(&c, 1, &m);
    assert_started(&m, "stile0");
    caller_close(&c);
}

static void test_death_of_the_broker_takes_the_engine_along_and_the_next_one_serves(void **state)
{
    struct broker_world *w = *state;
    struct world_caller c;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &c, "stile0");
    kill(w->broker, SIGKILL);
    assert_int_equal(world_wait(w), 128 + SIGKILL);
    assert_true(link_goes("stile0"));
    assert_int_equal(caller_recv(c.sock, &m), ERR_CLOSED);
    caller_close(&c);
    world_start(w);
    start(w, ALICE, 1, &c, "stile0");
    caller_close(&c);
    assert_int_equal(world_stop(w), 0);
}

static void test_sigterm_puts_everything_back_and_tells_it(void **state)
{
    struct broker_world *w = *state;
    struct world_caller alice, bob;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &alice, "stile0");
    start(w, BOB, 2, &bob, "stile1");
    kill(w->broker, SIGTERM);
    assert_event(alice.sock, BROKER_EVENT_STOPPING);
    assert_event(alice.sock, BROKER_EVENT_RESTORED);
    assert_int_equal(caller_recv(alice.sock, &m), ERR_CLOSED);
    assert_int_equal(world_wait(w), 0);
    assert_true(link_goes("stile0"));
    assert_true(link_goes("stile1"));
    assert_int_not_equal(access(w->socket, F_OK), 0);
    caller_close(&alice);
    caller_close(&bob);
}

static void test_second_broker_says_that_one_runs(void **state)
{
    struct broker_world *w = *state;
    struct broker_config config;
    struct diag d = {0};
    NEED_WORLD(w);
    world_start(w);
    config = (struct broker_config){
        .policy = &w->policy, .dns = "none", .socket_path = w->socket, .state_dir = w->state};
    assert_int_equal(broker_run(&config, &d), ERR_BUSY);
    assert_non_null(strstr(d.text, "nother"));
    int sock = caller_connect(w, ALICE);
    close(sock);
    assert_int_equal(world_stop(w), 0);
}

/* ---- what breaks the rules ---- */

static void test_channels_that_are_files_are_refused(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    int sock = caller_greet(w, ALICE, &m);
    int null = open("/dev/null", O_RDWR);
    const int fds[BROKER_START_FDS] = {null, null, null};
    broker_message_init(&m, BROKER_START);
    network_standard(&m.start.network, 1);
    assert_int_equal(broker_message_send(sock, &m, fds, BROKER_START_FDS), 0);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_refused(&m, ERR_PROTOCOL, "channels");
    close(null);
    close(sock);
}

static void test_requests_without_a_session_are_refused(void **state)
{
    struct broker_world *w = *state;
    struct world_caller c;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    c.sock = caller_greet(w, ALICE, &m);
    assert_int_equal(caller_ask(&c, BROKER_STOP, &m), 0);
    assert_refused(&m, ERR_NOTFOUND, "no session");
    broker_message_init(&m, BROKER_CONFIGURE);
    network_standard(&m.start.network, 1);
    assert_int_equal(broker_message_send(c.sock, &m, NULL, 0), 0);
    assert_int_equal(caller_recv(c.sock, &m), 0);
    assert_refused(&m, ERR_NOTFOUND, "no session");
    assert_int_equal(caller_ask(&c, BROKER_CLEANUP, &m), 0);
    assert_refused(&m, ERR_PERM, "root");
    close(c.sock);
}

/* ---- memory ---- */

/* A whole session, as far as it gets: every answer is one, and the end is the end. */
static void use_what_there_is(struct broker_world *w)
{
    struct broker_network n;
    struct world_caller c;
    struct diag d;
    union broker_message m;
    if (system_socket_connect(w->socket, &c.sock, &d) < 0)
        return;
    if (caller_recv_greeting(c.sock, &m) == 0 && m.header.type == BROKER_WELCOME) {
        network_standard(&n, 1);
        caller_send_start(&c, &n);
        int r = caller_recv(c.sock, &m);
        assert_true(r == ERR_CLOSED || (r == 0 && (m.header.type == BROKER_STARTED ||
                                                   m.header.type == BROKER_REFUSED)));
        caller_close_fds(&c);
    }
    close(c.sock);
}

static void test_memory_that_runs_out_at_any_moment_leaves_nothing_and_kills_nobody(void **state)
{
    struct broker_world *w = *state;
    int served = 0;
    NEED_WORLD(w);
    for (w->fail_at = 1; w->fail_at <= 90; w->fail_at++) {
        world_start(w);
        use_what_there_is(w);
        int status = world_stop(w);
        if (status != 0 && status != 1)
            fail_msg("with allocation %u failing: status %d", (unsigned)w->fail_at, status);
        served += status == 0 ? 1 : 0;
        assert_true(link_goes("stile0"));
        if (world_log_has(w, "isn't as it was"))
            fail_msg("with allocation %u failing the host wasn't put back", (unsigned)w->fail_at);
    }
    assert_true(served > 40);
}

/* ---- clean-up ---- */

static void make_persistent_tun(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR);
    (void)str_format(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
}

/* A TUN that outlives its descriptors, with an address and a route of ours. */
static void make_orphans(const char *name)
{
    struct rtnl *r = NULL;
    struct diag d;
    unsigned index;
    struct ip_addr addr = ip_addr_v4(100, 99, 0, 1);
    struct prefix range = {.addr = ip_addr_v4(100, 99, 0, 0), .bits = 16};
    make_persistent_tun(name);
    assert_int_equal(rtnl_open(&r, &d), 0);
    assert_int_equal(rtnl_link_index(name, &index, &d), 0);
    assert_int_equal(rtnl_link_up(r, index, 0, 0, &d), 0);
    assert_int_equal(rtnl_add_address(r, index, &addr, &d), 0);
    assert_int_equal(rtnl_add_route(r, index, &range, &addr, &d), 0);
    rtnl_close(r);
}

static bool has_line(const struct broker_cleaned *c, const char *text)
{
    for (size_t i = 0; i < c->count; i++)
        if (strstr(c->lines[i], text) != NULL)
            return true;
    return false;
}

static void test_cleanup_removes_what_nobody_has_and_no_session_of_anyone(void **state)
{
    struct broker_world *w = *state;
    struct world_caller alice, root;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    start(w, ALICE, 1, &alice, "stile0");
    make_orphans("stile7");
    make_persistent_tun("stilettos");
    root.sock = caller_greet(w, 0, &m);
    assert_int_equal(caller_ask(&root, BROKER_CLEANUP, &m), 0);
    assert_int_equal(m.header.type, BROKER_CLEANED);
    assert_true(has_line(&m.cleaned, "network interface stile7"));
    assert_true(has_line(&m.cleaned, "route 100.99.0.0/16"));
    assert_int_equal(m.cleaned.failed, 0);
    assert_int_equal(m.cleaned.total, m.cleaned.count);
    assert_true(link_goes("stile7"));
    assert_true(has_address("100.65.0.1"));
    unsigned index;
    struct diag d;
    assert_int_equal(rtnl_link_index("stilettos", &index, &d), 0);
    assert_int_equal(caller_ask(&root, BROKER_CLEANUP, &m), 0);
    assert_int_equal(m.cleaned.total, 0);
    close(root.sock);
    caller_close(&alice);
}

static void test_cleanup_by_hand_works_without_a_broker_and_not_beside_one(void **state)
{
    struct broker_world *w = *state;
    static struct cleanup_report report;
    struct diag d = {0};
    NEED_WORLD(w);
    world_start(w);
    memset(&report, 0, sizeof(report));
    assert_int_equal(cleanup_by_hand(w->state, &report, &d), ERR_BUSY);
    assert_int_equal(world_stop(w), 0);
    make_orphans("stile3");
    assert_int_equal(cleanup_by_hand(w->state, &report, &d), 0);
    assert_true(report.count >= 2);
    assert_int_equal(report.failed, 0);
    assert_true(link_goes("stile3"));
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(int argc, char **argv)
{
    engine_main(argc, argv);
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_engine_runs_as_its_own_uid_with_nothing_but_what_it_is_given),
        WORLD_TEST(test_network_is_there_when_started_is_answered),
        WORLD_TEST(test_without_ipv6_a_session_starts_and_says_so),
        WORLD_TEST(test_ipv6_alone_has_no_ipv4),
        WORLD_TEST(test_a_user_has_one_session_and_another_user_his_own),
        WORLD_TEST(test_zone_of_another_user_is_refused_and_stile_run_named),
        WORLD_TEST(test_range_of_another_user_or_of_no_policy_is_refused),
        WORLD_TEST(test_ipv6_prefix_in_which_the_host_is_itself_is_refused),
        WORLD_TEST(test_uid_that_somebody_runs_under_is_left_out),
        WORLD_TEST(test_configure_changes_the_plan_and_a_refused_one_changes_nothing),
        WORLD_TEST(test_end_of_the_connection_ends_the_session),
        WORLD_TEST(test_one_session_waits_for_the_end_of_the_last_and_no_second_one),
        WORLD_TEST(test_caller_that_waits_may_go),
        WORLD_TEST(test_caller_that_goes_while_its_session_starts_leaves_nothing),
        WORLD_TEST(test_death_of_the_engine_is_told_and_the_session_may_start_again),
        WORLD_TEST(test_death_of_the_broker_takes_the_engine_along_and_the_next_one_serves),
        WORLD_TEST(test_sigterm_puts_everything_back_and_tells_it),
        WORLD_TEST(test_second_broker_says_that_one_runs),
        WORLD_TEST(test_channels_that_are_files_are_refused),
        WORLD_TEST(test_requests_without_a_session_are_refused),
        WORLD_TEST(test_memory_that_runs_out_at_any_moment_leaves_nothing_and_kills_nobody),
        WORLD_TEST(test_cleanup_removes_what_nobody_has_and_no_session_of_anyone),
        WORLD_TEST(test_cleanup_by_hand_works_without_a_broker_and_not_beside_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
