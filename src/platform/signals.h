/* Signals that a program's parent passes on, read from a descriptor instead of a handler.
 *
 * What the terminal sends goes to every process of the foreground group by itself; what someone sends to the parent alone
 * must be passed on. The kernel tells which is which.
 */
#ifndef STILE_PLATFORM_SIGNALS_H
#define STILE_PLATFORM_SIGNALS_H

#include "base/err.h"

/* Blocks the signals a program may be sent (all but those that stop, kill, continue, or tell of faults) and gives a
 * non-blocking descriptor to read them from. Call it before the first thread is made. children: SIGCHLD too (not beside
 * libuv, which waits for it itself). */
int signals_open(bool children, int *ret_fd, struct diag *d);

/* The next one, without waiting: ERR_AGAIN. from_terminal: its whole group has got it. */
int signals_read(int fd, int *ret_signal, bool *ret_from_terminal);

/* Writing to a pipe or socket that nobody reads fails with an error from now on, instead of ending the process. For threads
 * made later, too; not for programs that signals_restore was called for. */
void signals_block_broken_pipes(void);

/* Unblocks everything: for a child before it executes a program. */
void signals_restore(void);

#endif
