/* The double of computenetwork.dll: endpoints and namespaces that are kept in a file, and requests held to HNS's schema. */
#include "double.h"

#include <combaseapi.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "double_schema.h"

typedef HRESULT WINAPI call_fn(const wchar_t *method, const wchar_t *path, const wchar_t *request,
                               wchar_t **response);
typedef HRESULT WINAPI open_fn(const GUID *id, void **handle, wchar_t **record);
typedef HRESULT WINAPI query_fn(void *handle, const wchar_t *query, wchar_t **properties,
                                wchar_t **record);
typedef HRESULT WINAPI modify_fn(void *handle, const wchar_t *settings, wchar_t **record);
typedef HRESULT WINAPI close_fn(void *handle);

EXPORT call_fn DoubleHNSCall;
EXPORT open_fn HcnOpenEndpoint, HcnOpenNamespace;
EXPORT query_fn HcnQueryEndpointProperties, HcnQueryNamespaceProperties;
EXPORT modify_fn HcnModifyEndpoint;
EXPORT close_fn HcnCloseEndpoint, HcnCloseNamespace;

/* An open endpoint or namespace. */
struct object {
    const char *kind; /* "endpoints" or "namespaces": the array of the state that has it */
    char id[37];
};

static json_t *find(json_t *state, const char *kind, const char *id)
{
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(
        json_object_get(state, kind), i,
        item) if (str_eq_nocase(json_string_value(json_object_get(item, "ID")), id)) return item;
    return NULL;
}

static void guid_text(const GUID *g, char text[37])
{
    (void)str_format(text, 37, "%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", g->Data1,
                     g->Data2, g->Data3, g->Data4[0], g->Data4[1], g->Data4[2], g->Data4[3],
                     g->Data4[4], g->Data4[5], g->Data4[6], g->Data4[7]);
}

static HRESULT open_object(const char *function, const char *kind, const GUID *id, void **handle,
                           wchar_t **record)
{
    HRESULT hr = S_OK;
    char text[37];
    guid_text(id, text);
    *handle = NULL;
    if (double_fails(function, text, record, &hr))
        return hr;
    json_t *state = double_state();
    bool there = find(state, kind, text) != NULL;
    json_decref(state);
    if (!there)
        return double_error(str_eq(kind, "endpoints") ? DOUBLE_ENDPOINT_NOT_FOUND
                                                      : DOUBLE_ELEMENT_NOT_FOUND,
                            "Element not found.", record);
    struct object *o = NEW(struct object);
    if (o == NULL)
        return E_OUTOFMEMORY;
    o->kind = kind;
    (void)str_format(o->id, sizeof(o->id), "%s", text);
    double_handle_opened();
    *handle = o;
    return S_OK;
}

/* A call's JSON argument; NULL if it isn't. */
static json_t *argument(const wchar_t *wide, char **ret_text)
{
    json_error_t error;
    *ret_text = wide != NULL ? double_utf8(wide) : NULL;
    return *ret_text != NULL ? json_loads(*ret_text, JSON_REJECT_DUPLICATES, &error) : NULL;
}

static HRESULT query_object(const char *function, const struct object *o, const wchar_t *query,
                            wchar_t **properties, wchar_t **record)
{
    HRESULT hr = S_OK;
    char *text = NULL;
    json_t *parsed = argument(query, &text);
    const char *wrong = parsed != NULL ? double_check_query(parsed) : "it is not JSON";
    *properties = NULL;
    bool fails = double_fails(function, text != NULL ? text : "", record, &hr);
    json_decref(parsed);
    mem_free(text);
    if (fails)
        return hr;
    if (wrong != NULL)
        return double_error(DOUBLE_INVALID_JSON, wrong, record);
    json_t *state = double_state();
    json_t *item = find(state, o->kind, o->id);
    char *answer = item != NULL ? json_dumps(item, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(state);
    if (answer == NULL)
        return double_error(DOUBLE_ELEMENT_NOT_FOUND, "It was deleted meanwhile.", record);
    *properties = double_answer(answer);
    mem_free(answer);
    return S_OK;
}

static HRESULT close_object(const char *function, struct object *o)
{
    HRESULT hr = S_OK;
    bool fails = double_fails(function, o->id, NULL, &hr);
    double_handle_closed();
    mem_free(o);
    return fails ? hr : S_OK;
}

/* The member of the array that is the same text, byte for byte: members in their order, too. */
static bool find_same(json_t *array, const json_t *policy, size_t *ret)
{
    bool same = false;
    char *wanted = json_dumps(policy, JSON_COMPACT | JSON_REAL_PRECISION(17));
    for (size_t i = 0; !same && i < json_array_size(array); i++) {
        char *held = json_dumps(json_array_get(array, i), JSON_COMPACT | JSON_REAL_PRECISION(17));
        same = str_eq(held, wanted);
        if (same)
            *ret = i;
        mem_free(held);
    }
    mem_free(wanted);
    return same;
}

static bool has_proxy(json_t *policies)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach(policies, i, p) if (str_eq(json_string_value(json_object_get(p, "Type")),
                                                  "L4WFPPROXY")) return true;
    return false;
}

