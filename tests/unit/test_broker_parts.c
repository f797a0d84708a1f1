/* Parts of the broker: who has which zones and ranges, a session's objects, who is at the other end of a socket, its name. */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "broker/client.h"
#include "broker/network_plan.h"
#include "broker/registry.h"
#include "netcfg/dns_none.h"
#include "platform/child.h"
#include "platform/fdpass.h"
#include "platform/peer.h"
#include "platform/system_socket.h"
#include "temp_dir.h"

static void network(struct broker_network *n, const char *zone, uint8_t second)
{
    memset(n, 0, sizeof(*n));
    n->mtu = 1500;
    n->ipv6_prefix[0] = 0xfd;
    n->ipv6_prefix[5] = second;
    n->range_count = 1;
    n->ranges[0] = (struct broker_range){.addr = {10, second, 0, 0}, .bits = 16};
    n->zone_count = 1;
    (void)str_format(n->zones[0], BROKER_ZONE_SIZE, "%s", zone);
}

/* ---- the registry ---- */

static void test_zones_that_are_equal_or_hold_one_another_are_taken_others_are_free(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int err;
    } cases[] = {
        {"corp.example", ERR_EXISTS},
        {"a.corp.example", ERR_EXISTS},
        {"example", ERR_EXISTS},
        {"evilcorp.example", 0},
        {"lab.example", 0},
        {"corp.example.org", 0},
        {"a.b.corp.example", ERR_EXISTS},
    };
    struct registry r;
    struct broker_network n;
    struct diag d = {0};
    registry_init(&r);
    network(&n, "corp.example", 1);
    assert_int_equal(registry_set(&r, 1, &n, &d), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        network(&n, cases[i].zone, 2);
        assert_int_equal(registry_check(&r, 2, &n, &d), cases[i].err);
        if (cases[i].err != 0)
            assert_non_null(strstr(d.text, "stile run"));
    }
    /* One's own aren't in one's way. */
    network(&n, "a.corp.example", 1);
    assert_int_equal(registry_set(&r, 1, &n, &d), 0);
    network(&n, "corp.example", 2);
    assert_int_equal(registry_check(&r, 2, &n, &d), ERR_EXISTS);
    registry_drop(&r, 1);
    assert_int_equal(registry_set(&r, 2, &n, &d), 0);
    registry_release(&r);
}

static void test_registry_keeps_both_while_a_session_changes(void **state)
{
    struct registry r;
    struct broker_network old, new;
    struct diag d;
    (void)state;
    for (int changed = 0; changed < 2; changed++) {
        registry_init(&r);
        memset(&old, 0, sizeof(old));
        old.zone_count = 1;
        new = old;
        broker_text_set(old.zones[0], sizeof(old.zones[0]), "old.example");
        broker_text_set(new.zones[0], sizeof(new.zones[0]), "new.example");
        old.flags = new.flags = BROKER_NO_IPV6;
        assert_int_equal(registry_change(&r, 1, &old, &d), 0);
        assert_int_equal(registry_change(&r, 1, &new, &d), 0);
        assert_int_equal(registry_check(&r, 2, &old, &d), ERR_EXISTS);
        assert_int_equal(registry_check(&r, 2, &new, &d), ERR_EXISTS);
        registry_settle(&r, 1, changed != 0);
        assert_int_equal(registry_check(&r, 2, &old, &d), changed ? 0 : ERR_EXISTS);
        assert_int_equal(registry_check(&r, 2, &new, &d), changed ? ERR_EXISTS : 0);
        registry_release(&r);
    }
}

static void test_ranges_and_prefixes_of_two_sessions_dont_overlap(void **state)
{
    (void)state;
    struct registry r;
    struct broker_network n;
    struct diag d = {0};
    registry_init(&r);
    network(&n, "a.example", 1);
    assert_int_equal(registry_set(&r, 1, &n, &d), 0);
    network(&n, "b.example", 2);
    n.ranges[0] = (struct broker_range){.addr = {10, 0, 0, 0}, .bits = 15};
    assert_int_equal(registry_set(&r, 2, &n, &d), ERR_EXISTS);
    n.ranges[0] = (struct broker_range){.addr = {10, 2, 0, 0}, .bits = 15};
    n.ipv6_prefix[5] = 1;
    assert_int_equal(registry_set(&r, 2, &n, &d), ERR_EXISTS);
    n.flags = BROKER_NO_IPV6;
    assert_int_equal(registry_set(&r, 2, &n, &d), 0);
    registry_release(&r);
}

