#include "policy/hns.h"

#include <windows.h>

#include <combaseapi.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/hns_error.h"
#include "policy/hns_library.h"

/* All properties, in the schema that layer-4 proxy policies came with. */
#define QUERY L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Flags\":0}"

struct hns_endpoint_handle {
    const struct hns_library *library;
    void *handle;
    struct guid id;
};

static void co_freep(wchar_t **text)
{
    CoTaskMemFree(*text);
}

/* New memory; NULL when it runs out. What isn't UTF-16 becomes U+FFFD. */
static char *utf8_of(const wchar_t *text)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *out = size > 0 ? mem_alloc((size_t)size) : NULL;
    if (out != NULL)
        (void)WideCharToMultiByte(CP_UTF8, 0, text, -1, out, size, NULL, NULL);
    return out;
}

static wchar_t *utf16_of(const char *text)
{
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *out = size > 0 ? mem_array((size_t)size, sizeof(wchar_t)) : NULL;
    if (out != NULL)
        (void)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, out, size);
    return out;
}

/* What became of a call: its HRESULT and its record. */
static int check(HRESULT hr, const wchar_t *record, const char *what, const char *object,
                 struct diag *d)
{
    char attempt[128];
    CLEANUP(mem_freep) char *text = NULL;
    if (SUCCEEDED(hr) && (record == NULL || record[0] == L'\0'))
        return 0;
    if (record != NULL && record[0] != L'\0') {
        text = utf8_of(record);
        if (text == NULL)
            return diag_no_memory(d);
    }
    (void)str_format(attempt, sizeof(attempt), "Failed to %s%s%s", what,
                     object[0] != '\0' ? " " : "", object);
    struct slice words = text != NULL ? slice_str(text) : (struct slice){0};
    return hns_error_check((uint32_t)hr, words, attempt, d);
}

static int take(const wchar_t *answer, const char *what, char **ret, struct diag *d)
{
    if (answer == NULL)
        return diag_set(d, ERR_FORMAT, 0, "Failed to %s: HNS gave no answer", what);
    char *text = utf8_of(answer);
    if (text == NULL)
        return diag_no_memory(d);
    *ret = text;
    return 0;
}

int hns_version(struct hns_version *ret, struct diag *d)
{
    static const char what[] = "ask HNS for its version";
    const struct hns_library *l = NULL;
    CLEANUP(co_freep) wchar_t *response = NULL;
    CLEANUP(mem_freep) char *text = NULL;
    int r = hns_library(&l, d);
    if (r < 0)
        return r;
    HRESULT hr = l->call(L"GET", L"/globals/version", L"", &response);
    r = check(hr, NULL, what, "", d);
    if (r == 0)
        r = take(response, what, &text, d);
    return r < 0 ? r : hns_version_read(slice_str(text), ret, d);
}

int hns_check(struct diag *d)
{
    struct hns_version v;
    int r = hns_version(&v, d);
    return r < 0 ? r : hns_version_check(&v, d);
}

/* In the form of the call. The text has been checked. */
static GUID system_guid(const struct guid *id)
{
    GUID out = {0};
    uint8_t bytes[16] = {0};
    char digits[33];
    size_t n = 0;
    for (const char *c = id->text; *c != '\0' && n < sizeof(digits) - 1; c++)
        if (*c != '-')
            digits[n++] = *c;
    digits[n] = '\0';
    if (str_unhex(digits, bytes, sizeof(bytes)) < 0)
        return out;
    struct rd in = rd_init(slice_of(bytes, sizeof(bytes)));
    out.Data1 = rd_u32(&in);
    out.Data2 = rd_u16(&in);
    out.Data3 = rd_u16(&in);
    (void)rd_copy(&in, out.Data4, sizeof(out.Data4));
    return out;
}

int hns_endpoint_open(const struct guid *id, struct hns_endpoint_handle **ret, struct diag *d)
{
    const struct hns_library *l = NULL;
    CLEANUP(co_freep) wchar_t *record = NULL;
    int r = hns_library(&l, d);
    if (r < 0)
        return r;
    CLEANUP(hns_endpoint_closep) struct hns_endpoint_handle *h = NEW(struct hns_endpoint_handle);
    if (h == NULL)
        return diag_no_memory(d);
    *h = (struct hns_endpoint_handle){.library = l, .id = *id};
    GUID guid = system_guid(id);
    HRESULT hr = l->open_endpoint(&guid, &h->handle, &record);
    r = check(hr, record, "open endpoint", id->text, d);
    if (r == 0 && h->handle == NULL)
        r = diag_set(d, ERR_FORMAT, 0, "HNS gave no handle for endpoint %s", id->text);
    if (r == 0)
        *ret = STEAL(h);
    return r;
}

void hns_endpoint_close(struct hns_endpoint_handle *h)
{
    if (h == NULL)
        return;
    if (h->handle != NULL)
        (void)h->library->close_endpoint(h->handle);
    mem_free(h);
}

void hns_endpoint_closep(struct hns_endpoint_handle **h)
{
    hns_endpoint_close(*h);
}

int hns_endpoint_query(struct hns_endpoint_handle *h, char **ret, struct diag *d)
{
    static const char what[] = "read endpoint";
    CLEANUP(co_freep) wchar_t *record = NULL;
    CLEANUP(co_freep) wchar_t *properties = NULL;
    HRESULT hr = h->library->query_endpoint(h->handle, QUERY, &properties, &record);
    int r = check(hr, record, what, h->id.text, d);
    return r < 0 ? r : take(properties, what, ret, d);
}

int hns_endpoint_modify(struct hns_endpoint_handle *h, const char *request, struct diag *d)
{
    CLEANUP(co_freep) wchar_t *record = NULL;
    CLEANUP(mem_freep) wchar_t *settings = utf16_of(request);
    if (settings == NULL)
        return diag_no_memory(d);
    HRESULT hr = h->library->modify_endpoint(h->handle, settings, &record);
    return check(hr, record, "change endpoint", h->id.text, d);
}

/* Between open and close. */
static int query_namespace(const struct hns_library *l, void *handle, const struct guid *id,
                           struct hns_namespace *ret, struct diag *d)
{
    static const char what[] = "read namespace";
    CLEANUP(co_freep) wchar_t *record = NULL;
    CLEANUP(co_freep) wchar_t *properties = NULL;
    CLEANUP(mem_freep) char *text = NULL;
    HRESULT hr = l->query_namespace(handle, QUERY, &properties, &record);
    int r = check(hr, record, what, id->text, d);
    if (r == 0)
        r = take(properties, what, &text, d);
    return r < 0 ? r : hns_namespace_parse(slice_str(text), ret, d);
}

int hns_namespace_read(const struct guid *id, struct hns_namespace *ret, struct diag *d)
{
    const struct hns_library *l = NULL;
    void *handle = NULL;
    CLEANUP(co_freep) wchar_t *record = NULL;
    int r = hns_library(&l, d);
    if (r < 0)
        return r;
    GUID guid = system_guid(id);
    HRESULT hr = l->open_namespace(&guid, &handle, &record);
    r = check(hr, record, "open namespace", id->text, d);
    if (r == 0 && handle == NULL)
        return diag_set(d, ERR_FORMAT, 0, "HNS gave no handle for namespace %s", id->text);
    if (r == 0)
        r = query_namespace(l, handle, id, ret, d);
    if (handle != NULL)
        (void)l->close_namespace(handle);
    return r;
}
