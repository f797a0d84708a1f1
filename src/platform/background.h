/* A command that goes on in the background once it has begun well: until then its messages are on the terminal and its end is the
 * command's.
 *
 * background_fork must come before the first thread and the first loop. The parent stays and waits.
 */
#ifndef STILE_PLATFORM_BACKGROUND_H
#define STILE_PLATFORM_BACKGROUND_H

#include "base/err.h"

/* In the child: returns 0, and *ret_report is for background_go_on. In the parent: doesn't return; it exits with 0 when the child
 * has gone on, with the child's status when the child ended before, which SIGINT and SIGTERM make it do. ERR_*: there is no child. */
int background_fork(int *ret_report, struct diag *d);

/* The child leaves its terminal: a session of its own, /dev/null for input, log_fd (not taken) for output and errors. */
void background_go_on(int report, int log_fd);

#endif
