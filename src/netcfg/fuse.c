#include "netcfg/fuse.h"

enum fuse_action fuse_step(struct fuse *f)
{
    if (f->dead)
        return FUSE_KILL_BEFORE;
    f->steps++;
    if (f->at == 0 || f->steps != f->at)
        return FUSE_GO;
    f->dead = f->action != FUSE_FAIL && f->action != FUSE_FAIL_AFTER;
    return f->action;
}

void fuse_set(struct fuse *f, uint64_t at, enum fuse_action action)
{
    *f = (struct fuse){.at = at, .action = action, .part = f->part};
}
