/* Whatever HNS answers: endpoints, namespaces, versions, error records. What is understood is written and read back the same. The first
 * byte says which. */
#include <stdlib.h>

#include "base/mem.h"
#include "policy/hns_endpoint.h"
#include "policy/hns_error.h"
#include "policy/hns_json.h"
#include "policy/hns_namespace.h"
#include "policy/hns_policy.h"
#include "policy/hns_request.h"
#include "policy/hns_version.h"

static void one_policy(const json_t *raw)
{
    struct l4_policy p, plain, again;
    if (hns_policy_read(raw, "policy", &p, NULL) < 0)
        return;
    /* HNS has no member of Linux's, so nothing is lost on the way there and back. */
    if (hns_policy_plain(&p, &plain, NULL) < 0 || hns_policy_plain(&plain, &again, NULL) < 0 ||
        !l4_policy_eq(&plain, &again))
        abort();
}

static void an_endpoint(struct slice text)
{
    struct hns_endpoint e;
    size_t i = 0;
    const json_t *raw = NULL;
    if (hns_endpoint_parse(text, &e, NULL) < 0)
        return;
    json_array_foreach(e.policies, i, raw) one_policy(raw);
    /* What is sent back is what was read. */
    char *request = hns_request_write(HNS_REMOVE, e.policies);
    json_t *parsed = request != NULL ? json_loads(request, 0, NULL) : NULL;
    if (!json_equal(json_object_get(json_object_get(parsed, "Settings"), "Policies"), e.policies))
        abort();
    json_decref(parsed);
    mem_free(request);
    hns_endpoint_release(&e);
}

static void a_namespace(struct slice text)
{
    struct hns_namespace n;
    if (hns_namespace_parse(text, &n, NULL) == 0)
        (void)hns_namespace_check(&n, false, NULL);
}

static void an_error(struct slice text)
{
    struct diag d = {0};
    int r = hns_error_check(0, text, "Failed", &d);
    if ((r == 0) != (text.len == 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_from(slice_of(data, size), 1);
    struct hns_version v;
    switch (size > 0 ? data[0] : 0) {
    case 'e':
        an_endpoint(text);
        break;
    case 'n':
        a_namespace(text);
        break;
    case 'v':
        if (hns_version_read(text, &v, NULL) == 0)
            (void)hns_version_check(&v, NULL);
        break;
    default:
        an_error(text);
        break;
    }
    return 0;
}
