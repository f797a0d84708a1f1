/* The program resolvconf(8), which keeps a record of resolvers per interface and makes /etc/resolv.conf of them all: Debian's
 * and Roy Marples' openresolv, which have the same commands and little else in common. (A third program of that name is
 * systemd-resolved's, which the back-end resolved stands for.)
 *
 * It is run with fixed arguments, without a shell, and killed after 5 s; what a dead process of ours left running is waited for
 * first, so that two never undo each other. Its exit code says little (it is the sum of other scripts'): callers look at the
 * effect.
 */
#ifndef STILE_NETCFG_RESOLVCONF_H
#define STILE_NETCFG_RESOLVCONF_H

#include "base/buf.h"
#include "base/err.h"
#include "net/resolv_conf.h"

#define RESOLVCONF_DIRECTORY "/run/resolvconf"
#define RESOLVCONF_NAME_SIZE 32 /* "lo.stile0" */
#define RESOLVCONF_LIST_MAX  ((size_t)256 * 1024)

enum resolvconf_flavour { RESOLVCONF_DEBIAN = 1, RESOLVCONF_OPEN };

struct resolvconf {
    enum resolvconf_flavour flavour; /* 0: not looked for yet, or not found */
    const char *path;                /* static */
};

/* ERR_NOTFOUND: there is no such program, or one that we don't know. */
int resolvconf_find(struct resolvconf *r, struct diag *d);

/* /etc/resolv.conf is what the program writes: else nobody would see what we add. */
bool resolvconf_is_in_use(const struct resolvconf *r);

/* ERR_TIMEOUT, ERR_NOTFOUND, ERR_PERM: see program.h. */
int resolvconf_add(const struct resolvconf *r, const char *name, struct slice text, struct diag *d);
int resolvconf_delete(const struct resolvconf *r, const char *name, struct diag *d);
int resolvconf_update(const struct resolvconf *r, struct diag *d);
int resolvconf_list(const struct resolvconf *r, struct buf *out, struct diag *d);

struct resolvconf_record {
    char name[RESOLVCONF_NAME_SIZE]; /* cut if it is longer: then it isn't ours */
    struct slice text;
};

/* Takes the next record off a list, in the order of their weight. False at its end. Pure. */
bool resolvconf_next(struct slice *list, struct resolvconf_record *ret);

/* A record of this name is among its files, whatever its commands said. */
bool resolvconf_has(const struct resolvconf *r, const char *name);

/* openresolv has a record of this name among the exclusive ones. */
bool resolvconf_is_exclusive(const char *name);

/* The resolvers of all records but `ours`: of one alone that is exclusive, none of those that are private to their names. */
void resolvconf_upstreams(const struct resolvconf *r, struct slice list, const char *ours,
                          struct resolvers *ret);

#endif
