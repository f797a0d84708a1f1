/* The user's running agents, found by their control sockets. */
#ifndef STILE_AGENT_AGENTS_H
#define STILE_AGENT_AGENTS_H

#include <protobuf-c/protobuf-c.h>

#include "agent/home.h"

struct loop;
struct rpc_method;

#define AGENTS_MAX 256

struct agent_list {
    size_t count;
    uint32_t pids[AGENTS_MAX]; /* ascending */
};

void agents_socket_name(uint32_t pid, char name[32]);

/* Those with a socket; leftovers of agents that were killed are removed on the way. */
int agents_find(const struct home *home, struct agent_list *ret, struct diag *d);
void agents_remove_stale(const struct home *home);

/* For commands: asks one, running the loop until it has answered. ret: for protobuf_c_message_free_unpacked. */
int agents_ask(struct loop *loop, const struct home *home, uint32_t pid,
               const struct rpc_method *method, const ProtobufCMessage *request,
               ProtobufCMessage **ret, struct diag *d);

#endif
