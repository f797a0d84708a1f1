/* stile policy lookup: the endpoints of a container. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/policy_endpoint.h"
#include "policy/lookup.h"

/* Longest id or name of a container that is asked for. */
#define CONTAINER_SIZE 256

static int show(const struct cli *cli, struct lookup_result *found)
{
    json_t *names = json_array();
    for (size_t i = 0; i < found->count; i++) {
        if (cli->json) {
            (void)json_array_append_new(names, json_string(found->names[i]));
            continue;
        }
        output_tame(found->names[i], false);
        puts(found->names[i]);
    }
    if (cli->json)
        return output_json(
            cli, json_pack("{s:s, s:o}", "container", cli_arg(cli, 0), "endpoints", names));
    json_decref(names);
    return CLI_OK;
}

static int run_lookup(struct cli *cli)
{
    struct diag d = {0};
    const char *container = cli_arg(cli, 0);
    if (policy_endpoint_check("The container", container, CONTAINER_SIZE, &d) < 0)
        return cli_usage(cli, "%s", d.text);
    CLEANUP(mem_freep) struct lookup_result *found = NEW(struct lookup_result);
    if (found == NULL)
        return cli_fail_text(cli, "Out of memory");
    if (lookup_container(cli_text(cli, "runtimeendpoint"), container, found, &d) < 0)
        return cli_fail(cli, &d);
    return show(cli, found);
}

static const struct option options[] = {
    {.name = "runtimeendpoint",
     .kind = OPTION_TEXT,
     .value_name = "SOCKET",
     .help =
         "Of the container's runtime, or \"podman\" (the first that is there of the usual ones)"},
    {.name = NULL},
};

const struct command command_policy_lookup = {
    .name = "policy lookup",
    .group = "Container policies",
    .summary = "Show the endpoints of a container, one per line",
    .arguments = "CONTAINER",
    .min_args = 1,
    .max_args = 1,
    .description = "CONTAINER is the id of a container or a sandbox, or a beginning of it that no "
                   "other has. Its runtime is asked "
                   "over CRI:\n"
                   "unix:///run/containerd/containerd.sock, "
                   "npipe:////./pipe/containerd-containerd; or podman.\n"
                   "What is printed is what the other policy commands take as ENDPOINT.\n"
                   "\n"
                   "Examples:\n"
                   "  stile policy lookup ccaae3aba155\n"
                   "  stile policy lookup web --runtimeendpoint podman",
    .options = options,
    .shows_json = true,
    .run = run_lookup,
};
