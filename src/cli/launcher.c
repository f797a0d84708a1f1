/* stile launcher (hidden): makes a network that only one program sees, and runs the program in it.
 *
 * A child of `stile run`, single-threaded. In order: wait for the session's addresses; new user, network and mount
 * namespaces; the TUN and a sock_diag socket opened in them go to the engine; addresses, routes, resolv.conf; then the
 * program starts in a child user namespace without any capability. The launcher stays as its parent, passes signals on,
 * and ends with its status. It ends the program when the agent is gone, for then nothing answers any more.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/run.h"
#include "net/pool.h"
#include "netcfg/rtnl.h"
#include "platform/channel.h"
#include "platform/namespaces.h"
#include "platform/process.h"
#include "platform/signals.h"
#include "platform/tun.h"

#define INTERFACE "stile0"

enum {
    QUEUES_MAX = 4,
    QUEUE_LEN = 4096, /* packets; windows are sized so that it never fills */
    GRACE_MS = 2000,  /* between asking the program to end and making it */
};

struct launcher {
    struct cli *cli;
    struct channel_setup setup;
    struct tun tun;
    int diag_fd;
    int signal_fd;
    int parent;
    struct diag d;
};

static int receive_setup(struct launcher *l)
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t fd_count;
    int fd = (int)cli_number(l->cli, "setup-fd", 0);
    int err = channel_recv(fd, &m, fds, &fd_count);

    (void)close(fd);
    if (err == 0 && m.header.type != CHANNEL_SETUP)
        err = ERR_PROTOCOL;
    if (err < 0)
        return diag_set(&l->d, err, 0, "Failed to receive the session's addresses: %s",
                        err_text(err));
    l->setup = m.setup;
    return 0;
}

static struct prefix range_at(const struct channel_setup *s, size_t i)
{
    struct prefix p = {.addr = {.version = 4}, .bits = (uint8_t)s->ranges[i].bits};

    memcpy(p.addr.bytes, s->ranges[i].addr, 4);
    return p;
}

static struct prefix prefix6_of(const struct channel_setup *s)
{
    struct prefix p = {.addr = {.version = 6}, .bits = 48};

    memcpy(p.addr.bytes, s->ipv6_prefix, sizeof(s->ipv6_prefix));
    return p;
}

static int add_ipv4(struct launcher *l, struct rtnl *r, unsigned index)
{
    struct prefix first = range_at(&l->setup, 0);
    struct ip_addr tun = prefix_at(&first, POOL_OFFSET_TUN);
    int err = rtnl_add_address(r, index, &tun, &l->d);

    for (size_t i = 0; err == 0 && i < l->setup.range_count; i++) {
        struct prefix range = range_at(&l->setup, i);
        err = rtnl_add_route(r, index, &range, &tun, &l->d);
    }
    return err;
}

static int add_ipv6(struct launcher *l, struct rtnl *r, unsigned index)
{
    struct prefix prefix = prefix6_of(&l->setup);
    struct ip_addr tun = prefix_at(&prefix, POOL_OFFSET_TUN);
    int err = rtnl_add_address(r, index, &tun, &l->d);

    return err < 0 ? err : rtnl_add_route(r, index, &prefix, &tun, &l->d);
}

static int configure(struct launcher *l, struct rtnl *r)
{
    unsigned loopback;
    unsigned index;
    int err = rtnl_link_index("lo", &loopback, &l->d);

    if (err == 0)
        err = rtnl_link_up(r, loopback, 0, 0, &l->d);
    if (err == 0)
        err = rtnl_link_index(l->tun.name, &index, &l->d);
    if (err == 0)
        err =
            rtnl_link_up(r, index, (uint32_t)cli_number(l->cli, "mtu", RUN_MTU), QUEUE_LEN, &l->d);
    if (err == 0 && (l->setup.flags & CHANNEL_SETUP_NO_IPV4) == 0)
        err = add_ipv4(l, r, index);
    if (err == 0 && (l->setup.flags & CHANNEL_SETUP_NO_IPV6) == 0)
        err = add_ipv6(l, r, index);
    if (err == ERR_UNSUPPORTED && (l->setup.flags & CHANNEL_SETUP_NO_IPV4) == 0)
        err = 0; /* IPv6 is switched off on this host: programs use IPv4 */
    return err;
}