/* ---- the plan ---- */

static const struct object *object_at(const struct plan *p, size_t i, enum object_kind kind)
{
    assert_true(i < p->count);
    assert_int_equal(p->objects[i].kind, kind);
    assert_int_equal(object_check(&p->objects[i]), 0);
    return &p->objects[i];
}

static void assert_text(const struct object *o, const char *text)
{
    char actual[OBJECT_TEXT_SIZE];
    object_text(o, actual);
    assert_string_equal(actual, text);
}

static void test_plan_of_both_families_has_the_addresses_routes_and_zones(void **state)
{
    (void)state;
    struct broker_network n;
    struct plan p;
    network(&n, "corp.example", 7);
    assert_int_equal(network_plan(&n, 0, "stile3", 9, &p), 0);
    assert_int_equal(p.count, 6);
    assert_int_equal(object_at(&p, 0, OBJECT_LINK)->settings.mtu, 1500);
    assert_text(object_at(&p, 1, OBJECT_ADDRESS), "address 10.7.0.1/32 on stile3");
    assert_text(object_at(&p, 2, OBJECT_ROUTE), "route 10.7.0.0/16 on stile3");
    assert_text(object_at(&p, 3, OBJECT_ADDRESS), "address fd00:0:7::1/128 on stile3");
    assert_text(object_at(&p, 4, OBJECT_ROUTE), "route fd00:0:7::/48 on stile3");
    const struct object *dns = object_at(&p, 5, OBJECT_DNS);
    char text[IP_ADDR_TEXT_SIZE];
    assert_int_equal(dns->dns.server_count, 2);
    ip_addr_format(&dns->dns.servers[0], text);
    assert_string_equal(text, "10.7.0.2");
    ip_addr_format(&dns->dns.servers[1], text);
    assert_string_equal(text, "fd00:0:7::2");
    assert_int_equal(dns->dns.zone_count, 3);
    assert_string_equal(dns->dns.zones[0], "corp.example");
    assert_string_equal(dns->dns.zones[1], "7.10.in-addr.arpa");
    assert_string_equal(dns->dns.zones[2], "7.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa");
    plan_release(&p);
}

static void test_plan_of_one_family_has_nothing_of_the_other(void **state)
{
    (void)state;
    struct broker_network n;
    struct plan p;
    network(&n, "corp.example", 7);
    assert_int_equal(network_plan(&n, BROKER_NO_IPV4, "stile0", 9, &p), 0);
    assert_int_equal(p.count, 4);
    assert_text(object_at(&p, 1, OBJECT_ADDRESS), "address fd00:0:7::1/128 on stile0");
    assert_int_equal(object_at(&p, 3, OBJECT_DNS)->dns.servers[0].version, 6);
    plan_release(&p);
    assert_int_equal(network_plan(&n, BROKER_NO_IPV6, "stile0", 9, &p), 0);
    assert_int_equal(p.count, 4);
    assert_int_equal(object_at(&p, 3, OBJECT_DNS)->dns.server_count, 1);
    assert_int_equal(object_at(&p, 3, OBJECT_DNS)->dns.zone_count, 2);
    plan_release(&p);
}

static void test_plan_without_zones_sets_no_dns(void **state)
{
    (void)state;
    struct broker_network n;
    struct plan p;
    network(&n, "", 7);
    n.zone_count = 0;
    assert_int_equal(network_plan(&n, 0, "stile0", 9, &p), 0);
    assert_int_equal(p.count, 5);
    plan_release(&p);
}

static size_t reverse_zones_of(uint8_t a, uint8_t b, uint32_t bits, const char *first)
{
    struct broker_network n;
    struct plan p;
    network(&n, "corp.example", 7);
    n.ranges[0] = (struct broker_range){.addr = {a, b, 0, 0}, .bits = bits};
    assert_int_equal(network_plan(&n, BROKER_NO_IPV6, "stile0", 9, &p), 0);
    const struct object_dns *dns = &p.objects[p.count - 1].dns;
    size_t count = dns->zone_count - 1;
    if (count > 0)
        assert_string_equal(dns->zones[1], first);
    plan_release(&p);
    return count;
}