static HRESULT remove_policies(json_t *held, json_t *gone, wchar_t **record)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach(gone, i, p)
    {
        size_t at = 0;
        if (!find_same(held, p, &at))
            return double_error(DOUBLE_POLICY_NOT_FOUND, "An expected policy was not found",
                                record);
        json_array_remove(held, at);
    }
    return S_OK;
}

static HRESULT add_policies(json_t *held, json_t *more, wchar_t **record)
{
    size_t i = 0;
    json_t *p = NULL;
    json_array_foreach(more, i, p)
    {
        if (has_proxy(held))
            return double_error(DOUBLE_POLICY_ALREADY_EXISTS, "A proxy is there already", record);
        json_array_append(held, p);
    }
    return S_OK;
}

/* All or nothing: the state is written at the end. */
static HRESULT carry_out(const struct object *o, const json_t *request, wchar_t **record)
{
    json_t *state = double_state();
    json_t *item = find(state, o->kind, o->id);
    json_t *held = json_object_get(item, "Policies");
    json_t *given = json_object_get(json_object_get(request, "Settings"), "Policies");
    bool adds = str_eq(json_string_value(json_object_get(request, "RequestType")), "Add");
    if (held == NULL)
        json_object_set_new(item, "Policies", held = json_array());
    HRESULT hr = adds ? add_policies(held, given, record) : remove_policies(held, given, record);
    if (SUCCEEDED(hr))
        double_save(state);
    json_decref(state);
    return hr;
}

/* HNS is one for all threads and processes. */
static HRESULT carry_out_alone(const struct object *o, const json_t *request, wchar_t **record)
{
    HANDLE mutex = CreateMutexA(NULL, FALSE, "stile-hns-double");
    (void)WaitForSingleObject(mutex, INFINITE);
    HRESULT hr = carry_out(o, request, record);
    (void)ReleaseMutex(mutex);
    (void)CloseHandle(mutex);
    return hr;
}

HRESULT WINAPI HcnModifyEndpoint(void *handle, const wchar_t *settings, wchar_t **record)
{
    HRESULT hr = S_OK;
    char *text = NULL;
    json_t *request = argument(settings, &text);
    const char *wrong = request != NULL ? double_check_request(request) : "it is not JSON";
    if (!double_fails("HcnModifyEndpoint", text != NULL ? text : "", record, &hr)) {
        hr = wrong != NULL ? double_error(DOUBLE_INVALID_POLICY, wrong, record)
                           : carry_out_alone(handle, request, record);
    }
    json_decref(request);
    mem_free(text);
    return hr;
}

HRESULT WINAPI HcnOpenEndpoint(const GUID *id, void **handle, wchar_t **record)
{
    return open_object("HcnOpenEndpoint", "endpoints", id, handle, record);
}

HRESULT WINAPI HcnOpenNamespace(const GUID *id, void **handle, wchar_t **record)
{
    return open_object("HcnOpenNamespace", "namespaces", id, handle, record);
}

HRESULT WINAPI HcnQueryEndpointProperties(void *handle, const wchar_t *query, wchar_t **properties,
                                          wchar_t **record)
{
    return query_object("HcnQueryEndpointProperties", handle, query, properties, record);
}

HRESULT WINAPI HcnQueryNamespaceProperties(void *handle, const wchar_t *query, wchar_t **properties,
                                           wchar_t **record)
{
    return query_object("HcnQueryNamespaceProperties", handle, query, properties, record);
}

HRESULT WINAPI HcnCloseEndpoint(void *handle)
{
    return close_object("HcnCloseEndpoint", handle);
}

HRESULT WINAPI HcnCloseNamespace(void *handle)
{
    return close_object("HcnCloseNamespace", handle);
}

/* vmcompute.dll's HNSCall. A state's "version" may also be a text, which is the answer as it stands. */
HRESULT WINAPI DoubleHNSCall(const wchar_t *method, const wchar_t *path, const wchar_t *request,
                             wchar_t **response)
{
    HRESULT hr = S_OK;
    char call[128];
    (void)str_format(call, sizeof(call), "%ls %ls %ls", method, path, request);
    *response = NULL;
    if (double_fails("HNSCall", call, NULL, &hr))
        return hr;
    json_t *state = double_state();
    json_t *version = json_object_get(state, "version");
    json_t *answer = str_eq(call, "GET /globals/version ")
                         ? json_pack("{s:b, s:O}", "Success", 1, "Output", version)
                         : json_pack("{s:b, s:s}", "Success", 0, "Error", "unknown request");
    char *text = json_is_string(version) ? mem_strdup(json_string_value(version))
                                         : json_dumps(answer, JSON_COMPACT);
    *response = double_answer(text);
    mem_free(text);
    json_decref(answer);
    json_decref(state);
    return S_OK;
}
