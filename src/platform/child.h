/* A child process that is this executable again under another uid, with nothing of its parent's powers.
 *
 * It has: the uid and the gid of the same number, no other groups, no capabilities (nor any way to them: no_new_privs, an empty
 * bounding set), standard input and output of /dev/null, standard error and further descriptors as given and no others, the
 * environment as given, "/" as its directory, default signals, no core dumps, and SIGKILL when the parent's thread ends. Needs
 * root.
 */
#ifndef STILE_PLATFORM_CHILD_H
#define STILE_PLATFORM_CHILD_H

#include "base/err.h"

#define CHILD_FDS_MAX  8
#define CHILD_FIRST_FD 3

struct child_config {
    const char *role;        /* for messages: "engine" */
    uint32_t uid;            /* not 0 */
    const char *const *argv; /* ends with NULL */
    const char *const *env;  /* the same */
    int stderr_fd;           /* stays the caller's, as do the others: the child has duplicates */
    const int *fds;          /* from CHILD_FIRST_FD on */
    size_t fd_count;
};

/* Waits until the program is executed, which is short: ERR_* with what failed on the way. */
int child_start(const struct child_config *config, int *ret_pid, struct diag *d);

/* Whether it has ended, without waiting; its number is free then. status: the exit status, or 128 + the signal. */
bool child_ended(int pid, int *ret_status);

void child_kill(int pid, int signal);

/* Whether any process runs under this uid (real, effective or saved). Looks at all of /proc. */
bool child_uid_is_used(uint32_t uid);

#endif
