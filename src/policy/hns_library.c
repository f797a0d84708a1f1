#include "policy/hns_library.h"

#include <stddef.h>
#include <string.h>

#define HCN_LIBRARY     "computenetwork.dll"
#define COMPUTE_LIBRARY "vmcompute.dll"

/* Which function goes where. */
static const struct {
    const char *library, *name;
    size_t offset;
} functions[] = {
    {COMPUTE_LIBRARY, "HNSCall", offsetof(struct hns_library, call)},
    {HCN_LIBRARY, "HcnOpenEndpoint", offsetof(struct hns_library, open_endpoint)},
    {HCN_LIBRARY, "HcnQueryEndpointProperties", offsetof(struct hns_library, query_endpoint)},
    {HCN_LIBRARY, "HcnModifyEndpoint", offsetof(struct hns_library, modify_endpoint)},
    {HCN_LIBRARY, "HcnCloseEndpoint", offsetof(struct hns_library, close_endpoint)},
    {HCN_LIBRARY, "HcnOpenNamespace", offsetof(struct hns_library, open_namespace)},
    {HCN_LIBRARY, "HcnQueryNamespaceProperties", offsetof(struct hns_library, query_namespace)},
    {HCN_LIBRARY, "HcnCloseNamespace", offsetof(struct hns_library, close_namespace)},
};

static SRWLOCK lock = SRWLOCK_INIT;
static struct hns_library table;
static bool loaded;

/* From the system directory and nowhere else: a file of this name beside the program or in the
 * working directory is not ours to run. */
static int load(const char *name, HMODULE *ret, struct diag *d)
{
    HMODULE module = LoadLibraryExA(name, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    DWORD code = GetLastError();
    if (module == NULL)
        return diag_set(
            d, ERR_UNSUPPORTED, (long)code,
            "This Windows has no Host Networking Service: its system directory has no "
            "%s that can be loaded (error %lu). Turn on the feature Containers (Windows "
            "Server 2022 or newer)",
            name, code);
    *ret = module;
    return 0;
}

static int resolve(struct hns_library *t, size_t i, struct diag *d)
{
    HMODULE module = NULL;
    int r = load(functions[i].library, &module, d);
    if (r < 0)
        return r;
    FARPROC function = GetProcAddress(module, functions[i].name);
    if (function == NULL)
        return diag_set(d, ERR_UNSUPPORTED, (long)GetLastError(),
                        "The Host Networking Service of this Windows is too old: %s has no %s. "
                        "Layer-4 proxy policies need Windows Server 2022 or newer",
                        functions[i].library, functions[i].name);
    /* No cast from one kind of function to another. */
    memcpy((char *)t + functions[i].offset, &function, sizeof(function));
    return 0;
}

static int fill(struct diag *d)
{
    struct hns_library t;
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        int r = resolve(&t, i, d);
        if (r < 0)
            return r;
    }
    table = t;
    loaded = true;
    return 0;
}

int hns_library(const struct hns_library **ret, struct diag *d)
{
    AcquireSRWLockExclusive(&lock);
    int r = loaded ? 0 : fill(d);
    ReleaseSRWLockExclusive(&lock);
    if (r == 0)
        *ret = &table;
    return r;
}
