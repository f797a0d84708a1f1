/* stile policy remove: some of an endpoint's policies, named whole or by what they have. */
#include <stdio.h>

#include "base/str.h"
#include "cli/commands.h"
#include "cli/policy_change.h"
#include "cli/policy_file.h"
#include "cli/policy_options.h"

static void tell(FILE *out, const struct endpoint_change *c, size_t given UNUSED)
{
    char removed[POLICY_COUNT_SIZE];
    policy_change_count(c->removed, removed);
    fprintf(out, "%s %s.\n", c->dry_run ? "Would remove" : "Removed", removed);
}

static const struct policy_change change = {.make = endpoint_remove, .tell = tell};

static int find(const struct cli *cli, const struct l4_policies *there,
                const struct l4_policy *wanted, struct l4_policies *found)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < there->count; i++)
        if (policy_options_match(cli, wanted, &there->items[i]))
            r = l4_policies_add(found, &there->items[i]);
    return r;
}

static int remove_found(const struct cli *cli, struct endpoint *e, const struct l4_policies *found,
                        size_t there)
{
    if (found->count == 0) {
        char count[POLICY_COUNT_SIZE];
        policy_change_count(there, count);
        return cli_fail_text(cli,
                             "%s has no such policy (it has %s; `stile policy list` shows them)",
                             endpoint_name(e), count);
    }
    if (found->count > 1 && !cli_flag(cli, "all"))
        return cli_fail_text(cli,
                             "%zu policies of %s match; give more options so that one does, or "
                             "--all to remove them all",
                             found->count, endpoint_name(e));
    return policy_change_run(cli, &change, e, found);
}

static int remove_matching(const struct cli *cli, struct endpoint *e,
                           const struct l4_policy *wanted)
{
    struct l4_policies there, found;
    struct diag d = {0};
    int status = CLI_FAILED;
    l4_policies_init(&there);
    l4_policies_init(&found);
    if (endpoint_list(e, &there, &d) < 0)
        status = cli_fail(cli, &d);
    else if (find(cli, &there, wanted, &found) < 0)
        status = cli_fail_text(cli, "Out of memory");
    else
        status = remove_found(cli, e, &found, there.count);
    l4_policies_release(&there);
    l4_policies_release(&found);
    return status;
}

static int remove_listed(const struct cli *cli, const char *path)
{
    struct l4_policies those;
    l4_policies_init(&those);
    int status = policy_file_read(cli, path, &those);
    if (status == CLI_OK) {
        CLEANUP(endpoint_closep) struct endpoint *e = policy_endpoint_open(cli, &status);
        if (e != NULL)
            status = policy_change_run(cli, &change, e, &those);
    }
    l4_policies_release(&those);
    return status;
}

static int run_remove(struct cli *cli)
{
    struct l4_policy wanted;
    struct diag d = {0};
    bool given = false;
    const char *path = cli_text(cli, "file");
    int status = CLI_OK;
    if (policy_options_read(cli, &given, &wanted, &d) < 0)
        return cli_usage(cli, "%s", d.text);
    if (given && path != NULL)
        return cli_usage(cli, "Give --file, or options that the policy has, not both");
    if (path != NULL)
        return remove_listed(cli, path);
    if (!given)
        return cli_usage(cli, "Which one? Give options that the policy has (--port and others), or "
                              "--file; `stile policy "
                              "clear` removes all");
    CLEANUP(endpoint_closep) struct endpoint *e = policy_endpoint_open(cli, &status);
    return e == NULL ? status : remove_matching(cli, e, &wanted);
}

static const struct option options[] = {
    POLICY_SETTING_OPTIONS,
    POLICY_FILE_OPTION,
    {.name = "all",
     .kind = OPTION_FLAG,
     .help = "All that have what the options say, not one alone"},
    POLICY_DRY_RUN_OPTION,
    POLICY_HOST_OPTION,
    {.name = NULL},
};

const struct command command_policy_remove = {
    .name = "policy remove",
    .group = "Container policies",
    .summary = "Remove policies from an endpoint",
    .arguments = "ENDPOINT",
    .min_args = 1,
    .max_args = 1,
    .description =
        POLICY_ENDPOINT_HELP "\n"
                             "The options say what the policy has: one with all of it is removed, "
                             "whatever else it has; several are "
                             "refused\n"
                             "without --all. With --file exactly those in it are removed, all or, "
                             "if one isn't there, none.\n"
                             "\n"
                             "Examples:\n"
                             "  stile policy remove /run/netns/blue --outbound-port 15001\n"
                             "  stile policy remove blue --uid envoy --all\n"
                             "  stile policy remove blue --file policies.json",
    .options = options,
    .shows_json = true,
    .run = run_remove,
};
