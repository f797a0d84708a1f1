/* Endpoints with the kernel's own nftables: what is there before and after, and who may change it. */
#include "policy_fixture.h"

#include <poll.h>
#include <sys/prctl.h>

/* ---- Changes ---- */

static void policies_come_and_go_and_leave_no_trace(void **state UNUSED)
{
    look(before);
    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "," IN_POLICY "]");
    assert_int_equal(change.added, 3);
    assert_int_equal(listed(), 3);
    assert_true(says_in(container.netns_fd, "ip rule", "5711:"));
    assert_true(says_in(container.netns_fd, "ip -6 rule", "5711:"));
    must(endpoint_remove, UDP_POLICY);
    assert_int_equal(change.removed, 1);
    assert_int_equal(change.unchanged, 2);
    assert_false(says_in(container.netns_fd, "ip rule", "5711:"));
    must(endpoint_add, UDP_POLICY);
    assert_int_equal(change.added, 1);
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    assert_int_equal(change.removed, 3);
    expect_as_before();
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    assert_int_equal(buf_len(&change.sent), 0);
    expect_as_before();
}

static void removing_the_last_one_leaves_no_trace(void **state UNUSED)
{
    look(before);
    must(endpoint_add, UDP_POLICY);
    must(endpoint_remove, UDP_POLICY);
    expect_as_before();
    must(endpoint_apply, "[" UDP_POLICY "]");
    must(endpoint_apply, "[]");
    expect_as_before();
}

static void what_others_have_there_stays(void **state UNUSED)
{
    in_container("nft add table inet filter");
    in_container("nft add chain inet filter input { type filter hook input priority 0 ; }");
    in_container("nft add rule inet filter input tcp dport 22 accept");
    in_container("ip rule add fwmark 0x1 lookup 100 priority 5000");
    in_container("ip rule add fwmark 0x100000/0x100000 lookup 57110 priority 5712");
    in_container("ip route add local default dev lo table 100");
    look(before);
    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "]");
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    expect_as_before();
}

static void a_policy_that_is_not_there_removes_none(void **state UNUSED)
{
    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "]");
    look(before);
    assert_int_equal(try(endpoint_remove, "[" TCP_POLICY "," IN_POLICY "]"), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "9000"));
    expect_as_before();
}

static void the_same_policy_twice_is_one(void **state UNUSED)
{
    must(endpoint_add, "[" TCP_POLICY "," TCP_POLICY "]");
    assert_int_equal(change.added, 1);
    assert_int_equal(listed(), 1);
    must(endpoint_add, TCP_POLICY);
    assert_int_equal(change.added, 0);
    assert_int_equal(change.unchanged, 1);
    assert_int_equal(buf_len(&change.sent), 0);
    must(endpoint_apply, "[" TCP_POLICY "," TCP_POLICY "]");
    assert_int_equal(buf_len(&change.sent), 0);
    must(endpoint_remove, "[" TCP_POLICY "," TCP_POLICY "]");
    assert_int_equal(listed(), 0);
}

static void policies_are_listed_in_their_order(void **state UNUSED)
{
    CLEANUP(l4_policies_release) struct l4_policies l;

    l4_policies_init(&l);
    must(endpoint_add, UDP_POLICY); /* priority 5 */
    must(endpoint_add, TCP_POLICY);
    must(endpoint_add, IN_POLICY);
    assert_int_equal(endpoint_list(endpoint, &l, &d), 0);
    assert_int_equal(l.items[0].outbound.proxy_port, 8000);
    assert_int_equal(l.items[1].inbound.proxy_port, 9000);
    assert_int_equal(l.items[2].outbound.proxy_port, 8001);
}

static void a_dry_run_changes_nothing_and_says_what_it_would(void **state UNUSED)
{
    look(before);
    change.dry_run = true;
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_true(buf_len(&change.sent) > 100);
    assert_non_null(strstr(buf_cstr(&change.sent), "stile_policy"));
    assert_non_null(strstr(notes(), "rule for UDP, IPv6"));
    expect_as_before();
    CLEANUP(buf_release) struct buf sent;
    buf_init(&sent, 1024 * 1024);
    assert_int_equal(buf_put(&sent, buf_slice(&change.sent)), 0);
    change.dry_run = false;
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_string_equal(buf_cstr(&sent), buf_cstr(&change.sent));
    look(before);
    change.dry_run = true;
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    expect_as_before();
}

/* A program that tells of changes in the container, and two commands that make one to see that it does. */
struct monitor {
    const char *words, *mark_on, *mark_off, *mark;
    pid_t pid;
    int fd;
    char seen[COMMAND_OUTPUT];
};

