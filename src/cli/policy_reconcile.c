/* stile policy reconcile: what somebody changed by hand becomes again what it should be. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/policy_change.h"
#include "cli/policy_file.h"
#include "cli/policy_options.h"

/* Policies that are missing, or that don't belong there, are drift too. */
static int make(struct endpoint *e, const struct l4_policies *wanted, struct endpoint_change *c,
                struct diag *d)
{
    char count[POLICY_COUNT_SIZE];
    int r = endpoint_reconcile(e, wanted, c, d);
    if (r == 0 && c->added > 0) {
        policy_change_count(c->added, count);
        r = buf_printf(&c->notes, "%s missing\n", count);
    }
    if (r == 0 && c->removed > 0) {
        policy_change_count(c->removed, count);
        r = buf_printf(&c->notes, "%s too many\n", count);
    }
    c->drifted = c->drifted || c->added > 0 || c->removed > 0;
    return r;
}

static void tell(FILE *out, const struct endpoint_change *c, size_t given UNUSED)
{
    if (!c->drifted)
        fputs("Nothing has drifted.\n", out);
    else if (c->dry_run)
        fputs("This has drifted:\n", out);
    else
        fputs("This had drifted, and is repaired:\n", out);
}

enum { STATUS_DRIFTED = 3 /* of --check */ };

static const struct policy_change change = {.make = make, .tell = tell};

static int show_drift(const struct cli *cli, const char *endpoint, struct endpoint_change *c)
{
    if (cli->json)
        return policy_change_show(cli, &change, endpoint, 0, c);
    char *notes = buf_steal_cstr(&c->notes);
    if (notes == NULL)
        return cli_fail_text(cli, "Out of memory");
    output_tame(notes, true);
    tell(stdout, c, 0);
    fputs(notes, stdout);
    mem_free(notes);
    return CLI_OK;
}

/* Only looks. */
static int check(const struct cli *cli, struct endpoint *e, const struct l4_policies *wanted)
{
    struct endpoint_change c;
    struct diag d = {0};
    endpoint_change_init(&c);
    c.dry_run = true;
    int status =
        make(e, wanted, &c, &d) < 0 ? cli_fail(cli, &d) : show_drift(cli, endpoint_name(e), &c);
    if (status == CLI_OK && c.drifted)
        status = STATUS_DRIFTED;
    endpoint_change_release(&c);
    return status;
}

static int run_reconcile(struct cli *cli)
{
    struct l4_policies file;
    const char *path = cli_text(cli, "file");
    l4_policies_init(&file);
    int status = path != NULL ? policy_file_read(cli, path, &file) : CLI_OK;
    if (status == CLI_OK)
        status = policy_options_check(cli, &file, file.count);
    if (status == CLI_OK) {
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
     .help = "Change nothing; say what has drifted, and exit with 3 if anything has"},
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
                             "the system remembers: the policies themselves, or that it is "
                             "blocked, which stays so. It fails where\n"
                             "nothing is remembered.\n"
                             "\n"
                             "Examples:\n"
                             "  stile policy reconcile /run/netns/blue\n"
                             "  stile policy reconcile blue --file policies.json --check",
    .options = options,
    .shows_json = true,
    .run = run_reconcile,
};
