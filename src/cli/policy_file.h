/* Files of policies: HNS's JSON. Portable. */
#ifndef STILE_CLI_POLICY_FILE_H
#define STILE_CLI_POLICY_FILE_H

#include "base/buf.h"
#include "policy/l4_policy.h"

/* path "-" is standard input. What l4_json_read takes, up to L4_JSON_MAX bytes. ret is overwritten, on success alone. Blocks. ERR_NOTFOUND, ERR_PERM, ERR_TOOBIG, ERR_FORMAT with a text that begins with the path. */
int policy_file_read(const char *path, struct l4_policies *ret, struct diag *d);

#endif