static void test_names_of_addresses_are_asked_too_where_they_arent_too_many_zones(void **state)
{
    (void)state;
    assert_int_equal(reverse_zones_of(198, 18, 15, "18.198.in-addr.arpa"), 2);
    assert_int_equal(reverse_zones_of(10, 0, 8, "10.in-addr.arpa"), 1);
    assert_int_equal(reverse_zones_of(192, 168, 24, "0.168.192.in-addr.arpa"), 1);
    assert_int_equal(reverse_zones_of(192, 168, 22, "0.168.192.in-addr.arpa"), 4);
    assert_int_equal(reverse_zones_of(100, 64, 10, "64.100.in-addr.arpa"), 64);
    assert_int_equal(reverse_zones_of(100, 0, 9, ""), 0);
    assert_int_equal(reverse_zones_of(192, 168, 28, ""), 0);
}

static void test_more_zones_than_fit_leave_out_names_of_addresses_alone(void **state)
{
    (void)state;
    struct broker_network n;
    struct plan p;
    network(&n, "corp.example", 7);
    for (n.zone_count = 0; n.zone_count < BROKER_ZONES_MAX; n.zone_count++)
        (void)str_format(n.zones[n.zone_count], BROKER_ZONE_SIZE, "z%u.example",
                         (unsigned)n.zone_count);
    n.range_count = 2;
    n.ranges[0] = (struct broker_range){.addr = {100, 64, 0, 0}, .bits = 10};
    n.ranges[1] = (struct broker_range){.addr = {10, 64, 0, 0}, .bits = 10};
    assert_int_equal(network_plan(&n, 0, "stile0", 9, &p), 0);
    const struct object_dns *dns = &p.objects[p.count - 1].dns;
    assert_int_equal(dns->zone_count, OBJECT_ZONES_MAX);
    assert_string_equal(dns->zones[BROKER_ZONES_MAX - 1], "z63.example");
    assert_string_equal(dns->zones[BROKER_ZONES_MAX + 63], "127.100.in-addr.arpa");
    plan_release(&p);
}

static void test_person_who_configures_dns_reads_of_zones_and_few_of_addresses(void **state)
{
    (void)state;
    struct broker_network n;
    struct plan p;
    char text[1024];
    network(&n, "corp.example", 7);
    n.ranges[0] = (struct broker_range){.addr = {198, 18, 0, 0}, .bits = 15};
    assert_int_equal(network_plan(&n, BROKER_NO_IPV6, "stile0", 9, &p), 0);
    dns_none_text(&p.objects[p.count - 1], text, sizeof(text));
    assert_non_null(strstr(text, " for corp.example, 18.198.in-addr.arpa and 19.198.in-addr.arpa"));
    plan_release(&p);
    n.ranges[0] = (struct broker_range){.addr = {100, 64, 0, 0}, .bits = 10};
    assert_int_equal(network_plan(&n, BROKER_NO_IPV6, "stile0", 9, &p), 0);
    dns_none_text(&p.objects[p.count - 1], text, sizeof(text));
    assert_non_null(strstr(text, " for corp.example"));
    assert_null(strstr(text, "arpa"));
    plan_release(&p);
}

/* ---- who is at the other end ---- */

static int listen_in(const char *dir, char path[128])
{
    int fd = -1;
    struct diag d = {0};
    (void)str_format(path, 128, "%s/run/s", dir);
    if (system_socket_listen(path, &fd, &d) < 0)
        fail_msg("%s", d.text);
    return fd;
}

/* A child that connects, as this uid, and stays until its pipe is closed. */
struct visitor {
    pid_t pid;
    int stay;
};

static struct visitor visit(const char *path, uint32_t uid)
{
    struct visitor v;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    v.pid = fork();
    if (v.pid == 0) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        char byte;
        close(fds[1]);
        (void)str_format(addr.sun_path, sizeof(addr.sun_path), "%s", path);
        if (uid != 0 && (setgroups(0, NULL) < 0 || setresuid(uid, uid, uid) < 0))
            _exit(1);
        int sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
            _exit(2);
        (void)!read(fds[0], &byte, 1);
        _exit(0);
    }
    close(fds[0]);
    v.stay = fds[1];
    return v;
}

static void leave(struct visitor *v)
{
    close(v->stay);
    assert_int_equal(waitpid(v->pid, NULL, 0), v->pid);
}

