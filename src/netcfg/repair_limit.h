/* How often an object may be repaired: someone who removes it again and again is not fought with. */
#ifndef STILE_NETCFG_REPAIR_LIMIT_H
#define STILE_NETCFG_REPAIR_LIMIT_H

#include "base/list.h"
#include "netcfg/object.h"

#define REPAIR_TIMES    3 /* so often within */
#define REPAIR_WINDOW_S 60

struct repair_limit {
    struct list objects; /* that were repaired lately, or given up; owned */
};

enum repair_verdict {
    REPAIR_YES,
    REPAIR_GIVEN_UP_NOW, /* once per object */
    REPAIR_NO,
};

void repair_limit_init(struct repair_limit *l);
void repair_limit_clear(struct repair_limit *l); /* forgets all; frees */

/* May it be repaired now? A YES counts as a repair. When memory runs out: NO. */
enum repair_verdict repair_limit_ask(struct repair_limit *l, const struct object *o,
                                     uint64_t now_ns);

#endif
