/* A broker in namespaces of its own, and callers of it: for tests as root.
 *
 * Broker, callers and engine are one executable, as in real life: the test itself. As an engine it doesn't carry packets but
 * tells what it is (struct engine_report) on its dial channel, and waits for the end of its rpc channel.
 */
#ifndef STILE_TESTS_BROKER_WORLD_H
#define STILE_TESTS_BROKER_WORLD_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "broker/broker.h"
#include "broker/client.h"
#include "platform/channel.h"
#include "platform/fdpass.h"
#include "platform/system_socket.h"
#include "temp_dir.h"
#include "testing.h"

#define ALICE 64001u
#define BOB   64002u
#define CAROL 64003u /* whom the policy doesn't know */

struct broker_world {
    char dir[TEMP_DIR_SIZE]; /* empty: there may be no such world here */
    char socket[128];
    char state[128];
    char log[128];
    struct policy policy;
    enum peer_hold peer_hold;
    uint64_t fail_at; /* the allocation of the broker's that fails; 0: none */
    pid_t broker;
};

struct engine_report {
    uint32_t uid, gid, groups;
    uint32_t no_new_privs;
    uint64_t cap_eff, cap_prm, cap_inh, cap_bnd;
    uint32_t fd_count; /* open, from 0 on, without gaps */
    uint32_t death_signal;
    uint32_t core_limit;
    uint32_t env_count;
    uint32_t ppid;
    uint32_t pid;
    struct channel_device device;
};

/* Without root, a network namespace or TUNs there is nothing to test. */
#define NEED_WORLD(w)                                                                              \
    if ((w)->dir[0] == '\0')                                                                       \
    skip()

/* ---- as an engine ---- */

static inline uint64_t status_field(const char *name, int base)
{
    char line[256];
    uint64_t value = UINT64_MAX;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (str_starts(line, name))
            value = strtoull(line + strlen(name), NULL, base);
    if (f != NULL)
        fclose(f);
    return value;
}

static inline uint32_t open_fds(void)
{
    uint32_t count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

static inline void fill_report(struct engine_report *r)
{
    int death = 0;
    struct rlimit core;
    prctl(PR_GET_PDEATHSIG, &death);
    getrlimit(RLIMIT_CORE, &core);
    r->uid = getuid();
    r->gid = getgid();
    r->groups = (uint32_t)getgroups(0, NULL);
    r->no_new_privs = (uint32_t)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    r->fd_count = open_fds();
    r->cap_eff = status_field("CapEff:", 16);
    r->cap_prm = status_field("CapPrm:", 16);
    r->cap_inh = status_field("CapInh:", 16);
    r->cap_bnd = status_field("CapBnd:", 16);
    r->death_signal = (uint32_t)death;
    r->core_limit = (uint32_t)core.rlim_max;
    while (environ[r->env_count] != NULL)
        r->env_count++;
    r->ppid = (uint32_t)getppid();
    r->pid = (uint32_t)getpid();
}

/* main begins with it. Returns only if this process isn't to be an engine. */
static inline void engine_main(int argc, char **argv)
{
    struct engine_report report = {0};
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t count = 0;
    char byte;
    if (argc < 2 || strcmp(argv[1], "engine") != 0)
        return;
    fill_report(&report);
    if (channel_recv(5, &m, fds, &count) < 0)
        _exit(1);
    report.device = m.device;
    (void)!write(2, "engine here\n", 12);
    (void)!write(4, &report, sizeof(report));
    while (read(3, &byte, 1) > 0)
        if (byte == 'x')
            _exit(3); /* asked to fail */
    _exit(0);
}

/* ---- the broker ---- */

static inline int world_setup(void **state)
{
    static struct broker_world w;
    *state = &w;
    memset(&w, 0, sizeof(w));
    if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0)
        return 0;
    temp_dir_make(w.dir);
    chmod(w.dir, 0711);
    (void)str_format(w.socket, sizeof(w.socket), "%s/run/broker.sock", w.dir);
    (void)str_format(w.state, sizeof(w.state), "%s/state", w.dir);
    (void)str_format(w.log, sizeof(w.log), "%s/log", w.dir);
    struct policy *p = NULL;
    struct diag d;
    if (policy_load("/nonexistent", false, NULL, NULL, &p, &d) < 0)
        return -1;
    w.policy = *p; /* the standard one owns nothing */
    policy_free(p);
    w.policy.uids[w.policy.uid_count++] = ALICE;
    w.policy.uids[w.policy.uid_count++] = BOB;
    return 0;
}

