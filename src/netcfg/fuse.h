/* For tests of netcfg: at a chosen step of everything that netcfg does to the outside (operations, looks at the host, writes of
 * the journal), either that step fails, or the whole world stops there, as for a process that is killed.
 *
 * ops_fake and store_memory ask the same fuse before each step. Once it has blown with a kill, nothing has an effect any more. */
#ifndef STILE_NETCFG_FUSE_H
#define STILE_NETCFG_FUSE_H

#include "base/compiler.h"

enum fuse_action {
    FUSE_GO,
    FUSE_KILL_BEFORE, /* the step doesn't happen, nor anything after it */
    FUSE_KILL_AFTER,  /* it is the last that happens */
    FUSE_KILL_WITHIN, /* of a write: its first `part` bytes are the last that happens; of an operation: as KILL_AFTER */
    FUSE_FAIL,       /* it fails, and hasn't happened */
    FUSE_FAIL_AFTER, /* it fails, and has happened all the same */
};

struct fuse {
    uint64_t steps; /* that were asked for */
    uint64_t at;    /* the step that acts, from 1; 0: none */
    enum fuse_action action;
    size_t part;
    size_t write_len; /* of the write that the fuse blew in */
    bool dead;        /* the process was killed */
};

/* What becomes of the next step. */
enum fuse_action fuse_step(struct fuse *f);
void fuse_set(struct fuse *f, uint64_t at, enum fuse_action action); /* counts anew; revives */

/* Does the step happen, and does its caller see it succeed? */
static inline bool fuse_happens(enum fuse_action a)
{
    return a == FUSE_GO || a == FUSE_KILL_AFTER || a == FUSE_KILL_WITHIN || a == FUSE_FAIL_AFTER;
}

#endif
