/* Connects sockets for the engine, which has no network of its own: to gateways and to the host's resolvers.
 *
 * The other end of the dial channel (engine/channel.h). Dialling is done as the user: his firewall rules, his resolver. Only
 * gateways of profiles and resolvers of resolv.conf can be asked for; the engine names them, it doesn't say where they are.
 */
#ifndef STILE_AGENT_DIALER_H
#define STILE_AGENT_DIALER_H

#include "agent/clusters.h"
#include "engine/channel.h"

struct dialer;

struct dialer_config {
    struct loop *loop;
    struct clusters *clusters;
    const struct channel_setup *setup; /* sent first; borrowed */
    /* Once: the engine closed the channel or broke its rules. Then free the dialer (there is fine). */
    void (*on_closed)(void *arg, const char *reason);
    void *arg;
};

/* fd: a SOCK_SEQPACKET socket, taken on success. */
int dialer_new(int fd, const struct dialer_config *config, struct dialer **ret);
void dialer_free(struct dialer *d); /* NULL is fine */

#endif
