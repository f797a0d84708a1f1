/* stile connections: which there are and were, with their verdicts. From the running agents and from the file they leave. */
#include <stdio.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/connection_file.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "loop/loop.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"

#define DEFAULT_LAST 50

static json_t *to_json(const Stile__Agent__V1__Connection *c)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:I}", "profile",
                     c->profile, "app", c->app, "name", c->name, "port", (int)c->port, "program",
                     c->program, "pid", (int)c->program_pid, "verdict", c->verdict, "reason",
                     c->reason, "bytes_up", (json_int_t)c->bytes_up, "bytes_down",
                     (json_int_t)c->bytes_down, "started_us", (json_int_t)c->started_us, "ended_us",
                     (json_int_t)c->ended_us);
}

static const char *text_of(json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text != NULL ? text : "";
}

static json_int_t number_of(json_t *record, const char *key)
{
    return json_integer_value(json_object_get(record, key));
}

/* What tells two connections apart well enough not to show one twice. */
static void key_of(json_t *record, char key[512])
{
    (void)str_format(key, 512, "%lld %lld %s", (long long)number_of(record, "started_us"),
                     (long long)number_of(record, "port"), text_of(record, "name"));
}

static int add_agent(const struct cli *cli, struct loop *loop, const struct home *home,
                     uint32_t pid, json_t *live)
{
    Stile__Agent__V1__ListConnectionsRequest request =
        STILE__AGENT__V1__LIST_CONNECTIONS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct diag d = {0};
    if (agents_ask(loop, home, pid, &control_list_connections, &request.base, &reply, &d) < 0)
        return cli_fail(cli, &d);
    const Stile__Agent__V1__ListConnectionsResponse *list =
        (const Stile__Agent__V1__ListConnectionsResponse *)reply;
    for (size_t i = 0; i < list->n_connections; i++)
        json_array_append_new(live, to_json(list->connections[i]));
    protobuf_c_message_free_unpacked(reply, NULL);
    return CLI_OK;
}

static int collect_live(const struct cli *cli, const struct home *home, json_t *live)
{
    struct agent_list agents;
    struct loop loop;
    struct diag d = {0};
    int status = CLI_OK;
    if (agents_find(home, &agents, &d) < 0)
        return cli_fail(cli, &d);
    if (agents.count == 0)
        return CLI_OK;
    if (loop_init(&loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    for (size_t i = 0; i < agents.count; i++)
        if (add_agent(cli, &loop, home, agents.pids[i], live) != CLI_OK)
            status = CLI_FAILED;
    loop_release(&loop);
    return status;
}

/* Those of the file that no running agent told of, then those that were told. */
static json_t *merge(const struct home *home, json_t *live)
{
    json_t *known = json_object();
    json_t *merged = json_array();
    json_t *file = connection_file_read(home);
    json_t *record = NULL;
    size_t i = 0;
    char key[512];
    json_array_foreach(live, i, record)
    {
        key_of(record, key);
        json_object_set_new(known, key, json_true());
    }
    json_array_foreach(file, i, record)
    {
        key_of(record, key);
        if (json_object_get(known, key) == NULL)
            json_array_append(merged, record);
    }
    json_array_extend(merged, live);
    json_decref(file);
    json_decref(known);
    return merged;
}

static int add_row(struct table_rows *rows, json_t *record)
{
    char started[CLOCK_TEXT_SIZE], up[16], down[16], port[16], program[128];
    const char *path = text_of(record, "program");
    const char *name = strrchr(path, '/');
    clock_format(number_of(record, "started_us"), started);
    started[10] = ' ';
    started[19] = '\0';
    output_bytes((uint64_t)number_of(record, "bytes_up"), up);
    output_bytes((uint64_t)number_of(record, "bytes_down"), down);
    (void)str_format(port, sizeof(port), "%lld", (long long)number_of(record, "port"));
    (void)str_format(program, sizeof(program), "%s",
                     path[0] == '\0' ? "?"
                     : name != NULL  ? name + 1
                                     : path);
    return table_rows_add(rows, (const char *const[]){started, text_of(record, "name"), port,
                                                      program, text_of(record, "verdict"), up, down,
                                                      text_of(record, "reason")});
}

static int show_table(const struct cli *cli, json_t *records, size_t last)
{
    struct table_rows rows;
    size_t count = json_array_size(records);
    int r = 0;
    if (count == 0) {
        puts("No connection yet.");
        return CLI_OK;
    }
    table_rows_init(&rows, 8);
    r = table_rows_add(&rows, (const char *const[]){"STARTED (UTC)", "NAME", "PORT", "PROGRAM",
                                                    "VERDICT", "UP", "DOWN", "REASON"});
    for (size_t i = count > last ? count - last : 0; r == 0 && i < count; i++)
        r = add_row(&rows, json_array_get(records, i));
    if (r == 0)
        table_rows_print(&rows);
    table_rows_release(&rows);
    return r < 0 ? cli_fail_text(cli, "Out of memory") : CLI_OK;
}

static int show_json(const struct cli *cli, json_t *records, size_t last)
{
    size_t count = json_array_size(records);
    for (; count > last; count--)
        json_array_remove(records, 0);
    return output_json(cli, json_pack("{s:O}", "connections", records));
}

static int run_connections(struct cli *cli)
{
    CLEANUP(home_close) struct home home = HOME_NONE;
    struct diag d = {0};
    if (home_open(cli->home, &home, &d) < 0)
        return cli_fail(cli, &d);
    json_t *live = json_array();
    int status = collect_live(cli, &home, live);
    json_t *records = merge(&home, live);
    size_t last = (size_t)cli_number(cli, "last", cli->json ? SIZE_MAX : DEFAULT_LAST);
    int shown = cli->json ? show_json(cli, records, last) : show_table(cli, records, last);
    json_decref(records);
    json_decref(live);
    return shown != CLI_OK ? shown : status;
}

static const struct option options[] = {
    {.name = "last",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "Only the last N (50 in the table; all in JSON)",
     .min = 1,
     .max = 1000000},
    {.name = NULL},
};

const struct command command_connections = {
    .name = "connections",
    .group = "Using apps",
    .summary = "Show recent connections, open ones too, with verdict and reason",
    .description = "Sessions that have ended left their connections in connections.jsonl in the "
                   "home directory.",
    .options = options,
    .shows_json = true,
    .run = run_connections,
};
