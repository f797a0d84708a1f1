/* From a container's namespace to its endpoints, by HNS. Windows only. */
#ifndef STILE_POLICY_HNS_LOOKUP_H
#define STILE_POLICY_HNS_LOOKUP_H

#include "policy/lookup.h"

/* By the namespace's GUID (with or without braces). ERR_INVAL, ERR_DENIED (the host's own
 * namespace), ERR_UNSUPPORTED (a namespace inside a Hyper-V container), ERR_EXPIRED (it has no
 * endpoint: the container is not running). */
int hns_namespace_endpoints(const char *guid, struct lookup_result *ret, struct diag *d);

#endif
