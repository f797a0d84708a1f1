/* From what a runtime told to the name of the network's endpoint. One implementation per system,
 * chosen by the build. */
#ifndef STILE_POLICY_CRI_NETWORK_H
#define STILE_POLICY_CRI_NETWORK_H

#include "policy/cri_object.h"

/* container or sandbox may be NULL, not both. ret: Linux: as for endpoint_open; Windows: the GUID
 * of the HNS namespace. ERR_DENIED (the host's network), ERR_EXPIRED (it has no process any more,
 * or none yet), ERR_UNSUPPORTED (its network can't have policies: why), ERR_FORMAT (the runtime
 * doesn't tell). Linux: looks at /proc where there is only a process to go by. */
int cri_network_name(const struct cri_object *container, const struct cri_object *sandbox,
                     char ret[ENDPOINT_NAME_SIZE], struct diag *d);

#endif
