/* The resolvers that a host's resolv.conf leads to: never ourselves, and never a stub that would ask us again. */
#ifndef STILE_NETCFG_HOST_RESOLVERS_H
#define STILE_NETCFG_HOST_RESOLVERS_H

#include "net/resolv_conf.h"
#include "netcfg/object.h"

/* What systemd-resolved was told by the links; its stub, 127.0.0.53, reads /etc/resolv.conf when that isn't its own. */
#define HOST_RESOLVERS_UPLINK "/run/systemd/resolve/resolv.conf"

/* Of a text like resolv.conf's; ours may be NULL. resolved's stub is replaced by what it asks itself, which is left out if it is
 * we. Nothing named at all: 127.0.0.1, as for the C library. */
void host_resolvers_of(struct slice text, const struct object *ours, struct resolvers *ret);

/* The same of a file, followed through links; one that isn't there is empty. ERR_NOMEM. */
int host_resolvers_read(const char *path, const struct object *ours, struct resolvers *ret);

#endif
