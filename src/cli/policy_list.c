/* stile policy list: the policies of an endpoint. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/policy_endpoint.h"
#include "cli/policy_view.h"
#include "policy/l4_json.h"

static int show_policy(const struct l4_policy *p, size_t number)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, POLICY_VIEW_MAX);
    int r = policy_view_policy(p, number, &text);
    if (r < 0)
        return r;
    CLEANUP(mem_freep) char *shown = buf_steal_cstr(&text);
    if (shown == NULL)
        return ERR_NOMEM;
    output_tame(shown, true);
    fputs(shown, stdout);
    return 0;
}

static int show(const struct cli *cli, const char *endpoint, const struct l4_policies *l)
{
    if (cli->json)
        return output_json(cli, l4_json_policies(l));
    if (l->count == 0)
        printf("%s has no policies.\n", endpoint);
    for (size_t i = 0; i < l->count; i++) {
        int r = show_policy(&l->items[i], i + 1);
        if (r < 0)
            return cli_fail_text(cli, "%s", err_text(r));
    }
    return CLI_OK;
}

#define IS_BLOCKED                                                                                 \
    "%s is blocked: nothing enters or leaves until policies are applied, or it is cleared"

/* Said beside the policies, of which there may be none. */
static int tell_block(const struct cli *cli, struct endpoint *e)
{
    struct diag d = {0};
    bool blocked = false;
    if (endpoint_is_blocked(e, &blocked, &d) < 0)
        return cli_fail(cli, &d);
    if (blocked)
        cli_note(cli, IS_BLOCKED, endpoint_name(e));
    return CLI_OK;
}

static int show_block(const struct cli *cli, struct endpoint *e)
{
    struct diag d = {0};
    bool blocked = false;
    if (endpoint_is_blocked(e, &blocked, &d) < 0)
        return cli_fail(cli, &d);
    if (cli->json)
        return output_json(
            cli, json_pack("{s:s, s:b}", "endpoint", endpoint_name(e), "blocked", (int)blocked));
    if (blocked)
        printf(IS_BLOCKED ".\n", endpoint_name(e));
    else
        printf("%s isn't blocked.\n", endpoint_name(e));
    return CLI_OK;
}

static int show_policies(const struct cli *cli, struct endpoint *e)
{
    struct diag d = {0};
    struct l4_policies l;
    l4_policies_init(&l);
    int status = endpoint_list(e, &l, &d) < 0 ? cli_fail(cli, &d) : show(cli, endpoint_name(e), &l);
    if (status == CLI_OK)
        status = tell_block(cli, e);
    l4_policies_release(&l);
    return status;
}

static int run_list(struct cli *cli)
{
    int status = CLI_OK;
    CLEANUP(endpoint_closep) struct endpoint *e = policy_endpoint_open(cli, &status);
    if (e == NULL)
        return status;
    return cli_flag(cli, "blocked") ? show_block(cli, e) : show_policies(cli, e);
}

static const struct option options[] = {
    {.name = "blocked",
     .kind = OPTION_FLAG,
     .help = "Say only whether it is blocked (stile-policy(1)), with --json as an object"},
    POLICY_HOST_OPTION,
    {.name = NULL},
};

const struct command command_policy_list = {
    .name = "policy list",
    .group = "Container policies",
    .summary = "Show the policies of an endpoint",
    .arguments = "ENDPOINT",
    .min_args = 1,
    .max_args = 1,
    .description = POLICY_ENDPOINT_HELP "\n"
                                        "They are read from the system, in the order in which they "
                                        "are asked. What --json prints is HNS's form, "
                                        "which --file of\n"
                                        "the other commands reads.\n"
                                        "\n"
                                        "Examples:\n"
                                        "  stile policy list /run/netns/blue\n"
                                        "  stile policy list blue --json >policies.json",
    .options = options,
    .shows_json = true,
    .run = run_list,
};
