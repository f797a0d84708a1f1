/* The directory that the gateways of the user's clusters are. */
#ifndef STILE_AGENT_GATEWAY_DIRECTORY_H
#define STILE_AGENT_GATEWAY_DIRECTORY_H

#include "agent/clusters.h"
#include "agent/directory.h"

/* clusters is borrowed. Questions that are open when it is freed get ERR_CANCELED: free the clusters first. */
struct directory gateway_directory(struct clusters *clusters);

#endif
