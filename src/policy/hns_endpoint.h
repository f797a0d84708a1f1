/* An endpoint as HNS describes it: whose it is, and its layer-4 proxy policies as they were read.
 * Memory. Pure but for that.
 *
 * {"ID":"…","Name":"…","HostComputeNamespace":"…","Policies":[{"Type":"L4WFPPROXY","Settings":{…}},{"Type":"ACL",…}],…}
 */
#ifndef STILE_POLICY_HNS_ENDPOINT_H
#define STILE_POLICY_HNS_ENDPOINT_H

#include <jansson.h>

#include "base/slice.h"
#include "policy/guid.h"

#define HNS_POLICIES_MAX 4096

struct hns_endpoint {
    struct guid id;
    bool has_namespace; /* false: no container's */
    struct guid space;
    json_t *policies; /* owned: an array of the L4WFPPROXY ones, whole */
};

/* ERR_FORMAT, ERR_LIMIT, ERR_TOOBIG, ERR_NOMEM. */
int hns_endpoint_parse(struct slice json, struct hns_endpoint *ret, struct diag *d);
void hns_endpoint_release(struct hns_endpoint *e);

#endif
