/* stile cleanup: puts back by hand what stile may have left on the host, and says what it was. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/broker.h"
#include "broker/cleanup.h"
#include "broker/client.h"
#include "cli/broker.h"
#include "cli/commands.h"
#include "cli/output.h"

/* Through the broker that runs. ERR_NOTFOUND, ERR_REFUSED: there is none. */
static int ask_broker(const struct cli *cli, struct cleanup_report *report, struct diag *d)
{
    CLEANUP(mem_freep) union broker_message *request = NEW(union broker_message);
    CLEANUP(mem_freep) union broker_message *answer = NEW(union broker_message);
    if (request == NULL || answer == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    broker_message_init(request, BROKER_CLEANUP);
    int r = broker_ask(cli_text(cli, "socket"), request, answer, NULL, d);
    if (r < 0)
        return r;
    const struct broker_cleaned *cleaned = &answer->cleaned;
    report->failed = cleaned->failed;
    report->total = cleaned->total;
    report->count = cleaned->count;
    for (size_t i = 0; i < cleaned->count; i++)
        memcpy(report->lines[i], cleaned->lines[i], sizeof(report->lines[i]));
    return 0;
}

static int clean(const struct cli *cli, struct cleanup_report *report, bool *ret_by_broker,
                 struct diag *d)
{
    const char *state = cli_text(cli, "state");
    int r = ask_broker(cli, report, d);
    *ret_by_broker = r != ERR_NOTFOUND && r != ERR_REFUSED;
    if (*ret_by_broker)
        return r;
    r = cleanup_by_hand(state != NULL ? state : BROKER_STATE_DIR, report, d);
    if (r == ERR_BUSY)
        return diag_set(d, r, 0,
                        "A broker runs, but not on this socket, or it is just starting; try again, "
                        "or end it first (systemctl stop stile-broker)");
    return r;
}

static int show_json(const struct cli *cli, const struct cleanup_report *report, bool by_broker)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < report->count; i++)
        (void)json_array_append_new(lines, json_string(report->lines[i]));
    return output_json(cli, json_pack("{s:b, s:s, s:I, s:I, s:o}", "ok", report->failed == 0, "by",
                                      by_broker ? "broker" : "itself", "total",
                                      (json_int_t)report->total, "failed",
                                      (json_int_t)report->failed, "lines", lines));
}

static int show(const struct cli *cli, const struct cleanup_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        puts(report->lines[i]);
    if (report->total > report->count)
        printf("… and %zu more\n", report->total - report->count);
    if (report->total == 0)
        puts("Nothing was left behind: there is nothing to put back.");
    if (report->failed > 0)
        return cli_fail_text(cli,
                             "%zu could not be put back; see above, and run it again when the "
                             "cause is gone",
                             report->failed);
    return CLI_OK;
}

static int run_cleanup(struct cli *cli)
{
    struct diag d = {0};
    bool by_broker = false;
    if (geteuid() != 0)
        return cli_fail_text(cli,
                             "It may change the network of the whole host, so only root may run "
                             "it: sudo stile cleanup");
    CLEANUP(mem_freep) struct cleanup_report *report = NEW(struct cleanup_report);
    if (report == NULL)
        return cli_fail_text(cli, "Out of memory");
    if (clean(cli, report, &by_broker, &d) < 0)
        return cli_fail(cli, &d);
    int status = cli->json ? show_json(cli, report, by_broker) : show(cli, report);
    return report->failed > 0 ? CLI_FAILED : status;
}

static const struct option options[] = {
    BROKER_SOCKET_OPTION,
    BROKER_STATE_OPTION,
    {.name = NULL},
};

const struct command command_cleanup = {
    .name = "cleanup",
    .group = "The whole host",
    .summary = "Put back by hand what stile may have left on the host",
    .description = "Undoes what the journal of the broker says and no session has any more, and "
                   "removes network\n"
                   "interfaces, addresses and routes of stile's that no session has. Running "
                   "sessions aren't touched.\n"
                   "A broker does the same by itself when it starts; this is for when there is "
                   "none, or for doubt.\n"
                   "\n"
                   "The exit status is 1 when something could not be put back.",
    .options = options,
    .shows_json = true,
    .run = run_cleanup,
};
