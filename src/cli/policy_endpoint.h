/* The endpoint that a `stile policy` command names. Portable. */
#ifndef STILE_CLI_POLICY_ENDPOINT_H
#define STILE_CLI_POLICY_ENDPOINT_H

#include "cli/cli.h"
#include "policy/endpoint.h"

#define POLICY_HOST_OPTION                                                                         \
    {                                                                                              \
        .name = "host", .kind = OPTION_FLAG,                                                       \
        .help = "The host's own network may be meant: without this it is refused"                  \
    }

/* How descriptions of those commands begin. */
#define POLICY_ENDPOINT_HELP                                                                       \
    "ENDPOINT is what `stile policy lookup` prints. Linux: a network namespace, by its path, its " \
    "name in /run/netns,\nor pid:PID of a process in it. Windows: the GUID of an HNS endpoint.\n"

/* Whether a text can be a name of a container or an endpoint at all: not empty, not over size, no leading '-', no control character. `what`
 * begins the text of an error ("The endpoint"). ERR_INVAL. */
int policy_endpoint_check(const char *what, const char *name, size_t size, struct diag *d);

/* The one of the first argument. On failure it has been told, *ret_status is the exit status, and NULL is returned. */
struct endpoint *policy_endpoint_open(const struct cli *cli, int *ret_status);

#endif
