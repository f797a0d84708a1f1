/* stile status: who is logged in where, which sessions run, of `stile run` and of `stile up`, and the service behind the latter. */
#include <stdio.h>

#include "agent/agents.h"
#include "agent/profile.h"
#include "base/clock.h"
#include "base/str.h"
#include "broker/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "loop/loop.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"

typedef Stile__Agent__V1__GetStatusResponse agent_status;

struct status {
    const struct cli *cli;
    struct home home;
    struct loop loop;
    json_t *profiles;
    json_t *sessions;
    json_t *service;
    char service_line[512];
    struct table_rows profile_rows;
    struct table_rows session_rows;
};

static int add_profile(struct status *s, const char *name)
{
    CLEANUP(profile_freep) struct profile *p = NULL;
    struct diag d = {0};
    char until[CLOCK_TEXT_SIZE];
    if (profile_load(&s->home, name, &p, &d) < 0)
        return cli_fail(s->cli, &d);
    clock_format(p->expires_s * 1000000, until);
    if (s->cli->json) {
        json_array_append_new(
            s->profiles, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "profile", p->name, "user",
                                   p->user, "cluster", p->cluster.name, "gateway", p->gateway,
                                   "expires", until, "expired", (int)profile_expired(p)));
        return CLI_OK;
    }
    char left[64];
    (void)str_format(left, sizeof(left), "%.16sZ%s", until, profile_expired(p) ? " (over)" : "");
    return table_rows_add(&s->profile_rows, (const char *const[]){p->name, p->user, p->cluster.name,
                                                                  p->gateway, left}) < 0
               ? CLI_FAILED
               : CLI_OK;
}

static json_t *texts_json(size_t count, char *const *texts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

static int add_session(struct status *s, const agent_status *a)
{
    char since[CLOCK_TEXT_SIZE];
    clock_format(a->started_us, since);
    if (s->cli->json) {
        json_array_append_new(s->sessions,
                              json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, "
                                        "s:o, s:o}",
                                        "pid", (int)a->pid, "mode", a->mode, "state", a->state,
                                        "detail", a->detail, "dns_backend", a->dns_backend,
                                        "command", a->command, "version", a->version, "interface",
                                        a->interface_name, "ipv6_prefix", a->ipv6_prefix, "started",
                                        since, "open_connections", (int)a->open_connections,
                                        "ipv4_ranges", texts_json(a->n_ipv4_ranges, a->ipv4_ranges),
                                        "dns_zones", texts_json(a->n_dns_zones, a->dns_zones)));
        return CLI_OK;
    }
    char pid[16], open[16];
    (void)str_format(pid, sizeof(pid), "%u", a->pid);
    (void)str_format(open, sizeof(open), "%u", a->open_connections);
    since[16] = 'Z';
    since[17] = '\0';
    const char *range = a->n_ipv4_ranges > 0 ? a->ipv4_ranges[0] : "";
    char what[256];
    if (str_eq(a->mode, "up") && !str_eq(a->state, "up"))
        (void)str_format(what, sizeof(what), "the host (%s)", a->state);
    else
        (void)str_format(what, sizeof(what), "%s", str_eq(a->mode, "up") ? "the host" : a->command);
    return table_rows_add(&s->session_rows,
                          (const char *const[]){pid, since, open, or_dash(a->interface_name),
                                                or_dash(range), or_dash(a->ipv6_prefix), what}) < 0
               ? CLI_FAILED
               : CLI_OK;
}

static int add_sessions(struct status *s)
{
    struct agent_list agents;
    struct diag d = {0};
    int status = CLI_OK;
    if (agents_find(&s->home, &agents, &d) < 0)
        return cli_fail(s->cli, &d);
    for (size_t i = 0; i < agents.count; i++) {
        Stile__Agent__V1__GetStatusRequest request = STILE__AGENT__V1__GET_STATUS_REQUEST__INIT;
        ProtobufCMessage *reply = NULL;
        if (agents_ask(&s->loop, &s->home, agents.pids[i], &control_get_status, &request.base,
                       &reply, &d) < 0) {
            status = cli_fail(s->cli, &d);
            continue;
        }
        if (add_session(s, (const agent_status *)reply) != CLI_OK)
            status = CLI_FAILED;
        protobuf_c_message_free_unpacked(reply, NULL);
    }
    return status;
}