static int make_network(struct launcher *l)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t queues = processors > 1 ? MIN((size_t)processors, (size_t)QUEUES_MAX) : 1;
    struct rtnl *r = NULL;
    int err = tun_open(INTERFACE, queues, &l->tun, &l->d);

    if (err < 0)
        return err;
    l->diag_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (l->diag_fd < 0)
        return diag_set(&l->d, err_from_errno(errno), errno, "Failed to open sock_diag: %s",
                        strerror(errno));
    err = rtnl_open(&r, &l->d);
    if (err == 0)
        err = configure(l, r);
    rtnl_close(r);
    return err;
}

static int write_resolv_conf(struct launcher *l)
{
    char text[256] = "# The network of stile run\n";
    struct prefix ranges[] = {range_at(&l->setup, 0), prefix6_of(&l->setup)};
    const uint32_t off[] = {CHANNEL_SETUP_NO_IPV4, CHANNEL_SETUP_NO_IPV6};

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        struct ip_addr dns = prefix_at(&ranges[i], POOL_OFFSET_DNS);
        char addr[IP_ADDR_TEXT_SIZE];
        size_t len = strlen(text);
        ip_addr_format(&dns, addr);
        if ((l->setup.flags & off[i]) == 0)
            (void)str_format(text + len, sizeof(text) - len, "nameserver %s\n", addr);
    }
    return namespaces_resolv_conf(text, &l->d);
}

/* Everything through which names would be asked past our resolv.conf, and the directory with the keys. */
static int cover_host(struct launcher *l)
{
    const char *hidden[] = {"/run/systemd/resolve",   "/run/nscd", "/run/dbus", "/run/avahi-daemon",
                            cli_text(l->cli, "hide"), NULL};
    int err = namespaces_hide(hidden, &l->d);

    return err < 0 ? err : write_resolv_conf(l);
}

static int send_device(struct launcher *l)
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX] = {l->diag_fd};
    int sock = (int)cli_number(l->cli, "device-fd", 0);

    channel_init(&m, CHANNEL_DEVICE);
    m.device.queue_count = (uint32_t)l->tun.queue_count;
    m.device.mtu = (uint32_t)cli_number(l->cli, "mtu", RUN_MTU);
    m.device.flags = CHANNEL_DEVICE_VNET_HDR | (l->tun.tso ? CHANNEL_DEVICE_TSO : 0) |
                     (l->tun.uso ? CHANNEL_DEVICE_USO : 0);
    m.device.uid_count = 1;
    m.device.uids[0] = geteuid();
    (void)str_format(m.device.interface_name, sizeof(m.device.interface_name), "%s", l->tun.name);
    for (size_t i = 0; i < l->tun.queue_count; i++)
        fds[i + 1] = l->tun.queues[i];
    int err = channel_send(sock, &m, fds, l->tun.queue_count + 1);
    (void)close(sock);
    (void)close(l->diag_fd);
    tun_close(&l->tun);
    if (err < 0)
        return diag_set(&l->d, err, 0, "The engine did not take the network: %s", err_text(err));
    return 0;
}

/* Whether a name without a slash is in any directory of PATH that can be searched. */
static bool is_in_path(const char *name)
{
    const char *at = getenv("PATH");
    char path[4096];

    while (at != NULL) {
        const char *end = strchrnul(at, ':');
        if (str_format(path, sizeof(path), "%.*s/%s", (int)(end - at), at, name) == 0 &&
            access(path, F_OK) == 0)
            return true;
        at = *end == ':' ? end + 1 : NULL;
    }
    return false;
}

/* exec also says EACCES when a directory of PATH can't be searched, and the program is nowhere. */
static int exec_failed(const struct cli *cli, const char *name, int code)
{
    if (code == EACCES && strchr(name, '/') == NULL && !is_in_path(name))
        code = ENOENT;
    (void)cli_fail_text(cli, "Failed to run %s: %s", name, strerror(code));
    return code == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
}

