/* Endpoints with the kernel's own nftables: what is there before and after, whoever else changes it meanwhile. */
#include "policy_network.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/endpoint.h"
#include "policy/l4_json.h"

#define TCP_POLICY "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8000','UserID':'1337'}}"
#define UDP_POLICY                                                                                 \
    "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8001','UserID':'1337','FilterTuple':{"  \
    "'Protocols':'17','Priority':5}}}"
#define IN_POLICY "{'Type':'L4WFPPROXY','Settings':{'InboundProxyPort':'9000'}}"

static struct container container;
static struct endpoint *endpoint;
static struct endpoint_change change;
static struct diag d;
static char before[COMMAND_OUTPUT], after[COMMAND_OUTPUT];

static int make_endpoint(void **state UNUSED)
{
    container = container_new();
    d = (struct diag){0};
    endpoint_change_init(&change);
    if (endpoint_open(container.name, 0, &endpoint, &d) < 0)
        fail_msg("%s", d.text);
    return 0;
}

static int end_endpoint(void **state UNUSED)
{
    (void)umount("/usr/sbin/nft");
    endpoint_close(endpoint);
    endpoint_change_release(&change);
    container_end(&container);
    return 0;
}

/* JSON with ' for ". */
static struct l4_policies policies(const char *text)
{
    struct l4_policies l;
    char *json = mem_strdup(text);

    assert_non_null(json);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    l4_policies_init(&l);
    if (l4_json_read(slice_str(json), &l, &d) < 0)
        fail_msg("%s", d.text);
    mem_free(json);
    return l;
}

typedef int change_fn(struct endpoint *e, const struct l4_policies *l, struct endpoint_change *c,
                      struct diag *d);

static int try(change_fn *fn, const char *text)
{
    CLEANUP(l4_policies_release) struct l4_policies l = policies(text);

    return fn(endpoint, &l, &change, &d);
}

static void must(change_fn *fn, const char *text)
{
    if (try(fn, text) < 0)
        fail_msg("%s", d.text);
}

static void reconcile(void)
{
    if (endpoint_reconcile(endpoint, NULL, &change, &d) < 0)
        fail_msg("%s", d.text);
}

static const char *notes(void)
{
    return buf_cstr(&change.notes);
}

static size_t listed(void)
{
    CLEANUP(l4_policies_release) struct l4_policies l;

    l4_policies_init(&l);
    if (endpoint_list(endpoint, &l, &d) < 0)
        fail_msg("%s", d.text);
    return l.count;
}

/* All that policies could have touched. */
static void look(char *all)
{
    static const char *const commands[] = {"nft -s list ruleset", "ip rule", "ip -6 rule",
                                           "ip route show table all", "ip -6 route show table all"};
    static char out[COMMAND_OUTPUT];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)command_in(container.netns_fd, commands[i], out);
        len += (size_t)snprintf(all + len, COMMAND_OUTPUT - len, "# %s\n%s", commands[i], out);
        assert_true(len < COMMAND_OUTPUT);
    }
}

static void expect_as_before(void)
{
    look(after);
    assert_string_equal(after, before);
}

static void in_container(const char *words)
{
    must_in(container.netns_fd, words);
}

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

/* ---- Drift ---- */

static void drift_of_every_kind_is_mended_and_told(void **state UNUSED)
{
    static const char *const kinds[] = {
        "nft flush chain inet stile_policy output_nat",
        "nft flush chain inet stile_policy input",
        "nft add rule inet stile_policy input accept",
        "nft insert rule inet stile_policy output_udp return",
        "nft add chain inet stile_policy more",
        "nft add set inet stile_policy more { type ipv4_addr ; }",
        "nft add chain inet stile_policy hooked { type filter hook forward priority 0 ; }",
        "nft add table inet stile_policy { flags dormant ; }",
        "ip rule del priority 5711",
        "ip -6 rule del priority 5711",
        "ip route flush table 57110",
        "ip -6 route flush table 57110",
        "ip rule add fwmark 0x2 lookup 57110 priority 5700 protocol 115",
        "ip rule add fwmark 0x100000/0x100000 lookup 57110 pref 5711 protocol 115",
        "ip rule add from 10.0.0.1 fwmark 0x100000/0x100000 lookup 57110 pref 5711 protocol 115",
    };

    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "," IN_POLICY "]");
    reconcile();
    assert_false(change.drifted);
    look(before);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        in_container(kinds[i]);
        look(after);
        assert_string_not_equal(after, before);
        reconcile();
        if (!change.drifted || buf_len(&change.notes) == 0)
            fail_msg("not noticed: %s", kinds[i]);
        look(after);
        if (strcmp(after, before) != 0)
            fail_msg("not mended: %s\n%s", kinds[i], after);
        reconcile();
        if (change.drifted || buf_len(&change.notes) != 0)
            fail_msg("again after %s: %s", kinds[i], notes());
    }
}

