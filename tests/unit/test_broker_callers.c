/* Who may speak to the broker, how many, how long; and that nobody brings it to a stop. As root, in a network namespace of its
 * own; otherwise everything is skipped. */
#include "broker/log_limit.h"
#include "broker_world.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "platform/patience.h"

static void assert_refused(const union broker_message *m, int err, const char *text)
{
    assert_int_equal(m->header.type, BROKER_REFUSED);
    if (m->refused.err != err || strstr(m->refused.text, text) == NULL)
        fail_msg("%s: %s, and not %s: %s", err_name(m->refused.err), m->refused.text, err_name(err),
                 text);
}

static void assert_closed(int sock)
{
    union broker_message m;
    assert_int_equal(caller_recv(sock, &m), ERR_CLOSED);
    close(sock);
}

/* As soon as it has seen the end of others. */
static void assert_serves(const struct broker_world *w)
{
    union broker_message m = {0};
    for (int tries = 0; tries < 3000 && m.header.type != BROKER_WELCOME; tries++) {
        if (tries > 0)
            usleep(10000);
        int sock = caller_connect(w, ALICE);
        (void)caller_recv_greeting(sock, &m);
        close(sock);
    }
    assert_int_equal(m.header.type, BROKER_WELCOME);
}

static void test_welcome_tells_where_ranges_may_be_chosen(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    int sock = caller_greet(w, ALICE, &m);
    assert_int_equal(m.header.type, BROKER_WELCOME);
    assert_string_equal(m.welcome.version, STILE_VERSION);
    assert_int_equal(m.welcome.range_count, 5);
    assert_int_equal(m.welcome.ranges[0].addr[0], 100);
    assert_int_equal(m.welcome.ranges[0].bits, 10);
    close(sock);
}

static void test_user_whom_the_policy_doesnt_know_is_refused_with_the_remedy(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    int sock = caller_greet(w, CAROL, &m);
    assert_refused(&m, ERR_DENIED, "allow_users");
    assert_closed(sock);
    sock = caller_greet(w, 0, &m);
    assert_int_equal(m.header.type, BROKER_WELCOME);
    close(sock);
}

static void assert_welcome_with_groups(const struct broker_world *w, const gid_t *groups,
                                       size_t count)
{
    union broker_message m;
    struct diag d;
    int sock;
    assert_int_equal(setgroups(count, groups), 0);
    assert_int_equal(seteuid(CAROL), 0);
    assert_int_equal(system_socket_connect(w->socket, &sock, &d), 0);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setgroups(0, NULL), 0);
    caller_hello(sock);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_int_equal(m.header.type, BROKER_WELCOME);
    close(sock);
}

static void test_group_of_the_policy_is_allowed_by_what_the_kernel_says(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    gid_t groups[100];
    NEED_WORLD(w);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        groups[i] = (gid_t)(64002 + i);
    w->policy.gids[w->policy.gid_count++] = 64101;
    world_start(w);
    int sock = caller_greet(w, CAROL, &m);
    assert_refused(&m, ERR_DENIED, "allow_users");
    close(sock);
    assert_welcome_with_groups(w, groups + 98, 2);
    assert_welcome_with_groups(w, groups, ARRAY_LEN(groups));
}

/* A copy of this executable, as an update leaves it: another inode. It exits with 0 if it was refused for that. */
static int main_other_version(const char *socket)
{
    union broker_message request, answer;
    struct diag d = {0};
    broker_message_init(&request, BROKER_STATUS);
    int r = broker_ask(socket, &request, &answer, NULL, &d);
    return r == ERR_VERSION && strstr(d.text, "restart the broker") != NULL ? 0 : 1;
}

