/* What one session wants the host to be: its objects. Built by the broker, kept by netcfg. Plain data, no system call. */
#ifndef STILE_NETCFG_PLAN_H
#define STILE_NETCFG_PLAN_H

#include "netcfg/object.h"

#define PLAN_OBJECTS_MAX 64

struct plan {
    struct object *objects; /* owned, with what they own */
    size_t count;
};

void plan_init(struct plan *p); /* empty; allocates nothing */
void plan_release(struct plan *p);
MUST_CHECK int plan_copy(const struct plan *p, struct plan *ret_p); /* ERR_NOMEM */

/* Each adds one object. ERR_LIMIT over PLAN_OBJECTS_MAX, ERR_EXISTS if the plan has one of this key, ERR_INVAL
 * (object_check; a name too long), ERR_NOMEM; the plan is unchanged then. */
MUST_CHECK int plan_add(struct plan *p, const struct object *o); /* a copy of o */
MUST_CHECK int plan_add_link(struct plan *p, const char *link, uint32_t index,
                             const struct object_link *settings);
MUST_CHECK int plan_add_address(struct plan *p, const char *link, uint32_t index,
                                const struct ip_addr *addr, uint8_t bits);
MUST_CHECK int plan_add_route(struct plan *p, const char *link, uint32_t index,
                              const struct object_route *route);
/* zones of dns are copied. */
MUST_CHECK int plan_add_dns(struct plan *p, const char *link, uint32_t index,
                            const struct object_dns *dns);

#endif
