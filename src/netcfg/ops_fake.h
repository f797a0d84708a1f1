/* A host that exists in memory, as an operating system for netcfg: the tests' one.
 *
 * Links' settings and DNS are settings: always something is there, and ours is what equals ours. Addresses and routes are
 * things: there or not, with an owner tag that tells ours from the host's.
 */
#ifndef STILE_NETCFG_OPS_FAKE_H
#define STILE_NETCFG_OPS_FAKE_H

#include "base/table.h"
#include "netcfg/fuse.h"
#include "netcfg/ops.h"

struct fake_os {
    struct ops ops;
    struct object_ops kinds[OBJECT_KIND_COUNT]; /* flags may be changed before netcfg_open */
    struct fuse *fuse;                          /* borrowed; NULL: none */
    struct table things;                        /* by key; owned */
    size_t operations;                          /* applied or undone, or tried to */
    size_t looks;                               /* captured or verified */
    uint64_t refused[OBJECT_KIND_COUNT];        /* so many of the next applies of this kind fail */
};

/* DNS is persistent, nothing is exclusive. */
void fake_os_init(struct fake_os *f, struct fuse *fuse);
void fake_os_release(struct fake_os *f);

/* The host's own doing: sets, or takes away, whatever is there. ERR_NOMEM. */
int fake_os_set(struct fake_os *f, const struct object *o);
void fake_os_remove(struct fake_os *f, const struct object *o); /* by key */
/* All of this link's, as when a TUN goes; what is persistent stays. */
void fake_os_remove_link(struct fake_os *f, const char *link);
/* All that isn't persistent. */
void fake_os_reboot(struct fake_os *f);

/* Everything as text, one thing a line, in order: equal for equal hosts. ERR_NOMEM. */
int fake_os_snapshot(const struct fake_os *f, struct buf *ret_text);

#endif
