/* stile policy version: of the library, and of what the policies stand on. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "policy/endpoint.h"

static int run_version(struct cli *cli)
{
    char system[ENDPOINT_SYSTEM_SIZE] = "";
    struct diag d = {0};
    bool found = endpoint_system(system, &d) == 0;
    output_tame(system, false);
    output_tame(d.text, true);
    if (cli->json) {
        int status =
            output_json(cli, json_pack("{s:s, s:s*, s:s*}", "version", STILE_VERSION, "system",
                                       found ? system : NULL, "problem", found ? NULL : d.text));
        return found ? status : CLI_FAILED;
    }
    if (cli->command->program != NULL) /* under another name */
        printf("%s %s (stile)\n", cli->command->program, STILE_VERSION);
    else
        printf("stile-policy %s\n", STILE_VERSION);
    if (!found)
        return cli_fail(cli, &d);
    puts(system);
    return CLI_OK;
}

const struct command command_policy_version = {
    .name = "policy version",
    .group = "Container policies",
    .summary = "Show the version, and that of nft or HNS",
    .shows_json = true,
    .run = run_version,
};