static void run_copy(struct broker_world *w)
{
    char copy[128];
    char *argv[] = {copy, (char[]){"other-version"}, w->socket, NULL};
    char *cp[] = {(char[]){"cp"}, (char[]){"/proc/self/exe"}, copy, NULL};
    (void)str_format(copy, sizeof(copy), "%s/copy", w->dir);
    int status = 0;
    /* cp's own /proc/self/exe is cp. */
    char self[256];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(n > 0);
    self[n] = '\0';
    cp[1] = self;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execv("/bin/cp", cp);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pid = fork();
    if (pid == 0) {
        (void)execv(copy, argv);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_another_executable_is_told_to_restart_the_broker(void **state)
{
    struct broker_world *w = *state;
    NEED_WORLD(w);
    for (enum peer_hold hold = PEER_BY_SOCKET; hold <= PEER_BY_START_TIME; hold++) {
        w->peer_hold = hold;
        world_start(w);
        run_copy(w);
        assert_serves(w);
        assert_int_equal(world_stop(w), 0);
    }
}

static void test_another_version_is_refused(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    int sock = caller_connect(w, ALICE);
    broker_message_init(&m, BROKER_HELLO);
    broker_text_set(m.hello.version, sizeof(m.hello.version), "9.9.9");
    assert_int_equal(broker_message_send(sock, &m, NULL, 0), 0);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_refused(&m, ERR_VERSION, "restart the broker");
    assert_closed(sock);
}

static void test_silent_caller_is_closed_after_five_seconds(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    uint64_t start = clock_mono_ns();
    int sock = caller_connect(w, ALICE);
    assert_int_equal(caller_recv(sock, &m), ERR_CLOSED);
    uint64_t ms = (clock_mono_ns() - start) / NS_PER_MS;
    assert_true(ms > 4000 && ms < 8000);
    close(sock);
    assert_serves(w);
}

static void test_callers_that_drop_at_once_leave_nothing_behind(void **state)
{
    struct broker_world *w = *state;
    NEED_WORLD(w);
    world_start(w);
    for (int i = 0; i < 200; i++) {
        int sock = caller_connect(w, i % 2 == 0 ? ALICE : CAROL);
        union broker_message m;
        broker_message_init(&m, BROKER_HELLO);
        broker_text_set(m.hello.version, sizeof(m.hello.version), STILE_VERSION);
        if (i % 3 == 0)
            (void)broker_message_send(sock, &m, NULL, 0);
        close(sock);
    }
    assert_serves(w);
    assert_int_equal(world_stop(w), 0);
}

static void test_one_more_connection_than_a_user_may_have_is_refused(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    int socks[8];
    NEED_WORLD(w);
    world_start(w);
    for (size_t i = 0; i < ARRAY_LEN(socks); i++) {
        socks[i] = caller_greet(w, ALICE, &m);
        assert_int_equal(m.header.type, BROKER_WELCOME);
    }
    int sock = caller_connect(w, ALICE);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_refused(&m, ERR_LIMIT, "as many connections");
    assert_closed(sock);
    sock = caller_greet(w, BOB, &m);
    assert_int_equal(m.header.type, BROKER_WELCOME);
    close(sock);
    close(socks[0]);
    assert_serves(w);
    for (size_t i = 1; i < ARRAY_LEN(socks); i++)
        close(socks[i]);
}

static size_t count_in_log(const struct broker_world *w, const char *text)
{
    static char log[256 * 1024];
    int fd = open(w->log, O_RDONLY);
    ssize_t n = read(fd, log, sizeof(log) - 1);
    size_t count = 0;
    close(fd);
    log[n > 0 ? n : 0] = '\0';
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

static void test_refused_callers_dont_fill_the_log(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    for (int i = 0; i < 35; i++) {
        int sock = caller_greet(w, CAROL, &m);
        assert_refused(&m, ERR_DENIED, "allow_users");
        close(sock);
    }
    assert_serves(w);
    assert_int_equal(count_in_log(w, "Refused process"), LOG_LIMIT_LINES);
    assert_int_equal(world_stop(w), 0);
    assert_int_equal(count_in_log(w, "25 more connections or requests of uid 64003 were refused"),
                     1);
}

/* Others fill every place; root still gets in. */
static void test_many_users_cant_keep_root_out(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    static int socks[128];
    size_t count = 0;
    NEED_WORLD(w);
    world_start(w);
    for (uint32_t uid = 65000; count < 120; uid++)
        for (int i = 0; i < 8 && count < 120; i++)
            socks[count++] = caller_connect(w, uid);
    int sock = caller_connect(w, BOB);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_refused(&m, ERR_LIMIT, "as many connections");
    close(sock);
    sock = caller_greet(w, 0, &m);
    assert_int_equal(m.header.type, BROKER_WELCOME);
    close(sock);
    while (count > 0)
        close(socks[--count]);
}

static rlim_t descriptors_of(pid_t pid)
{
    char path[64];
    rlim_t count = 0;
    (void)str_format(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.' ? 1 : 0;
    if (dir != NULL)
        closedir(dir);
    return count;
}

/* How many the broker has when nobody has called it: once it has seen the end of those who did. */
static rlim_t descriptors_at_rest(const struct broker_world *w)
{
    union broker_message m;
    int sock = caller_greet(w, ALICE, &m);
    rlim_t greeted = descriptors_of(w->broker), last = greeted;
    close(sock);
    for (int i = 0, same = 0; i < 3000 && same < 10; i++) {
        usleep(10000);
        rlim_t now = descriptors_of(w->broker);
        same = now < greeted && now == last ? same + 1 : 0;
        last = now;
    }
    return last;
}

/* The first number that is free in another process. */
static rlim_t first_free_descriptor(pid_t pid)
{
    char path[64];
    struct stat st;
    for (rlim_t fd = 0;; fd++) {
        (void)str_format(path, sizeof(path), "/proc/%d/fd/%u", (int)pid, (unsigned)fd);
        if (lstat(path, &st) < 0)
            return fd;
    }
}

/* In clock ticks. */
static unsigned long processor_time(pid_t pid)
{
    char path[64];
    char text[1024];
    unsigned long user = 0, system_time = 0;
    (void)str_format(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
    assert_int_equal(sscanf(strrchr(text, ')'),
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                            &system_time),
                     2);
    return user + system_time;
}

static void
test_out_of_descriptors_callers_wait_without_a_busy_broker_and_are_served_later(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    (void)descriptors_at_rest(w);
    struct rlimit old;
    assert_int_equal(prlimit(w->broker, RLIMIT_NOFILE, NULL, &old), 0);
    /* The soft limit alone: it may be raised again. */
    struct rlimit none = {first_free_descriptor(w->broker), old.rlim_max};
    assert_int_equal(prlimit(w->broker, RLIMIT_NOFILE, &none, NULL), 0);
    unsigned long before = processor_time(w->broker);
    int sock = caller_connect(w, ALICE);
    caller_hello(sock);
    struct pollfd p = {.fd = sock, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 1000), 0);
    assert_true(processor_time(w->broker) - before < 20);
    assert_int_equal(prlimit(w->broker, RLIMIT_NOFILE, &old, NULL), 0);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_int_equal(m.header.type, BROKER_WELCOME);
    close(sock);
}

static void test_without_a_descriptor_to_look_with_a_caller_is_turned_away(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    (void)descriptors_at_rest(w);
    struct rlimit old;
    assert_int_equal(prlimit(w->broker, RLIMIT_NOFILE, NULL, &old), 0);
    struct rlimit one = {first_free_descriptor(w->broker) + 1, old.rlim_max};
    assert_int_equal(prlimit(w->broker, RLIMIT_NOFILE, &one, NULL), 0);
    int sock = caller_connect(w, 0);
    assert_int_equal(caller_recv(sock, &m), 0);
    assert_refused(&m, ERR_LIMIT, "as many connections");
    assert_closed(sock);
    assert_int_equal(prlimit(w->broker, RLIMIT_NOFILE, &old, NULL), 0);
    assert_serves(w);
}

static void send_raw(const struct broker_world *w, bool greeted, const void *bytes, size_t len)
{
    union broker_message m;
    int sock = greeted ? caller_greet(w, ALICE, &m) : caller_connect(w, ALICE);
    (void)!send(sock, bytes, len, MSG_NOSIGNAL);
    assert_closed(sock);
}

static void test_broken_messages_close_their_connection_and_no_other(void **state)
{
    struct broker_world *w = *state;
    union broker_message m, answer;
    static uint8_t bytes[sizeof(union broker_message) + 64];
    NEED_WORLD(w);
    world_start(w);
    int other = caller_greet(w, BOB, &m);
    for (int greeted = 0; greeted < 2; greeted++) {
        send_raw(w, greeted == 1, bytes, 1);
        send_raw(w, greeted == 1, bytes, sizeof(struct broker_header));
        send_raw(w, greeted == 1, bytes, sizeof(bytes));
        broker_message_init(&m, BROKER_STATUS);
        m.header.protocol++;
        send_raw(w, greeted == 1, &m, sizeof(m.header));
        broker_message_init(&m, BROKER_WELCOME);
        send_raw(w, greeted == 1, &m, sizeof(m.welcome));
        broker_message_init(&m, BROKER_START); /* without its descriptors */
        network_standard(&m.start.network, 1);
        send_raw(w, greeted == 1, &m, sizeof(m.start));
    }
    broker_message_init(&m, BROKER_STATUS);
    assert_int_equal(broker_message_send(other, &m, NULL, 0), 0);
    assert_int_equal(caller_recv(other, &answer), 0);
    assert_int_equal(answer.header.type, BROKER_STATUS_REPLY);
    close(other);
}

static void test_nothing_is_done_before_hello(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    rlim_t before = descriptors_at_rest(w);
    network_standard(&n, 1);
    c.sock = caller_connect(w, ALICE);
    caller_send_start(&c, &n);
    assert_int_equal(caller_recv(c.sock, &m), ERR_CLOSED);
    assert_true(link_goes("stile0"));
    caller_close(&c);
    assert_serves(w);
    for (int i = 0; i < 3000 && descriptors_of(w->broker) != before; i++)
        usleep(10000);
    assert_int_equal(descriptors_of(w->broker), before);
}

/* What it doesn't read stays in its own queue; then it is closed. */
static void test_caller_that_doesnt_read_is_closed(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    int sock = caller_greet(w, ALICE, &m);
    int r = 0;
    broker_message_init(&m, BROKER_STATUS);
    fcntl(sock, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 100000 && r != ERR_CLOSED; i++) {
        r = broker_message_send(sock, &m, NULL, 0);
        if (r == ERR_AGAIN)
            usleep(100);
    }
    assert_int_equal(r, ERR_CLOSED);
    assert_serves(w);
    close(sock);
}

static void test_status_shows_others_to_root_alone(void **state)
{
    struct broker_world *w = *state;
    struct broker_network n;
    struct world_caller c, bob;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    network_standard(&n, 1);
    caller_start(w, ALICE, &n, &c, &m);
    assert_int_equal(m.header.type, BROKER_STARTED);
    bob.sock = caller_greet(w, BOB, &m);
    assert_int_equal(caller_ask(&bob, BROKER_STATUS, &m), 0);
    assert_int_equal(m.header.type, BROKER_STATUS_REPLY);
    assert_int_equal(m.status_reply.session_count, 0);
    assert_int_equal(m.status_reply.other_sessions, 1);
    assert_int_equal(m.status_reply.pid, w->broker);
    close(bob.sock);
    bob.sock = caller_greet(w, 0, &m);
    assert_int_equal(caller_ask(&bob, BROKER_STATUS, &m), 0);
    assert_int_equal(m.status_reply.session_count, 1);
    assert_int_equal(m.status_reply.sessions[0].uid, ALICE);
    assert_int_equal(m.status_reply.sessions[0].zone_count, 1);
    assert_string_equal(m.status_reply.sessions[0].interface_name, "stile0");
    close(bob.sock);
    caller_close(&c);
    assert_true(link_goes("stile0"));
}

/* ---- descriptors that are slow to close ---- */

struct lingerer {
    int listener;
    int far;
    int near; /* closing the last copy of it waits for a minute: its peer doesn't read */
};

static struct lingerer lingerer_new(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct linger wait = {.l_onoff = 1, .l_linger = 60};
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    static const char block[65536];
    socklen_t len = sizeof(addr);
    struct lingerer l = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(ioctl(l.near, SIOCSIFFLAGS, &lo), 0);
    assert_int_equal(bind(l.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(l.listener, 1), 0);
    assert_int_equal(getsockname(l.listener, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(connect(l.near, (struct sockaddr *)&addr, sizeof(addr)), 0);
    l.far = accept4(l.listener, NULL, NULL, SOCK_CLOEXEC);
    while (send(l.near, block, sizeof(block), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(setsockopt(l.near, SOL_SOCKET, SO_LINGER, &wait, sizeof(wait)), 0);
    return l;
}

/* Ours isn't the last copy when it goes. */
static void lingerer_send(struct lingerer *l, int sock, enum broker_type type, size_t size)
{
    union broker_message m;
    broker_message_init(&m, type);
    if (type == BROKER_HELLO)
        broker_text_set(m.hello.version, sizeof(m.hello.version), STILE_VERSION);
    assert_int_equal(fdpass_send(sock, slice_of(&m, size), &l->near, 1), 0);
    patience_close(l->near);
}

static void lingerer_free(const struct lingerer *l)
{
    close(l->far);
    close(l->listener);
}

static void assert_serves_at_once(const struct broker_world *w)
{
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_serves(w);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 5);
}

static void test_descriptors_that_are_slow_to_close_hold_nobody_up(void **state)
{
    struct broker_world *w = *state;
    union broker_message m;
    NEED_WORLD(w);
    world_start(w);
    struct lingerer l[3] = {lingerer_new(), lingerer_new(), lingerer_new()};
    int stranger = caller_connect(w, CAROL);
    lingerer_send(&l[0], stranger, BROKER_HELLO, sizeof(m.hello));
    assert_serves_at_once(w);
    /* In a message that is refused, and behind one that ends the connection. */
    int sock = caller_greet(w, ALICE, &m);
    lingerer_send(&l[1], sock, BROKER_STATUS, sizeof(m.header));
    assert_serves_at_once(w);
    assert_closed(sock);
    sock = caller_connect(w, CAROL);
    kill((pid_t)w->broker, SIGSTOP);
    broker_message_init(&m, BROKER_STOP);
    assert_int_equal(broker_message_send(sock, &m, NULL, 0), 0);
    lingerer_send(&l[2], sock, BROKER_HELLO, sizeof(m.hello));
    kill((pid_t)w->broker, SIGCONT);
    assert_serves_at_once(w);
    close(sock);
    close(stranger);
    for (size_t i = 0; i < ARRAY_LEN(l); i++)
        lingerer_free(&l[i]);
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(int argc, char **argv)
{
    engine_main(argc, argv);
    if (argc == 3 && strcmp(argv[1], "other-version") == 0)
        return main_other_version(argv[2]);
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_welcome_tells_where_ranges_may_be_chosen),
        WORLD_TEST(test_user_whom_the_policy_doesnt_know_is_refused_with_the_remedy),
        WORLD_TEST(test_group_of_the_policy_is_allowed_by_what_the_kernel_says),
        WORLD_TEST(test_another_executable_is_told_to_restart_the_broker),
        WORLD_TEST(test_another_version_is_refused),
        WORLD_TEST(test_silent_caller_is_closed_after_five_seconds),
        WORLD_TEST(test_callers_that_drop_at_once_leave_nothing_behind),
        WORLD_TEST(test_one_more_connection_than_a_user_may_have_is_refused),
        WORLD_TEST(test_refused_callers_dont_fill_the_log),
        WORLD_TEST(test_many_users_cant_keep_root_out),
        WORLD_TEST(test_out_of_descriptors_callers_wait_without_a_busy_broker_and_are_served_later),
        WORLD_TEST(test_without_a_descriptor_to_look_with_a_caller_is_turned_away),
        WORLD_TEST(test_broken_messages_close_their_connection_and_no_other),
        WORLD_TEST(test_nothing_is_done_before_hello),
        WORLD_TEST(test_caller_that_doesnt_read_is_closed),
        WORLD_TEST(test_status_shows_others_to_root_alone),
        WORLD_TEST(test_descriptors_that_are_slow_to_close_hold_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
