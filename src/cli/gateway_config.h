/* The option that all gateway commands have: which configuration. */
#ifndef STILE_CLI_GATEWAY_CONFIG_H
#define STILE_CLI_GATEWAY_CONFIG_H

#include "cli/cli.h"

#define GATEWAY_CONFIG_OPTION                                                                      \
    {                                                                                              \
        .name = "config", .letter = 'c', .kind = OPTION_TEXT, .value_name = "FILE",                \
        .help = "The gateway's configuration (gateway.yaml in this directory)"                     \
    }

static inline const char *gateway_config_path(const struct cli *cli)
{
    const char *path = cli_text(cli, "config");
    return path != NULL ? path : "gateway.yaml";
}

#endif
