#include "testing.h"

#include <string.h>

#include "base/mem.h"
#include "policy/hns_endpoint.h"
#include "policy/hns_error.h"
#include "policy/hns_json.h"
#include "policy/hns_namespace.h"
#include "policy/hns_policy.h"
#include "policy/hns_request.h"
#include "policy/hns_version.h"
#include "policy/l4_json.h"

#define GUID_A "93f86a7f-e361-4362-b8a4-81bbb6a622dd"

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" has no \"%s\"", text, part);
}

/* ---- GUIDs ---- */

static void a_guid_is_read_with_and_without_braces_and_in_capitals(void **state)
{
    (void)state;
    static const char *const same[] = {GUID_A, "{" GUID_A "}",
                                       "93F86A7F-E361-4362-B8A4-81BBB6A622DD"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct guid g;
        assert_int_equal(guid_parse(same[i], &g, NULL), 0);
        assert_string_equal(g.text, GUID_A);
        assert_false(guid_is_zero(&g));
    }
}

static void what_is_no_guid_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "{}",
                                        "{" GUID_A,
                                        GUID_A "}",
                                        GUID_A "0",
                                        "93f86a7fe3614362b8a481bbb6a622dd",
                                        "93f86a7g-e361-4362-b8a4-81bbb6a622dd",
                                        "93f86a7f-e3614-362-b8a4-81bbb6a622dd",
                                        "(" GUID_A ")",
                                        "{{"
                                        "3f86a7f-e361-4362-b8a4-81bbb6a622dd}}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct guid g;
        struct diag d = {0};
        assert_int_equal(guid_parse(wrong[i], &g, &d), ERR_FORMAT);
        assert_has(d.text, "is not a GUID");
    }
}

static void the_zero_guid_is_known(void **state)
{
    (void)state;
    struct guid g, other;
    assert_int_equal(guid_parse("{00000000-0000-0000-0000-000000000000}", &g, NULL), 0);
    assert_true(guid_is_zero(&g));
    assert_int_equal(guid_parse(GUID_A, &other, NULL), 0);
    assert_false(guid_eq(&g, &other));
}

/* ---- The version ---- */

static int read_version(const char *json, struct hns_version *v, struct diag *d)
{
    return hns_version_read(slice_str(json), v, d);
}

static void versions_from_13_2_on_pass(void **state)
{
    (void)state;
    static const struct {
        struct hns_version v;
        int expected;
    } cases[] = {{{13, 2}, 0},
                 {{13, 3}, 0},
                 {{14, 0}, 0},
                 {{13, 1}, ERR_VERSION},
                 {{12, 65535}, ERR_VERSION},
                 {{0, 0}, ERR_VERSION}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(hns_version_check(&cases[i].v, NULL), cases[i].expected);
}

static void an_old_version_is_named(void **state)
{
    (void)state;
    struct hns_version v;
    struct diag d = {0};
    assert_int_equal(
        read_version("{\"Success\":true,\"Error\":\"\",\"Output\":{\"Major\":9,\"Minor\":4}}", &v,
                     &d),
        0);
    assert_int_equal(hns_version_check(&v, &d), ERR_VERSION);
    assert_has(d.text, "9.4");
    assert_has(d.text, "13.2");
}

static void answers_that_are_no_version_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "null",
        "[]",
        "{",
        "{}",
        "{\"Success\":true}",
        "{\"Success\":true,\"Output\":[]}",
        "{\"Success\":true,\"Output\":{\"Major\":13}}",
        "{\"Success\":true,\"Output\":{\"Major\":13,\"Minor\":65536}}",
        "{\"Success\":true,\"Output\":{\"Major\":-1,\"Minor\":2}}",
        "{\"Success\":true,\"Output\":{\"Major\":13.5,\"Minor\":2}}",
        "{\"Success\":true,\"Output\":{\"Major\":99999999999999999999,\"Minor\":2}}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct hns_version v = {7, 7};
        struct diag d = {0};
        assert_true(read_version(wrong[i], &v, &d) < 0);
        assert_int_equal(v.major, 7);
        assert_true(d.text[0] != '\0');
    }
}

