#include "policy/hns_version.h"

#include "policy/hns_json.h"

static int number_of(const json_t *output, const char *name, unsigned *ret, struct diag *d)
{
    const json_t *value = json_object_get(output, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > UINT16_MAX)
        return diag_set(d, ERR_FORMAT, 0, "The version that HNS tells has no number %s", name);
    *ret = (unsigned)json_integer_value(value);
    return 0;
}

int hns_version_read(struct slice json, struct hns_version *ret, struct diag *d)
{
    CLEANUP(json_text_unrefp) json_t *answer = NULL;
    struct hns_version v = {0};
    int r = hns_json_read(json, "The words about its version", &answer, d);
    if (r < 0)
        return r;
    if (!json_is_true(json_object_get(answer, "Success"))) {
        const char *why = json_string_value(json_object_get(answer, "Error"));
        return diag_set(d, ERR_IO, 0, "HNS didn't tell its version: %.200s",
                        why != NULL && why[0] != '\0' ? why : "it gave no reason");
    }
    const json_t *output = json_object_get(answer, "Output");
    r = number_of(output, "Major", &v.major, d);
    if (r == 0)
        r = number_of(output, "Minor", &v.minor, d);
    if (r == 0)
        *ret = v;
    return r;
}

int hns_version_check(const struct hns_version *v, struct diag *d)
{
    if (v->major > HNS_VERSION_MAJOR ||
        (v->major == HNS_VERSION_MAJOR && v->minor >= HNS_VERSION_MINOR))
        return 0;
    return diag_set(d, ERR_VERSION, 0,
                    "Layer-4 proxy policies need HNS %d.%d or newer (Windows Server 2022), and "
                    "this Windows has HNS %u.%u",
                    HNS_VERSION_MAJOR, HNS_VERSION_MINOR, v->major, v->minor);
}
