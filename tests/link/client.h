/* The kernel's side: blocking sockets against the services of server.h. All return 0 if everything was as it must be; else
 * they say on standard error what wasn't. */
#ifndef STILE_TESTS_LINK_CLIENT_H
#define STILE_TESTS_LINK_CLIENT_H

#include "base/compiler.h"

/* The kernel's congestion control for sockets made from now on: "cubic" at first. */
void client_use_congestion(const char *name);

/* A connected socket, or -errno. */
int client_connect(int version, uint16_t port);
/* One that is still connecting: only its SYN has left. */
int client_connect_later(int version, uint16_t port);

int client_upload(int version, uint16_t port, uint64_t bytes); /* to a sink, and its report */
int client_download(int version, uint64_t bytes);              /* from the source, until its FIN */
int client_many(int version, unsigned count);     /* connections at once, each echoing a little */
int client_parallel(int version, uint64_t bytes); /* eight of the bulk transfers at once */
int client_slow_download(int version, uint64_t bytes); /* reading a little, with a small buffer */
int client_echo(int version, uint16_t port,
                uint64_t bytes); /* both directions at once, half-close */

#endif
