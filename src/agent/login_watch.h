/* Tells the person of log-ins that come, go and expire: once each.
 *
 * An expired log-in is told when it expires, not when it is next needed, and not again before it was renewed. The clock is looked
 * at when the next one should expire, and at least every LOGIN_WATCH_S, since suspended time doesn't count for timers.
 */
#ifndef STILE_AGENT_LOGIN_WATCH_H
#define STILE_AGENT_LOGIN_WATCH_H

#include "agent/clusters.h"

#define LOGIN_WATCH_S 600

struct login_watch;

/* tell: a sentence for the person; never from within login_watch_new. The log-ins that are there now aren't told, but for expired
 * ones. clusters: borrowed. */
int login_watch_new(struct loop *loop, struct clusters *clusters,
                    void (*tell)(void *arg, const char *text), void *arg, struct login_watch **ret);
void login_watch_free(struct login_watch *w); /* NULL is fine */

/* Log-ins or the time may be others. */
void login_watch_look(struct login_watch *w);

#endif
