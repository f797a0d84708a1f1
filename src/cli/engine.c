/* stile engine (hidden): what `stile run` and the broker start to read packets and speak TLS. It serves nobody and ends with its
 * agent, and with the process that started it. */
#include "engine/engine.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "platform/process.h"

/* A broker that dies takes its engines along: the next one puts the host back and the agents start anew. */
static bool end_with_parent(uint64_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && (uint64_t)getppid() == parent;
}

static int run_engine(struct cli *cli)
{
    const struct engine_config config = {
        .rpc_fd = (int)cli_number(cli, "rpc-fd", 0),
        .dial_fd = (int)cli_number(cli, "dial-fd", 0),
        .device_fd = (int)cli_number(cli, "device-fd", 0),
    };
    uint64_t parent = cli_number(cli, "parent", 0);
    struct diag d = {0};

    process_set_name("stile-engine");
    if (parent != 0 && !end_with_parent(parent))
        return CLI_FAILED;
    log_setup("engine", cli->verbose ? LOG_DEBUG : LOG_WARN, log_format());
    if (process_end_with_parent((uint32_t)cli_number(cli, "parent", 0)) < 0)
        return CLI_FAILED; /* nobody is left to be told */
    if (engine_run(&config, &d) == 0)
        return CLI_OK;
    /* Whose end it was that ended us, that one says why. */
    log_write(d.err == ERR_CLOSED ? LOG_DEBUG : LOG_ERROR, "%s", d.text);
    return CLI_FAILED;
}

static const struct option options[] = {
    {.name = "rpc-fd",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "The agent's service",
     .required = true},
    {.name = "dial-fd",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "Where connected sockets come from",
     .required = true},
    {.name = "parent",
     .kind = OPTION_NUMBER,
     .value_name = "PID",
     .help = "Who started it",
     .max = UINT32_MAX},
    {.name = "device-fd",
     .kind = OPTION_NUMBER,
     .value_name = "N",
     .help = "Where the TUN comes from",
     .required = true},
    {.name = "parent",
     .kind = OPTION_NUMBER,
     .value_name = "PID",
     .help = "End when this process does, which started us",
     .min = 1,
     .max = INT32_MAX},
    {0},
};

const struct command command_engine = {
    .name = "engine",
    .group = "More",
    .summary = "Carry the bytes of a session (started by `stile run` and the broker)",
    .options = options,
    .hidden = true,
    .run = run_engine,
};
