#include "policy/hns_namespace.h"

#include "policy/hns_json.h"

static const struct {
    const char *name;
    enum hns_namespace_type type;
} types[] = {
    {"Host", HNS_NAMESPACE_HOST},
    {"HostDefault", HNS_NAMESPACE_HOST_DEFAULT},
    {"Guest", HNS_NAMESPACE_GUEST},
    {"GuestDefault", HNS_NAMESPACE_GUEST},
};

/* HNS leaves out what is a namespace's default. */
static int read_type(const json_t *value, enum hns_namespace_type *ret, struct diag *d)
{
    *ret = HNS_NAMESPACE_HOST;
    if (value == NULL || json_is_null(value) || hns_json_is(value, ""))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!hns_json_is(value, types[i].name))
            continue;
        *ret = types[i].type;
        return 0;
    }
    const char *name = json_string_value(value);
    return diag_set(d, ERR_FORMAT, 0, "HNS tells of a namespace of an unknown type: %.60s",
                    name != NULL ? name : "not a text");
}

static int add_endpoint(struct hns_namespace *n, const json_t *resource, struct diag *d)
{
    const char *id = json_string_value(json_object_get(json_object_get(resource, "Data"), "ID"));
    if (id == NULL)
        return diag_set(d, ERR_FORMAT, 0, "HNS tells of an endpoint in a namespace without its ID");
    if (n->endpoint_count == ARRAY_LEN(n->endpoints))
        return diag_set(d, ERR_LIMIT, 0, "The namespace has more than %d endpoints",
                        HNS_NAMESPACE_ENDPOINTS_MAX);
    int r = guid_parse(id, &n->endpoints[n->endpoint_count], d);
    if (r == 0)
        n->endpoint_count++;
    return r;
}

int hns_namespace_parse(struct slice json, struct hns_namespace *ret, struct diag *d)
{
    CLEANUP(json_text_unrefp) json_t *properties = NULL;
    struct hns_namespace n = {0};
    size_t i = 0;
    const json_t *resource = NULL;
    int r = hns_json_read(json, "The namespace's properties", &properties, d);
    if (r == 0)
        r = read_type(json_object_get(properties, "Type"), &n.type, d);
    if (r < 0)
        return r;
    json_array_foreach(json_object_get(properties, "Resources"), i, resource)
    {
        if (!hns_json_is(json_object_get(resource, "Type"), "Endpoint"))
            continue;
        r = add_endpoint(&n, resource, d);
        if (r < 0)
            return r;
    }
    *ret = n;
    return 0;
}

int hns_namespace_check(const struct hns_namespace *n, bool allow_host, struct diag *d)
{
    if (n->type == HNS_NAMESPACE_GUEST)
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "It belongs to a Hyper-V container. HNS redirects traffic of "
                        "process-isolated containers only");
    if (n->type == HNS_NAMESPACE_HOST_DEFAULT && !allow_host)
        return diag_set(d, ERR_DENIED, 0,
                        "It is the host's own network, not a container's. Say --host if that is "
                        "what you mean");
    return 0;
}