/* ---- Errors ---- */

static int judge(uint32_t hresult, const char *record, struct diag *d)
{
    return hns_error_check(hresult, slice_str(record), "Failed to x", d);
}

static void only_success_without_a_record_is_success(void **state)
{
    (void)state;
    struct diag d = {0};
    assert_int_equal(judge(0, "", &d), 0);
    assert_int_equal(judge(1, "", &d), 0); /* S_FALSE */
    assert_int_equal(d.err, 0);
    assert_int_equal(judge(0, "{}", &d), ERR_IO);
    assert_int_equal(judge(0, " ", &d), ERR_IO);
    assert_int_equal(judge(0x80004005, "", &d), ERR_IO);
    assert_has(d.text, "0x80004005");
}

static void the_code_of_the_record_counts_where_the_call_claims_success(void **state)
{
    (void)state;
    struct diag d = {0};
    assert_int_equal(
        judge(0, "{\"ErrorCode\":2151350274,\"Error\":\"gone\",\"Success\":false}", &d),
        ERR_NOTFOUND);
    assert_has(d.text, "Failed to x: there is no such endpoint: gone (0x803b0002)");
    assert_int_equal((uint32_t)d.os_code, 0x803b0002);
    assert_int_equal(judge(0x80070005, "{\"ErrorCode\":2151350274,\"Error\":\"no\"}", &d),
                     ERR_PERM);
    assert_has(d.text, "administrator");
}

static void words_of_a_record_are_kept_and_tamed(void **state)
{
    (void)state;
    struct diag d = {0};
    (void)judge(0x8000ffff, "plain words\x1b[31m\n", &d);
    assert_has(d.text, "plain words [31m");
    (void)judge(0x8000ffff, "{\"Error\":\"\\u001b]0;x\\u0007 schl\\u00fcssel\"}", &d);
    assert_has(d.text, " ]0;x  schl\xc3\xbcssel");
    (void)judge(0x8000ffff, "{\"Error\":17}", &d);
    assert_has(d.text, "gave no reason");
}

/* ---- Namespaces ---- */

static int read_namespace(const char *json, struct hns_namespace *n, struct diag *d)
{
    return hns_namespace_parse(slice_str(json), n, d);
}

static void endpoints_of_a_namespace_are_found_among_its_resources(void **state)
{
    (void)state;
    struct hns_namespace n;
    assert_int_equal(
        read_namespace(
            "{\"ID\":\"x\",\"NamespaceId\":2,\"Type\":\"Host\",\"Resources\":["
            "{\"Type\":\"Container\",\"Data\":{\"ID\":\"abc\"}},"
            "{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"{93F86A7F-E361-4362-B8A4-81BBB6A622DD}\"}},"
            "{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"00000000-0000-0000-0000-000000000001\"}}]}",
            &n, NULL),
        0);
    assert_int_equal(n.type, HNS_NAMESPACE_HOST);
    assert_int_equal(n.endpoint_count, 2);
    assert_string_equal(n.endpoints[0].text, GUID_A);
}

static void types_of_namespaces_say_who_may_be_given_policies(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int plain, with_host;
    } cases[] = {
        {"{}", 0, 0},
        {"{\"Type\":\"\"}", 0, 0},
        {"{\"Type\":null}", 0, 0},
        {"{\"Type\":\"Host\"}", 0, 0},
        {"{\"Type\":\"HostDefault\"}", ERR_DENIED, 0},
        {"{\"Type\":\"Guest\"}", ERR_UNSUPPORTED, ERR_UNSUPPORTED},
        {"{\"Type\":\"GuestDefault\"}", ERR_UNSUPPORTED, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hns_namespace n;
        assert_int_equal(read_namespace(cases[i].json, &n, NULL), 0);
        assert_int_equal(hns_namespace_check(&n, false, NULL), cases[i].plain);
        assert_int_equal(hns_namespace_check(&n, true, NULL), cases[i].with_host);
    }
}