static int accept_one(int listener)
{
    for (int i = 0; i < 15000; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            return fd;
        usleep(2000);
    }
    fail();
    return -1;
}

static void test_caller_is_known_by_what_the_kernel_says_however_it_is_held(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], path[128];
    struct diag d = {0};
    temp_dir_make(dir);
    int listener = listen_in(dir, path);
    for (enum peer_hold hold = PEER_BY_SOCKET; hold <= PEER_BY_START_TIME; hold++) {
        struct visitor v = visit(path, 0);
        struct peer p = PEER_NONE;
        int sock = accept_one(listener);
        assert_int_equal(peer_identify(sock, hold, &p, &d), 0);
        assert_int_equal(p.uid, geteuid());
        assert_int_equal(p.pid, v.pid);
        assert_true(hold == PEER_BY_START_TIME ? p.pidfd < 0 : p.pidfd >= 0);
        assert_int_equal(peer_check_executable(&p, &d), 0);
        leave(&v);
        /* It has gone: nothing is taken for it. */
        assert_int_equal(peer_check_executable(&p, &d), ERR_AUTH);
        peer_release(&p);
        close(sock);
    }
    close(listener);
    temp_dir_remove(dir);
}

static void test_caller_that_has_gone_is_nobody(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], path[128];
    struct diag d = {0};
    temp_dir_make(dir);
    int listener = listen_in(dir, path);
    for (enum peer_hold hold = PEER_BY_SOCKET; hold <= PEER_BY_START_TIME; hold++) {
        struct visitor v = visit(path, 0);
        struct peer p = PEER_NONE;
        int sock = accept_one(listener);
        leave(&v);
        assert_int_equal(peer_identify(sock, hold, &p, &d), ERR_AUTH);
        assert_int_equal(p.uid, UINT32_MAX);
        close(sock);
    }
    close(listener);
    temp_dir_remove(dir);
}

/* A process that has another start time isn't the one that connected, though it has its number. */
static void test_number_that_is_used_again_is_noticed(void **state)
{
    (void)state;
    struct diag d = {0};
    struct peer p = {.uid = geteuid(), .pid = (uint32_t)getpid(), .pidfd = -1, .start_time = 1};
    assert_int_equal(peer_check_executable(&p, &d), ERR_AUTH);
}

/* ---- the socket's name ---- */

static void test_directory_of_someone_else_or_open_to_others_or_a_link_is_refused(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], run[128], path[160], other[128];
    int fd;
    struct diag d = {0};
    temp_dir_make(dir);
    (void)str_format(run, sizeof(run), "%s/run", dir);
    (void)str_format(path, sizeof(path), "%s/s", run);
    (void)str_format(other, sizeof(other), "%s/other", dir);
    assert_int_equal(mkdir(other, 0755), 0);
    assert_int_equal(symlink(other, run), 0);
    assert_int_equal(system_socket_listen(path, &fd, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "Remove it"));
    assert_int_equal(unlink(run), 0);
    assert_int_equal(mkdir(run, 0700), 0);
    assert_int_equal(chmod(run, 0777), 0);
    assert_int_equal(system_socket_listen(path, &fd, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "chmod 0755"));
    assert_int_equal(chmod(run, 0755), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(run, 1234, 0), 0);
        assert_int_equal(system_socket_listen(path, &fd, &d), ERR_PERM);
        assert_non_null(strstr(d.text, "uid 1234"));
        assert_int_equal(chown(run, 0, 0), 0);
    }
    assert_int_equal(system_socket_listen(path, &fd, &d), 0);
    close(fd);
    temp_dir_remove(dir);
}

