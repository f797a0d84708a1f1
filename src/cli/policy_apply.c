/* stile policy apply: exactly these policies for an endpoint. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy_change.h"
#include "cli/policy_options.h"

static void tell(FILE *out, const struct endpoint_change *c, size_t given UNUSED)
{
    char count[POLICY_COUNT_SIZE];
    policy_change_count(c->added + c->unchanged, count);
    if (c->added == 0 && c->removed == 0)
        fprintf(out, "%s: as before%s\n", count,
                !c->drifted  ? "."
                : c->dry_run ? ", but what carries them has drifted:"
                             : ", but what carries them had drifted, and is repaired:");
    else
        fprintf(out, "%s: %zu %s, %zu unchanged; %zu %s.\n", count, c->added,
                c->dry_run ? "to be added" : "added", c->unchanged, c->removed,
                c->dry_run ? "to be removed" : "removed");
}

static int run_apply(struct cli *cli)
{
    static const struct policy_change change = {.make = endpoint_apply, .tell = tell};
    return policy_change_given(cli, &change);
}

static const struct option options[] = {
    POLICY_SETTING_OPTIONS, POLICY_FILE_OPTION, POLICY_DRY_RUN_OPTION,
    POLICY_HOST_OPTION,     {.name = NULL},
};

const struct command command_policy_apply = {
    .name = "policy apply",
    .group = "Container policies",
    .summary = "Make an endpoint's policies exactly these",
    .arguments = "ENDPOINT",
    .min_args = 1,
    .max_args = 1,
    .description = POLICY_ENDPOINT_HELP
    "\n"
    "Afterwards the endpoint has the policies that are given, and no others. What is so already "
    "isn't "
    "touched, so it can\n"
    "be run again at any time. Traffic sees the policies from before or the new ones, never half.\n"
    "\n"
    "Examples:\n"
    "  stile policy apply blue --file policies.json\n"
    "  stile policy list blue --json | stile policy apply green --file -\n"
    "  stile policy apply blue --port 8000 --uid envoy --dry-run",
    .options = options,
    .shows_json = true,
    .run = run_apply,
};
