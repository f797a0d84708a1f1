/* stile policy reconcile: what somebody changed by hand becomes again what it should be. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/policy_change.h"
#include "cli/policy_file.h"
#include "cli/policy_options.h"

static void tell(FILE *out, const struct endpoint_change *c)
{
    if (!c->drifted)
        fputs("Nothing has drifted.\n", out);
    else if (c->dry_run)
        fputs("This has drifted:\n", out);
    else
        fputs("This had drifted, and is repaired:\n", out);
}

static const struct policy_change change = {.make = endpoint_reconcile, .tell = tell};

/* Only looks. */
static int check(const struct cli *cli, struct endpoint *e, const struct l4_policies *wanted)
{
    struct endpoint_change c;
    struct diag d = {0};
    endpoint_change_init(&c);
    c.dry_run = true;
    int status = CLI_FAILED;
    if (endpoint_reconcile(e, wanted, &c, &d) < 0) {
        status = cli_fail(cli, &d);
    } else {
        buf_clear(&c.sent);
        status = policy_change_show(cli, &change, endpoint_name(e), &c);
    }
    if (status == CLI_OK && c.drifted)
        status = CLI_FAILED;
    endpoint_change_release(&c);
    return status;
}

static int run_reconcile(struct cli *cli)
{
    struct l4_policies file;
    struct diag d = {0};
    const char *path = cli_text(cli, "file");
    int status = CLI_OK;
    l4_policies_init(&file);
    if (path != NULL && policy_file_read(path, &file, &d) < 0) {
        status = cli_fail(cli, &d);
    } else {
        const struct l4_policies *wanted = path != NULL ? &file : NULL;
        CLEANUP(endpoint_closep) struct endpoint *e = policy_endpoint_open(cli, &status);
        if (e != NULL)
            status = cli_flag(cli, "check") ? check(cli, e, wanted)
                                            : policy_change_run(cli, &change, e, wanted);
    }
    l4_policies_release(&file);
    return status;
}

static const struct option options[] = {
    POLICY_FILE_OPTION,
    {.name = "check",
     .kind = OPTION_FLAG,
     .help = "Change nothing; say what has drifted, and exit with 1 if anything has"},
    POLICY_DRY_RUN_OPTION,
    POLICY_HOST_OPTION,
    {.name = NULL},
};

const struct command command_policy_reconcile = {
    .name = "policy reconcile",
    .group = "Container policies",
    .summary = "Repair an endpoint's policies that were changed by hand, and say what had drifted",
    .arguments = "ENDPOINT",
    .min_args = 1,
    .max_args = 1,
    .description =
        POLICY_ENDPOINT_HELP "\n"
                             "What carries the policies in the system is compared with what it "
                             "should be, and put right. Without "
                             "--file that is what\n"
                             "the system remembers of the policies themselves.\n"
                             "\n"
                             "Examples:\n"
                             "  stile policy reconcile /run/netns/blue\n"
                             "  stile policy reconcile blue --file policies.json --check",
    .options = options,
    .shows_json = true,
    .run = run_reconcile,
};
