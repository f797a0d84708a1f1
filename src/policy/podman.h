/* Containers of podman, which has no daemon to ask: its own program is run. Linux. */
#ifndef STILE_POLICY_PODMAN_H
#define STILE_POLICY_PODMAN_H

#include "policy/endpoint.h"

#define PODMAN_TIMEOUT_MS 10000

/* container: a full id, a beginning that one alone has, or a name; passed cri_id_ok. ret: as for
 * endpoint_open. Blocks, at most twice PODMAN_TIMEOUT_MS. ERR_NOTFOUND (no such container; no
 * podman), ERR_INVAL (the beginning of several), ERR_EXPIRED (it isn't running), ERR_DENIED (the
 * host's network), ERR_UNSUPPORTED, ERR_TIMEOUT. */
int podman_network(const char *container, char ret[ENDPOINT_NAME_SIZE], struct diag *d);

#endif
