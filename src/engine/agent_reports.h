/* Reports of connections on their way to the agent: gathered for a moment and sent together. Control thread. */
#ifndef STILE_ENGINE_AGENT_REPORTS_H
#define STILE_ENGINE_AGENT_REPORTS_H

#include "engine/agent_client.h"
#include "rpc/client.h"

#define AGENT_REPORTS_MAX   4096 /* waiting; more are dropped, and the log says how many */
#define AGENT_REPORTS_BATCH 256  /* in one call */

struct agent_reports;

int agent_reports_new(struct loop *loop, struct agent_reports **ret);
void agent_reports_free(struct agent_reports *r); /* sends what waits; NULL is allowed */
/* Borrowed; nothing is sent before. */
void agent_reports_set_client(struct agent_reports *r, struct rpc_client *rpc);
void agent_reports_add(struct agent_reports *r, const struct agent_report *report);

/* Fills the message; address holds its text. */
void agent_connection_client(const struct agent_connection *conn,
                             Stile__Vnet__V1__Client *ret_client, char address[IP_ADDR_TEXT_SIZE]);

#endif
