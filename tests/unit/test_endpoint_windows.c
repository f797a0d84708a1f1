/* Endpoints of Windows over an HNS in memory: what the doubles of its libraries prove under wine is looked at here with sanitizers, and with
 * each allocation failing in turn. */
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/endpoint.h"
#include "policy/hns.h"
#include "policy/hns_json.h"
#include "policy/hns_lock.h"
#include "policy/json_text.h"
#include "policy/l4_json.h"

#define GUID_A "93f86a7f-e361-4362-b8a4-81bbb6a622dd"
#define SPACE  "11111111-2222-3333-4444-555555555555"
#define POLICY(port)                                                                               \
    "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"" port                         \
    "\",\"FilterTuple\":{\"Protocols\":\"6\"},\"UserSID\":\"S-1-5-18\"}}"
#define ACL "{\"Type\":\"ACL\",\"Settings\":{\"Action\":\"Allow\"}}"
#define STRANGE                                                                                    \
    "{\"Type\":\"L4WFPPROXY\",\"New\":[1],\"Settings\":{\"Newer\":2,\"InboundProxyPort\":\"90\"}}"

/* The HNS. */
static struct {
    struct hns_version version;
    enum hns_namespace_type type;
    json_t *policies;                  /* of the one endpoint */
    const char *tells;                 /* in place of all that; NULL: that */
    const char *other_id;              /* what it calls itself instead; NULL: its name */
    unsigned modifications, refuse_at; /* the n-th (and, with refuse_all, those after it) fails */
    bool refuse_all, refuse_query;
    int open, locks;
} hns;

struct hns_endpoint_handle {
    int unused;
};
struct hns_lock {
    int unused;
};

int hns_version(struct hns_version *ret, struct diag *d UNUSED)
{
    *ret = hns.version;
    return 0;
}

int hns_check(struct diag *d)
{
    return hns_version_check(&hns.version, d);
}

