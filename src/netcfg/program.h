/* Runs a program of this host's and waits for it: fixed arguments, no shell, an environment of our own, our text on its
 * standard input, what it prints kept.
 *
 * It is killed, with its process group, when it hasn't ended in time; blocks as long. When we are killed meanwhile it goes on,
 * as half of its work would be worse (but no longer than its time); the next run waits for it, by a lock that it has inherited.
 * Nobody else may wait for just any child of this process, and SIGCHLD may not be ignored: ERR_IO then, as nobody knows how it ended.
 * What other threads fork meanwhile does no harm.
 */
#ifndef STILE_NETCFG_PROGRAM_H
#define STILE_NETCFG_PROGRAM_H

#include "base/buf.h"
#include "base/err.h"

#define PROGRAM_OUTPUT_MAX ((size_t)256 * 1024) /* more is read and dropped */

struct program {
    const char *path;        /* absolute */
    const char *const *args; /* argv, from argv[0] to NULL */
    struct slice input;      /* at most 64 KiB: a pipe's worth */
    uint64_t timeout_ms;
    const char *lock; /* a file to be locked while it runs, made if need be; NULL: none */
};

#define PROGRAM_LOCK "/run/stile/program.lock" /* its directory is made too, with mode 0755 */

/* ret_exit: its exit code, 128 + signal if it was killed by one. out: what it wrote to both standard output and error, or NULL.
 * ERR_TIMEOUT: it was killed. ERR_NOTFOUND, ERR_PERM: it can't be run. */
int program_run(const struct program *p, struct buf *out, int *ret_exit, struct diag *d);

#endif
