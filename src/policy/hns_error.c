#include "policy/hns_error.h"

#include "base/str.h"
#include "policy/hns_json.h"

/* winerror.h's and HNS's own codes that mean more than "it failed". */
static const struct {
    uint32_t code;
    int err;
    const char *remedy;
} known[] = {
    {0x803b0002, ERR_NOTFOUND, "there is no such endpoint"},
    {0x803b0008, ERR_NOTFOUND, "the policy is not there"},
    {0x803b000d, ERR_INVAL, "HNS doesn't take this policy"},
    {0x803b000e, ERR_UNSUPPORTED, "this HNS doesn't know layer-4 proxy policies"},
    {0x803b000f, ERR_UNSUPPORTED, "the endpoint is on another machine"},
    {0x803b0012, ERR_EXISTS, "the endpoint has such a policy already"},
    {0x803b0015, ERR_UNSUPPORTED, "HNS doesn't support this request"},
    {0x803b0020, ERR_UNREACHABLE, "HNS is stopping"},
    {0x803b0027, ERR_NOTFOUND, "there is no such namespace"},
    {0x80070002, ERR_NOTFOUND, "there is no such object"},
    {0x80070005, ERR_PERM, "run it as an administrator"},
    {0x8007000e, ERR_NOMEM, "HNS has no memory"},
    {0x80070490, ERR_NOTFOUND, "there is no such object"},
    {0x800706ba, ERR_UNREACHABLE, "the service hns is not running: sc start hns"},
    {0x800706be, ERR_UNREACHABLE, "the service hns ended meanwhile"},
};

static bool failed(uint32_t hresult)
{
    return (hresult & 0x80000000U) != 0;
}

struct record {
    uint32_t code;
    char text[256];
};

/* What the record holds, whatever it is. */
static struct record read_record(struct slice text)
{
    struct record r = {0};
    CLEANUP(json_text_unrefp) json_t *value = NULL;
    if (hns_json_read(text, "", &value, NULL) < 0) {
        struct slice start = slice_first(text, sizeof(r.text) - 1);
        if (str_copy_slice(r.text, sizeof(r.text), start) < 0)
            r.text[0] = '\0';
        return r;
    }
    const char *words = json_string_value(json_object_get(value, "Error"));
    (void)str_format(r.text, sizeof(r.text), "%s", words != NULL ? words : "");
    r.code = (uint32_t)json_integer_value(json_object_get(value, "ErrorCode"));
    return r;
}

static void tame(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

int hns_error_check(uint32_t hresult, struct slice record, const char *what, struct diag *d)
{
    if (!failed(hresult) && record.len == 0)
        return 0;
    struct record told = read_record(record);
    uint32_t code = failed(hresult) ? hresult : told.code;
    int err = ERR_IO;
    const char *remedy = NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].code != code)
            continue;
        err = known[i].err;
        remedy = known[i].remedy;
    }
    tame(told.text);
    return diag_set(
        d, err, (long)(int32_t)code, "%s: %s%s%s (0x%08x)", what, remedy != NULL ? remedy : "",
        remedy != NULL && told.text[0] != '\0' ? ": " : "",
        remedy == NULL && told.text[0] == '\0' ? "HNS gave no reason" : told.text, (unsigned)code);
}