int hns_endpoint_open(const struct guid *id, struct hns_endpoint_handle **ret, struct diag *d)
{
    if (!str_eq(id->text, GUID_A))
        return diag_set(d, ERR_NOTFOUND, 0, "no such endpoint");
    *ret = NEW(struct hns_endpoint_handle);
    if (*ret == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    hns.open++;
    return 0;
}

void hns_endpoint_close(struct hns_endpoint_handle *h)
{
    hns.open -= h != NULL;
    mem_free(h);
}

void hns_endpoint_closep(struct hns_endpoint_handle **h)
{
    hns_endpoint_close(*h);
}

int hns_endpoint_query(struct hns_endpoint_handle *h UNUSED, char **ret, struct diag *d)
{
    if (hns.refuse_query)
        return diag_set(d, ERR_IO, 0, "HNS is ill");
    if (hns.tells != NULL) {
        *ret = mem_strdup(hns.tells);
        return *ret != NULL ? 0 : ERR_NOMEM;
    }
    CLEANUP(json_text_unrefp)
    json_t *whole = json_pack("{s:s, s:s, s:O}", "ID", hns.other_id != NULL ? hns.other_id : GUID_A,
                              "HostComputeNamespace", SPACE, "Policies", hns.policies);
    *ret = whole != NULL ? hns_json_write(whole) : NULL;
    return *ret != NULL ? 0 : diag_set(d, ERR_NOMEM, 0, "Out of memory");
}

static void remove_like(const json_t *policy)
{
    for (size_t i = 0; i < json_array_size(hns.policies); i++) {
        if (!json_equal(json_array_get(hns.policies, i), policy))
            continue;
        json_array_remove(hns.policies, i);
        return;
    }
    fail_msg("a policy is removed that isn't there");
}

int hns_endpoint_modify(struct hns_endpoint_handle *h UNUSED, const char *request, struct diag *d)
{
    size_t i = 0;
    json_t *policy = NULL;
    hns.modifications++;
    if (hns.modifications == hns.refuse_at || (hns.refuse_all && hns.modifications > hns.refuse_at))
        return diag_set(d, ERR_IO, 5, "HNS refuses number %u", hns.modifications);
    json_t *parsed = NULL;
    int r = json_text_read(slice_str(request), 0, &parsed, d);
    if (r < 0)
        return r;
    bool adds = hns_json_is(json_object_get(parsed, "RequestType"), "Add");
    json_array_foreach(json_object_get(json_object_get(parsed, "Settings"), "Policies"), i, policy)
    {
        if (adds)
            json_array_append(hns.policies, policy);
        else
            remove_like(policy);
    }
    json_decref(parsed);
    return 0;
}

int hns_namespace_read(const struct guid *id, struct hns_namespace *ret, struct diag *d UNUSED)
{
    assert_string_equal(id->text, SPACE);
    *ret = (struct hns_namespace){.type = hns.type};
    return 0;
}

int hns_lock_take(const struct guid *id UNUSED, unsigned timeout_ms UNUSED, struct hns_lock **ret,
                  struct diag *d)
{
    *ret = NEW(struct hns_lock);
    if (*ret == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    hns.locks++;
    return 0;
}

void hns_lock_release(struct hns_lock *lock)
{
    hns.locks -= lock != NULL;
    mem_free(lock);
}

void hns_lock_releasep(struct hns_lock **lock)
{
    hns_lock_release(*lock);
}

/* ---- */

static void hold(const char *policies)
{
    json_decref(hns.policies);
    memset(&hns, 0, sizeof(hns));
    hns.version = (struct hns_version){13, 2};
    hns.policies = json_loads(policies, 0, NULL);
    assert_non_null(hns.policies);
}

static void assert_held(const char *policies)
{
    CLEANUP(mem_freep) char *text = hns_json_write(hns.policies);
    assert_string_equal(text, policies);
    assert_int_equal(hns.open, 0);
    assert_int_equal(hns.locks, 0);
}

typedef int change_fn(struct endpoint *e, const struct l4_policies *l, struct endpoint_change *c,
                      struct diag *d);

static int dry_clear(struct endpoint *e, const struct l4_policies *l UNUSED,
                     struct endpoint_change *c, struct diag *d)
{
    c->dry_run = true;
    return endpoint_clear(e, c, d);
}

static int clear(struct endpoint *e, const struct l4_policies *l UNUSED, struct endpoint_change *c,
                 struct diag *d)
{
    return endpoint_clear(e, c, d);
}

/* The counts, and what was sent. */
struct told {
    size_t added, removed, unchanged;
    bool drifted;
    char sent[2048];
    struct diag d;
};

static int make(change_fn *change, const char *policies, bool dry, struct told *ret)
{
    struct l4_policies l;
    struct endpoint_change c;
    CLEANUP(endpoint_closep) struct endpoint *e = NULL;
    *ret = (struct told){0};
    endpoint_change_init(&c);
    c.dry_run = dry;
    l4_policies_init(&l);
    int r = l4_json_read(slice_str(policies), &l, &ret->d);
    if (r == 0)
        r = endpoint_open("{" GUID_A "}", 0, &e, &ret->d);
    if (r == 0)
        r = change(e, &l, &c, &ret->d);
    ret->added = c.added;
    ret->removed = c.removed;
    ret->unchanged = c.unchanged;
    ret->drifted = c.drifted;
    if (r == 0)
        assert_int_equal(str_copy_slice(ret->sent, sizeof(ret->sent), buf_slice(&c.sent)), 0);
    endpoint_change_release(&c);
    l4_policies_release(&l);
    return r;
}

static void apply_replaces_what_differs_and_leaves_the_rest(void **state)
{
    (void)state;
    struct told t;
    hold("[" ACL "," STRANGE "]");
    assert_int_equal(make(endpoint_apply, "[" POLICY("80") "]", false, &t), 0);
    assert_held("[" ACL "," POLICY("80") "]");
    assert_int_equal(t.added, 1);
    assert_int_equal(t.removed, 1);
    assert_string_equal(t.sent,
                        "{\"ResourceType\":\"Policy\",\"RequestType\":\"Remove\",\"Settings\":"
                        "{\"Policies\":[" STRANGE
                        "]}}\n{\"ResourceType\":\"Policy\",\"RequestType\":\"Add\","
                        "\"Settings\":{\"Policies\":[" POLICY("80") "]}}\n");
    assert_int_equal(make(endpoint_apply, "[" POLICY("80") "]", false, &t), 0);
    assert_int_equal(t.unchanged, 1);
    assert_string_equal(t.sent, "");
    assert_int_equal(hns.modifications, 2);
}

static void each_change_gives_an_account_of_itself_alone(void **state)
{
    (void)state;
    struct l4_policies none;
    struct endpoint_change c;
    CLEANUP(endpoint_closep) struct endpoint *e = NULL;
    l4_policies_init(&none);
    endpoint_change_init(&c);
    hold("[" POLICY("80") "]");
    assert_int_equal(endpoint_open("{" GUID_A "}", 0, &e, NULL), 0);
    assert_int_equal(endpoint_apply(e, &none, &c, NULL), 0);
    assert_int_equal(c.removed, 1);
    assert_true(buf_len(&c.sent) > 0);
    hold("[" POLICY("80") "]");
    assert_int_equal(endpoint_reconcile(e, NULL, &c, NULL), 0);
    assert_int_equal(c.removed, 0);
    assert_int_equal(buf_len(&c.sent), 0);
    c.drifted = true;
    assert_int_equal(endpoint_clear(e, &c, NULL), 0);
    assert_false(c.drifted);
    endpoint_change_release(&c);
}

static void a_dry_run_asks_for_nothing(void **state)
{
    (void)state;
    struct told t;
    static change_fn *const changes[] = {endpoint_apply, endpoint_reconcile, clear};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        hold("[" STRANGE "]");
        assert_int_equal(make(changes[i], "[" POLICY("80") "]", true, &t), 0);
        assert_true(t.sent[0] != '\0');
        assert_int_equal(t.removed, 1);
        assert_int_equal(hns.modifications, 0);
        assert_held("[" STRANGE "]");
    }
}

static void two_like_one_another_are_removed_one_by_one(void **state)
{
    (void)state;
    struct told t;
    hold("[" POLICY("80") "," POLICY("80") "]");
    assert_int_equal(make(endpoint_remove, "[" POLICY("80") "]", false, &t), 0);
    assert_held("[" POLICY("80") "]");
    hold("[" POLICY("80") "," POLICY("80") "]");
    assert_int_equal(make(endpoint_apply, "[" POLICY("80") "]", false, &t), 0);
    assert_held("[" POLICY("80") "]");
    assert_int_equal(t.unchanged, 1);
}

static void a_failure_of_the_second_request_takes_the_first_back(void **state)
{
    (void)state;
    struct told t;
    hold("[" ACL "," STRANGE "]");
    hns.refuse_at = 2;
    assert_int_equal(make(endpoint_apply, "[" POLICY("80") "]", false, &t), ERR_IO);
    assert_held("[" ACL "," STRANGE "]");
    assert_non_null(strstr(t.d.text, "refuses number 2"));
    assert_non_null(strstr(t.d.text, "are back"));
    assert_int_equal(t.d.os_code, 5);
    assert_int_equal(t.added + t.removed, 0);
}

static void what_could_not_be_taken_back_is_said(void **state)
{
    (void)state;
    struct told t;
    hold("[" ACL "," STRANGE "]");
    hns.refuse_at = 2;
    hns.refuse_all = true;
    assert_int_equal(make(endpoint_apply, "[" POLICY("80") "]", false, &t), ERR_IO);
    assert_held("[" ACL "]");
    assert_non_null(strstr(t.d.text, "refuses number 2"));
    assert_non_null(strstr(t.d.text, "refuses number 3"));
    assert_non_null(strstr(t.d.text, "without these policies now (1 of them)"));
}

static void a_failure_needs_nobody_who_listens(void **state)
{
    (void)state;
    struct l4_policies l;
    struct endpoint_change c;
    struct endpoint *e = NULL;
    l4_policies_init(&l);
    assert_int_equal(l4_json_read(SLICE_LIT(POLICY("80")), &l, NULL), 0);
    hold("[" STRANGE "]");
    assert_int_equal(endpoint_open("blue", 0, &e, NULL), ERR_INVAL);
    assert_int_equal(endpoint_open(SPACE, 0, &e, NULL), ERR_NOTFOUND);
    assert_int_equal(endpoint_open(GUID_A, 0, &e, NULL), 0);
    for (int i = 0; i < 2; i++) {
        endpoint_change_init(&c);
        hns.refuse_at = hns.modifications + 2;
        hns.refuse_all = i == 1;
        assert_int_equal(endpoint_apply(e, &l, &c, NULL), ERR_IO);
        endpoint_change_release(&c);
    }
    endpoint_close(e);
    endpoint_close(NULL);
    l4_policies_release(&l);
    assert_held("[]");
}

static void what_is_given_twice_counts_once(void **state)
{
    (void)state;
    static const char *const twice = "[" POLICY("80") "," POLICY("80") "]";
    struct told t;
    hold("[]");
    assert_int_equal(make(endpoint_apply, twice, false, &t), 0);
    assert_held("[" POLICY("80") "]");
    assert_int_equal(make(endpoint_remove, twice, false, &t), 0);
    assert_held("[]");
}

static void reconcile_says_what_had_drifted(void **state)
{
    (void)state;
    struct told t;
    hold("[" STRANGE "]");
    assert_int_equal(make(endpoint_reconcile, "[" POLICY("80") "]", false, &t), 0);
    assert_true(t.drifted);
    assert_int_equal(make(endpoint_reconcile, "[" POLICY("80") "]", false, &t), 0);
    assert_false(t.drifted);
    assert_held("[" POLICY("80") "]");
}

static int reconcile_with_itself(struct endpoint *e, const struct l4_policies *l UNUSED,
                                 struct endpoint_change *c, struct diag *d)
{
    return endpoint_reconcile(e, NULL, c, d);
}

static void what_hns_holds_is_right_when_nobody_says_what_is_wanted(void **state)
{
    (void)state;
    struct told t;
    hold("[" STRANGE "]");
    assert_int_equal(make(reconcile_with_itself, "[]", false, &t), 0);
    assert_false(t.drifted);
    assert_int_equal(t.unchanged, 1);
    hold("[{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"InboundProxyPort\":\"90001\"}}]");
    assert_int_equal(make(reconcile_with_itself, "[]", false, &t), ERR_FORMAT);
    hold("[]");
    assert_int_equal(make(reconcile_with_itself, "[]", false, &t), ERR_NOTFOUND);
    assert_int_equal(hns.modifications, 0);
}

static int open_one(unsigned flags)
{
    CLEANUP(endpoint_closep) struct endpoint *e = NULL;
    int r = endpoint_open(GUID_A, flags, &e, NULL);
    assert_true((r == 0) == (e != NULL));
    return r;
}

static void who_may_not_be_given_policies_is_refused_at_the_door(void **state)
{
    (void)state;
    hold("[]");
    assert_int_equal(open_one(0), 0);
    hns.type = HNS_NAMESPACE_HOST_DEFAULT;
    assert_int_equal(open_one(0), ERR_DENIED);
    assert_int_equal(open_one(ENDPOINT_HOST), 0);
    hns.type = HNS_NAMESPACE_GUEST;
    assert_int_equal(open_one(ENDPOINT_HOST), ERR_UNSUPPORTED);
    hns.type = HNS_NAMESPACE_HOST;
    hns.other_id = SPACE;
    assert_int_equal(open_one(0), ERR_FORMAT);
    hns.other_id = NULL;
    hns.refuse_query = true;
    assert_int_equal(open_one(0), ERR_IO);
    hns.version.minor = 1;
    assert_int_equal(open_one(0), ERR_VERSION);
    assert_int_equal(hns.open, 0);
}

static int list_one(struct endpoint *e, const struct l4_policies *l UNUSED,
                    struct endpoint_change *c, struct diag *d)
{
    struct l4_policies got;
    l4_policies_init(&got);
    int r = endpoint_list(e, &got, d);
    c->unchanged = got.count;
    l4_policies_release(&got);
    return r;
}

/* A change with each allocation failing in turn: it fails as a whole, or is done as a whole. */
static void starve(change_fn *change, const char *before, const char *after)
{
    struct told t;
    uint64_t n = 1, made = 0;
    do {
        hold(before);
        (void)mem_fail_at(n);
        int r = make(change, "[" POLICY("80") "]", false, &t);
        made = mem_fail_at(0);
        if (r != 0 && r != ERR_NOMEM)
            fail_msg("allocation %llu: %s", (unsigned long long)n, t.d.text);
        assert_true((r < 0) == (t.d.text[0] != '\0'));
        if (r < 0 && strstr(t.d.text, "without these policies now") != NULL)
            continue; /* there was no memory to take it back with, and that is said */
        assert_held(r == 0 ? after : before);
    } while (made >= n++);
    assert_true(n > 20);
}

static void no_failing_allocation_is_taken_for_success(void **state)
{
    (void)state;
    json_set_alloc_funcs(mem_alloc, mem_free);
    starve(list_one, "[" ACL "," POLICY("80") "]", "[" ACL "," POLICY("80") "]");
    starve(endpoint_add, "[" ACL "]", "[" ACL "," POLICY("80") "]");
    starve(endpoint_remove, "[" POLICY("80") "," ACL "]", "[" ACL "]");
    starve(endpoint_apply, "[" ACL "," STRANGE "]", "[" ACL "," POLICY("80") "]");
    starve(endpoint_reconcile, "[" STRANGE "]", "[" POLICY("80") "]");
    starve(clear, "[" STRANGE "," ACL "]", "[" ACL "]");
}

/* A policy of a newer HNS, with such a member. */
static int replace_with_member(change_fn *change, const char *value, struct told *ret)
{
    char text[512];
    (void)str_format(text, sizeof(text),
                     "{\"ID\":\"" GUID_A "\",\"HostComputeNamespace\":\"" SPACE
                     "\",\"Policies\":[{\"Type\":\"L4WFPPROXY\",\"Newer\":%s,\"Settings\":{"
                     "\"InboundProxyPort\":\"90\"}},{\"Type\":\"ACL\",\"n\":1e30}]}",
                     value);
    hold("[]");
    hns.tells = text;
    int r = make(change, "[" POLICY("80") "]", false, ret);
    hns.tells = NULL;
    return r;
}

static void a_number_that_could_not_be_sent_back_as_it_was_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const numbers[][2] = {
        {"18446744073709551615", "\"Newer\""},
        {"9223372036854775808", "\"Newer\""},
        {"[1,{\"x\":-9223372036854775809}]", "\"x\""},
    };
    struct told t;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        assert_int_equal(replace_with_member(endpoint_apply, numbers[i][0], &t), ERR_UNSUPPORTED);
        assert_non_null(strstr(t.d.text, numbers[i][1]));
        assert_non_null(strstr(t.d.text, "over 64 bits"));
        assert_int_equal(replace_with_member(clear, numbers[i][0], &t), ERR_UNSUPPORTED);
        assert_int_equal(hns.modifications, 0);
    }
}

