/* stile version: which build this is, and what it stands on. */
#include <jansson.h>
#include <stdio.h>

#include <openssl/crypto.h>

#include "cli/commands.h"
#include "cli/output.h"

static int run_version(struct cli *cli)
{
    if (!cli->json) {
        printf("stile %s\n", STILE_VERSION);
        return CLI_OK;
    }
    return output_json(cli,
                       json_pack("{s:s, s:s, s:s}", "version", STILE_VERSION, "openssl",
                                 OpenSSL_version(OPENSSL_VERSION_STRING), "compiler", __VERSION__));
}

const struct command command_version = {
    .name = "version",
    .group = "More",
    .summary = "Show the version",
    .shows_json = true,
    .run = run_version,
};