/* In the child: becomes the program, or says why not. */
static NORETURN void exec_program(struct launcher *l)
{
    char **argv = l->cli->options.args;
    struct diag d = {0};

    argv[l->cli->options.arg_count] =
        NULL; /* what stands there was an option, or is NULL already */
    signals_restore();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || namespaces_confine(&d) < 0) {
        (void)cli_fail_text(l->cli, "%s", d.text);
        _exit(RUN_FAILED);
    }
    (void)execvp(argv[0], argv);
    _exit(exec_failed(l->cli, argv[0], errno));
}

static int status_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* Passes signals on until the program has ended. When the agent is gone, the program is asked to end, and then made to. */
static int wait_for_program(struct launcher *l, pid_t pid)
{
    struct pollfd poll_fd = {.fd = l->signal_fd, .events = POLLIN};
    bool ending = false;
    int wait_status;

    while (waitpid(pid, &wait_status, WNOHANG) == 0) {
        int signal;
        bool from_terminal;
        if (poll(&poll_fd, 1, ending ? GRACE_MS : -1) == 0)
            (void)kill(pid, SIGKILL);
        if (signals_read(l->signal_fd, &signal, &from_terminal) < 0)
            continue;
        if (getppid() != l->parent && !ending) {
            ending = true;
            (void)cli_fail_text(l->cli, "The agent has ended, and with it the network; ending %s",
                                cli_arg(l->cli, 0));
            (void)kill(pid, SIGTERM);
        } else if (signal != SIGCHLD && !from_terminal) {
            (void)kill(pid, signal);
        }
    }
    return status_of(wait_status);
}

static int run_program(struct launcher *l)
{
    pid_t pid = fork();

    if (pid < 0)
        return diag_set(&l->d, err_from_errno(errno), errno, "Failed to fork: %s", strerror(errno));
    if (pid == 0)
        exec_program(l);
    return wait_for_program(l, pid);
}

static int prepare(struct launcher *l)
{
    int err = signals_open(true, &l->signal_fd, &l->d);

    l->parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return diag_set(&l->d, ERR_PERM, errno, "Failed to watch the agent: %s", strerror(errno));
    if (err == 0)
        err = receive_setup(l);
    if (err == 0)
        err = namespaces_enter(&l->d);
    if (err == 0)
        err = make_network(l);
    if (err == 0)
        err = cover_host(l);
    return err < 0 ? err : send_device(l);
}

static int run_launcher(struct cli *cli)
{
    struct launcher l = {.cli = cli, .diag_fd = -1, .signal_fd = -1};

    process_set_name("stile-launcher");
    cli->command = &command_run; /* the name that the user typed stands before its messages */
    if (prepare(&l) < 0) {
        (void)cli_fail(cli, &l.d);
        return RUN_FAILED;
    }
    int status = run_program(&l);
    if (status < 0) {
        (void)cli_fail(cli, &l.d);
        return RUN_FAILED;
    }
    return status;
}

static const struct option options[] = {
    {.name = "setup-fd",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "Where the addresses come from",
     .required = true},
    {.name = "device-fd",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "Where the TUN goes to",
     .required = true},
    {.name = "mtu",
     .kind = OPTION_NUMBER,
     .value_name = "BYTES",
     .help = "Of the interface",
     .min = 1280,
     .max = 65535},
    {.name = "hide",
     .kind = OPTION_TEXT,
     .value_name = "DIR",
     .help = "The directory with the keys",
     .required = true},
    {0},
};

const struct command command_launcher = {
    .name = "launcher",
    .group = "More",
    .summary = "Run a program in a network of its own (started by `stile run`)",
    .arguments = "CMD [ARG…]",
    .min_args = 1,
    .max_args = SIZE_MAX,
    .options = options,
    .stop_at_argument = true,
    .hidden = true,
    .run = run_launcher,
};
