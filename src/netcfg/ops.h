/* What an operating system does for each kind of object: the table that ops_linux, ops_windows and ops_fake fill.
 *
 * One thread calls. Every function may block for as long as the kernel or a daemon on this machine takes, which must be
 * bounded. All return 0 or ERR_* with a diag for a person.
 *
 * The order is always: capture → (the journal keeps the undo bytes) → apply → … → undo. The process may die between any two
 * instructions; undo then runs in another process, from the journal alone. So:
 * - undo is idempotent, and right whether apply ran wholly, in part or not at all;
 * - undo touches what is still ours only: what it finds there is neither ours nor as it was before is someone else's, and stays;
 * - undo bytes hold everything that undo needs, also when a daemon that was there at capture is gone.
 */
#ifndef STILE_NETCFG_OPS_H
#define STILE_NETCFG_OPS_H

#include "netcfg/object.h"

/* A repair is capture → journal → apply again, not apply alone: what is there now is what has to come back one day. (A DHCP client
 * that rewrote resolv.conf: the file of an hour ago names the resolvers of another network.) capture of an object that is in
 * place as we want it gives what an earlier capture or verify of this process had. */
enum object_presence {
    OBJECT_PRESENT, /* as we want it */
    OBJECT_MISSING, /* gone, or back to what it was before, or what may be taken over: may be applied again */
    OBJECT_FOREIGN, /* someone else has set it to something of theirs */
};

enum object_undone {
    OBJECT_UNDONE, /* taken back by this call */
    OBJECT_GONE,   /* there was nothing to take back */
    OBJECT_LEFT,   /* someone else's now: left alone */
};

/* The most undo bytes of one object. */
#define OBJECT_UNDO_MAX ((size_t)64 * 1024)

struct object_ops {
    bool
        persistent; /* survives a reboot (a file): undone after one too; else a new boot id means it is gone */
    bool
        exclusive; /* one for the host: of several sessions' objects of this kind only the oldest session's is applied */

    /* Appends what is there now, so that undo can bring it back. An object that can't be applied beside what is there (a route
     * of someone else's to the same prefix) is refused here: ERR_EXISTS, and nothing has happened. */
    int (*capture)(void *os, const struct object *o, struct buf *undo, struct diag *d);

    /* Makes it so. `old` is NULL for a new object; else it is what we applied before, of the same key, which this replaces.
     * A failure may leave part of it done: undo, or apply of the old one, follows. Applying what is there already succeeds. */
    int (*apply)(void *os, const struct object *o, const struct object *old, struct diag *d);

    /* Looks only. */
    int (*verify)(void *os, const struct object *o, struct slice undo,
                  enum object_presence *ret_presence, struct diag *d);

    /* Brings back what undo says. Object or link gone: OBJECT_GONE. */
    int (*undo)(void *os, const struct object *o, struct slice undo, enum object_undone *ret_undone,
                struct diag *d);
};

struct ops {
    void *os; /* passed on */
    /* Indexed by kind; NULL: this system has no such kind (ERR_UNSUPPORTED for a plan with one). */
    const struct object_ops *kinds[OBJECT_KIND_COUNT];
};

#endif
