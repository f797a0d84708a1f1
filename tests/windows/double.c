#include "double.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <combaseapi.h>
#include <objidl.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- The answers, until they are freed ---- */

#define ANSWERS_MAX 256

static SRWLOCK lock = SRWLOCK_INIT; /* of all that follows, here and below */
static void *answers[ANSWERS_MAX];
static size_t answer_count;

static void forget(const void *p)
{
    AcquireSRWLockExclusive(&lock);
    for (size_t i = 0; p != NULL && i < answer_count; i++)
        if (answers[i] == p)
            answers[i--] = answers[--answer_count];
    ReleaseSRWLockExclusive(&lock);
}

static void remember(void *p)
{
    AcquireSRWLockExclusive(&lock);
    if (answer_count == ANSWERS_MAX)
        ExitProcess(90);
    answers[answer_count++] = p;
    ReleaseSRWLockExclusive(&lock);
}

/* COM's allocator tells of every piece of memory that it is given back. */
static HRESULT WINAPI spy_query(IMallocSpy *self, const IID *iid UNUSED, void **ret)
{
    *ret = self;
    return S_OK;
}

static ULONG WINAPI spy_ref(IMallocSpy *self UNUSED)
{
    return 1;
}

static SIZE_T WINAPI spy_pre_alloc(IMallocSpy *self UNUSED, SIZE_T size)
{
    return size;
}

static void *WINAPI spy_post_alloc(IMallocSpy *self UNUSED, void *p)
{
    return p;
}

static void *WINAPI spy_pre_free(IMallocSpy *self UNUSED, void *p, BOOL spied UNUSED)
{
    forget(p);
    return p;
}

static void WINAPI spy_post_free(IMallocSpy *self UNUSED, BOOL spied UNUSED)
{
}

static SIZE_T WINAPI spy_pre_realloc(IMallocSpy *self UNUSED, void *p, SIZE_T size, void **ret,
                                     BOOL spied UNUSED)
{
    *ret = p;
    return size;
}

static void *WINAPI spy_post_realloc(IMallocSpy *self UNUSED, void *p, BOOL spied UNUSED)
{
    return p;
}

static void *WINAPI spy_pre_look(IMallocSpy *self UNUSED, void *p, BOOL spied UNUSED)
{
    return p;
}

static SIZE_T WINAPI spy_post_size(IMallocSpy *self UNUSED, SIZE_T size, BOOL spied UNUSED)
{
    return size;
}

static int WINAPI spy_post_did(IMallocSpy *self UNUSED, void *p UNUSED, BOOL spied UNUSED,
                               int actual)
{
    return actual;
}

static void WINAPI spy_minimize(IMallocSpy *self UNUSED)
{
}

static IMallocSpyVtbl spy_table = {
    .QueryInterface = spy_query,
    .AddRef = spy_ref,
    .Release = spy_ref,
    .PreAlloc = spy_pre_alloc,
    .PostAlloc = spy_post_alloc,
    .PreFree = spy_pre_free,
    .PostFree = spy_post_free,
    .PreRealloc = spy_pre_realloc,
    .PostRealloc = spy_post_realloc,
    .PreGetSize = spy_pre_look,
    .PostGetSize = spy_post_size,
    .PreDidAlloc = spy_pre_look,
    .PostDidAlloc = spy_post_did,
    .PreHeapMinimize = spy_minimize,
    .PostHeapMinimize = spy_minimize,
};

static IMallocSpy spy = {&spy_table};

/* At the first answer: before, the process may not have COM's allocator yet. */
wchar_t *double_answer(const char *text)
{
    static LONG spying;
    if (InterlockedExchange(&spying, 1) == 0 && CoRegisterMallocSpy(&spy) != S_OK)
        double_log("no spy: answers that are never freed would not be noticed");
    int size = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *out = CoTaskMemAlloc((size_t)size * sizeof(wchar_t));
    if (out == NULL)
        ExitProcess(90);
    (void)MultiByteToWideChar(CP_UTF8, 0, text, -1, out, size);
    remember(out);
    return out;
}

/* ---- Handles ---- */

static LONG handles;

void double_handle_opened(void)
{
    (void)InterlockedIncrement(&handles);
}

void double_handle_closed(void)
{
    (void)InterlockedDecrement(&handles);
}

static void tell_leaks(void)
{
    if (handles != 0)
        double_log("LEAK %ld handles", handles);
    if (answer_count != 0)
        double_log("LEAK %zu answers", answer_count);
}

BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, void *reserved);

BOOL WINAPI DllMain(HINSTANCE module UNUSED, DWORD reason, void *reserved UNUSED)
{
    if (reason == DLL_PROCESS_DETACH)
        tell_leaks();
    return TRUE;
}

