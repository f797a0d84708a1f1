#include "policy/hns_lookup.h"

#include "base/str.h"
#include "policy/hns.h"

static int copy_names(const struct hns_namespace *n, struct lookup_result *ret)
{
    struct lookup_result out = {0};
    for (size_t i = 0; i < n->endpoint_count && i < ARRAY_LEN(out.names); i++) {
        int r = str_copy(out.names[i], sizeof(out.names[i]), n->endpoints[i].text);
        if (r < 0)
            return r;
        out.count++;
    }
    *ret = out;
    return 0;
}

int hns_namespace_endpoints(const char *guid, struct lookup_result *ret, struct diag *d)
{
    struct guid id;
    struct hns_namespace n;
    if (guid_parse(guid, &id, d) < 0)
        return diag_set(d, ERR_INVAL, 0,
                        "The runtime names a network namespace \"%.60s\", which is not a GUID",
                        guid);
    int r = hns_namespace_read(&id, &n, d);
    if (r == 0)
        r = hns_namespace_check(&n, false, d);
    if (r < 0)
        return r;
    if (n.endpoint_count == 0)
        return diag_set(d, ERR_EXPIRED, 0,
                        "Namespace %s has no endpoint; is its container still running?", id.text);
    return copy_names(&n, ret);
}
