/* stile policy watch: keeps the policies of a runtime's containers right, in the foreground, until SIGTERM. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/policy_watch_tell.h"
#include "loop/timer.h"
#include "netcfg/file_watch.h"
#include "platform/service_manager.h"
#include "policy/endpoint.h"
#include "policy/watch.h"

/* Each pass waits for nft in a thread of libuv's pool. */
#define POOL_THREADS "8"
/* Whoever writes a file may do it in steps. */
#define SETTLE_MS 300

/* The rules are wrong: as a wrong policy of the broker (sysexits.h's EX_CONFIG), and the unit isn't started again. */
enum { STATUS_RULES = 78 };

struct service {
    const struct cli *cli;
    struct loop loop;
    struct watch *watch; /* NULL: stopped */
    json_t *rules;       /* the document in use */
    struct file_watch *file;
    struct timer settle; /* after the file has changed */
    struct defer stop;
    uv_signal_t hup, term, intr;
    bool once;
    int status;
};

/* ---- rules ---- */

static int load_rules(const struct service *s, struct watch_rules **ret, struct diag *d)
{
    return watch_rules_load(cli_text(s->cli, "file"), ret, d);
}

static void use_rules(struct service *s, struct watch_rules *rules)
{
    json_decref(s->rules);
    s->rules = json_incref(rules->document);
}

static void take_rules(struct service *s, struct watch_rules *rules)
{
    service_notify("RELOADING=1");
    policy_watch_tell_rules(s->cli->json, rules->count, NULL);
    use_rules(s, rules);
    watch_set_rules(s->watch, rules);
    service_notify("READY=1");
}

static void reload(struct service *s, bool even_the_same)
{
    struct diag d = {0};
    struct watch_rules *rules = NULL;
    if (s->watch == NULL)
        return;
    if (load_rules(s, &rules, &d) < 0)
        policy_watch_tell_rules(s->cli->json, 0, d.text);
    else if (!even_the_same && json_equal(rules->document, s->rules))
        watch_rules_free(rules);
    else
        take_rules(s, rules);
}

/* The file, and its directory as a whole: it may be a link through another one there, which is replaced (a ConfigMap). */
static void watch_file(struct service *s)
{
    const char *path = cli_text(s->cli, "file");
    const char *slash = strrchr(path, '/');
    CLEANUP(mem_freep)
    char *directory =
        slash == NULL ? mem_strdup(".") : mem_strndup(path, MAX((size_t)(slash - path), (size_t)1));
    file_watch_clear(s->file);
    if (directory == NULL || file_watch_add(s->file, path) < 0 ||
        file_watch_add_directory(s->file, directory) < 0)
        log_warn("Changes of %s aren't noticed; send SIGHUP after each", cli_text(s->cli, "file"));
}

static void on_file_changed(void *arg)
{
    struct service *s = arg;
    timer_start(&s->settle, SETTLE_MS);
}

static void on_file_settled(void *arg)
{
    struct service *s = arg;
    watch_file(s);
    reload(s, false);
}

/* ---- the end ---- */

static void close_signal(uv_signal_t *handle)
{
    if (handle->type == UV_SIGNAL) /* else it was never opened */
        uv_close((uv_handle_t *)handle, NULL);
}

static void close_all(struct service *s)
{
    close_signal(&s->hup);
    close_signal(&s->term);
    close_signal(&s->intr);
    file_watch_free(STEAL(s->file));
    timer_close(&s->settle, NULL);
    defer_stop(&s->stop);
}

static void on_stopped(void *arg)
{
    close_all(arg);
}

