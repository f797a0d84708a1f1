/* stile policy clear: no policies for an endpoint, and no trace of any. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy_change.h"

/* endpoint_clear takes no policies. */
static int make(struct endpoint *e, const struct l4_policies *policies UNUSED,
                struct endpoint_change *c, struct diag *d)
{
    return endpoint_clear(e, c, d);
}

static void tell(FILE *out, const struct endpoint_change *c, size_t given UNUSED)
{
    char removed[POLICY_COUNT_SIZE];
    policy_change_count(c->removed, removed);
    if (c->removed == 0)
        fputs("There was no policy.\n", out);
    else
        fprintf(out, "%s %s.\n", c->dry_run ? "Would remove" : "Removed", removed);
}

static int run_clear(struct cli *cli)
{
    static const struct policy_change change = {.make = make, .tell = tell};
    int status = CLI_OK;
    CLEANUP(endpoint_closep) struct endpoint *e = policy_endpoint_open(cli, &status);
    return e == NULL ? status : policy_change_run(cli, &change, e, NULL);
}

static const struct option options[] = {
    POLICY_DRY_RUN_OPTION,
    POLICY_HOST_OPTION,
    {.name = NULL},
};

const struct command command_policy_clear = {
    .name = "policy clear",
    .group = "Container policies",
    .summary = "Remove all policies from an endpoint",
    .arguments = "ENDPOINT",
    .min_args = 1,
    .max_args = 1,
    .description = POLICY_ENDPOINT_HELP "\n"
                                        "Also what is damaged goes, and the block of a container "
                                        "whose policies could not be applied. No trace "
                                        "is left.\n"
                                        "\n"
                                        "Example:\n"
                                        "  stile policy clear /run/netns/blue",
    .options = options,
    .shows_json = true,
    .run = run_clear,
};
