/* What a service on the system bus tells of its own accord, brought to a loop: that it was started anew, and that properties of
 * one of its objects have changed. Several within 50 ms are told once. No polling: when the bus itself ends, it is looked for
 * again after 1 s, 2 s, … 60 s. */
#ifndef STILE_NETCFG_BUS_WATCH_H
#define STILE_NETCFG_BUS_WATCH_H

#include "base/err.h"
#include "loop/loop.h"

#define BUS_WATCH_STARTED 1u /* the service has (again) an owner: state that it kept may be gone */
#define BUS_WATCH_PROPERTIES                                                                       \
    2u /* properties of the object have changed; sent by the service, no one else */

typedef void bus_watch_fn(void *arg, unsigned events);

struct bus_watch;

/* service and path are borrowed. A service that isn't running now is waited for. Blocks as bus_open and a few calls do. */
int bus_watch_new(struct loop *loop, const char *service, const char *path, bus_watch_fn *changed,
                  void *arg, struct bus_watch **ret, struct diag *d);
void bus_watch_free(struct bus_watch *w); /* NULL does nothing; no callback afterwards */

#endif
