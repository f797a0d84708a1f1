/* What the commands that change an endpoint's policies share: opening, the change or its dry run, telling what became of it. Portable.
 */
#ifndef STILE_CLI_POLICY_CHANGE_H
#define STILE_CLI_POLICY_CHANGE_H

#include <stdio.h>

#include "cli/policy_endpoint.h"

#define POLICY_DRY_RUN_OPTION                                                                      \
    {                                                                                              \
        .name = "dry-run", .letter = 'n', .kind = OPTION_FLAG,                                     \
        .help = "Change nothing; print exactly what would be sent"                                 \
    }

struct policy_change {
    /* One of endpoint.h's. */
    int (*make)(struct endpoint *e, const struct l4_policies *policies, struct endpoint_change *c,
                struct diag *d);
    bool adds; /* to the policies that are there, which stay */
    /* Prints what was done, or (dry run) would be, to `out`, a sentence or two. given: how many policies were given. */
    void (*tell)(FILE *out, const struct endpoint_change *c, size_t given);
};

/* e: borrowed. policies: what `make` takes, may be NULL. Returns an exit status. */
int policy_change_run(const struct cli *cli, const struct policy_change *change, struct endpoint *e,
                      const struct l4_policies *policies);

/* The policies of --file and the options, each once; then the endpoint; notes of what is doubtful in all that it will have; then the change. */
int policy_change_given(const struct cli *cli, const struct policy_change *change);

/* Shows a change that was made, or not because it was dry. Returns an exit status. */
int policy_change_show(const struct cli *cli, const struct policy_change *change,
                       const char *endpoint, size_t given, struct endpoint_change *c);

/* "1 policy", "2 policies" */
#define POLICY_COUNT_SIZE 32
void policy_change_count(size_t n, char text[POLICY_COUNT_SIZE]);

#endif