static void test_name_that_is_served_is_kept_and_a_leftover_replaced(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], path[128];
    int fd, again;
    struct stat st;
    struct diag d = {0};
    temp_dir_make(dir);
    fd = listen_in(dir, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    assert_int_equal(system_socket_listen(path, &again, &d), ERR_BUSY);
    close(fd);
    assert_int_equal(system_socket_connect(path, &again, &d), ERR_REFUSED);
    assert_non_null(strstr(d.text, "systemctl start stile-broker"));
    fd = listen_in(dir, path);
    close(fd);
    system_socket_remove(path);
    assert_int_equal(system_socket_connect(path, &again, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile run"));
    temp_dir_remove(dir);
}

/* A program of another user that has taken the name gets no word of ours. */
static void test_server_that_isnt_root_is_noticed(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], path[128];
    int pipes[2];
    char byte;
    struct diag d = {0};
    union broker_message request, answer;
    temp_dir_make(dir);
    assert_int_equal(chmod(dir, 0777), 0);
    (void)str_format(path, sizeof(path), "%s/s", dir);
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        (void)str_format(addr.sun_path, sizeof(addr.sun_path), "%s", path);
        if (geteuid() == 0 && setresuid(64001, 64001, 64001) < 0)
            _exit(1);
        (void)umask(0);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 5) < 0)
            _exit(2);
        (void)!write(pipes[1], "x", 1);
        int got = accept(fd, NULL, NULL);
        _exit(got >= 0 && read(got, &byte, 1) == 0 ? 0 : 3); /* not one byte */
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    broker_message_init(&request, BROKER_STATUS);
    assert_int_equal(broker_ask(path, &request, &answer, NULL, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "not by root"));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fdpass_close(pipes, 2);
    temp_dir_remove(dir);
}

/* ---- descriptors and children ---- */

static void test_kind_of_a_descriptor_is_told_without_touching_a_file(void **state)
{
    (void)state;
    int stream[2], messages[2], pipes[2], datagrams[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, messages), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
    assert_int_equal(pipe(pipes), 0);
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    int null = open("/dev/null", O_RDWR);
    assert_int_equal(fdpass_kind_of(stream[0]), FDPASS_STREAM);
    assert_int_equal(fdpass_kind_of(messages[0]), FDPASS_MESSAGES);
    assert_int_equal(fdpass_kind_of(datagrams[0]), FDPASS_OTHER);
    assert_int_equal(fdpass_kind_of(pipes[1]), FDPASS_PIPE);
    assert_int_equal(fdpass_kind_of(tcp), FDPASS_OTHER);
    assert_int_equal(fdpass_kind_of(null), FDPASS_OTHER);
    fdpass_close(stream, 2);
    fdpass_close(messages, 2);
    fdpass_close(datagrams, 2);
    fdpass_close(pipes, 2);
    close(tcp);
    close(null);
}

static void test_child_is_never_root(void **state)
{
    (void)state;
    const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
    struct child_config config = {
        .role = "child", .uid = 0, .argv = argv, .env = env, .stderr_fd = 2};
    struct diag d = {0};
    int pid = 0;
    assert_int_equal(child_start(&config, &pid, &d), ERR_INVAL);
    if (geteuid() == 0)
        return;
    config.uid = 61120;
    assert_int_equal(child_start(&config, &pid, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "change to its user"));
}

static void test_used_uids_are_found(void **state)
{
    (void)state;
    assert_true(child_uid_is_used(getuid()));
    assert_false(child_uid_is_used(3999999999u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zones_that_are_equal_or_hold_one_another_are_taken_others_are_free),
        cmocka_unit_test(test_registry_keeps_both_while_a_session_changes),
        cmocka_unit_test(test_ranges_and_prefixes_of_two_sessions_dont_overlap),
        cmocka_unit_test(test_plan_of_both_families_has_the_addresses_routes_and_zones),
        cmocka_unit_test(test_plan_of_one_family_has_nothing_of_the_other),
        cmocka_unit_test(test_plan_without_zones_sets_no_dns),
        cmocka_unit_test(test_names_of_addresses_are_asked_too_where_they_arent_too_many_zones),
        cmocka_unit_test(test_more_zones_than_fit_leave_out_names_of_addresses_alone),
        cmocka_unit_test(test_person_who_configures_dns_reads_of_zones_and_few_of_addresses),
        cmocka_unit_test(test_caller_is_known_by_what_the_kernel_says_however_it_is_held),
        cmocka_unit_test(test_caller_that_has_gone_is_nobody),
        cmocka_unit_test(test_number_that_is_used_again_is_noticed),
        cmocka_unit_test(test_directory_of_someone_else_or_open_to_others_or_a_link_is_refused),
        cmocka_unit_test(test_name_that_is_served_is_kept_and_a_leftover_replaced),
        cmocka_unit_test(test_server_that_isnt_root_is_noticed),
        cmocka_unit_test(test_kind_of_a_descriptor_is_told_without_touching_a_file),
        cmocka_unit_test(test_child_is_never_root),
        cmocka_unit_test(test_used_uids_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
