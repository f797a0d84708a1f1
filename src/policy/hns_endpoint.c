#include "policy/hns_endpoint.h"

#include "policy/hns_json.h"
#include "policy/hns_policy.h"

static int read_ids(const json_t *properties, struct hns_endpoint *e, struct diag *d)
{
    const char *id = json_string_value(json_object_get(properties, "ID"));
    const char *space = json_string_value(json_object_get(properties, "HostComputeNamespace"));
    if (id == NULL)
        return diag_set(d, ERR_FORMAT, 0, "HNS tells of an endpoint without its ID");
    int r = guid_parse(id, &e->id, d);
    if (r < 0 || space == NULL || space[0] == '\0')
        return r;
    r = guid_parse(space, &e->space, d);
    e->has_namespace = r == 0 && !guid_is_zero(&e->space);
    return r;
}

static int read_policies(const json_t *properties, json_t *into, struct diag *d)
{
    size_t i = 0;
    json_t *value = NULL;
    const json_t *all = json_object_get(properties, "Policies");
    if (all != NULL && !json_is_null(all) && !json_is_array(all))
        return diag_set(d, ERR_FORMAT, 0, "HNS tells of an endpoint whose Policies are no array");
    json_array_foreach(all, i, value)
    {
        if (!hns_policy_is(value))
            continue;
        if (json_array_size(into) == HNS_POLICIES_MAX)
            return diag_set(d, ERR_LIMIT, 0, "The endpoint has more than %d policies",
                            HNS_POLICIES_MAX);
        if (json_array_append(into, value) < 0)
            return diag_no_memory(d);
    }
    return 0;
}

int hns_endpoint_parse(struct slice json, struct hns_endpoint *ret, struct diag *d)
{
    CLEANUP(json_text_unrefp) json_t *properties = NULL;
    CLEANUP(json_text_unrefp) json_t *policies = json_array();
    struct hns_endpoint e = {0};
    if (policies == NULL)
        return diag_no_memory(d);
    int r = hns_json_read(json, "The endpoint's properties", &properties, d);
    if (r == 0)
        r = read_ids(properties, &e, d);
    if (r == 0)
        r = read_policies(properties, policies, d);
    if (r < 0)
        return r;
    e.policies = STEAL(policies);
    *ret = e;
    return 0;
}

void hns_endpoint_release(struct hns_endpoint *e)
{
    json_decref(e->policies);
    *e = (struct hns_endpoint){0};
}