static void numbers_of_64_bits_are_sent_back_as_they_were(void **state)
{
    (void)state;
    static const char *const numbers[] = {"9223372036854775807", "-9223372036854775808", "0.5",
                                          "[0,-1]"};
    struct told t;
    char sent[64];
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)str_format(sent, sizeof(sent), "\"Newer\":%s,", numbers[i]);
        int r = replace_with_member(dry_clear, numbers[i], &t);
        if (r < 0)
            fail_msg("%s", t.d.text);
        assert_non_null(strstr(t.sent, sent));
    }
}

static int forget(void **state)
{
    (void)state;
    json_decref(hns.policies);
    hns.policies = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(apply_replaces_what_differs_and_leaves_the_rest, forget),
        cmocka_unit_test_teardown(each_change_gives_an_account_of_itself_alone, forget),
        cmocka_unit_test_teardown(a_dry_run_asks_for_nothing, forget),
        cmocka_unit_test_teardown(two_like_one_another_are_removed_one_by_one, forget),
        cmocka_unit_test_teardown(a_failure_of_the_second_request_takes_the_first_back, forget),
        cmocka_unit_test_teardown(what_could_not_be_taken_back_is_said, forget),
        cmocka_unit_test_teardown(a_failure_needs_nobody_who_listens, forget),
        cmocka_unit_test_teardown(what_is_given_twice_counts_once, forget),
        cmocka_unit_test_teardown(reconcile_says_what_had_drifted, forget),
        cmocka_unit_test_teardown(what_hns_holds_is_right_when_nobody_says_what_is_wanted, forget),
        cmocka_unit_test_teardown(who_may_not_be_given_policies_is_refused_at_the_door, forget),
        cmocka_unit_test_teardown(a_number_that_could_not_be_sent_back_as_it_was_is_refused_by_name,
                                  forget),
        cmocka_unit_test_teardown(numbers_of_64_bits_are_sent_back_as_they_were, forget),
        cmocka_unit_test_teardown(no_failing_allocation_is_taken_for_success, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
