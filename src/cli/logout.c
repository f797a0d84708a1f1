/* stile logout: forgets key and certificate of a profile. */
#include <stdio.h>

#include "agent/profile.h"
#include "cli/commands.h"
#include "cli/output.h"

static int log_out(const struct cli *cli, const struct home *home, const char *name)
{
    struct diag d = {0};
    if (profile_remove(home, name, &d) < 0)
        return cli_fail(cli, &d);
    if (!cli->json)
        printf("Logged out: profile %s is gone.\n", name);
    return CLI_OK;
}

static int run_logout(struct cli *cli)
{
    CLEANUP(home_close) struct home home = HOME_NONE;
    struct profile_names names = {0};
    struct diag d = {0};
    json_t *gone = json_array();
    int status = CLI_OK;
    int r = home_open(cli->home, &home, &d);
    if (r == 0 && cli_flag(cli, "all")) {
        r = profile_list(&home, &names, &d);
    } else if (r == 0) {
        names.count = 1;
        r = profile_choose(&home, cli_text(cli, "profile"), names.names[0], &d);
    }
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        int one = log_out(cli, &home, names.names[i]);
        if (one == CLI_OK)
            json_array_append_new(gone, json_string(names.names[i]));
        status = one != CLI_OK ? one : status;
    }
    if (r < 0)
        status = cli_fail(cli, &d);
    else if (cli->json)
        return output_json(cli, json_pack("{s:o}", "logged_out", gone)) != CLI_OK ? CLI_FAILED
                                                                                  : status;
    json_decref(gone);
    return status;
}

static const struct option options[] = {
    {.name = "profile", .kind = OPTION_TEXT, .value_name = "NAME", .help = "Which log-in to end"},
    {.name = "all", .kind = OPTION_FLAG, .help = "End all of them"},
    {.name = NULL},
};

const struct command command_logout = {
    .name = "logout",
    .group = "Using apps",
    .summary = "Forget a log-in, its key and its certificate",
    .description = "Connections that are open go on; new ones of this profile are refused.",
    .options = options,
    .shows_json = true,
    .run = run_logout,
};
