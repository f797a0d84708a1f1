/* The one change that is asked of HNS: policies added to an endpoint, or removed from it. Pure but
 * for memory.
 */
#ifndef STILE_POLICY_HNS_REQUEST_H
#define STILE_POLICY_HNS_REQUEST_H

#include <jansson.h>

#include "base/err.h"

enum hns_request { HNS_ADD, HNS_REMOVE };

/* {"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[…]}}, one line; policies:
 * the array, borrowed. The caller's, mem_free. NULL when memory runs out. */
char *hns_request_write(enum hns_request type, json_t *policies);

#endif
