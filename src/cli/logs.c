/* stile logs: what agents, engines and the broker have logged lately, debug lines too, in one order. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/agents.h"
#include "agent/profile.h"
#include "base/str.h"
#include "broker/client.h"
#include "cli/commands.h"
#include "cli/log_merge.h"
#include "diag/small_file.h"
#include "loop/loop.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"

#define LOGS_MAX ((size_t)64 * 1024 * 1024) /* of all of them, as text */

struct logs {
    const struct cli *cli;
    struct home home;
    struct log_merge merge;
    size_t sources; /* processes that were asked */
    bool failed;    /* one of them didn't answer */
};

/* ---- asking ---- */

static void ask_agent(struct logs *l, struct loop *loop, uint32_t pid)
{
    Stile__Agent__V1__GetLogRequest request = STILE__AGENT__V1__GET_LOG_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct diag d = {0};
    if (agents_ask(loop, &l->home, pid, &control_get_log, &request.base, &reply, &d) < 0) {
        (void)cli_fail(l->cli, &d);
        l->failed = true;
        return;
    }
    const Stile__Agent__V1__GetLogResponse *log = (const Stile__Agent__V1__GetLogResponse *)reply;
    if (log_merge_add(&l->merge, slice_of(log->lines.data, log->lines.len), pid) < 0)
        l->failed = true;
    l->sources++;
    protobuf_c_message_free_unpacked(reply, NULL);
}

static int ask_agents(struct logs *l)
{
    struct agent_list agents;
    struct loop loop;
    struct diag d = {0};
    if (agents_find(&l->home, &agents, &d) < 0)
        return cli_fail(l->cli, &d);
    if (agents.count == 0)
        return CLI_OK;
    if (loop_init(&loop) < 0)
        return cli_fail_text(l->cli, "Failed to start the event loop");
    for (size_t i = 0; i < agents.count; i++)
        ask_agent(l, &loop, agents.pids[i]);
    (void)loop_release(&loop);
    return CLI_OK;
}