static void start_monitor(struct monitor *m)
{
    char copy[128], *save;
    int fds[2];

    (void)snprintf(copy, sizeof(copy), "%s", m->words);
    char *argv[] = {strtok_r(copy, " ", &save), strtok_r(NULL, " ", &save),
                    strtok_r(NULL, " ", &save), NULL};
    assert_non_null(argv[0]);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    m->pid = fork();
    if (m->pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        if (argv[0] != NULL && setns(container.netns_fd, CLONE_NEWNET) == 0)
            (void)execvp(argv[0], argv);
        _exit(127);
    }
    (void)close(fds[1]);
    m->fd = fds[0];
}

/* Reads on until a text is there or nothing comes for this long. */
static bool hear(struct monitor *m, const char *text, int quiet_ms)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};
    size_t len = strlen(m->seen);

    while (strstr(m->seen, text) == NULL && poll(&p, 1, quiet_ms) == 1) {
        ssize_t n = read(m->fd, m->seen + len, sizeof(m->seen) - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        m->seen[len] = '\0';
    }
    return strstr(m->seen, text) != NULL;
}

static void make_mark(const struct monitor *m)
{
    in_container(m->mark_on);
    in_container(m->mark_off);
}

/* What was seen while `fn` ran. */
static const char *watch_while(void (*fn)(void), struct monitor *m)
{
    bool heard = false;

    m->seen[0] = '\0';
    start_monitor(m);
    for (int i = 0; i < 100 && !heard; i++) {
        make_mark(m);
        heard = hear(m, m->mark, 50);
    }
    assert_true(heard);
    (void)hear(m, "never said", 300);
    m->seen[0] = '\0';
    fn();
    make_mark(m);
    assert_true(hear(m, m->mark, 10000));
    (void)kill(m->pid, SIGKILL);
    (void)waitpid(m->pid, NULL, 0);
    (void)close(m->fd);
    char *end = strstr(m->seen, m->mark);
    while (end > m->seen && end[-1] != '\n')
        end--;
    *end = '\0';
    return m->seen;
}

static void apply_again(void)
{
    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "," IN_POLICY "]");
    assert_int_equal(change.unchanged, 3);
    must(endpoint_add, UDP_POLICY);
    reconcile();
    assert_false(change.drifted);
}

static void apply_other(void)
{
    must(endpoint_apply, "[" TCP_POLICY "]");
}

static void what_is_right_is_not_touched(void **state UNUSED)
{
    static struct monitor nft = {.words = "nft monitor",
                                 .mark_on = "nft add table ip listening",
                                 .mark_off = "nft delete table ip listening",
                                 .mark = "listening"};
    static struct monitor ip = {.words = "ip monitor rule",
                                .mark_on = "ip rule add priority 77 lookup 77",
                                .mark_off = "ip rule del priority 77",
                                .mark = "77:"};

    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "," IN_POLICY "]");
    assert_string_equal(watch_while(apply_again, &nft), "");
    assert_string_equal(watch_while(apply_again, &ip), "");
    assert_non_null(strstr(watch_while(apply_other, &nft), "stile_policy"));
    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "," IN_POLICY "]");
    assert_non_null(strstr(watch_while(apply_other, &ip), "5711"));
}

static void policies_that_make_no_sense_change_nothing(void **state UNUSED)
{
    must(endpoint_apply, "[" TCP_POLICY "]");
    look(before);
    /* No loop guard. */
    assert_true(try(endpoint_add, "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8000'}}") <
                0);
    expect_as_before();
}

static void unprivileged_calls(void)
{
    struct endpoint *e;

    if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
        _exit(2);
    int err = try(endpoint_add, TCP_POLICY); /* through the open descriptor */
    if (err != ERR_PERM)
        _exit(3);
    CLEANUP(l4_policies_release) struct l4_policies l;
    l4_policies_init(&l);
    if (endpoint_list(endpoint, &l, &d) != ERR_PERM || strstr(d.text, "root") == NULL)
        _exit(4);
    if (endpoint_open(container.name, 0, &e, &d) != ERR_PERM)
        _exit(5);
    _exit(0);
}

static void without_privilege_nothing_is_changed_and_it_says_why(void **state UNUSED)
{
    int status;

    look(before);
    pid_t pid = fork();
    if (pid == 0)
        unprivileged_calls();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    expect_as_before();
}

/* ---- A user without privilege, and his own container ---- */

enum { USER = 65534 };

static bool become_user(void)
{
    return setresgid(USER, USER, USER) == 0 && setresuid(USER, USER, USER) == 0 &&
           prctl(PR_SET_DUMPABLE, 1) == 0;
}

static bool write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        (void)close(fd);
    return done;
}