/* ---- The log ---- */

static void append(const char *path, const char *fmt, va_list args)
{
    FILE *file = fopen(path, "ab");
    if (file == NULL)
        return;
    (void)vfprintf(file, fmt, args);
    (void)fputc('\n', file);
    (void)fclose(file);
}

/* One writer at a time, of all threads and processes: to append is to find the end and then to write. */
void double_log(const char *fmt, ...)
{
    const char *path = getenv("HNS_LOG");
    HANDLE mutex = path != NULL ? CreateMutexA(NULL, FALSE, "stile-hns-double-log") : NULL;
    va_list args;
    if (path == NULL)
        return;
    (void)WaitForSingleObject(mutex, INFINITE);
    va_start(args, fmt);
    append(path, fmt, args);
    va_end(args);
    (void)ReleaseMutex(mutex);
    (void)CloseHandle(mutex);
}

/* ---- Failures ---- */

#define FUNCTIONS_MAX 16

/* How often the function has been called by this process. */
static unsigned count_call(const char *function)
{
    static const char *names[FUNCTIONS_MAX];
    static unsigned counts[FUNCTIONS_MAX];
    unsigned count = 0;
    AcquireSRWLockExclusive(&lock);
    for (size_t i = 0; count == 0 && i < FUNCTIONS_MAX; i++) {
        if (names[i] == NULL)
            names[i] = function;
        if (str_eq(names[i], function))
            count = ++counts[i];
    }
    ReleaseSRWLockExclusive(&lock);
    return count;
}

HRESULT double_error(uint32_t code, const char *text, wchar_t **record)
{
    json_t *r =
        json_pack("{s:I, s:s, s:b}", "ErrorCode", (json_int_t)code, "Error", text, "Success", 0);
    char *json = json_dumps(r, JSON_COMPACT);
    if (record != NULL)
        *record = double_answer(json);
    double_log("  error 0x%08x %s", (unsigned)code, text);
    json_decref(r);
    mem_free(json);
    return (HRESULT)code;
}

/* list: calls with commas between; NULL: none. */
static bool is_among(const char *list, const char *call)
{
    size_t len = 0;
    for (; list != NULL && *list != '\0'; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        if (slice_eq_str(slice_of(list, len), call))
            return true;
    }
    return false;
}

bool double_fails(const char *function, const char *argument, wchar_t **record, HRESULT *ret)
{
    char call[80];
    const char *wanted = getenv("HNS_FAIL"), *how = getenv("HNS_FAIL_HOW");
    (void)str_format(call, sizeof(call), "%s#%u", function, count_call(function));
    double_log("%s %s", call, argument);
    if (record != NULL)
        *record = NULL;
    if (!is_among(wanted, call))
        return false;
    how = how != NULL ? how : "both";
    if (str_eq(how, "die"))
        (void)TerminateProcess(GetCurrentProcess(), 99);
    *ret = str_eq(how, "record") || str_eq(how, "null") ? S_OK : (HRESULT)DOUBLE_UNEXPECTED;
    if (str_eq(how, "record") || str_eq(how, "both"))
        (void)double_error(DOUBLE_UNEXPECTED, "made to fail", record);
    return true;
}

/* ---- Texts and the state ---- */

char *double_utf8(const wchar_t *text)
{
    int size = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, NULL, 0, NULL, NULL);
    char *out = size > 0 ? mem_alloc((size_t)size) : NULL;
    if (out != NULL)
        (void)WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, out, size, NULL, NULL);
    return out;
}

/* Another process may have the file open at the moment. */
#define ATTEMPTS 200

json_t *double_state(void)
{
    json_error_t error;
    json_t *state = NULL;
    const char *path = getenv("HNS_STATE");
    for (int i = 0; path != NULL && state == NULL && i < ATTEMPTS; i++) {
        state = json_load_file(path, 0, &error);
        if (state == NULL)
            Sleep(10);
    }
    if (state == NULL) {
        double_log("no state: %s", path != NULL ? error.text : "HNS_STATE is not set");
        ExitProcess(91);
    }
    return state;
}

void double_save(const json_t *state)
{
    char path[MAX_PATH];
    bool saved = false;
    const char *target = getenv("HNS_STATE");
    (void)str_format(path, sizeof(path), "%s.%lu", target, GetCurrentProcessId());
    if (json_dump_file(state, path, JSON_INDENT(1)) != 0)
        ExitProcess(92);
    for (int i = 0; !saved && i < ATTEMPTS; i++) {
        saved = MoveFileExA(path, target, MOVEFILE_REPLACE_EXISTING);
        if (!saved)
            Sleep(10);
    }
    if (!saved)
        ExitProcess(93);
}
