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

/* Looks through the processes of this user for the sockets with these inodes (as sock_diag tells them); ret has one entry for
 * each. Looks at every descriptor of every process, so it belongs in a thread of the pool. Thread-safe. */
void program_find(const uint64_t *inodes, size_t count, struct program *ret);

#endif
