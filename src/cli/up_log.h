/* The log of `stile up --background`: HOME/up.log (0600), where standard output and error go. Over UP_LOG_MAX its older half goes. */
#ifndef STILE_CLI_UP_LOG_H
#define STILE_CLI_UP_LOG_H

#include "agent/home.h"
#include "loop/loop.h"

#define UP_LOG_FILE "up.log"
#define UP_LOG_MAX  ((size_t)1024 * 1024)

struct up_log;

/* home: borrowed. ret_fd is the caller's, to become descriptors 1 and 2, which are replaced when the file is. */
int up_log_new(struct loop *loop, const struct home *home, struct up_log **ret, int *ret_fd,
               struct diag *d);
void up_log_free(struct up_log *log); /* NULL is fine */

#endif
