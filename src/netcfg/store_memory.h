/* A journal in memory, for tests: it can be torn, full, read-only, and it outlives the netcfg that writes it. */
#ifndef STILE_NETCFG_STORE_MEMORY_H
#define STILE_NETCFG_STORE_MEMORY_H

#include "netcfg/fuse.h"
#include "netcfg/store.h"

struct store_memory {
    struct buf file;    /* what is durable */
    struct buf damaged; /* what keep_damaged kept */
    struct fuse *fuse;  /* borrowed; NULL: none */
    bool full;          /* nothing that needs room works */
    bool read_only;
    bool locked; /* by a store that is open */
    size_t writes;
};

void store_memory_init(struct store_memory *m, struct fuse *fuse);
void store_memory_release(struct store_memory *m);

/* ERR_BUSY while another one is open. store_close unlocks it; the contents stay. */
int store_memory_open(struct store_memory *m, struct store **ret_s, struct diag *d);

#endif
