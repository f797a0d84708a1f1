/* Whose socket is at the other end of a packet: NETLINK_SOCK_DIAG on a socket that was opened in the TUN's own network namespace.
 *
 * The kernel answers during the call (a few microseconds); nothing blocks. Thread-safe. A packet that this machine only forwards
 * has no socket here, and so no owner.
 */
#ifndef STILE_ENGINE_OWNER_H
#define STILE_ENGINE_OWNER_H

#include "net/ip.h"

struct owner_table;

struct owner {
    uint32_t uid;   /* as seen from the user namespace that the diag socket was opened in */
    uint64_t inode; /* of the socket */
};

/* fd: a NETLINK_SOCK_DIAG socket, taken on success. */
int owner_table_new(int fd, struct owner_table **ret);
void owner_table_free(struct owner_table *t);

/* The TCP socket that is connecting (or connected) from client to server. ERR_NOTFOUND: there is none. */
int owner_of_tcp(struct owner_table *t, const struct ip_endpoint *client,
                 const struct ip_endpoint *server, struct owner *ret);

#endif
