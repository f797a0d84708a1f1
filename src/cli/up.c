/* stile up: every program of the host reaches the private apps by name, as long as this runs. The broker changes the host; this
 * process is the user's own (agent/system_session.h).
 */
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "agent/agents.h"
#include "agent/system_session.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/autostart.h"
#include "cli/commands.h"
#include "cli/run.h"
#include "cli/up_log.h"
#include "cli/up_view.h"
#include "diag/watcher.h"
#include "loop/timer.h"
#include "platform/background.h"
#include "platform/signals.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"

enum { PROGRESS_MS = 2000 };

struct up {
    struct cli *cli;
    struct home home;
    struct loop loop;
    struct system_session *session;
    struct up_view view;
    struct up_log *log; /* in the background */
    struct watcher *watcher;
    struct timer progress;
    uv_poll_t signals;
    int signal_fd;
    int report; /* to the one who waits for a start in the background; -1: nobody */
    const char *profiles[OPTIONS_MAX + 1];
    struct session_network_wish wish;
    bool at_login;
    bool stopping;
    int status;
};

/* ---- what was asked for ---- */

static int add_user(struct session_network_wish *wish, const char *name, struct diag *d)
{
    uint64_t uid = 0;
    struct passwd *user = getpwnam(name);
    if (user == NULL && str_to_u64(name, UINT32_MAX - 1, &uid) < 0)
        return diag_set(d, ERR_NOTFOUND, 0, "There is no user \"%.64s\" on this host", name);
    if (wish->uid_count == BROKER_UIDS_MAX)
        return diag_set(d, ERR_LIMIT, 0, "--allow-user can be given %d times at most",
                        BROKER_UIDS_MAX);
    wish->uids[wish->uid_count++] = user != NULL ? (uint32_t)user->pw_uid : (uint32_t)uid;
    return 0;
}

static int read_wish(const struct cli *cli, struct session_network_wish *wish, struct diag *d)
{
    const struct options *o = &cli->options;
    const char *text;
    int r = 0;
    *wish = (struct session_network_wish){.mtu = (uint32_t)cli_number(cli, "mtu", RUN_MTU)};
    wish->flags = (cli_flag(cli, "ipv6-only") ? BROKER_NO_IPV4 : 0) |
                  (cli_flag(cli, "ipv4-only") ? BROKER_NO_IPV6 : 0) |
                  (cli_flag(cli, "debug") ? BROKER_DEBUG : 0);
    for (size_t i = 0; r == 0 && (text = options_text_at(o, "range", i)) != NULL; i++)
        r = wish->forced_count < BROKER_RANGES_MAX
                ? session_network_parse_range(text, &wish->forced[wish->forced_count++], d)
                : diag_set(d, ERR_LIMIT, 0, "--range can be given %d times at most",
                           BROKER_RANGES_MAX);
    for (size_t i = 0; r == 0 && (text = options_text_at(o, "allow-user", i)) != NULL; i++)
        r = add_user(wish, text, d);
    return r;
}

static void warn_of_users(const struct cli *cli)
{
    const char *name;
    for (size_t i = 0; (name = options_text_at(&cli->options, "allow-user", i)) != NULL; i++)
        fprintf(stderr,
                "Warning: every program that %s runs on this machine can use your apps, as you, "
                "while this is up. Don't allow users on a machine that you share with people you "
                "don't trust.\n",
                name);
}

/* ---- events ---- */

