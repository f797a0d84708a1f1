/* What is wrong with policies, or doubtful: told to a person line by line, or kept for --json. Of very many the first POLICY_PROBLEMS_SHOWN. Portable.
 */
#ifndef STILE_CLI_POLICY_PROBLEMS_H
#define STILE_CLI_POLICY_PROBLEMS_H

#include <jansson.h>

#include "cli/cli.h"
#include "policy/l4_policy.h"

#define POLICY_PROBLEMS_SHOWN 50

struct policy_problems {
    const struct cli *cli;
    const char *file; /* in which they are, or the endpoint; NULL: no one */
    const char
        *system; /* that can't do it; NULL: they are wrong anywhere, or it goes without saying */
    bool warnings;
    json_t *list; /* borrowed, an array: they go there as objects. NULL: to standard error */
    size_t count;
};

/* An l4_problem_fn; arg: struct policy_problems. */
void policy_problems_tell(void *arg, size_t policy, const char *text);
/* How many weren't told; without a list it says so. */
size_t policy_problems_more(const struct policy_problems *p);

#endif
