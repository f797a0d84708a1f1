#include "policy/hns_json.h"

#include "base/mem.h"
#include "base/str.h"

int hns_json_read(struct slice text, const char *what, json_t **ret, struct diag *d)
{
    json_t *value = NULL;
    struct diag why = {0};
    if (text.len > HNS_JSON_MAX)
        return diag_set(d, ERR_TOOBIG, 0, "%s from HNS have %zu bytes; at most %zu are read", what,
                        text.len, HNS_JSON_MAX);
    int r = json_text_read(text, 0, &value, &why);
    if (r == ERR_NOMEM)
        return diag_set(d, r, 0, "%s", why.text);
    if (r < 0)
        return diag_set(d, r, 0, "%s from HNS are not JSON: %s", what, why.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return diag_set(d, ERR_FORMAT, 0, "%s from HNS are not a JSON object", what);
    }
    *ret = value;
    return 0;
}

bool hns_json_is(const json_t *value, const char *text)
{
    return json_is_string(value) && str_eq(json_string_value(value), text);
}

char *hns_json_write(const json_t *value)
{
    /* 17 digits bring back every double; jansson's own allocator need not be ours. */
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(17);
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = size > 0 ? mem_alloc(size + 1) : NULL;
    if (text == NULL)
        return NULL;
    if (json_dumpb(value, text, size, flags) != size) {
        mem_free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}
