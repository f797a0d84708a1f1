/* The sockets that clients come in on: who is there, and that a dead peer is noticed. */
#ifndef STILE_GATEWAY_PEER_H
#define STILE_GATEWAY_PEER_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"
#include "gateway/state.h"

/* A peer that has gone without a word is noticed after about two minutes. */
void peer_keep_alive(int fd);

/* Switches keepalive on and gives the peer's address: with its port for logs, and the host alone (an IPv6 client's /64: one
 * machine has all of it) for counting. "-" if there is none, as on Unix sockets. */
void peer_prepare(int fd, char addr[STATE_ADDR_SIZE], char host[STATE_ADDR_SIZE]);

uint16_t peer_local_port(int fd); /* host order; 0 if it has none */

/* The listening sockets that a service manager has opened (LISTEN_PID, LISTEN_FDS; descriptors from 3 on), made
 * close-on-exec. The variables are removed, so that no child takes them for its own. *ret_count 0: there are none. ERR_INVAL: they
 * aren't listening stream sockets. */
int peer_inherited_listeners(int *fds, size_t cap, size_t *ret_count, struct diag *d);

#endif
