/* stile run: a program, and only it and its children, reaches the private apps by name. No root.
 *
 * This process is the agent. It starts the engine and the launcher and connects them:
 *
 *     rpc     agent ⇄ engine      gRPC, the agent serves
 *     dial    agent ⇄ engine      connected sockets
 *     device  launcher → engine   the TUN
 *     setup   agent → launcher    addresses
 *
 * It ends when the launcher ends, with the launcher's status. When the engine ends first, the program is ended: it would hang.
 */
#include "cli/run.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/home.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "loop/socket.h"
#include "loop/timer.h"
#include "platform/local_pair.h"
#include "platform/process.h"
#include "platform/signals.h"

enum {
    GRACE_MS = 3000,      /* for the launcher, which gives the program two seconds */
    LAST_WORDS_MS = 1000, /* for the engine, to tell how the program's last connections ended */
    CAUSE_MS = 100,       /* after the engine, for a launcher that has failed and says why itself */
};

enum pair_name { PAIR_RPC, PAIR_DIAL, PAIR_DEVICE, PAIR_SETUP, PAIR_COUNT };

struct run {
    struct cli *cli;
    struct loop loop;
    struct agent *agent;
    struct process *engine;
    struct process *launcher;
    struct timer timer; /* of the end */
    uv_poll_t signals;
    int signal_fd;
    int pairs[PAIR_COUNT][2];     /* -1 when closed or given away */
    char home[PRIVATE_PATH_SIZE]; /* hidden from the program */
    const char *profiles[2];      /* the one that was asked for, ended by NULL */
    int status;                   /* of the launcher */
    bool engine_lost;             /* before the launcher's end */
    char lost_why[256];           /* empty once it was said */
    bool ended;                   /* the launcher has */
    struct diag d;
};

static int make_pairs(struct run *r)
{
    int err = local_pair_stream(r->pairs[PAIR_RPC], &r->d);

    if (err == 0)
        err = local_pair_messages(r->pairs[PAIR_DIAL], &r->d);
    if (err == 0)
        err = local_pair_messages(r->pairs[PAIR_DEVICE], &r->d);
    if (err == 0)
        err = local_pair_messages(r->pairs[PAIR_SETUP], &r->d);
    return err;
}

/* The program can't go on without its network. */
static void end_program(struct run *r)
{
    (void)process_kill(r->launcher, SIGTERM);
    timer_start(&r->timer, GRACE_MS);
}

static void say_engine_lost(struct run *r)
{
    if (r->lost_why[0] != '\0')
        (void)cli_fail_text(r->cli, "%s; ending %s. Run it again to go on", r->lost_why,
                            cli_arg(r->cli, 0));
    r->lost_why[0] = '\0';
}

static void on_timer(void *arg)
{
    struct run *r = arg;

    if (r->ended) {
        loop_stop(&r->loop);
    } else if (r->lost_why[0] != '\0') {
        say_engine_lost(r);
        end_program(r);
    } else {
        (void)process_kill(r->launcher, SIGKILL);
    }
}

static void lose_engine(struct run *r, const char *why)
{
    if (r->engine_lost || r->ended)
        return;
    r->engine_lost = true;
    (void)str_format(r->lost_why, sizeof(r->lost_why), "%s", why);
    timer_start(&r->timer, CAUSE_MS);
}

/* Once its channel has closed, an engine has told all it had to tell. */
static void on_engine_gone(void *arg, const char *reason)
{
    struct run *r = arg;

    if (r->ended)
        loop_stop(&r->loop);
    lose_engine(r, reason);
}

static void on_engine_ended(void *arg, int status, int signal)
{
    (void)status;
    lose_engine(arg, signal != 0 ? "The engine was killed" : "The engine has ended");
}

static void on_launcher_ended(void *arg, int status, int signal)
{
    struct run *r = arg;

    r->status = r->engine_lost ? RUN_FAILED : status;
    r->ended = true;
    if (signal != 0)
        (void)cli_fail_text(r->cli, "The launcher was killed, and with it %s", cli_arg(r->cli, 0));
    else if (status != RUN_FAILED)
        say_engine_lost(r);
    if (r->engine_lost) {
        loop_stop(&r->loop);
        return;
    }
    agent_end_engine(r->agent);
    timer_start(&r->timer, LAST_WORDS_MS);
}

/* What someone sent to this process alone is meant for the program. So is the end of the terminal, when this process leads its
 * session: then the kernel tells nobody else. */
static void on_signal(uv_poll_t *handle, int status, int events)
{
    struct run *r = handle->data;
    int signal;
    bool from_terminal;

    (void)status;
    (void)events;
    while (signals_read(r->signal_fd, &signal, &from_terminal) == 0) {
        if (signal == SIGHUP && getsid(0) == getpid())
            from_terminal = false;
        if (!from_terminal && r->launcher != NULL)
            (void)process_kill(r->launcher, signal);
    }
}