static void a_deleted_rule_is_mended(void **state UNUSED)
{
    static char out[COMMAND_OUTPUT];
    char words[128];
    unsigned handles[256] = {0};
    size_t count = 0;

    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "]");
    look(before);
    assert_int_equal(
        command_in(container.netns_fd, "nft -a list chain inet stile_policy output_nat", out), 0);
    for (const char *at = strstr(out, "# handle "); at != NULL && count < ARRAY_LEN(handles);
         at = strstr(at + 1, "# handle "))
        handles[count++] = (unsigned)strtoul(at + strlen("# handle "), NULL, 10);
    assert_true(count > 2);
    (void)snprintf(words, sizeof(words), "nft delete rule inet stile_policy output_nat handle %u",
                   handles[count - 1]);
    in_container(words);
    reconcile();
    assert_true(change.drifted);
    expect_as_before();
}

/* Nothing remembers them but the one who calls. */
static void policies_that_are_gone_come_back_from_those_that_are_given(void **state UNUSED)
{
    must(endpoint_apply, "[" UDP_POLICY "]");
    look(before);
    in_container("nft delete table inet stile_policy");
    must(endpoint_reconcile, "[" UDP_POLICY "]");
    assert_true(change.added == 1);
    expect_as_before();
}

static void expect_nothing_remembered(const char *says)
{
    look(before);
    for (int dry = 0; dry < 2; dry++) {
        change.dry_run = dry;
        assert_int_equal(endpoint_reconcile(endpoint, NULL, &change, &d), ERR_NOTFOUND);
        assert_non_null(strstr(d.text, says));
        expect_as_before();
    }
    change.dry_run = false;
}

/* What was deleted with the table can't be repaired from it, and its last trace isn't taken. */
static void policies_that_are_gone_are_no_drift_but_a_failure(void **state UNUSED)
{
    expect_nothing_remembered("has no policies");
    must(endpoint_apply, "[" TCP_POLICY "]");
    in_container("nft delete table inet stile_policy");
    expect_nothing_remembered("has no policies");
    must(endpoint_apply, "[" UDP_POLICY "]");
    in_container("nft flush ruleset");
    expect_nothing_remembered("Policies were here and are gone");
    assert_true(says_in(container.netns_fd, "ip rule", "5711:"));
    must(endpoint_reconcile, "[]");
    assert_false(says_in(container.netns_fd, "ip rule", "5711:"));
    expect_nothing_remembered("has no policies");
}

static void what_is_remembered_but_damaged_is_told_and_mended_by_apply(void **state UNUSED)
{
    must(endpoint_apply, "[" TCP_POLICY "]");
    look(before);
    in_container("nft flush chain inet stile_policy policies");
    CLEANUP(l4_policies_release) struct l4_policies l;
    l4_policies_init(&l);
    assert_int_equal(endpoint_list(endpoint, &l, &d), ERR_FORMAT);
    assert_non_null(strstr(d.text, "apply"));
    assert_int_equal(try(endpoint_add, UDP_POLICY), ERR_FORMAT);
    assert_int_equal(try(endpoint_remove, TCP_POLICY), ERR_FORMAT);
    assert_int_equal(endpoint_reconcile(endpoint, NULL, &change, &d), ERR_FORMAT);
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_true(change.drifted);
    expect_as_before();
    in_container("nft flush chain inet stile_policy policies");
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    assert_false(says_in(container.netns_fd, "nft list ruleset", "stile"));
}

/* ---- Failures: nothing is changed ---- */

static void put_in_place(const char *lines)
{
    char text[512];

    if (access("/run/nft.real", F_OK) != 0)
        must_in(-1, "cp /usr/sbin/nft /run/nft.real");
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n%sexec /run/nft.real \"$@\"\n", lines);
    write_text("/run/nft.false", text, 0755);
    assert_int_equal(mount("/run/nft.false", "/usr/sbin/nft", NULL, MS_BIND, NULL), 0);
}

