/* The calls of HNS themselves, Windows only: a table of functions of the test's own in the place of the libraries. */
#include "testing.h"

#include <string.h>
#include <windows.h>

#include <combaseapi.h>

#include "base/mem.h"
#include "policy/hns.h"
#include "policy/hns_library.h"
#include "policy/hns_lock.h"
#include "policy/hns_lookup.h"

#define GUID_A "93f86a7f-e361-4362-b8a4-81bbb6a622dd"

/* What the functions are to answer, and what they were asked. */
static struct {
    HRESULT hr;
    const wchar_t *answer, *record; /* NULL: none is given */
    bool no_handle;
    GUID asked_id;
    wchar_t asked[256];
    int open;
} hns;

static wchar_t *give(const wchar_t *text)
{
    if (text == NULL)
        return NULL;
    size_t size = (wcslen(text) + 1) * sizeof(wchar_t);
    wchar_t *out = CoTaskMemAlloc(size);
    assert_non_null(out);
    memcpy(out, text, size);
    return out;
}

static HRESULT WINAPI call(const wchar_t *method, const wchar_t *path, const wchar_t *request,
                           wchar_t **response)
{
    assert_true(wcscmp(method, L"GET") == 0 && wcscmp(path, L"/globals/version") == 0 &&
                request[0] == 0);
    *response = give(hns.answer);
    return hns.hr;
}

static HRESULT WINAPI open_object(const GUID *id, void **handle, wchar_t **record)
{
    hns.asked_id = *id;
    *record = give(hns.record);
    *handle = SUCCEEDED(hns.hr) && !hns.no_handle ? &hns : NULL;
    hns.open += *handle != NULL;
    return hns.hr;
}

static HRESULT WINAPI query_object(void *handle, const wchar_t *query, wchar_t **properties,
                                   wchar_t **record)
{
    assert_ptr_equal(handle, &hns);
    assert_true(wcscmp(query, L"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Flags\":0}") == 0);
    *properties = give(hns.answer);
    *record = give(hns.record);
    return hns.hr;
}

static HRESULT WINAPI modify_object(void *handle, const wchar_t *settings, wchar_t **record)
{
    assert_ptr_equal(handle, &hns);
    assert_true(wcslen(settings) < ARRAY_LEN(hns.asked));
    memcpy(hns.asked, settings, (wcslen(settings) + 1) * sizeof(wchar_t));
    *record = give(hns.record);
    return hns.hr;
}

static HRESULT WINAPI close_object(void *handle)
{
    assert_ptr_equal(handle, &hns);
    hns.open--;
    return S_OK;
}

int hns_library(const struct hns_library **ret, struct diag *d UNUSED)
{
    static const struct hns_library table = {
        .call = call,
        .open_endpoint = open_object,
        .open_namespace = open_object,
        .query_endpoint = query_object,
        .query_namespace = query_object,
        .modify_endpoint = modify_object,
        .close_endpoint = close_object,
        .close_namespace = close_object,
    };
    *ret = &table;
    return 0;
}

static int reset(void **state)
{
    (void)state;
    memset(&hns, 0, sizeof(hns));
    return 0;
}

static int no_handle_is_left(void **state)
{
    (void)state;
    return hns.open;
}

static struct hns_endpoint_handle *open_one(void)
{
    struct guid id;
    struct hns_endpoint_handle *h = NULL;
    assert_int_equal(guid_parse(GUID_A, &id, NULL), 0);
    assert_int_equal(hns_endpoint_open(&id, &h, NULL), 0);
    return h;
}

static void a_guid_goes_in_the_byte_order_of_the_system(void **state)
{
    (void)state;
    static const GUID expected = {
        0x93f86a7f, 0xe361, 0x4362, {0xb8, 0xa4, 0x81, 0xbb, 0xb6, 0xa6, 0x22, 0xdd}};
    hns_endpoint_close(open_one());
    assert_memory_equal(&hns.asked_id, &expected, sizeof(expected));
}

static void texts_cross_the_border_as_utf16(void **state)
{
    (void)state;
    CLEANUP(hns_endpoint_closep) struct hns_endpoint_handle *h = open_one();
    CLEANUP(mem_freep) char *text = NULL;
    assert_int_equal(hns_endpoint_modify(h, "{\"\xc3\xbc\":\"\xf0\x9f\x90\x91\"}", NULL), 0);
    assert_true(wcscmp(hns.asked, L"{\"\u00fc\":\"\U0001f411\"}") == 0);
    hns.answer = L"\u00fc \U0001f411";
    assert_int_equal(hns_endpoint_query(h, &text, NULL), 0);
    assert_string_equal(text, "\xc3\xbc \xf0\x9f\x90\x91");
}