static void stop(void *arg)
{
    struct service *s = arg;
    struct watch *watch = STEAL(s->watch);
    if (watch == NULL)
        return;
    service_notify("STOPPING=1");
    watch_stop(watch, on_stopped, s);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_hup(uv_signal_t *handle, int number)
{
    (void)number;
    reload(handle->data, true);
}

/* ---- events ---- */

static void end_once(struct service *s, int status)
{
    s->status = status;
    defer_start(&s->loop, &s->stop);
}

static void on_event(void *arg, const struct watch_event *event)
{
    struct service *s = arg;
    policy_watch_tell(s->cli->json, s->once, event);
    if (event->kind == WATCH_DISCONNECTED && s->once)
        end_once(s, CLI_FAILED);
}

static void on_settled(void *arg, size_t failing)
{
    struct service *s = arg;
    if (s->once)
        end_once(s, failing > 0 ? CLI_FAILED : CLI_OK);
}

/* ---- the start ---- */

static int catch_signal(struct service *s, uv_signal_t *handle, uv_signal_cb fn, int number)
{
    int r = uv_signal_init(&s->loop.uv, handle);
    handle->data = s;
    return loop_err(r < 0 ? r : uv_signal_start(handle, fn, number));
}

static int catch_signals(struct service *s)
{
    int r = catch_signal(s, &s->hup, on_hup, SIGHUP);
    if (r == 0)
        r = catch_signal(s, &s->term, on_stop_signal, SIGTERM);
    if (r == 0)
        r = catch_signal(s, &s->intr, on_stop_signal, SIGINT);
    return r;
}

static int start_watch(struct service *s, struct watch_rules *rules, struct diag *d)
{
    static const struct watch_events events = {on_event, on_settled};
    const char *on_failure = cli_text(s->cli, "on-failure");
    const struct watch_config config = {
        .runtime = cli_text(s->cli, "runtimeendpoint"),
        .leave = on_failure != NULL && str_eq(on_failure, "leave"),
        .interval_ms =
            s->once ? 0 : (unsigned)cli_number(s->cli, "interval", WATCH_INTERVAL_MS / 1000) * 1000,
    };
    use_rules(s, rules);
    return watch_start(&s->loop, &config, rules, &events, s, &s->watch, d);
}

static int start(struct service *s, struct watch_rules *rules, struct diag *d)
{
    defer_init(&s->stop, stop, s);
    int r = timer_init(&s->settle, &s->loop, on_file_settled, s);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to start: %s", err_text(r));
    r = catch_signals(s);
    if (r < 0)
        (void)diag_set(d, r, 0, "Failed to catch signals: %s", err_text(r));
    else
        r = file_watch_new(&s->loop, on_file_changed, s, &s->file, d);
    if (r == 0) {
        watch_file(s);
        r = start_watch(s, rules, d);
    }
    if (r < 0) {
        watch_rules_free(rules);
        close_all(s);
    }
    return r;
}

static int serve(struct service *s, struct watch_rules *rules)
{
    struct diag d = {0};
    if (loop_init(&s->loop) < 0) {
        watch_rules_free(rules);
        return cli_fail_text(s->cli, "Failed to start the event loop");
    }
    policy_watch_tell_rules(s->cli->json, rules->count, NULL);
    int r = start(s, rules, &d);
    if (r == 0)
        service_notify("READY=1");
    (void)loop_run(&s->loop); /* until all is closed */
    (void)loop_release(&s->loop);
    json_decref(s->rules);
    return r < 0 ? cli_fail(s->cli, &d) : s->status;
}

static int run_policy_watch(struct cli *cli)
{
    struct diag d = {0};
    char system[ENDPOINT_SYSTEM_SIZE];
    struct watch_rules *rules = NULL;
    struct service s = {.cli = cli, .once = cli_flag(cli, "once"), .status = CLI_OK};
    log_setup("policy-watch", cli->verbose ? LOG_DEBUG : LOG_INFO, log_format());
    if (load_rules(&s, &rules, &d) < 0) {
        (void)cli_fail(cli, &d);
        return STATUS_RULES;
    }
    int r = endpoint_system(system, &d);
    if (r < 0) {
        watch_rules_free(rules);
        return cli_fail(cli, &d);
    }
    if (geteuid() != 0)
        log_warn("Not running as root: without root, or its capabilities, no container can be "
                 "given policies");
    (void)setenv("UV_THREADPOOL_SIZE", POOL_THREADS, 0);
    return serve(&s, rules);
}

static const struct option options[] = {
    {.name = "file",
     .kind = OPTION_TEXT,
     .value_name = "FILE",
     .required = true,
     .help = "The rules: which containers get which policies (stile-policy(1)). Read again when it "
             "changes, and on SIGHUP"},
    {.name = "runtimeendpoint",
     .kind = OPTION_TEXT,
     .value_name = "ENDPOINT",
     .help = "The runtime's socket, as unix:///run/containerd/containerd.sock; default: the first "
             "of the usual ones that is there"},
    {.name = "on-failure",
     .kind = OPTION_CHOICE,
     .value_name = "block|leave",
     .help = "What becomes of a container whose policies can't be applied: its network is blocked "
             "until they can (the default), or left as it is"},
    {.name = "interval",
     .kind = OPTION_NUMBER,
     .value_name = "SECONDS",
     .max = 86400,
     .help = "How often what somebody changed by hand is looked for and repaired; default 60, 0 "
             "never"},
    {.name = "once",
     .kind = OPTION_FLAG,
     .help = "End when the containers that run now have their policies; fails if one hasn't"},
    {.name = NULL},
};

const struct command command_policy_watch = {
    .name = "policy watch",
    .group = "Container policies",
    .summary = "Apply policies to containers by their labels, as they come",
    .description =
        "Asks the container runtime (CRI) which containers run, listens for those that start, and "
        "gives\n"
        "each the policies of the first rule that matches its labels and annotations. What is "
        "right is\n"
        "not touched; what can't be applied is blocked, and tried again. Containers without a "
        "rule,\n"
        "and those with the host's network, are left alone.\n"
        "\n"
        "It runs in the foreground and logs to standard error, until SIGTERM; with --json, each "
        "event is\n"
        "a line on standard output. The policies stay when it ends (`stile policy clear` removes "
        "them).\n"
        "A process may send before the watch has seen its container; with the CNI plugin "
        "(stile-cni(8))\n"
        "none does.\n"
        "\n"
        "The file has rules in their order; stile-policy(1) has all that may be in it:\n"
        "  {\"Rules\": [{\"Labels\": {\"app\": \"web\"}, \"Policies\": [{\"Type\": "
        "\"L4WFPPROXY\",\n"
        "    \"Settings\": {\"OutboundProxyPort\": \"15001\", \"UserID\": \"1337\"}}]}]}\n"
        "\n"
        "Examples:\n"
        "  stile policy watch --file /etc/stile/rules.json\n"
        "  stile policy watch --file rules.json --once --runtimeendpoint "
        "unix:///run/containerd/containerd.sock",
    .options = options,
    .shows_json = true,
    .run = run_policy_watch,
};
