/* What of a lookup depends on the system; lookup_linux.c or lookup_windows.c, chosen by the build.
 * For lookup.c alone. */
#ifndef STILE_POLICY_LOOKUP_SYSTEM_H
#define STILE_POLICY_LOOKUP_SYSTEM_H

#include "policy/lookup.h"

/* Runs it so that a connection lost while writing is an error value only, whatever the program does
 * with signals. */
int lookup_shielded(int (*run)(void *arg), void *arg);

/* From what cri_network_name gave. */
int lookup_endpoints(const char *network, struct lookup_result *ret, struct diag *d);

/* No runtime is running: `why` says so. ERR_NOTFOUND, with what else there could be on this
 * system. */
int lookup_none(const struct diag *why, struct diag *d);

/* Of podman's container: a full id, a beginning of one, or a name. */
int lookup_podman(const char *container, struct lookup_result *ret, struct diag *d);

#endif
