/* A link's DNS settings in systemd-resolved (org.freedesktop.resolve1(5)): read, compared, written as far as they differ, and as
 * bytes for the journal. Blocks as bus.h says. */
#ifndef STILE_NETCFG_RESOLVED_LINK_H
#define STILE_NETCFG_RESOLVED_LINK_H

#include "netcfg/bus.h"
#include "netcfg/object.h"

#define RESOLVED_SERVICE "org.freedesktop.resolve1"
#define RESOLVED_PATH    "/org/freedesktop/resolve1"

extern const struct bus_object resolved_manager;

enum { RESOLVED_MODES = 4, RESOLVED_MODE_SIZE = 24 };

struct resolved_link {
    struct buf servers;                             /* of each: version, 4 or 16 bytes */
    struct buf domains;                             /* of each: routing only, length (u16), text */
    int8_t default_route;                           /* -1: this resolved doesn't know the setting */
    char modes[RESOLVED_MODES][RESOLVED_MODE_SIZE]; /* of DNSSEC, …; empty: it doesn't know it */
};

void resolved_link_init(struct resolved_link *l);
void resolved_link_release(struct resolved_link *l);

/* What an object of kind OBJECT_DNS wants. ERR_NOMEM. */
int resolved_link_want(const struct object *o, struct resolved_link *ret);

/* What resolved has for the link now. A link that the kernel has and resolved hasn't heard of yet is waited for, 2 s at most.
 * ERR_NOTFOUND: no such link, or resolved isn't running; ERR_TOOBIG: more than could be put back. */
int resolved_link_read(struct bus *b, uint32_t index, struct resolved_link *ret, struct diag *d);

/* Calls for what differs only; none if nothing does. The servers come last: nobody is asked before it is settled for what. A
 * setting that this resolved doesn't know is left out. Caches are flushed if the domains differ. */
int resolved_link_write(struct bus *b, uint32_t index, const struct resolved_link *now,
                        const struct resolved_link *want, struct diag *d);

/* Takes everything back that was set over the bus, brings back what was there before that, if something was, and flushes the
 * caches. */
int resolved_link_restore(struct bus *b, uint32_t index, const struct resolved_link *before,
                          struct diag *d);

bool resolved_link_eq(const struct resolved_link *a, const struct resolved_link *b);
bool resolved_link_same_servers(const struct resolved_link *a, const struct resolved_link *b);

int resolved_link_encode(const struct resolved_link *l,
                         struct buf *out);                               /* ERR_TOOBIG, ERR_NOMEM */
int resolved_link_decode(struct slice bytes, struct resolved_link *ret); /* ERR_FORMAT, … */

#endif
