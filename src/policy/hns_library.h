/* The functions of computenetwork.dll and vmcompute.dll that we call, looked up at run time.
 * Windows only.
 */
#ifndef STILE_POLICY_HNS_LIBRARY_H
#define STILE_POLICY_HNS_LIBRARY_H

#include <windows.h>

#include "base/err.h"

/* As in computenetwork.h; handles are opaque. Texts that they give are freed with CoTaskMemFree. */
typedef HRESULT WINAPI hns_call_fn(const wchar_t *method, const wchar_t *path,
                                   const wchar_t *request, wchar_t **response);
typedef HRESULT WINAPI hcn_open_fn(const GUID *id, void **handle, wchar_t **record);
typedef HRESULT WINAPI hcn_query_fn(void *handle, const wchar_t *query, wchar_t **properties,
                                    wchar_t **record);
typedef HRESULT WINAPI hcn_modify_fn(void *handle, const wchar_t *settings, wchar_t **record);
typedef HRESULT WINAPI hcn_close_fn(void *handle);

struct hns_library {
    hns_call_fn *call;
    hcn_open_fn *open_endpoint, *open_namespace;
    hcn_query_fn *query_endpoint, *query_namespace;
    hcn_modify_fn *modify_endpoint;
    hcn_close_fn *close_endpoint, *close_namespace;
};

/* The one table, filled by the first call that succeeds; the libraries stay loaded. ERR_UNSUPPORTED
 * names what is missing. Thread-safe. */
int hns_library(const struct hns_library **ret, struct diag *d);

#endif
