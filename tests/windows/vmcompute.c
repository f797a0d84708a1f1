/* The double of vmcompute.dll: its one function, which the double of computenetwork.dll answers (one state, one log). */
#include "double.h"

#include <string.h>

typedef HRESULT WINAPI call_fn(const wchar_t *method, const wchar_t *path, const wchar_t *request,
                               wchar_t **response);

EXPORT call_fn HNSCall;

HRESULT WINAPI HNSCall(const wchar_t *method, const wchar_t *path, const wchar_t *request,
                       wchar_t **response)
{
    call_fn *answer = NULL;
    HMODULE other = LoadLibraryExA("computenetwork.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC found = other != NULL ? GetProcAddress(other, "DoubleHNSCall") : NULL;
    if (found == NULL)
        return E_NOTIMPL;
    memcpy(&answer, &found, sizeof(found));
    return answer(method, path, request, response);
}
