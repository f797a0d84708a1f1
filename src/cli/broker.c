/* stile broker: the privileged half of system mode, in the foreground, until SIGTERM. */
#include "cli/broker.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/cleanup.h"
#include "broker/supervisor.h"
#include "cli/commands.h"
#include "platform/process.h"
#include "platform/service_manager.h"

int broker_load_policy(const struct cli *cli, config_problem_fn *on_problem, void *arg,
                       struct policy **ret, struct diag *d)
{
    const char *path = cli_text(cli, "config");
    return policy_load(path != NULL ? path : POLICY_PATH, path != NULL, on_problem, arg, ret, d);
}

/* The policy is wrong. systemd calls this CONFIG (sysexits.h), and its unit isn't started again. */
enum { STATUS_POLICY = 78 };

static const char *text_or(const struct cli *cli, const char *option, const char *otherwise)
{
    const char *text = cli_text(cli, option);
    return text != NULL ? text : otherwise;
}

static void on_problem(void *arg, const char *line)
{
    (void)arg;
    log_error("%s", line);
}

/* A broker that can't serve still puts back what an earlier one left. */
static void put_back(const char *state_dir)
{
    struct diag d = {0};
    CLEANUP(mem_freep) struct cleanup_report *report = NEW(struct cleanup_report);
    if (report == NULL)
        return;
    int r = cleanup_journal(state_dir, report, &d);
    for (size_t i = 0; i < report->count; i++)
        log_warn("An earlier broker didn't end in order: %s", report->lines[i]);
    if (r < 0 && r != ERR_BUSY) /* busy: another one serves */
        log_error("%s", d.text);
}

static int serve(struct cli *cli, bool only_recover)
{
    struct diag d = {0};
    struct policy *policy = NULL;
    process_set_name("stile-broker");
    int r = broker_load_policy(cli, on_problem, NULL, &policy, &d);
    if (r < 0) {
        if (r != ERR_FORMAT)
            log_error("%s", d.text);
        put_back(text_or(cli, "state", BROKER_STATE_DIR));
        return STATUS_POLICY;
    }
    (void)log_keep(LOG_DEBUG); /* for `stile logs`; without memory it works all the same */
    if (!cli->verbose)
        log_setup("broker", policy->log, log_format());
    const struct broker_config config = {
        .policy = policy,
        .dns = cli_text(cli, "dns"),
        .socket_path = text_or(cli, "socket", BROKER_SOCKET_PATH),
        .state_dir = text_or(cli, "state", BROKER_STATE_DIR),
        .peer_hold = PEER_BY_SOCKET,
        .only_recover = only_recover,
    };
    r = broker_run(&config, &d);
    if (r < 0)
        log_error("%s", d.text);
    policy_free(policy);
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int run_broker(struct cli *cli)
{
    bool only_recover = false;
    log_setup("broker", cli->verbose ? LOG_DEBUG : LOG_INFO, log_format());
    if (geteuid() != 0)
        return cli_fail_text(cli,
                             "The broker changes the network of the whole host, so only root may "
                             "run it: sudo stile broker (or: systemctl start stile-broker)");
    if (!cli_flag(cli, "no-supervisor") && !service_is_managed()) {
        int status = supervisor_run(&only_recover);
        if (status != SUPERVISOR_CHILD)
            return status;
    }
    return serve(cli, only_recover);
}

static const struct option options[] = {
    BROKER_CONFIG_OPTION,
    {.name = "dns",
     .kind = OPTION_CHOICE,
     .value_name = "auto|resolved|networkmanager|resolvconf|file|none",
     .help =
         "How programs of this host come to ask for the apps' names; instead of what the policy "
         "says"},
    {.name = "no-supervisor",
     .kind = OPTION_FLAG,
     .help = "Don't start the broker again when it dies: something else does (as systemd)"},
    BROKER_SOCKET_OPTION,
    BROKER_STATE_OPTION,
    {.name = NULL},
};

const struct command command_broker = {
    .name = "broker",
    .group = "The whole host",
    .summary = "Serve the users' sessions of the whole host (`stile up`), as root",
    .description = "It authenticates users, opens network interfaces, changes routes and DNS for "
                   "their sessions, and puts\n"
                   "everything back when they end, also after it was killed. Who may have what is "
                   "in\n" POLICY_PATH " (stile-broker(8)); without that file only root may.\n"
                   "\n"
                   "It runs in the foreground and logs to standard error, until SIGTERM. Usually "
                   "systemd runs it\n"
                   "(stile-broker.service).",
    .options = options,
    .run = run_broker,
};
