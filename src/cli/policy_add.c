/* stile policy add: more policies for an endpoint. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy_change.h"
#include "cli/policy_options.h"

/* What others are there is said, for they stay. */
static void tell(FILE *out, const struct endpoint_change *c, size_t given)
{
    char added[POLICY_COUNT_SIZE];
    size_t were = given - c->added;
    size_t all = c->added + c->unchanged;
    policy_change_count(c->added, added);
    fprintf(out, "%s %s", c->dry_run ? "Would add" : "Added", added);
    if (were > 0)
        fprintf(out, "; %zu %s there already", were, were == 1 ? "was" : "were");
    if (all > given)
        fprintf(out, "; the endpoint %s %zu", c->dry_run ? "would have" : "has", all);
    fputs(".\n", out);
}

static int run_add(struct cli *cli)
{
    static const struct policy_change change = {.make = endpoint_add, .adds = true, .tell = tell};
    return policy_change_given(cli, &change);
}

static const struct option options[] = {
    POLICY_SETTING_OPTIONS, POLICY_FILE_OPTION, POLICY_DRY_RUN_OPTION,
    POLICY_HOST_OPTION,     {.name = NULL},
};

const struct command command_policy_add = {
    .name = "policy add",
    .group = "Container policies",
    .summary = "Add policies to an endpoint",
    .arguments = "ENDPOINT",
    .min_args = 1,
    .max_args = 1,
    .description = POLICY_ENDPOINT_HELP
    "\n"
    "A policy is made of the options, or read from --file, or both. It is added to those that are "
    "there; one that is there\n"
    "already stays. All are added or none.\n"
    "\n"
    "Examples:\n"
    "  stile policy add /run/netns/blue --port 8000 --uid envoy\n"
    "  stile policy add blue --outbound-port 15001 --inbound-port 15006 --uid 1337 \\\n"
    "      --outbound-address-exceptions 10.0.0.0/8,fd00::/8 --inbound-port-exceptions 22\n"
    "  stile policy add 93f86a7f-e361-4362-b8a4-81bbb6a622dd --port 8000 --usersid S-1-5-32-556",
    .options = options,
    .shows_json = true,
    .run = run_add,
};