static void what_is_not_utf16_is_read_all_the_same(void **state)
{
    (void)state;
    static const wchar_t lone[] = {L'a', 0xd800, L'b', 0};
    CLEANUP(hns_endpoint_closep) struct hns_endpoint_handle *h = open_one();
    CLEANUP(mem_freep) char *text = NULL;
    hns.answer = lone;
    assert_int_equal(hns_endpoint_query(h, &text, NULL), 0);
    assert_string_equal(text, "a\xef\xbf\xbd"
                              "b");
}

static void success_with_a_record_is_a_failure(void **state)
{
    (void)state;
    struct diag d = {0};
    struct guid id;
    struct hns_endpoint_handle *none = NULL;
    struct hns_namespace n;
    CLEANUP(hns_endpoint_closep) struct hns_endpoint_handle *h = open_one();
    CLEANUP(mem_freep) char *text = NULL;
    hns.answer = L"{}";
    hns.record = L"{\"ErrorCode\":2151350274,\"Error\":\"gone\"}";
    (void)guid_parse(GUID_A, &id, NULL);
    assert_int_equal(hns_endpoint_query(h, &text, &d), ERR_NOTFOUND);
    assert_null(text);
    assert_int_equal(hns_endpoint_modify(h, "{}", &d), ERR_NOTFOUND);
    assert_int_equal(hns_endpoint_open(&id, &none, &d), ERR_NOTFOUND);
    assert_null(none);
    assert_int_equal(hns_namespace_read(&id, &n, &d), ERR_NOTFOUND);
    assert_int_equal(hns.open, 1);
    hns.record = L"";
    assert_int_equal(hns_endpoint_query(h, &text, &d), 0);
}

static void an_answer_or_handle_that_is_missing_is_a_failure(void **state)
{
    (void)state;
    struct diag d = {0};
    struct guid id;
    struct hns_version v;
    struct hns_namespace n;
    struct hns_endpoint_handle *h = open_one(), *none = NULL;
    char *text = NULL;
    (void)guid_parse(GUID_A, &id, NULL);
    assert_int_equal(hns_endpoint_query(h, &text, &d), ERR_FORMAT);
    assert_int_equal(hns_version(&v, &d), ERR_FORMAT);
    assert_int_equal(hns_namespace_read(&id, &n, &d), ERR_FORMAT);
    hns_endpoint_close(h);
    hns.no_handle = true;
    assert_int_equal(hns_endpoint_open(&id, &none, &d), ERR_FORMAT);
    assert_int_equal(hns_namespace_read(&id, &n, &d), ERR_FORMAT);
}

/* One of each. */
static int all(const struct guid *id, struct diag *d)
{
    struct hns_version v;
    struct hns_namespace n;
    struct lookup_result found;
    CLEANUP(hns_endpoint_closep) struct hns_endpoint_handle *h = NULL;
    CLEANUP(mem_freep) char *text = NULL;
    hns.answer =
        L"{\"Success\":true,\"Output\":{\"Major\":13,\"Minor\":2},\"Type\":\"Host\",\"Resources\":"
        L"[{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"93f86a7f-e361-4362-b8a4-81bbb6a622dd\"}}]}";
    int r = hns_version(&v, d);
    r = r == 0 ? hns_check(d) : r;
    r = r == 0 ? hns_endpoint_open(id, &h, d) : r;
    r = r == 0 ? hns_endpoint_query(h, &text, d) : r;
    r = r == 0 ? hns_endpoint_modify(h, "{}", d) : r;
    r = r == 0 ? hns_namespace_read(id, &n, d) : r;
    return r == 0 ? hns_namespace_endpoints(GUID_A, &found, d) : r;
}

static void no_failing_allocation_is_taken_for_success(void **state)
{
    (void)state;
    struct guid id;
    uint64_t n = 1, made = 0;
    (void)guid_parse(GUID_A, &id, NULL);
    do {
        struct diag d = {0};
        (void)mem_fail_at(n);
        int r = all(&id, &d);
        made = mem_fail_at(0);
        assert_int_equal(r, made >= n ? ERR_NOMEM : 0);
        assert_int_equal(hns.open, 0);
        assert_true((r < 0) == (d.text[0] != '\0'));
    } while (made >= n++);
    assert_true(n > 7);
}