static void go_to_background(struct up *u)
{
    int fd = -1;
    struct diag d = {0};
    if (u->report < 0)
        return;
    if (up_log_new(&u->loop, &u->home, &u->log, &fd, &d) < 0) {
        (void)cli_fail(u->cli, &d);
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    fflush(stdout);
    background_go_on(u->report, fd);
    u->report = -1;
    (void)close(fd);
    u->view.dated = true;
}

static void on_up(void *arg, const struct system_session_info *info)
{
    struct up *u = arg;
    timer_stop(&u->progress);
    up_view_started(&u->view, info, system_session_agent(u->session));
    if (!u->at_login)
        autostart_set(&u->home, u->cli);
    go_to_background(u);
    watcher_check(u->watcher);
}

static void on_network(void *arg)
{
    struct up *u = arg;
    if (system_session_is_up(u->session))
        watcher_check(u->watcher);
}

static void on_change(void *arg)
{
    struct up *u = arg;
    if (system_session_is_up(u->session))
        up_view_changed(&u->view, system_session_agent(u->session));
}

static void on_connection(void *arg, const struct connection *c)
{
    struct up *u = arg;
    up_view_connection(&u->view, c);
}

static void on_notice(void *arg, const char *text)
{
    struct up *u = arg;
    up_view_notice(&u->view, text);
}

static void on_waiting(void *arg, const char *text)
{
    struct up *u = arg;
    timer_stop(&u->progress);
    up_view_waiting(&u->view, text);
    go_to_background(u);
}

static void on_over(void *arg, const struct diag *d)
{
    struct up *u = arg;
    if (d != NULL)
        u->status = cli_fail(u->cli, d);
    else if (u->view.shown || u->view.json)
        up_view_ended(&u->view);
    loop_stop(&u->loop);
}

static const struct system_session_events events = {.on_up = on_up,
                                                    .on_change = on_change,
                                                    .on_connection = on_connection,
                                                    .on_notice = on_notice,
                                                    .on_waiting = on_waiting,
                                                    .on_network = on_network,
                                                    .on_over = on_over};

static void on_progress(void *arg)
{
    struct up *u = arg;
    if (!u->view.json)
        fputs("Starting; the broker prepares the host…\n", stderr);
}

static void on_signal(uv_poll_t *handle, int status UNUSED, int which UNUSED)
{
    struct up *u = handle->data;
    int number;
    bool from_terminal;
    while (signals_read(u->signal_fd, &number, &from_terminal) == 0) {
        if (number != SIGINT && number != SIGTERM && number != SIGHUP && number != SIGQUIT)
            continue;
        if (u->stopping) {
            /* Asked again: it doesn't wait for the broker, which puts the host back all the same. */
            u->status = 128 + number;
            loop_stop(&u->loop);
            return;
        }
        u->stopping = true;
        if (!u->view.json && u->view.shown && !u->view.dated)
            fputs("\nEnding; the host is put back…\n", stderr);
        system_session_stop(u->session);
    }
}

/* ---- start ---- */

static bool is_up(const Stile__Agent__V1__GetStatusResponse *a)
{
    return str_eq(a->mode, "up");
}

/* The pid of the user's agent in system mode, 0 if there is none. */
static uint32_t find_running(struct up *u)
{
    struct agent_list agents;
    uint32_t found = 0;
    if (agents_find(&u->home, &agents, NULL) < 0)
        return 0;
    for (size_t i = 0; i < agents.count && found == 0; i++) {
        Stile__Agent__V1__GetStatusRequest request = STILE__AGENT__V1__GET_STATUS_REQUEST__INIT;
        ProtobufCMessage *reply = NULL;
        struct diag d = {0};
        if (agents_ask(&u->loop, &u->home, agents.pids[i], &control_get_status, &request.base,
                       &reply, &d) < 0)
            continue;
        if (is_up((const Stile__Agent__V1__GetStatusResponse *)reply))
            found = agents.pids[i];
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return found;
}

static int check_not_running(struct up *u)
{
    uint32_t pid = find_running(u);
    if (pid == 0)
        return CLI_OK;
    if (u->at_login)
        return CLI_FAILED; /* nothing to say, see run_up */
    return cli_fail_text(u->cli,
                         "Already up, with pid %u: see `stile status`; `stile down` ends it", pid);
}

static int watch_signals(struct up *u, struct diag *d)
{
    int code = uv_poll_init(&u->loop.uv, &u->signals, u->signal_fd);
    u->signals.data = u;
    if (code == 0)
        code = uv_poll_start(&u->signals, UV_READABLE, on_signal);
    if (code < 0)
        return diag_set(d, loop_err(code), code, "Failed to watch signals: %s", uv_strerror(code));
    return 0;
}

static int start_watcher(struct up *u, struct diag *d)
{
    const struct watcher_config config = {
        .loop = &u->loop, .home = u->home.root.path, .show = on_notice, .arg = u};
    int r = watcher_new(&config, &u->watcher);
    return r < 0 ? diag_set(d, r, 0, "Failed to prepare the diagnosis: %s", err_text(r)) : 0;
}

static int start(struct up *u, struct diag *d)
{
    struct system_session_config config = {
        .home = u->cli->home, .patient = u->at_login, .network = u->wish};
    size_t count = options_count(&u->cli->options, "profile");
    for (size_t i = 0; i < count; i++)
        u->profiles[i] = options_text_at(&u->cli->options, "profile", i);
    if (count > 0)
        config.profiles = u->profiles;
    warn_of_users(u->cli);
    int r = watch_signals(u, d);
    if (r == 0)
        r = start_watcher(u, d);
    if (r == 0)
        r = system_session_new(&u->loop, &config, &events, u, &u->session, d);
    if (r == 0)
        timer_start(&u->progress, PROGRESS_MS);
    return r;
}

static void release(struct up *u)
{
    system_session_free(u->session);
    watcher_free(u->watcher);
    up_log_free(u->log);
    timer_close(&u->progress, NULL);
    if (u->signals.data != NULL)
        uv_close((uv_handle_t *)&u->signals, NULL);
    (void)loop_release(&u->loop);
    home_close(&u->home);
    if (u->signal_fd >= 0)
        (void)close(u->signal_fd);
}

static int serve(struct up *u)
{
    struct diag d = {0};
    if (signals_open(false, &u->signal_fd, &d) < 0)
        return cli_fail(u->cli, &d);
    if (loop_init(&u->loop) < 0)
        return cli_fail_text(u->cli, "Failed to start the event loop");
    (void)timer_init(&u->progress, &u->loop, on_progress, u);
    u->status = check_not_running(u);
    if (u->status == CLI_OK) {
        if (start(u, &d) == 0)
            (void)loop_run(&u->loop);
        else
            u->status = cli_fail(u->cli, &d);
    } else if (u->at_login) {
        u->status = CLI_OK;
    }
    release(u);
    return u->status;
}

static int run_up(struct cli *cli)
{
    struct up u = {.cli = cli, .home = HOME_NONE, .signal_fd = -1, .report = -1};
    struct diag d = {0};
    if (cli_flag(cli, "ipv4-only") && cli_flag(cli, "ipv6-only"))
        return cli_usage(cli, "Give one of --ipv4-only and --ipv6-only, not both");
    log_setup("agent", cli->verbose || cli_flag(cli, "debug") ? LOG_DEBUG : LOG_WARN, log_format());
    (void)log_keep(LOG_DEBUG); /* for `stile logs`; without memory it works all the same */
    u.view.json = cli->json;
    u.at_login = cli_flag(cli, "at-login");
    u.view.dated = u.at_login;
    if (home_open(cli->home, &u.home, &d) < 0)
        return cli_fail(cli, &d);
    if (u.at_login && autostart_load(&u.home, cli, &d) < 0)
        return cli_fail(cli, &d);
    if (read_wish(cli, &u.wish, &d) < 0)
        return cli_fail(cli, &d);
    if (cli_flag(cli, "background") && background_fork(&u.report, &d) < 0)
        return cli_fail(cli, &d);
    u.view.background = cli_flag(cli, "background");
    return serve(&u);
}

static const struct option options[] = {
    {.name = "profile",
     .kind = OPTION_TEXT,
     .value_name = "NAME",
     .help = "Only the apps of this profile; all otherwise",
     .repeatable = true},
    {.name = "range",
     .kind = OPTION_TEXT,
     .value_name = "CIDR",
     .help = "Virtual IPv4 addresses from this range, whatever is in the way",
     .repeatable = true},
    {.name = "allow-user",
     .kind = OPTION_TEXT,
     .value_name = "NAME",
     .help = "Programs of this user may use your apps, too",
     .repeatable = true},
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
     .help = "MTU of the virtual interface",
     .min = 1280,
     .max = 65535},
    {.name = "background",
     .kind = OPTION_FLAG,
     .help = "Go on without the terminal once it is up; the log is up.log in ~/.config/stile"},
    {.name = "debug",
     .kind = OPTION_FLAG,
     .help = "Agent, broker and engine log everything, for this start"},
    {.name = "at-login", .kind = OPTION_FLAG, .help = "Started by the user unit", .hidden = true},
    {0},
};

const struct command command_up = {
    .name = "up",
    .group = "Using apps",
    .summary = "Let every program of this host reach private apps by name",
    .description =
        "The broker, which your administrator installs, makes a virtual interface and tells the "
        "host's resolver of the\n"
        "zones; when this ends, the host is as it was. Only your own programs may use the "
        "addresses. Without any log-in\n"
        "it waits for one. Zones follow log-in and log-out.\n"
        "\n"
        "Once started it starts again at your next log-in, with the same options, until "
        "`stile down`.",
    .options = options,
    .shows_json = true,
    .run = run_up,
};
