/* Asks for a password: from a file, from standard input, or at the terminal without showing it. */
#ifndef STILE_CLI_PASSWORD_PROMPT_H
#define STILE_CLI_PASSWORD_PROMPT_H

#include "base/buf.h"
#include "base/err.h"

/* Longest password that is read; more is ERR_TOOBIG. */
#define PASSWORD_PROMPT_MAX 512

/* file: a path, whose first line it is (ERR_PERM if other users may read it); "-": standard input's first line; NULL: the
 * terminal is asked with `prompt`, twice if `confirm`. ERR_UNSUPPORTED: there is no terminal; ERR_CANCELED: interrupted or
 * nothing typed; ERR_INVAL: the two differ. The text is appended to ret, which the caller releases with
 * buf_release_wiped. Blocks. */
MUST_CHECK int password_prompt(const char *file, const char *prompt, bool confirm, struct buf *ret,
                               struct diag *d);

#endif
