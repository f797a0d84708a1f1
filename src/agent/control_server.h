/* ControlService: what the user's own commands ask a running agent, on HOME/agents/PID.sock. */
#ifndef STILE_AGENT_CONTROL_SERVER_H
#define STILE_AGENT_CONTROL_SERVER_H

#include "agent/connection_log.h"
#include "stile/agent/v1/control.pb-c.h"

struct control_server;

#define CONTROL_CONNECTIONS_MAX 32

struct control_server_config {
    struct loop *loop;
    const struct home *home;
    const struct connection_log *connections;
    /* Fills in the answer with borrowed texts, then calls reply(reply_arg, answer) before it returns. */
    void (*status)(void *arg,
                   void (*reply)(void *reply_arg, const Stile__Agent__V1__GetStatusResponse *s),
                   void *reply_arg);
    /* The session is to end. NULL: it can't be asked for (`stile run` ends with its program). */
    void (*stop)(void *arg);
    void *arg;
};

/* Removes the sockets of agents that are no more. */
int control_server_new(const struct control_server_config *config, struct control_server **ret,
                       struct diag *d);
/* Removes the socket. NULL is fine. */
void control_server_free(struct control_server *s);

#endif