static int start_engine(struct run *r)
{
    const int fds[] = {r->pairs[PAIR_RPC][1], r->pairs[PAIR_DIAL][1], r->pairs[PAIR_DEVICE][1]};
    const char *argv[] = {"stile",
                          "engine",
                          "--rpc-fd",
                          "3",
                          "--dial-fd",
                          "4",
                          "--device-fd",
                          "5",
                          "--log-format",
                          log_format() == LOG_JSON ? "json" : "text",
                          r->cli->verbose ? "--verbose" : NULL,
                          NULL};
    /* What threads would keep for themselves lies scattered after a burst and holds more pages than it is worth. */
    struct process_config config = {.role = "engine",
                                    .env = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0",
                                    .argv = argv,
                                    .fds = fds,
                                    .fd_count = ARRAY_LEN(fds),
                                    .own_session = true};

    return process_start(&r->loop, &config, on_engine_ended, r, &r->engine, &r->d);
}

static int start_launcher(struct run *r)
{
    const int fds[] = {r->pairs[PAIR_SETUP][1], r->pairs[PAIR_DEVICE][0]};
    const struct options *o = &r->cli->options;
    const char *mtu = cli_text(r->cli, "mtu");
    const char *fixed[] = {"stile",  "launcher",    "--setup-fd",
                           "3",      "--device-fd", "4",
                           "--hide", r->home,       mtu != NULL ? "--mtu" : "--",
                           mtu,      "--"};
    size_t fixed_count = mtu != NULL ? ARRAY_LEN(fixed) : ARRAY_LEN(fixed) - 2;
    CLEANUP(mem_freep)
    const char **argv = mem_array(ARRAY_LEN(fixed) + o->arg_count + 1, sizeof(*argv));

    if (argv == NULL)
        return diag_set(&r->d, ERR_NOMEM, 0, "Failed to start the launcher: out of memory");
    for (size_t i = 0; i < fixed_count; i++)
        argv[i] = fixed[i];
    for (size_t i = 0; i < o->arg_count; i++)
        argv[fixed_count + i] = o->args[i];
    struct process_config config = {
        .role = "launcher", .argv = argv, .fds = fds, .fd_count = ARRAY_LEN(fds)};
    return process_start(&r->loop, &config, on_launcher_ended, r, &r->launcher, &r->d);
}

/* The children have their ends; ours must be the only other ones, so that each sees the other's end. */
static void close_childrens_ends(struct run *r)
{
    fd_closep(&r->pairs[PAIR_RPC][1]);
    fd_closep(&r->pairs[PAIR_DIAL][1]);
    fd_closep(&r->pairs[PAIR_DEVICE][0]);
    fd_closep(&r->pairs[PAIR_DEVICE][1]);
    fd_closep(&r->pairs[PAIR_SETUP][1]);
}

static int send_setup(struct run *r)
{
    union channel_message m;

    channel_init(&m, CHANNEL_SETUP);
    m.setup = *agent_setup(r->agent);
    int err = channel_send(r->pairs[PAIR_SETUP][0], &m, NULL, 0);
    fd_closep(&r->pairs[PAIR_SETUP][0]);
    if (err < 0)
        return diag_set(&r->d, err, 0, "Failed to tell the launcher its addresses: %s",
                        err_text(err));
    return 0;
}

static int serve(struct run *r)
{
    struct stream *stream;
    int err = socket_stream_new(&r->loop, r->pairs[PAIR_RPC][0], &stream);

    if (err < 0)
        return diag_set(&r->d, err, 0, "Failed to open the engine's channel: %s", err_text(err));
    r->pairs[PAIR_RPC][0] = -1;
    err = agent_serve_engine(r->agent, stream);
    if (err < 0) {
        stream_close(stream);
        return diag_set(&r->d, err, 0, "Failed to serve the engine: %s", err_text(err));
    }
    err = agent_serve_dial(r->agent, r->pairs[PAIR_DIAL][0]);
    if (err < 0)
        return diag_set(&r->d, err, 0, "Failed to serve the engine's connections: %s",
                        err_text(err));
    r->pairs[PAIR_DIAL][0] = -1;
    return 0;
}

static int start(struct run *r)
{
    int err = make_pairs(r);

    if (err == 0)
        err = start_engine(r);
    if (err == 0)
        err = start_launcher(r);
    close_childrens_ends(r);
    if (err == 0)
        err = serve(r);
    return err < 0 ? err : send_setup(r);
}

