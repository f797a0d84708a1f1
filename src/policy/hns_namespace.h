/* A network namespace of Windows (a compartment) as HNS describes it, and the endpoints in it. Pure
 * but for memory.
 *
 * {"ID":"…","NamespaceId":5,"Type":"Host","Resources":[{"Type":"Endpoint","Data":{"ID":"…"}},{"Type":"Container","Data":{…}}]}
 */
#ifndef STILE_POLICY_HNS_NAMESPACE_H
#define STILE_POLICY_HNS_NAMESPACE_H

#include "base/slice.h"
#include "policy/guid.h"

#define HNS_NAMESPACE_ENDPOINTS_MAX 16

enum hns_namespace_type {
    HNS_NAMESPACE_HOST,         /* of a container that runs on the host */
    HNS_NAMESPACE_HOST_DEFAULT, /* the host's own */
    HNS_NAMESPACE_GUEST,        /* inside a Hyper-V container's machine */
};

struct hns_namespace {
    enum hns_namespace_type type;
    size_t endpoint_count;
    struct guid endpoints[HNS_NAMESPACE_ENDPOINTS_MAX];
};

/* ERR_FORMAT, ERR_LIMIT. Resources of other types are passed over. */
int hns_namespace_parse(struct slice json, struct hns_namespace *ret, struct diag *d);
/* Whether its endpoints may be given policies. ERR_DENIED: it is the host's own, and allow_host is
 * false. ERR_UNSUPPORTED: a Hyper-V container's, whatever is allowed. */
int hns_namespace_check(const struct hns_namespace *n, bool allow_host, struct diag *d);

#endif
