/* Files of policies: HNS's JSON. Portable. */
#ifndef STILE_CLI_POLICY_FILE_H
#define STILE_CLI_POLICY_FILE_H

#include "cli/cli.h"
#include "policy/l4_policy.h"

/* path "-" is standard input. What l4_json_read takes, up to L4_JSON_MAX bytes. ret is overwritten, on success alone. Blocks. Returns an exit status, and has told
 * everything that is wrong. */
int policy_file_read(const struct cli *cli, const char *path, struct l4_policies *ret);

/* As l4_json_read_all. ERR_NOTFOUND, ERR_PERM, ERR_TOOBIG, ERR_FORMAT with a text that begins with the path. */
int policy_file_read_all(const char *path, struct l4_policies *ret, l4_problem_fn *on_problem,
                         void *arg, struct diag *d);
/* The path for a message. */
const char *policy_file_shown(const char *path);

#endif