static void namespaces_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "[]",
        "{\"Type\":\"Moon\"}",
        "{\"Type\":5}",
        "{\"Resources\":[{\"Type\":\"Endpoint\"}]}",
        "{\"Resources\":[{\"Type\":\"Endpoint\",\"Data\":{\"ID\":7}}]}",
        "{\"Resources\":[{\"Type\":\"Endpoint\",\"Data\":{\"ID\":\"seven\"}}]}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct hns_namespace n;
        struct diag d = {0};
        assert_int_equal(read_namespace(wrong[i], &n, &d), ERR_FORMAT);
        assert_true(d.text[0] != '\0');
    }
}

static void a_namespace_has_at_most_so_many_endpoints(void **state)
{
    (void)state;
    struct hns_namespace n;
    json_t *resources = json_array();
    for (size_t i = 0; i <= HNS_NAMESPACE_ENDPOINTS_MAX; i++)
        json_array_append_new(
            resources, json_pack("{s:s, s:{s:s}}", "Type", "Endpoint", "Data", "ID", GUID_A));
    json_t *whole = json_pack("{s:o}", "Resources", resources);
    char *text = hns_json_write(whole);
    assert_int_equal(read_namespace(text, &n, NULL), ERR_LIMIT);
    json_array_remove(resources, 0);
    mem_free(text);
    text = hns_json_write(whole);
    assert_int_equal(read_namespace(text, &n, NULL), 0);
    assert_int_equal(n.endpoint_count, HNS_NAMESPACE_ENDPOINTS_MAX);
    mem_free(text);
    json_decref(whole);
}

/* ---- Endpoints and their policies ---- */

#define STRANGE                                                                                    \
    "{\"UserSID\":\"S-1-5-18\",\"Type\":\"L4WFPPROXY\",\"New\":[1,2.5,null],"                      \
    "\"Settings\":{\"InboundProxyPort\":\"80\",\"Zebra\":{\"b\":1,\"a\":2},\"FilterTuple\":{"      \
    "\"Priority\":0,\"LocalPorts\":\"\"}}}"

static void policies_are_kept_as_they_were_read(void **state)
{
    (void)state;
    struct hns_endpoint e;
    assert_int_equal(
        hns_endpoint_parse(
            SLICE_LIT("{\"ID\":\"" GUID_A "\",\"Policies\":[{\"Type\":\"ACL\"}," STRANGE ",7]}"),
            &e, NULL),
        0);
    assert_false(e.has_namespace);
    char *request = hns_request_write(HNS_REMOVE, e.policies);
    assert_string_equal(request, "{\"ResourceType\":\"Policy\",\"RequestType\":\"Remove\","
                                 "\"Settings\":{\"Policies\":[" STRANGE "]}}");
    mem_free(request);
    hns_endpoint_release(&e);
}

static void an_endpoint_tells_its_namespace(void **state)
{
    (void)state;
    struct hns_endpoint e;
    assert_int_equal(
        hns_endpoint_parse(SLICE_LIT("{\"ID\":\"" GUID_A "\",\"HostComputeNamespace\":\"{" GUID_A
                                     "}\",\"Policies\":null}"),
                           &e, NULL),
        0);
    assert_true(e.has_namespace);
    assert_string_equal(e.space.text, GUID_A);
    hns_endpoint_release(&e);
    assert_int_equal(
        hns_endpoint_parse(
            SLICE_LIT("{\"ID\":\"" GUID_A
                      "\",\"HostComputeNamespace\":\"00000000-0000-0000-0000-000000000000\"}"),
            &e, NULL),
        0);
    assert_false(e.has_namespace);
    hns_endpoint_release(&e);
}

static void endpoints_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "{}",
                                        "{\"ID\":5}",
                                        "{\"ID\":\"five\"}",
                                        "{\"ID\":\"" GUID_A "\",\"HostComputeNamespace\":\"x\"}",
                                        "{\"ID\":\"" GUID_A "\",\"Policies\":{}}",
                                        "{\"ID\":\"" GUID_A "\"} x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct hns_endpoint e;
        struct diag d = {0};
        assert_int_equal(hns_endpoint_parse(slice_str(wrong[i]), &e, &d), ERR_FORMAT);
        assert_true(d.text[0] != '\0');
    }
}