static void nft_that_refuses_to_change(void)
{
    put_in_place("case \"$*\" in *-f*) echo 'Error: Could not process rule: Operation not "
                 "supported' >&2; exit 1;; esac\n");
}

static void a_refusal_by_nft_leaves_routes_as_they_were(void **state UNUSED)
{
    look(before);
    nft_that_refuses_to_change();
    assert_int_equal(try(endpoint_apply, "[" UDP_POLICY "]"), ERR_UNSUPPORTED);
    assert_non_null(strstr(d.text, "modprobe"));
    (void)umount("/usr/sbin/nft");
    expect_as_before();
    must(endpoint_apply, "[" UDP_POLICY "]");
    look(before);
    nft_that_refuses_to_change();
    assert_int_equal(try(endpoint_apply, "[" TCP_POLICY "]"), ERR_UNSUPPORTED);
    assert_int_equal(endpoint_clear(endpoint, &change, &d), ERR_UNSUPPORTED);
    assert_int_equal(try(endpoint_add, TCP_POLICY), ERR_UNSUPPORTED);
    assert_int_equal(endpoint_block(endpoint, &change, &d), ERR_UNSUPPORTED);
    (void)umount("/usr/sbin/nft");
    expect_as_before();
}

/* By somebody in the container, so that nobody outside can change them any more. */
static void a_table_too_large_to_be_listed_is_replaced(void **state UNUSED)
{
    look(before);
    for (size_t i = 0; i < 2; i++) {
        must(endpoint_apply, "[" TCP_POLICY "]");
        put_in_place("case \"$*\" in list*\"table inet stile_policy\") exec yes;; esac\n");
        CLEANUP(l4_policies_release) struct l4_policies l;
        l4_policies_init(&l);
        assert_int_equal(endpoint_list(endpoint, &l, &d), ERR_FORMAT);
        assert_int_equal(try(endpoint_add, UDP_POLICY), ERR_FORMAT);
        assert_int_equal(i == 0 ? endpoint_clear(endpoint, &change, &d)
                                : try(endpoint_apply, "[" UDP_POLICY "]"),
                         0);
        (void)umount("/usr/sbin/nft");
        assert_int_equal(listed(), i);
    }
    must(endpoint_remove, UDP_POLICY);
    expect_as_before();
}

/* What was there of the routes, and no more. */
static void a_refusal_leaves_half_a_route_as_half_a_route(void **state UNUSED)
{
    must(endpoint_apply, "[" UDP_POLICY "]");
    in_container("ip rule del priority 5711");
    look(before);
    nft_that_refuses_to_change();
    assert_int_equal(try(endpoint_add, TCP_POLICY), ERR_UNSUPPORTED);
    (void)umount("/usr/sbin/nft");
    expect_as_before();
}

static void a_foreign_route_in_our_table_is_told(void **state UNUSED)
{
    static const char *const versions[] = {"4", "6"};
    char words[64];

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        (void)snprintf(words, sizeof(words), "ip -%s route add blackhole default table 57110",
                       versions[i]);
        in_container(words);
        look(before);
        assert_int_equal(try(endpoint_apply, "[" UDP_POLICY "]"), ERR_EXISTS);
        (void)snprintf(words, sizeof(words), "ip -%s route flush table 57110", versions[i]);
        assert_non_null(strstr(d.text, words));
        expect_as_before();
        in_container(words);
    }
    must(endpoint_apply, "[" UDP_POLICY "]");
}

static void a_loopback_that_is_down_is_told(void **state UNUSED)
{
    in_container("ip link set lo down");
    look(before);
    assert_int_equal(try(endpoint_apply, "[" UDP_POLICY "]"), ERR_UNREACHABLE);
    assert_non_null(strstr(d.text, "ip link set lo up"));
    expect_as_before();
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_non_null(strstr(notes(), "down"));
    in_container("ip link set lo up");
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_null(strstr(notes(), "down"));
}

