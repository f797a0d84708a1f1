/* stile down: ends the session of `stile up`, and that it starts again at the next log-in. */
#include <stdio.h>

#include "agent/agents.h"
#include "base/str.h"
#include "broker/client.h"
#include "cli/autostart.h"
#include "cli/commands.h"
#include "loop/loop.h"
#include "platform/process.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"

enum { TELL_MS = 1000, WAIT_MS = 30000 };

/* Whether this agent was one of `stile up`; then it ends. */
static bool stop_one(struct loop *loop, const struct home *home, uint32_t pid)
{
    Stile__Agent__V1__StopRequest request = STILE__AGENT__V1__STOP_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct diag d = {0};
    if (agents_ask(loop, home, pid, &control_stop, &request.base, &reply, &d) < 0)
        return false;
    protobuf_c_message_free_unpacked(reply, NULL);
    return true;
}

static int wait_for_end(const struct cli *cli, uint32_t pid)
{
    int r = process_wait_end(pid, TELL_MS);
    if (r == ERR_TIMEOUT) {
        fputs("The host is being put back…\n", stderr);
        r = process_wait_end(pid, WAIT_MS);
    }
    if (r == 0 || r == ERR_NOTFOUND)
        return CLI_OK;
    return cli_fail_text(cli, "The agent with pid %u doesn't end: %s; see its log, or `stile diag`",
                         (unsigned)pid, err_text(r));
}

static int stop_all(const struct cli *cli, struct loop *loop, const struct home *home,
                    size_t *ret_count)
{
    struct agent_list agents;
    struct diag d = {0};
    int status = CLI_OK;
    *ret_count = 0;
    if (agents_find(home, &agents, &d) < 0)
        return cli_fail(cli, &d);
    for (size_t i = 0; i < agents.count; i++) {
        if (!stop_one(loop, home, agents.pids[i]))
            continue;
        ++*ret_count;
        if (wait_for_end(cli, agents.pids[i]) != CLI_OK)
            status = CLI_FAILED;
    }
    return status;
}

/* Whether the host is as it was is the broker's to say. */
static int tell_end(const struct cli *cli)
{
    union broker_message m;
    union broker_message reply;
    struct diag d = {0};
    broker_message_init(&m, BROKER_STATUS);
    if (broker_ask(NULL, &m, &reply, NULL, &d) < 0) {
        printf("Down. Whether the host is as it was isn't known (`stile diag` looks): %s\n",
               d.text);
        return CLI_OK;
    }
    if (reply.status_reply.leftovers > 0)
        return cli_fail_text(cli,
                             "The session has ended, but the host isn't as it was: `stile diag` "
                             "says more. When the cause is gone, as root: stile cleanup");
    puts("Down: the host is as it was.");
    return CLI_OK;
}

static int run_down(struct cli *cli)
{
    CLEANUP(home_close) struct home home = HOME_NONE;
    struct loop loop;
    struct diag d = {0};
    size_t count = 0;
    if (home_open(cli->home, &home, &d) < 0)
        return cli_fail(cli, &d);
    if (loop_init(&loop) < 0)
        return cli_fail_text(cli, "Failed to start the event loop");
    bool was_set = autostart_clear(&home);
    int status = stop_all(cli, &loop, &home, &count);
    (void)loop_release(&loop);
    if (status == CLI_OK && count > 0)
        status = tell_end(cli);
    else if (status == CLI_OK)
        puts("Nothing was up.");
    if (was_set)
        puts("It won't start at your next log-in any more.");
    return status;
}

const struct command command_down = {
    .name = "down",
    .group = "Using apps",
    .summary = "End what `stile up` started, now and at the next log-in",
    .run = run_down,
};
