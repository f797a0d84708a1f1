/* Those who watch zones and ranges (WatchTargetConfiguration): each gets the present ones at once, then each change. */
#ifndef STILE_AGENT_WATCHERS_H
#define STILE_AGENT_WATCHERS_H

#include "agent/directory.h"
#include "rpc/server.h"

struct watchers;

int watchers_new(struct directory directory, struct watchers **ret);
void watchers_free(struct watchers *w); /* ends the calls; NULL is fine */
void watchers_add(struct watchers *w, struct rpc_call *call /* taken */);
/* Sends the configuration to those whose last one was another. */
void watchers_changed(struct watchers *w);

#endif
