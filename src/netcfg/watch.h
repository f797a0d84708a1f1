/* What happens to the host's network and clock, without polling: rtnetlink's groups for links, addresses and routes of both
 * families, and a timer that the kernel ends when the clock is set (which includes the end of a suspend).
 *
 * Events are told as reasons in one mask, once per wake-up; the listener looks for itself what there is now. That also makes
 * lost events harmless: when the kernel had no room for them (ENOBUFS), that is a reason too.
 *
 * Our own changes are no events: what came through the given rtnl is recognised by its netlink port, and what the kernel does
 * on our links because of it (local routes) is left out. What others do to our links or to routes with our tag is WATCH_OURS.
 *
 * One loop, one thread. Works unprivileged.
 */
#ifndef STILE_NETCFG_WATCH_H
#define STILE_NETCFG_WATCH_H

#include "base/err.h"
#include "loop/loop.h"

struct rtnl;
struct watch;

#define WATCH_LINK    1u  /* a link of the host came, went, or went up or down */
#define WATCH_ADDRESS 2u  /* an address of the host came or went */
#define WATCH_ROUTE   4u  /* a route of the host came or went */
#define WATCH_OURS    8u  /* someone touched a link, address or route of stile's */
#define WATCH_OVERRUN 16u /* events were lost: anything may have changed */
#define WATCH_CLOCK   32u /* the clock was set, or the host slept */

#define WATCH_NETWORK (WATCH_LINK | WATCH_ADDRESS | WATCH_ROUTE | WATCH_OVERRUN)

/* own: whose changes are ours; NULL: nobody's. It is used while this call runs only. */
int watch_new(struct loop *loop, const struct rtnl *own,
              void (*on_event)(void *arg, uint32_t reasons), void *arg, struct watch **ret,
              struct diag *d);
/* No event comes after this; the memory goes with the loop's next turns. NULL does nothing. */
void watch_free(struct watch *w);

#endif