/* The program as it was typed, for `stile status`. */
static char *command_text(const struct cli *cli)
{
    struct buf text;
    const char *word;

    buf_init(&text, 4096);
    for (size_t i = 0; (word = cli_arg(cli, i)) != NULL; i++) {
        if ((i > 0 && buf_put_u8(&text, ' ') < 0) || buf_put_str(&text, word) < 0)
            break;
    }
    return buf_steal_cstr(&text);
}

static int find_home(struct run *r)
{
    struct home home;
    int err = home_open(r->cli->home, &home, &r->d);

    if (err < 0)
        return err;
    (void)str_format(r->home, sizeof(r->home), "%s", home.root.path);
    home_close(&home);
    return 0;
}

static int make_agent(struct run *r)
{
    static const struct agent_events events = {.on_engine_gone = on_engine_gone};
    CLEANUP(mem_freep) char *command = command_text(r->cli);
    const char *profile = cli_text(r->cli, "profile");

    r->profiles[0] = profile;
    struct agent_config config = {
        .home = r->cli->home,
        .mode = AGENT_RUN,
        .command = command,
        .profiles = profile != NULL ? r->profiles : NULL,
        .no_ipv4 = cli_flag(r->cli, "ipv6-only"),
        .no_ipv6 = cli_flag(r->cli, "ipv4-only"),
    };

    return agent_new(&r->loop, &config, &events, r, &r->agent, &r->d);
}

static int watch_signals(struct run *r)
{
    int code = uv_poll_init(&r->loop.uv, &r->signals, r->signal_fd);

    r->signals.data = r;
    if (code == 0)
        code = uv_poll_start(&r->signals, UV_READABLE, on_signal);
    if (code < 0)
        return diag_set(&r->d, loop_err(code), code, "Failed to watch signals: %s",
                        uv_strerror(code));
    return 0;
}

static void release(struct run *r)
{
    process_free(r->launcher);
    process_free(r->engine);
    agent_free(r->agent);
    for (size_t i = 0; i < PAIR_COUNT; i++) {
        fd_closep(&r->pairs[i][0]);
        fd_closep(&r->pairs[i][1]);
    }
    timer_close(&r->timer, NULL);
    uv_close((uv_handle_t *)&r->signals, NULL);
    (void)loop_release(&r->loop);
    fd_closep(&r->signal_fd);
}

static int run_run(struct cli *cli)
{
    struct run r = {.cli = cli, .signal_fd = -1, .status = RUN_FAILED};

    (void)log_keep(LOG_DEBUG); /* for `stile logs`; without memory it works all the same */
    for (size_t i = 0; i < PAIR_COUNT; i++)
        r.pairs[i][0] = r.pairs[i][1] = -1;
    if (cli_flag(cli, "ipv4-only") && cli_flag(cli, "ipv6-only"))
        return cli_usage(cli, "Give one of --ipv4-only and --ipv6-only, not both");
    if (signals_open(false, &r.signal_fd, &r.d) < 0 || loop_init(&r.loop) < 0) {
        (void)cli_fail(cli, &r.d);
        return RUN_FAILED;
    }
    (void)timer_init(&r.timer, &r.loop, on_timer, &r);
    int err = watch_signals(&r);
    if (err == 0)
        err = find_home(&r);
    if (err == 0)
        err = make_agent(&r);
    if (err == 0)
        err = start(&r);
    if (err == 0)
        (void)loop_run(&r.loop);
    else
        (void)cli_fail(cli, &r.d);
    release(&r);
    return r.status;
}

static const struct option options[] = {
    {.name = "profile",
     .kind = OPTION_TEXT,
     .value_name = "NAME",
     .help = "Only the apps of this profile; all otherwise"},
    {.name = "ipv4-only",
     .letter = '4',
     .kind = OPTION_FLAG,
     .help = "Give apps no IPv6 addresses"},
    {.name = "ipv6-only",
     .letter = '6',
     .kind = OPTION_FLAG,
     .help = "Give apps no IPv4 addresses"},
    {.name = "mtu",
     .kind = OPTION_NUMBER,
     .value_name = "BYTES",
     .help = "MTU of the program's interface",
     .min = 1280,
     .max = 65535},
    {0},
};

const struct command command_run = {
    .name = "run",
    .group = "Using apps",
    .summary = "Run a program that reaches private apps by name",
    .arguments = "[--] CMD [ARG…]",
    .min_args = 1,
    .max_args = SIZE_MAX,
    .description =
        "Only the program and its children see the apps; nothing changes for the rest of the host, "
        "and no\n"
        "privilege is needed. Other networks are out of the program's reach while it runs.\n"
        "\n"
        "The exit status is the program's own, or 128 and the number of the signal that ended it; "
        "125 when stile\n"
        "itself failed, 126 when the program can't be executed, 127 when there is none of that "
        "name.",
    .options = options,
    .stop_at_argument = true,
    .run = run_run,
};
