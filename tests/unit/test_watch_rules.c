#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/watch_rules.h"
#include "testing.h"

#define TO(port)                                                                                   \
    "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"" port                         \
    "\",\"UserID\":\"1337\",\"FilterTuple\":{\"Protocols\":\"6\"}}}"

static struct watch_rules *read_good(const char *text)
{
    struct diag d = {0};
    struct watch_rules *rules = NULL;
    int r = watch_rules_read(slice_str(text), &rules, &d);
    if (r < 0)
        fail_msg("%s", d.text);
    return rules;
}

static void refused(const char *text, int err, const char *words)
{
    struct diag d = {0};
    struct watch_rules *rules = NULL;
    assert_int_equal(watch_rules_read(slice_str(text), &rules, &d), err);
    assert_null(rules);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", d.text, words);
}

static const char three_rules[] =
    "{\"Rules\":["
    "{\"Labels\":{\"app\":\"web\",\"tier\":\"front\"},\"Policies\":[" TO(
        "8000") "]},"
                "{\"Annotations\":{\"proxy\":\"yes\"},\"Policies\":[" TO("8001") "," TO(
                    "8002") "]},"
                            "{\"Labels\":{\"app\":\"web\"},\"Policies\":[]}]}";

static size_t matched(const struct watch_rules *rules, const struct watch_subject *s)
{
    size_t index = SIZE_MAX;
    return watch_rules_match(rules, s, &index) ? index : SIZE_MAX;
}

static void the_first_rule_whose_labels_and_annotations_all_match_decides(UNUSED void **state)
{
    static const struct runtime_label web[] = {{"x", "y"}, {"tier", "front"}, {"app", "web"}};
    static const struct runtime_label proxy[] = {{"proxy", "yes"}};
    struct watch_rules *rules = read_good(three_rules);
    assert_int_equal(rules->count, 3);
    assert_int_equal(rules->items[0].policies.count, 1);
    assert_int_equal(rules->items[1].policies.count, 2);
    assert_int_equal(rules->items[2].policies.count, 0);
    assert_int_equal(matched(rules, &(struct watch_subject){web, NULL, 3, 0}), 0);
    assert_int_equal(matched(rules, &(struct watch_subject){web, proxy, 3, 1}), 0);
    assert_int_equal(matched(rules, &(struct watch_subject){web + 1, proxy, 1, 1}), 1);
    assert_int_equal(matched(rules, &(struct watch_subject){web + 2, NULL, 1, 0}), 2);
    assert_int_equal(matched(rules, &(struct watch_subject){web, NULL, 2, 0}), SIZE_MAX);
    assert_int_equal(matched(rules, &(struct watch_subject){proxy, web, 1, 3}), SIZE_MAX);
    watch_rules_free(rules);
}

static void a_rule_without_selectors_matches_all(UNUSED void **state)
{
    struct watch_rules *rules = read_good("[{\"Policies\":[" TO("8000") "]}]");
    assert_int_equal(matched(rules, &(struct watch_subject){0}), 0);
    watch_rules_free(rules);
    rules = read_good("{\"Rules\":[]}");
    assert_int_equal(matched(rules, &(struct watch_subject){0}), SIZE_MAX);
    watch_rules_free(rules);
}

