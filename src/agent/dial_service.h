/* Connects sockets for the engine, which has no network of its own: to gateways and to the host's resolvers.
 *
 * The other end of the dial channel (platform/channel.h). Dialling is done as the user: his firewall rules, his resolver. Only
 * gateways of profiles and the host's resolvers can be asked for; the engine names them, it doesn't say where they are.
 */
#ifndef STILE_AGENT_DIAL_SERVICE_H
#define STILE_AGENT_DIAL_SERVICE_H

#include "agent/clusters.h"
#include "platform/channel.h"

struct dial_service;

struct dial_service_config {
    struct loop *loop;
    struct clusters *clusters;
    const struct channel_setup *setup; /* sent first; borrowed */
    /* The setup's resolvers are dialled, as they are at the time; else those of resolv.conf at the time. */
    bool resolvers_of_setup;
    /* Once: the engine closed the channel or broke its rules. Then free the dialer (there is fine). */
    void (*on_closed)(void *arg, const char *reason);
    void *arg;
};

/* fd: a SOCK_SEQPACKET socket, taken on success. */
int dial_service_new(int fd, const struct dial_service_config *config, struct dial_service **ret);
/* The setup's resolvers have changed: the engine is told. */
void dial_service_resolvers_changed(struct dial_service *d);
void dial_service_free(struct dial_service *d); /* NULL is fine */

#endif