static int add_profiles(struct status *s)
{
    struct profile_names names;
    struct diag d = {0};
    int status = CLI_OK;
    if (profile_list(&s->home, &names, &d) < 0)
        return cli_fail(s->cli, &d);
    for (size_t i = 0; i < names.count; i++)
        if (add_profile(s, names.names[i]) != CLI_OK)
            status = CLI_FAILED;
    return status;
}

/* A host without the service is no failure: `stile run` needs none. */
static void ask_service(struct status *s)
{
    union broker_message m;
    union broker_message reply;
    struct diag d = {0};
    char since[CLOCK_TEXT_SIZE];
    broker_message_init(&m, BROKER_STATUS);
    if (broker_ask(NULL, &m, &reply, NULL, &d) < 0) {
        s->service = json_pack("{s:b, s:s}", "running", 0, "problem", d.text);
        (void)str_format(s->service_line, sizeof(s->service_line), "Service: %s", d.text);
        return;
    }
    const struct broker_status_reply *r = &reply.status_reply;
    unsigned sessions = r->session_count + r->other_sessions;
    clock_format(r->started_us, since);
    s->service = json_pack("{s:b, s:s, s:i, s:s, s:s, s:i, s:i, s:s}", "running", 1, "version",
                           r->version, "pid", (int)r->pid, "started", since, "dns_backend",
                           r->dns_backend, "sessions", (int)(r->session_count + r->other_sessions),
                           "leftovers", (int)r->leftovers, "last_recovery", r->last_recovery);
    (void)str_format(
        s->service_line, sizeof(s->service_line),
        "Service: version %s, pid %u, since %.16sZ, DNS by %s, %u session%s of all users%s%s",
        r->version, r->pid, since, r->dns_backend, sessions, sessions == 1 ? "" : "s",
        r->leftovers > 0 ? "; something is left over, see `stile diag`" : "",
        str_eq(r->version, STILE_VERSION) ? "" : "; its version isn't this one's");
}

static int show(struct status *s, int status)
{
    if (s->cli->json)
        return output_json(s->cli, json_pack("{s:O, s:O, s:O}", "profiles", s->profiles, "sessions",
                                             s->sessions, "service", s->service)) == CLI_OK
                   ? status
                   : CLI_FAILED;
    if (s->profile_rows.count > 1)
        table_rows_print(&s->profile_rows);
    else
        puts("Not logged in. Log in with: stile login --gateway HOST:PORT --user NAME --ca FILE");
    putchar('\n');
    if (s->session_rows.count > 1)
        table_rows_print(&s->session_rows);
    else
        puts(
            "No session runs. Start one with `stile up`, or for one program: stile run -- PROGRAM");
    printf("\n%s\n", s->service_line);
    return status;
}

static int run_status(struct cli *cli)
{
    struct status s = {.cli = cli, .home = HOME_NONE};
    struct diag d = {0};
    if (home_open(cli->home, &s.home, &d) < 0)
        return cli_fail(cli, &d);
    if (loop_init(&s.loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    s.profiles = json_array();
    s.sessions = json_array();
    table_rows_init(&s.profile_rows, 5);
    table_rows_init(&s.session_rows, 7);
    static const char *const profile_headings[] = {"PROFILE", "USER", "CLUSTER", "GATEWAY",
                                                   "UNTIL"};
    static const char *const session_headings[] = {"PID",   "SINCE", "OPEN", "INTERFACE",
                                                   "RANGE", "IPV6",  "FOR"};
    int status = CLI_FAILED;
    if (table_rows_add(&s.profile_rows, profile_headings) == 0 &&
        table_rows_add(&s.session_rows, session_headings) == 0) {
        int of_profiles = add_profiles(&s);
        int of_sessions = add_sessions(&s);
        ask_service(&s);
        status = show(&s, of_profiles != CLI_OK ? of_profiles : of_sessions);
    }
    table_rows_release(&s.profile_rows);
    table_rows_release(&s.session_rows);
    json_decref(s.profiles);
    json_decref(s.sessions);
    json_decref(s.service);
    loop_release(&s.loop);
    home_close(&s.home);
    return status;
}

const struct command command_status = {
    .name = "status",
    .group = "Using apps",
    .summary = "Show the log-ins, when they end, the sessions that run, and the service",
    .shows_json = true,
    .run = run_status,
};