static void the_endpoints_of_a_namespace_are_names_for_the_command(void **state)
{
    (void)state;
    struct diag d = {0};
    struct lookup_result found;
    hns.answer =
        L"{\"Resources\":[{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"93F86A7F-E361-4362-B8A4-"
        L"81BBB6A622DD\"}},"
        L"{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"00000000-0000-0000-0000-000000000001\"}}]}";
    assert_int_equal(hns_namespace_endpoints("{" GUID_A "}", &found, &d), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.names[0], GUID_A);
    assert_int_equal(hns_namespace_endpoints("five", &found, &d), ERR_INVAL);
    hns.answer = L"{\"Resources\":[]}";
    assert_int_equal(hns_namespace_endpoints(GUID_A, &found, &d), ERR_EXPIRED);
    hns.answer = L"{\"Type\":\"HostDefault\"}";
    assert_int_equal(hns_namespace_endpoints(GUID_A, &found, &d), ERR_DENIED);
    hns.answer = L"{\"Type\":\"Guest\"}";
    assert_int_equal(hns_namespace_endpoints(GUID_A, &found, &d), ERR_UNSUPPORTED);
}

/* ---- The lock ---- */

static struct guid locked;

static DWORD WINAPI try_the_lock(void *arg)
{
    struct hns_lock *lock = NULL;
    *(int *)arg = hns_lock_take(&locked, 100, &lock, NULL);
    hns_lock_release(lock);
    return 0;
}

static DWORD WINAPI die_with_the_lock(void *arg)
{
    struct hns_lock *lock = NULL;
    *(int *)arg = hns_lock_take(&locked, 100, &lock, NULL);
    mem_free(lock); /* its mutex is never released */
    return 0;
}

static int in_a_thread(LPTHREAD_START_ROUTINE run)
{
    int result = 1;
    HANDLE thread = CreateThread(NULL, 0, run, &result, 0, NULL);
    assert_non_null(thread);
    assert_int_equal(WaitForSingleObject(thread, 10000), WAIT_OBJECT_0);
    CloseHandle(thread);
    return result;
}

static void one_writer_at_a_time_has_the_lock_of_an_endpoint(void **state)
{
    (void)state;
    struct hns_lock *lock = NULL, *other = NULL;
    struct guid another;
    assert_int_equal(guid_parse(GUID_A, &locked, NULL), 0);
    assert_int_equal(guid_parse("00000000-0000-0000-0000-000000000009", &another, NULL), 0);
    assert_int_equal(hns_lock_take(&locked, 100, &lock, NULL), 0);
    assert_int_equal(hns_lock_take(&another, 100, &other, NULL), 0);
    assert_int_equal(in_a_thread(try_the_lock), ERR_BUSY);
    hns_lock_release(lock);
    hns_lock_release(other);
    assert_int_equal(in_a_thread(try_the_lock), 0);
}

static void a_writer_that_died_does_not_keep_the_lock(void **state)
{
    (void)state;
    assert_int_equal(guid_parse(GUID_A, &locked, NULL), 0);
    assert_int_equal(in_a_thread(die_with_the_lock), 0);
    assert_int_equal(in_a_thread(try_the_lock), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_guid_goes_in_the_byte_order_of_the_system, reset,
                                        no_handle_is_left),
        cmocka_unit_test_setup_teardown(texts_cross_the_border_as_utf16, reset, no_handle_is_left),
        cmocka_unit_test_setup_teardown(what_is_not_utf16_is_read_all_the_same, reset,
                                        no_handle_is_left),
        cmocka_unit_test_setup_teardown(success_with_a_record_is_a_failure, reset,
                                        no_handle_is_left),
        cmocka_unit_test_setup_teardown(an_answer_or_handle_that_is_missing_is_a_failure, reset,
                                        no_handle_is_left),
        cmocka_unit_test_setup_teardown(no_failing_allocation_is_taken_for_success, reset,
                                        no_handle_is_left),
        cmocka_unit_test_setup_teardown(the_endpoints_of_a_namespace_are_names_for_the_command,
                                        reset, no_handle_is_left),
        cmocka_unit_test(one_writer_at_a_time_has_the_lock_of_an_endpoint),
        cmocka_unit_test(a_writer_that_died_does_not_keep_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