static void without_ipv6_there_is_no_route_of_it(void **state UNUSED)
{
    in_container("sysctl -q net.ipv6.conf.all.disable_ipv6=1");
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_true(says_in(container.netns_fd, "ip rule", "5711:"));
    assert_false(says_in(container.netns_fd, "ip -6 rule", "5711:"));
    reconcile();
    assert_false(change.drifted);
    in_container("sysctl -q net.ipv6.conf.all.disable_ipv6=0");
    reconcile();
    assert_true(change.drifted);
    assert_true(says_in(container.netns_fd, "ip -6 rule", "5711:"));
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

/* ---- The block ---- */

static bool is_blocked(void)
{
    bool blocked = false;

    assert_int_equal(endpoint_is_blocked(endpoint, &blocked, &d), 0);
    assert_int_equal(blocked,
                     says_in(container.netns_fd, "nft list ruleset", "stile_policy_block"));
    return blocked;
}

static void block(void)
{
    assert_int_equal(endpoint_block(endpoint, &change, &d), 0);
    assert_true(is_blocked());
}

static void a_block_stays_until_policies_come(void **state UNUSED)
{
    look(before);
    block();
    block();
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_false(is_blocked());
    block();
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_false(is_blocked());
    block();
    must(endpoint_reconcile, "[" TCP_POLICY "]");
    assert_false(is_blocked());
    block();
    must(endpoint_apply, "[]");
    expect_as_before();
    block();
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    expect_as_before();
}

static void expect_refused_as_blocked(change_fn *fn, const char *text)
{
    assert_int_equal(try(fn, text), ERR_BLOCKED);
    assert_non_null(strstr(d.text, "blocked"));
    assert_non_null(strstr(d.text, "stile policy apply"));
    assert_non_null(strstr(d.text, "stile policy clear"));
    expect_as_before();
}

static void some_policies_more_or_less_do_not_open_a_block(void **state UNUSED)
{
    for (int with_policies = 0; with_policies < 2; with_policies++) {
        if (with_policies)
            must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "]");
        block();
        look(before);
        for (int dry = 0; dry < 2; dry++) {
            change.dry_run = dry;
            expect_refused_as_blocked(endpoint_add, IN_POLICY);
            expect_refused_as_blocked(endpoint_add, TCP_POLICY);
            expect_refused_as_blocked(endpoint_add, "[]");
            expect_refused_as_blocked(endpoint_remove, TCP_POLICY);
        }
        change.dry_run = false;
    }
}

static void reconcile_keeps_a_block_and_what_is_beneath_it(void **state UNUSED)
{
    for (size_t beneath = 0; beneath < 2; beneath++) {
        must(endpoint_apply, beneath == 0 ? "[]" : "[" UDP_POLICY "]");
        block();
        look(before);
        reconcile();
        assert_false(change.drifted);
        assert_int_equal(change.added + change.removed, 0);
        assert_int_equal(change.unchanged, beneath);
        assert_int_equal(buf_len(&change.sent), 0);
        assert_non_null(strstr(notes(), "blocked"));
        expect_as_before();
    }
    in_container("nft flush chain inet stile_policy policies"); /* damaged: it matters to nobody */
    look(before);
    reconcile();
    expect_as_before();
}

static void a_block_that_drifted_is_mended_and_told(void **state UNUSED)
{
    static const struct {
        const char *by, *says;
    } drifts[] = {
        {"nft flush chain inet stile_policy_block input",
         "the block: rule 1 of chain input is missing"},
        {"nft insert rule inet stile_policy_block output accept", "chain output is not ours"},
        {"nft delete chain inet stile_policy_block forward", "chain forward is missing"},
        {"nft chain inet stile_policy_block output { policy accept ; }",
         "the hook of chain output was changed"},
        {"nft flush table inet stile_policy_block", "rule 1 of chain output is missing"},
    };

    block();
    look(before);
    for (size_t i = 0; i < ARRAY_LEN(drifts); i++) {
        in_container(drifts[i].by);
        change.dry_run = true;
        reconcile();
        assert_true(change.drifted && buf_len(&change.sent) > 0);
        assert_non_null(strstr(notes(), drifts[i].says));
        change.dry_run = false;
        reconcile();
        assert_true(change.drifted);
        assert_non_null(strstr(notes(), drifts[i].says));
        expect_as_before();
    }
}

static void a_block_too_large_to_be_listed_is_mended(void **state UNUSED)
{
    block();
    look(before);
    put_in_place("case \"$*\" in list*\"table inet stile_policy_block\") exec yes;; esac\n");
    reconcile();
    assert_true(change.drifted);
    assert_non_null(strstr(notes(), "can't be read"));
    assert_int_equal(try(endpoint_add, TCP_POLICY), ERR_BLOCKED);
    (void)umount("/usr/sbin/nft");
    expect_as_before();
    reconcile();
    assert_false(change.drifted);
}