static void read_policy(const char *text, struct l4_policy *ret)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    assert_int_equal(hns_policy_read(value, "policy 1", ret, NULL), 0);
    json_decref(value);
}

static void unknown_and_empty_members_dont_hinder_reading(void **state)
{
    (void)state;
    struct l4_policy strange, plain;
    read_policy(STRANGE, &strange);
    read_policy("{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"InboundProxyPort\":\"80\"}}", &plain);
    assert_true(l4_policy_eq(&strange, &plain));
    assert_int_equal(strange.inbound.proxy_port, 80);
}

static void a_wrong_value_is_refused_though_unknown_members_arent(void **state)
{
    (void)state;
    struct l4_policy p;
    struct diag d = {0};
    json_t *value = json_loads(
        "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"InboundProxyPort\":\"90001\"}}", 0, NULL);
    assert_int_equal(hns_policy_read(value, "policy 3", &p, &d), ERR_FORMAT);
    assert_has(d.text, "policy 3");
    assert_has(d.text, "90001");
    json_decref(value);
}

static void only_what_hns_knows_is_made(void **state)
{
    (void)state;
    struct l4_policy p, held;
    CLEANUP(json_text_unrefp)
    json_t *value = json_loads(
        "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"80\",\"FilterTuple\":{"
        "\"Protocols\":\"6\",\"Priority\":3},"
        "\"UserSID\":\"S-1-5-18\",\"UserID\":\"5\",\"GroupID\":\"6\",\"Cgroup\":\"a/b\"}}",
        0, NULL);
    assert_int_equal(l4_json_read_policy(value, "policy", &p, NULL), 0);
    assert_true(p.guard.has_uid);
    CLEANUP(json_text_unrefp) json_t *made = hns_policy_make(&p);
    CLEANUP(mem_freep) char *text = hns_json_write(made);
    assert_string_equal(
        text, "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"80\",\"FilterTuple\":"
              "{\"Protocols\":\"6\",\"Priority\":3},\"UserSID\":\"S-1-5-18\"}}");
    assert_int_equal(hns_policy_read(made, "policy", &held, NULL), 0);
    assert_false(l4_policy_eq(&held, &p));
    struct l4_policy plain;
    assert_int_equal(hns_policy_plain(&p, &plain, NULL), 0);
    assert_true(l4_policy_eq(&held, &plain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guid_is_read_with_and_without_braces_and_in_capitals),
        cmocka_unit_test(what_is_no_guid_is_refused),
        cmocka_unit_test(the_zero_guid_is_known),
        cmocka_unit_test(versions_from_13_2_on_pass),
        cmocka_unit_test(an_old_version_is_named),
        cmocka_unit_test(answers_that_are_no_version_are_refused),
        cmocka_unit_test(only_success_without_a_record_is_success),
        cmocka_unit_test(the_code_of_the_record_counts_where_the_call_claims_success),
        cmocka_unit_test(words_of_a_record_are_kept_and_tamed),
        cmocka_unit_test(endpoints_of_a_namespace_are_found_among_its_resources),
        cmocka_unit_test(types_of_namespaces_say_who_may_be_given_policies),
        cmocka_unit_test(namespaces_that_make_no_sense_are_refused),
        cmocka_unit_test(a_namespace_has_at_most_so_many_endpoints),
        cmocka_unit_test(policies_are_kept_as_they_were_read),
        cmocka_unit_test(an_endpoint_tells_its_namespace),
        cmocka_unit_test(endpoints_that_make_no_sense_are_refused),
        cmocka_unit_test(unknown_and_empty_members_dont_hinder_reading),
        cmocka_unit_test(a_wrong_value_is_refused_though_unknown_members_arent),
        cmocka_unit_test(only_what_hns_knows_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