/* Unless the broker ends before. */
static inline void wait_for_socket(struct broker_world *w)
{
    siginfo_t ended;
    for (int i = 0; i < 3000; i++) {
        memset(&ended, 0, sizeof(ended));
        if (waitid(P_PID, (id_t)w->broker, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            ended.si_pid != 0)
            return;
        int fd;
        struct diag d;
        if (system_socket_connect(w->socket, &fd, &d) == 0) {
            close(fd);
            return;
        }
        usleep(10000);
    }
    fail_msg("the broker doesn't serve its socket");
}

static inline void world_start(struct broker_world *w)
{
    w->broker = fork();
    assert_true(w->broker >= 0);
    if (w->broker == 0) {
        struct diag d = {0};
        int fd = open(w->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(fd, 2);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        log_setup("broker", LOG_DEBUG, LOG_TEXT);
        struct broker_config config = {.policy = &w->policy,
                                       .dns = "none",
                                       .socket_path = w->socket,
                                       .state_dir = w->state,
                                       .peer_hold = w->peer_hold};
        /* A crash is to be seen as one, and not caught by the test's framework. */
        static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
        for (size_t i = 0; i < ARRAY_LEN(faults); i++)
            (void)signal(faults[i], SIG_DFL);
        (void)mem_fail_at(w->fail_at);
        int r = broker_run(&config, &d);
        if (r < 0)
            log_error("%s", d.text);
        _exit(r < 0 ? 1 : 0);
    }
    wait_for_socket(w);
}

/* The exit status; 128 + the signal. */
static inline int world_wait(struct broker_world *w)
{
    int status = 0;
    assert_int_equal(waitpid(w->broker, &status, 0), w->broker);
    w->broker = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int world_stop(struct broker_world *w)
{
    kill(w->broker, SIGTERM);
    return world_wait(w);
}

static inline int world_teardown(void **state)
{
    struct broker_world *w = *state;
    if (w->broker > 0) {
        kill(w->broker, SIGKILL);
        (void)world_wait(w);
    }
    if (w->dir[0] != '\0')
        temp_dir_remove(w->dir);
    return 0;
}

static inline bool world_log_has(const struct broker_world *w, const char *text)
{
    static char log[256 * 1024];
    int fd = open(w->log, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, log, sizeof(log) - 1) : 0;
    close(fd);
    log[n > 0 ? n : 0] = '\0';
    return strstr(log, text) != NULL;
}

/* ---- callers: plain sockets, so that they can misbehave ---- */

struct world_caller {
    int sock;
    int rpc;  /* our end */
    int dial; /* our end */
    int log;  /* our end */
};

static inline void caller_hello(int sock)
{
    union broker_message m;
    broker_message_init(&m, BROKER_HELLO);
    broker_text_set(m.hello.version, sizeof(m.hello.version), STILE_VERSION);
    assert_int_equal(broker_message_send(sock, &m, NULL, 0), 0);
}

/* Waits up to 30 s. ERR_TIMEOUT. */
static inline int caller_recv(int sock, union broker_message *m)
{
    memset(m, 0, sizeof(*m));
    struct pollfd p = {.fd = sock, .events = POLLIN};
    int fds[BROKER_START_FDS];
    size_t count = 0;
    if (poll(&p, 1, 30000) <= 0)
        return ERR_TIMEOUT;
    int r = broker_message_recv(sock, m, fds, &count);
    if (r == 0)
        fdpass_close(fds, count);
    return r;
}

/* HELLO and what comes back; being turned away before it is fine. */
static inline int caller_recv_greeting(int sock, union broker_message *m)
{
    broker_message_init(m, BROKER_HELLO);
    broker_text_set(m->hello.version, sizeof(m->hello.version), STILE_VERSION);
    (void)broker_message_send(sock, m, NULL, 0);
    return caller_recv(sock, m);
}

/* A socket that was connected by this uid, as a process of the same executable has it. */
static inline int caller_connect(const struct broker_world *w, uint32_t uid)
{
    int sock = -1;
    struct diag d = {0};
    /* Effective ids alone: the kernel takes those at connect, and we come back. */
    if (uid != 0) {
        assert_int_equal(setgroups(0, NULL), 0);
        assert_int_equal(setegid(uid), 0);
        assert_int_equal(seteuid(uid), 0);
    }
    int r = ERR_AGAIN;
    for (int i = 0; i < 30000 && r == ERR_AGAIN; i++) {
        if (i > 0)
            usleep(1000);
        r = system_socket_connect(w->socket, &sock, &d);
    }
    if (uid != 0) {
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
    }
    if (r < 0)
        fail_msg("%s", d.text);
    return sock;
}

/* And greeted: what came back is in m. */
static inline int caller_greet(const struct broker_world *w, uint32_t uid, union broker_message *m)
{
    int sock = caller_connect(w, uid);
    caller_hello(sock);
    assert_int_equal(caller_recv(sock, m), 0);
    return sock;
}

static inline void network_standard(struct broker_network *n, uint8_t number)
{
    memset(n, 0, sizeof(*n));
    n->mtu = 9000;
    n->ipv6_prefix[0] = 0xfd;
    n->ipv6_prefix[5] = number;
    n->range_count = 1;
    n->ranges[0] = (struct broker_range){.addr = {100, (uint8_t)(64 + number), 0, 0}, .bits = 16};
    n->zone_count = 1;
    (void)str_format(n->zones[0], BROKER_ZONE_SIZE, "corp%u.example", number);
}

static inline void caller_send_start(struct world_caller *c, const struct broker_network *n)
{
    union broker_message m;
    int rpc[2], dial[2], log[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, rpc), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, dial), 0);
    assert_int_equal(pipe2(log, O_CLOEXEC), 0);
    const int fds[BROKER_START_FDS] = {rpc[1], dial[1], log[1]};
    broker_message_init(&m, BROKER_START);
    m.header.id = 7;
    m.start.network = *n;
    assert_int_equal(broker_message_send(c->sock, &m, fds, BROKER_START_FDS), 0);
    close(rpc[1]);
    close(dial[1]);
    close(log[1]);
    c->rpc = rpc[0];
    c->dial = dial[0];
    c->log = log[0];
}

/* Until the broker has read what this one has sent. */
static inline void caller_wait_read(const struct world_caller *c)
{
    int queued = 1;
    for (int i = 0; i < 30000 && queued > 0; i++) {
        assert_int_equal(ioctl(c->sock, SIOCOUTQ, &queued), 0);
        if (queued > 0)
            usleep(1000);
    }
    assert_int_equal(queued, 0);
}

static inline void caller_close_fds(struct world_caller *c)
{
    close(c->rpc);
    close(c->dial);
    close(c->log);
}

/* Greets, starts; the answer (STARTED or REFUSED) is in m. */
static inline void caller_start(const struct broker_world *w, uint32_t uid,
                                const struct broker_network *n, struct world_caller *c,
                                union broker_message *m)
{
    c->sock = caller_greet(w, uid, m);
    assert_int_equal(m->header.type, BROKER_WELCOME);
    caller_send_start(c, n);
    assert_int_equal(caller_recv(c->sock, m), 0);
}

static inline void caller_close(struct world_caller *c)
{
    caller_close_fds(c);
    close(c->sock);
}

static inline void caller_report(struct world_caller *c, struct engine_report *r)
{
    struct pollfd p = {.fd = c->dial, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 30000), 1);
    assert_int_equal(read(c->dial, r, sizeof(*r)), sizeof(*r));
}

/* The answer; events before it are left out. */
static inline int caller_ask(struct world_caller *c, enum broker_type type, union broker_message *m)
{
    broker_message_init(m, type);
    m->header.id = 9;
    assert_int_equal(broker_message_send(c->sock, m, NULL, 0), 0);
    int r;
    do
        r = caller_recv(c->sock, m);
    while (r == 0 && m->header.type == BROKER_EVENT);
    return r;
}

/* Whether the interface goes away within 30 s. */
static inline bool link_goes(const char *name)
{
    char path[64];
    (void)str_format(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s", name);
    for (int i = 0; i < 3000 && access(path, F_OK) == 0; i++)
        usleep(10000);
    return access(path, F_OK) != 0;
}

#endif