static void what_is_wrong_is_named_with_its_rule_and_member(UNUSED void **state)
{
    refused("{\"Rules\":[", ERR_FORMAT, "line 1, column");
    refused("{}", ERR_FORMAT, "\"Rules\"");
    refused("{\"Rules\":{}}", ERR_FORMAT, "\"Rules\"");
    refused("{\"Rules\":[],\"Rule\":[]}", ERR_FORMAT, "\"Rule\"");
    refused("[7]", ERR_FORMAT, "rule 1");
    refused("[" TO("8000") "]", ERR_FORMAT, "rule 1: this is a policy");
    refused("{\"Policies\":[" TO("8000") "]}", ERR_FORMAT, "Rules are expected, as {\"Rules\"");
    refused("[{\"Polices\":[]}]", ERR_FORMAT, "rule 1: unknown member \"Polices\"");
    refused("[{\"Policies\":[]},{}]", ERR_FORMAT, "rule 2: Policies is missing");
    refused("[{\"Labels\":{\"app\":1},\"Policies\":[]}]", ERR_FORMAT, "rule 1, Labels.app");
    refused("[{\"Annotations\":[],\"Policies\":[]}]", ERR_FORMAT, "rule 1, Annotations");
    refused("[{\"Labels\":{\"a\":\"1\",\"a\":\"2\"},\"Policies\":[]}]", ERR_FORMAT, "twice");
    refused("[{\"Policies\":[" TO("8000") "," TO("90001") "]}]", ERR_FORMAT, "rule 1, policy 2");
    refused("[{\"Policies\":[" TO("8000") "," TO("90001") "]}]", ERR_FORMAT, "90001");
    refused("[{\"Policies\":[{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"80\","
            "\"FilterTuple\":{\"Protocols\":\"6\"}}}]}]",
            ERR_INVAL, "rule 1");
}

static void too_many_rules_are_refused(UNUSED void **state)
{
    struct buf b;
    buf_init(&b, (size_t)1024 * 1024);
    assert_int_equal(buf_put_str(&b, "["), 0);
    for (size_t i = 0; i < WATCH_RULES_MAX + 1; i++)
        assert_int_equal(buf_put_str(&b, i == 0 ? "{\"Policies\":[]}" : ",{\"Policies\":[]}"), 0);
    assert_int_equal(buf_put_str(&b, "]"), 0);
    refused(buf_cstr(&b), ERR_LIMIT, "1025");
    buf_release(&b);
}

static void a_file_that_others_may_write_is_refused(UNUSED void **state)
{
    char path[] = "/tmp/stile-rules-XXXXXX";
    struct diag d = {0};
    struct watch_rules *rules = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, three_rules, sizeof(three_rules) - 1), sizeof(three_rules) - 1);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(watch_rules_load(path, &rules, &d), 0);
    watch_rules_free(STEAL(rules));
    assert_int_equal(fchmod(fd, 0664), 0);
    assert_int_equal(watch_rules_load(path, &rules, &d), ERR_PERM);
    assert_non_null(strstr(d.text, path));
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_int_equal(ftruncate(fd, 20), 0);
    assert_int_equal(watch_rules_load(path, &rules, &d), ERR_FORMAT);
    assert_non_null(strstr(d.text, path));
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(watch_rules_load(path, &rules, &d), ERR_NOTFOUND);
    assert_int_equal(watch_rules_load("/dev/null", &rules, &d), ERR_INVAL);
    assert_null(rules);
}

static void each_failing_allocation_is_an_error_and_leaks_nothing(UNUSED void **state)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
    (void)mem_fail_at(0);
    watch_rules_free(read_good(three_rules));
    uint64_t count = mem_fail_at(0);
    assert_true(count > 10);
    for (uint64_t i = 1; i <= count; i++) {
        struct diag d = {0};
        struct watch_rules *rules = NULL;
        (void)mem_fail_at(i);
        int r = watch_rules_read(slice_str(three_rules), &rules, &d);
        (void)mem_fail_at(0);
        assert_true(r < 0 ? rules == NULL && d.text[0] != '\0' : rules != NULL);
        watch_rules_free(rules);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rule_whose_labels_and_annotations_all_match_decides),
        cmocka_unit_test(a_rule_without_selectors_matches_all),
        cmocka_unit_test(what_is_wrong_is_named_with_its_rule_and_member),
        cmocka_unit_test(too_many_rules_are_refused),
        cmocka_unit_test(a_file_that_others_may_write_is_refused),
        cmocka_unit_test(each_failing_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
