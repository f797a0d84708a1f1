#include "policy/hns_request.h"

#include "policy/hns_json.h"

char *hns_request_write(enum hns_request type, json_t *policies)
{
    CLEANUP(json_text_unrefp)
    json_t *request =
        json_pack("{s:s, s:s, s:{s:O}}", "ResourceType", "Policy", "RequestType",
                  type == HNS_ADD ? "Add" : "Remove", "Settings", "Policies", policies);
    return request != NULL ? hns_json_write(request) : NULL;
}
