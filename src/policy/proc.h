/* What /proc says of a process, without being led astray (see namespace.h). Linux.
 */
#ifndef STILE_POLICY_PROC_H
#define STILE_POLICY_PROC_H

#include "base/err.h"

/* The directory /proc, if it is what it should be; the caller's to close. ERR_UNSUPPORTED. */
int proc_open(int *ret_root, struct diag *d);
/* A process's directory, which dies with it; the caller's to close. ret_start: when it was started,
 * in clock ticks since boot. ERR_EXPIRED: there is none. */
int proc_open_process(int root, int pid, int *ret_dir, uint64_t *ret_start, struct diag *d);
/* Again, through the open directory. False: it has ended. */
bool proc_start_time(int dir, uint64_t *ret_start);
/* Opens `name` below a directory of /proc; what is mounted over it isn't taken for it. -1 and
 * errno. */
int proc_open_at(int dir, const char *name, int flags);

#endif
