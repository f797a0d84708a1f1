/* Where no service manager does it: a tiny parent that starts the broker again when it dies, and does nothing else.
 *
 * The first broker puts back what its predecessor left, so starting it is all that is needed. A broker that ends by itself (told
 * to, or it can't start and has said why) isn't started again. After a death it waits 1 s, then 2, 4… up to 30 s; a broker that
 * lived for a minute begins anew at 1 s. SIGTERM, SIGINT and SIGHUP are passed on; when this parent is killed, the broker gets SIGTERM.
 * A broker that dies after it was told to end is started once more, to put the host back and no more.
 */
#ifndef STILE_BROKER_SUPERVISOR_H
#define STILE_BROKER_SUPERVISOR_H

#include "base/err.h"

/* Returns in the child, once for each start: SUPERVISOR_CHILD. Returns in the parent when it is over: the child's exit status. Call
 * it before there are threads. */
#define SUPERVISOR_CHILD (-1)
int supervisor_run(bool *ret_only_recover);

#endif
