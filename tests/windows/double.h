/* The doubles of computenetwork.dll and vmcompute.dll: failures, the log, the state, and what was given out. They stand in for HNS in
 * wine's own system directory, so that the program's real way of loading them is what is tested.
 *
 * Environment: HNS_STATE, a JSON file {"version":{"Major":…,"Minor":…},"endpoints":[…],"namespaces":[…]} that several processes see, one after
 * the other; HNS_LOG, a file to which each call is appended as a line; HNS_FAIL=FUNCTION#N,…, the N-th call of that function in the process fails, the way
 * that HNS_FAIL_HOW says: "hresult" (no record), "record" (success with a record), "both", "null" (success, and no answer), "die" (the
 * program ends there).
 * A handle that is never closed and an answer that is never freed are told in the log when the process ends.
 */
#ifndef STILE_TESTS_WINDOWS_DOUBLE_H
#define STILE_TESTS_WINDOWS_DOUBLE_H

#include <jansson.h>
#include <windows.h>

#include "base/compiler.h"

#define EXPORT __declspec(dllexport)

#define DOUBLE_ENDPOINT_NOT_FOUND    0x803b0002U
#define DOUBLE_POLICY_NOT_FOUND      0x803b0008U
#define DOUBLE_INVALID_POLICY        0x803b000dU
#define DOUBLE_POLICY_ALREADY_EXISTS 0x803b0012U
#define DOUBLE_REQUEST_UNSUPPORTED   0x803b0015U
#define DOUBLE_INVALID_JSON          0x803b001bU
#define DOUBLE_ELEMENT_NOT_FOUND     0x80070490U
#define DOUBLE_UNEXPECTED            0x8000ffffU

PRINTF_LIKE(1, 2) void double_log(const char *fmt, ...);

/* Every call begins with it: logs "FUNCTION ARGUMENT" and says whether this one is to fail: then *ret is what to return at once, and the
 * record was written (NULL: the function has none). */
bool double_fails(const char *function, const char *argument, wchar_t **record, HRESULT *ret);
/* A failure: an HRESULT and a record with it. */
HRESULT double_error(uint32_t code, const char *text, wchar_t **record);

/* The state; the process ends when it can't be read. New reference. */
json_t *double_state(void);
void double_save(const json_t *state);

/* An answer: memory of the COM allocator, counted until it is freed. */
wchar_t *double_answer(const char *text);
/* New memory of jansson's; NULL if it isn't UTF-16. */
char *double_utf8(const wchar_t *text);

/* Things that must be given back. */
void double_handle_opened(void);
void double_handle_closed(void);

#endif
