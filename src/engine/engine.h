/* The engine: the process that touches bytes from outside. It is given descriptors, gives up everything else, and lives as long as
 * the agent at the other end of its channels.
 *
 * Order of a start: the device arrives (TUN queues, sock_diag), the sandbox is entered, the agent's setup brings addresses, the
 * workers start, and only then the first packet is read.
 */
#ifndef STILE_ENGINE_ENGINE_H
#define STILE_ENGINE_ENGINE_H

#include "base/err.h"

struct engine_config {
    int rpc_fd;    /* stream socket: the agent's gRPC service */
    int dial_fd;   /* SOCK_SEQPACKET: dialled sockets and the setup */
    int device_fd; /* SOCK_SEQPACKET: the device; closed when it has come */
};

/* Takes the descriptors. Returns when the agent has gone (0), or when the engine can't work. Once per process. */
int engine_run(const struct engine_config *config, struct diag *d);

#endif