/* Root of a user namespace that is the user's own, as rootless runtimes make them. */
static void be_rootless_container(int ready)
{
    if (!become_user() || unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
        !write_to("/proc/self/setgroups", "deny") || !write_to("/proc/self/uid_map", "0 65534 1") ||
        !write_to("/proc/self/gid_map", "0 65534 1"))
        _exit(1);
    if (command_in(-1, "ip link set lo up", NULL) != 0 || write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void use_rootless_container(pid_t pid)
{
    char name[64];
    struct endpoint *e = NULL;
    CLEANUP(l4_policies_release) struct l4_policies l = policies("[" TCP_POLICY "," UDP_POLICY "]");
    CLEANUP(l4_policies_release) struct l4_policies found;

    l4_policies_init(&found);
    (void)snprintf(name, sizeof(name), "pid:%d", (int)pid);
    if (!become_user() || setenv("XDG_RUNTIME_DIR", "/run/of-user", 1) != 0)
        _exit(1);
    int err = endpoint_open(name, 0, &e, &d);
    if (err == 0)
        err = endpoint_apply(e, &l, &change, &d);
    if (err == 0)
        err = endpoint_list(e, &found, &d);
    if (err == 0)
        err = found.count == 2 ? endpoint_clear(e, &change, &d) : ERR_INTERNAL;
    if (err < 0)
        (void)fprintf(stderr, "%s\n", d.text);
    endpoint_close(e);
    _exit(err == 0 ? 0 : 2);
}

static void a_user_changes_his_own_rootless_container(void **state UNUSED)
{
    int ready[2], status;
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t inside = fork();
    if (inside == 0)
        be_rootless_container(ready[1]);
    (void)close(ready[1]);
    bool there = read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    if (!there) {
        (void)waitpid(inside, NULL, 0);
        print_message("users can't make namespaces here\n");
        skip();
    }
    (void)mkdir("/run/of-user", 0700);
    assert_int_equal(chown("/run/of-user", USER, USER), 0);
    pid_t pid = fork();
    if (pid == 0)
        use_rootless_container(inside);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)kill(inside, SIGKILL);
    (void)waitpid(inside, NULL, 0);
    assert_int_equal(status, 0);
}

static void a_container_that_died_keeps_its_namespace_while_it_is_open(void **state UNUSED)
{
    (void)kill(container.pid, SIGKILL);
    assert_int_equal(waitpid(container.pid, NULL, 0), container.pid);
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_int_equal(listed(), 1);
    struct endpoint *e = NULL;
    assert_int_equal(endpoint_open(container.name, 0, &e, &d), ERR_EXPIRED);
    assert_null(e);
}

/* ---- The host ---- */

static void the_host_takes_policies_only_when_it_is_meant(void **state UNUSED)
{
    struct endpoint *e = NULL;

    assert_int_equal(endpoint_open("/proc/self/ns/net", 0, &e, &d), ERR_DENIED);
    assert_int_equal(endpoint_open("/proc/self/ns/net", ENDPOINT_HOST, &e, &d), 0);
    CLEANUP(l4_policies_release) struct l4_policies l = policies("[" IN_POLICY "]");
    assert_int_equal(endpoint_apply(e, &l, &change, &d), 0);
    assert_true(says_in(-1, "nft list ruleset", "stile_policy"));
    assert_false(says_in(container.netns_fd, "nft list ruleset", "stile_policy"));
    assert_int_equal(endpoint_clear(e, &change, &d), 0);
    assert_false(says_in(-1, "nft list ruleset", "stile_policy"));
    endpoint_close(e);
}

/* ---- Several writers ---- */

static void add_one_in_a_child(int number)
{
    char text[256];
    struct endpoint *e;

    (void)snprintf(text, sizeof(text),
                   "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'%d','UserID':'1337',"
                   "'FilterTuple':{'RemotePorts':'%d','Protocols':'6,17'}}}",
                   8000 + number, 100 + number);
    CLEANUP(l4_policies_release) struct l4_policies l = policies(text);
    if (endpoint_open(container.name, 0, &e, &d) < 0 || endpoint_add(e, &l, &change, &d) < 0) {
        (void)fprintf(stderr, "%s\n", d.text);
        _exit(1);
    }
    _exit(0);
}

static void writers_at_the_same_time_lose_nothing(void **state UNUSED)
{
    enum { WRITERS = 20 };
    pid_t pids[WRITERS];
    int status;

    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            add_one_in_a_child(i);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(listed(), WRITERS);
    reconcile();
    assert_false(change.drifted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(policies_come_and_go_and_leave_no_trace),
        TEST(removing_the_last_one_leaves_no_trace),
        TEST(what_others_have_there_stays),
        TEST(a_policy_that_is_not_there_removes_none),
        TEST(the_same_policy_twice_is_one),
        TEST(policies_are_listed_in_their_order),
        TEST(a_dry_run_changes_nothing_and_says_what_it_would),
        TEST(what_is_right_is_not_touched),
        TEST(policies_that_make_no_sense_change_nothing),
        TEST(without_privilege_nothing_is_changed_and_it_says_why),
        TEST(a_user_changes_his_own_rootless_container),
        TEST(a_container_that_died_keeps_its_namespace_while_it_is_open),
        TEST(the_host_takes_policies_only_when_it_is_meant),
        TEST(writers_at_the_same_time_lose_nothing),
    };

    enter_own_world();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