static int read_all(int fd, struct buf *b)
{
    for (;;) {
        uint8_t *space = NULL;
        int r = buf_reserve(b, 65536, &space);
        if (r < 0)
            return r;
        ssize_t n = read(fd, space, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : err_from_errno(errno);
        buf_commit(b, (size_t)n);
    }
}

/* No broker is no failure: `stile run` needs none. */
static void ask_broker(struct logs *l)
{
    CLEANUP(buf_release) struct buf text;
    union broker_message request, answer;
    struct diag d = {0};
    int fd = -1;
    broker_message_init(&request, BROKER_GET_LOG);
    int r = broker_ask(NULL, &request, &answer, &fd, &d);
    if (r == ERR_NOTFOUND || r == ERR_REFUSED)
        return;
    buf_init(&text, 4 * LOG_KEPT_SIZE);
    if (r == 0) {
        r = read_all(fd, &text);
        (void)close(fd);
        if (r == 0)
            r = log_merge_add(&l->merge, buf_slice(&text), 0);
        if (r < 0)
            (void)diag_set(&d, r, 0, "Failed to read the broker's log: %s", err_text(r));
    }
    l->sources++;
    if (r < 0) {
        (void)cli_fail(l->cli, &d);
        l->failed = true;
    }
}

/* ---- names ---- */

static int name_profile(struct redactor *r, const struct profile *p)
{
    const char *const names[] = {p->name, p->user, p->gateway_name, p->public_name,
                                 p->cluster.name};
    int err = 0;
    for (size_t i = 0; err == 0 && i < ARRAY_LEN(names); i++)
        err = redact_name(r, names[i]);
    for (size_t i = 0; err == 0 && i < p->cluster.zone_count; i++)
        err = redact_name(r, p->cluster.zones[i]);
    return err;
}

/* What stands in texts without looking like a name: the person, the machine, the log-ins. */
static int name_all(struct logs *l, struct redactor *r)
{
    struct profile_names profiles = {0};
    struct utsname host;
    const struct passwd *user = getpwuid(getuid());
    int err = user != NULL ? redact_name(r, user->pw_name) : 0;
    if (err == 0 && uname(&host) == 0)
        err = redact_name(r, host.nodename);
    (void)profile_list(&l->home, &profiles, NULL);
    for (size_t i = 0; err == 0 && i < profiles.count; i++) {
        struct profile *p = NULL;
        if (profile_load(&l->home, profiles.names[i], &p, NULL) < 0)
            err = redact_name(r, profiles.names[i]);
        else
            err = name_profile(r, p);
        profile_free(p);
    }
    return err;
}

/* ---- showing ---- */

static int write_text(struct logs *l, struct buf *out)
{
    struct redactor *r = NULL;
    int err = 0;
    if (cli_flag(l->cli, "redact")) {
        err = redactor_new(&r);
        if (err == 0)
            err = name_all(l, r);
    }
    if (err == 0)
        err = log_merge_write(&l->merge, l->cli->json ? LOG_JSON : LOG_TEXT, r, out);
    redactor_free(r);
    if (err == ERR_LIMIT)
        return cli_fail_text(l->cli,
                             "There are more names than can be redacted; try without --redact");
    return err < 0 ? cli_fail_text(l->cli, "Failed to put the logs together: %s", err_text(err))
                   : CLI_OK;
}

static int show(struct logs *l)
{
    CLEANUP(buf_release) struct buf text;
    const char *path = cli_text(l->cli, "save");
    struct diag d = {0};
    buf_init(&text, LOGS_MAX);
    int status = write_text(l, &text);
    if (status != CLI_OK)
        return status;
    if (path == NULL) {
        struct slice all = buf_slice(&text);
        (void)fwrite(all.data, 1, all.len, stdout); /* main looks for failures */
        return CLI_OK;
    }
    if (small_file_create(path, buf_slice(&text), &d) < 0)
        return cli_fail(l->cli, &d);
    fprintf(stderr, "Saved %zu lines to %s%s\n", l->merge.count, path,
            cli_flag(l->cli, "redact") ? "" : ", with names and addresses: --redact replaces them");
    return CLI_OK;
}

static int run_logs(struct cli *cli)
{
    struct logs l = {.cli = cli, .home = HOME_NONE};
    struct diag d = {0};
    if (home_open(cli->home, &l.home, &d) < 0)
        return cli_fail(cli, &d);
    log_merge_init(&l.merge);
    int status = ask_agents(&l);
    ask_broker(&l);
    if (status == CLI_OK && l.sources == 0 && !l.failed)
        status = cli_fail_text(cli, "Nothing is running, and logs are kept only as long as what "
                                    "writes them: see `stile up`");
    else if (status == CLI_OK)
        status = show(&l);
    if (status == CLI_OK && l.failed)
        status = CLI_FAILED;
    log_merge_release(&l.merge);
    home_close(&l.home);
    return status;
}

static const struct option options[] = {
    {.name = "save",
     .kind = OPTION_TEXT,
     .value_name = "FILE",
     .help = "Write to a new file, to attach to a bug report"},
    {.name = "redact",
     .kind = OPTION_FLAG,
     .help = "Replace names and addresses, the same one always by the same word"},
    {.name = NULL},
};

const struct command command_logs = {
    .name = "logs",
    .group = "Using apps",
    .summary = "Show the last of what your sessions and the broker have logged",
    .description =
        "Sessions and the broker keep the last 512 KiB of their logs in memory, debug lines "
        "included, whatever they\n"
        "write elsewhere. Here they are in order of time, one line each, also as JSON. Of the "
        "broker's you see what is\n"
        "about you; root sees all of it. Engines of `stile up` log at debug only with its --debug.",
    .options = options,
    .shows_json = true,
    .run = run_logs,
};