/* ---- Cgroups ---- */

#define CGROUP_POLICY                                                                              \
    "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8000','Cgroup':'stile-test/proxy'}}"

static const char *cgroup_root(void)
{
    return access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup/unified"
                                                                    : "/sys/fs/cgroup";
}

static bool make_cgroup(bool wanted)
{
    char outer[128], inner[160];

    (void)snprintf(outer, sizeof(outer), "%s/stile-test", cgroup_root());
    (void)snprintf(inner, sizeof(inner), "%s/proxy", outer);
    if (wanted)
        return mkdir(outer, 0755) == 0 && mkdir(inner, 0755) == 0;
    bool removed = rmdir(inner) == 0;
    return rmdir(outer) == 0 && removed;
}

static void a_cgroup_must_be_there_and_what_becomes_of_it_is_told(void **state UNUSED)
{
    look(before);
    assert_int_equal(try(endpoint_add, CGROUP_POLICY), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile-test/proxy"));
    expect_as_before();
    if (!make_cgroup(true)) {
        print_message("no cgroup can be made here\n");
        skip();
    }
    must(endpoint_add, CGROUP_POLICY);
    reconcile();
    bool drifted = change.drifted;
    assert_true(make_cgroup(false));
    assert_false(drifted);
    assert_int_equal(listed(), 1);
    assert_int_equal(endpoint_reconcile(endpoint, NULL, &change, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile-test/proxy"));
    assert_true(make_cgroup(true)); /* of the same name, but another one */
    int err = endpoint_reconcile(endpoint, NULL, &change, &d);
    drifted = change.drifted;
    int again = endpoint_reconcile(endpoint, NULL, &change, &d);
    assert_true(make_cgroup(false));
    assert_int_equal(err, 0);
    assert_true(drifted);
    assert_int_equal(again, 0);
    assert_false(change.drifted);
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
}

static void a_path_that_leads_out_of_the_cgroups_is_refused(void **state UNUSED)
{
    static const char *const paths[] = {
        "../../../etc", "a/../../b", "./a", "a//b", "..", "/a", "a/", "a\" accept", "cgroup.procs"};

    look(before);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        CLEANUP(l4_policies_release) struct l4_policies l = policies("[" TCP_POLICY "]");
        l.items[0].guard.has_uid = false;
        (void)snprintf(l.items[0].guard.cgroup, sizeof(l.items[0].guard.cgroup), "%s", paths[i]);
        int expected =
            i + 1 < ARRAY_LEN(paths) ? ERR_FORMAT : ERR_INVAL; /* it is there, as a file */
        if (endpoint_add(endpoint, &l, &change, &d) != expected)
            fail_msg("%s: %s", paths[i], d.text);
    }
    expect_as_before();
}

/* ---- Many ---- */

static void put_many(struct l4_policies *l, unsigned count)
{
    struct l4_policy p;

    for (unsigned i = 0; i < count; i++) {
        l4_policy_init(&p);
        p.outbound.proxy_port = 8000;
        p.guard.has_uid = true;
        p.guard.uid = 1337;
        p.priority = (uint16_t)(i % 7);
        char port[16];
        (void)snprintf(port, sizeof(port), "%u", 10000 + i);
        assert_int_equal(port_set_add(&p.remote_ports, port, &d), 0);
        assert_int_equal(l4_policies_add(l, &p), 0);
    }
}

static uint64_t ms_since(uint64_t start)
{
    return (clock_mono_ns() - start) / NS_PER_MS;
}

static uint64_t time_many(unsigned count)
{
    CLEANUP(l4_policies_release) struct l4_policies l;
    uint64_t start = clock_mono_ns(), applied, listed_in, again, cleared;

    l4_policies_init(&l);
    put_many(&l, count);
    if (endpoint_apply(endpoint, &l, &change, &d) < 0)
        fail_msg("%s", d.text);
    applied = ms_since(start);
    start = clock_mono_ns();
    assert_int_equal(listed(), count);
    listed_in = ms_since(start);
    start = clock_mono_ns();
    assert_int_equal(endpoint_apply(endpoint, &l, &change, &d), 0);
    assert_int_equal(buf_len(&change.sent), 0);
    again = ms_since(start);
    start = clock_mono_ns();
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    cleared = ms_since(start);
    print_message("%u policies: applied in %u ms, listed in %u, again in %u, cleared in %u\n",
                  count, (unsigned)applied, (unsigned)listed_in, (unsigned)again,
                  (unsigned)cleared);
    return applied + listed_in + again + cleared;
}

static void time_grows_with_the_number_of_policies(void **state UNUSED)
{
    uint64_t some = time_many(250), many = time_many(1000);

    assert_true(many < 8 * some + 500); /* four times as many; a machine that is busy */
}

/* ---- Descriptors and memory ---- */

static void no_descriptor_is_left(void **state UNUSED)
{
    size_t fds = open_fds();

    for (int i = 0; i < 3; i++) {
        struct endpoint *e = NULL;
        assert_int_equal(endpoint_open(container.name, 0, &e, &d), 0);
        endpoint_close(e);
        must(endpoint_apply, "[" UDP_POLICY "]");
        (void)try(endpoint_remove, TCP_POLICY);
        (void)try(endpoint_add, CGROUP_POLICY);
        assert_int_equal(listed(), 1);
        assert_int_equal(endpoint_block(endpoint, &change, &d), 0);
        assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
        assert_int_equal(open_fds(), fds);
    }
}

static void too_few_descriptors_are_an_error_and_change_nothing(void **state UNUSED)
{
    struct rlimit normal, few;
    int errors = 0, err = -1;

    look(before);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    for (rlim_t more = 0; more < 40 && err < 0; more++) {
        few = (struct rlimit){.rlim_cur = 4 + more, .rlim_max = normal.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        err = try(endpoint_apply, "[" UDP_POLICY "]");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
        if (err < 0)
            expect_as_before();
        errors += err < 0;
    }
    assert_int_equal(err, 0);
    assert_true(errors > 3);
}

static void memory_that_runs_out_anywhere_changes_nothing(void **state UNUSED)
{
    CLEANUP(l4_policies_release) struct l4_policies l = policies("[" TCP_POLICY "," UDP_POLICY "]");
    int err = -1;
    unsigned n = 0;

    look(before);
    while (err < 0 && n < 5000) {
        (void)mem_fail_at(++n);
        err = endpoint_apply(endpoint, &l, &change, &d);
        (void)mem_fail_at(0);
        if (err < 0) {
            assert_int_equal(err, ERR_NOMEM);
            expect_as_before();
        }
    }
    assert_int_equal(err, 0);
    assert_true(n > 5);
    assert_int_equal(listed(), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_endpoint, end_endpoint)

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
        TEST(drift_of_every_kind_is_mended_and_told),
        TEST(a_deleted_rule_is_mended),
        TEST(policies_that_are_gone_come_back_from_those_that_are_given),
        TEST(policies_that_are_gone_are_no_drift_but_a_failure),
        TEST(what_is_remembered_but_damaged_is_told_and_mended_by_apply),
        TEST(a_refusal_by_nft_leaves_routes_as_they_were),
        TEST(a_table_too_large_to_be_listed_is_replaced),
        TEST(a_refusal_leaves_half_a_route_as_half_a_route),
        TEST(a_foreign_route_in_our_table_is_told),
        TEST(a_loopback_that_is_down_is_told),
        TEST(without_ipv6_there_is_no_route_of_it),
        TEST(policies_that_make_no_sense_change_nothing),
        TEST(without_privilege_nothing_is_changed_and_it_says_why),
        TEST(a_user_changes_his_own_rootless_container),
        TEST(a_container_that_died_keeps_its_namespace_while_it_is_open),
        TEST(the_host_takes_policies_only_when_it_is_meant),
        TEST(writers_at_the_same_time_lose_nothing),
        TEST(a_block_stays_until_policies_come),
        TEST(some_policies_more_or_less_do_not_open_a_block),
        TEST(reconcile_keeps_a_block_and_what_is_beneath_it),
        TEST(a_block_that_drifted_is_mended_and_told),
        TEST(a_block_too_large_to_be_listed_is_mended),
        TEST(a_cgroup_must_be_there_and_what_becomes_of_it_is_told),
        TEST(a_path_that_leads_out_of_the_cgroups_is_refused),
        TEST(time_grows_with_the_number_of_policies),
        TEST(no_descriptor_is_left),
        TEST(too_few_descriptors_are_an_error_and_change_nothing),
        TEST(memory_that_runs_out_anywhere_changes_nothing),
    };

    network_enter();
    private_mounts();
    assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=755"), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
