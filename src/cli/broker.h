/* What the commands about the broker share. */
#ifndef STILE_CLI_BROKER_H
#define STILE_CLI_BROKER_H

#include "broker/policy.h"
#include "cli/cli.h"

#define BROKER_CONFIG_OPTION                                                                       \
    {                                                                                              \
        .name = "config", .kind = OPTION_TEXT, .value_name = "FILE",                               \
        .help = "The policy, instead of " POLICY_PATH                                              \
    }
/* For tests. */
#define BROKER_SOCKET_OPTION                                                                       \
    {                                                                                              \
        .name = "socket", .kind = OPTION_TEXT, .value_name = "PATH",                               \
        .help = "The broker's socket", .hidden = true                                              \
    }
#define BROKER_STATE_OPTION                                                                        \
    {                                                                                              \
        .name = "state", .kind = OPTION_TEXT, .value_name = "DIR", .help = "Where the journal is", \
        .hidden = true                                                                             \
    }

/* The policy of --config, or of the usual place (which need not be there). */
int broker_load_policy(const struct cli *cli, config_problem_fn *on_problem, void *arg,
                       struct policy **ret, struct diag *d);

#endif
