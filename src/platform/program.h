/* Which program owns a socket. */
#ifndef STILE_PLATFORM_PROGRAM_H
#define STILE_PLATFORM_PROGRAM_H

#include "base/compiler.h"

#define PROGRAM_PATH_SIZE 256

struct program {
    uint32_t pid; /* 0: not found */
    char path
        [PROGRAM_PATH_SIZE]; /* of the executable; empty if it may not be read. Its end, if it is longer */
};

/* Looks for the sockets with these inodes (as sock_diag tells them) among the processes of this user; ret has one entry for
 * each. First in those with the pids in `likely`; only if some are left, and `everywhere`, in all, the newest first, which may mean looking
 * at every descriptor of every process. So it belongs in a thread of the pool. Thread-safe. Returns whether it looked everywhere. */
bool program_find(const uint64_t *inodes, size_t count, const uint32_t *likely, size_t likely_count,
                  bool everywhere, struct program *ret);

#endif
