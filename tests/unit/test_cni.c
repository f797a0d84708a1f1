/* The CNI plugin, as the specification's section 2 has it, over endpoints in memory. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "fake_endpoints.h"
#include "policy/cni.h"

#define TO(port)                                                                                   \
    "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"" port                         \
    "\",\"UserID\":\"1337\",\"FilterTuple\":{\"Protocols\":\"6\"}}}"
#define PREV                                                                                       \
    "\"prevResult\":{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"eth0\",\"sandbox\":"     \
    "\"/run/netns/pod\"}],\"ips\":[{\"address\":\"10.1.0.5/16\",\"interface\":0}],\"dns\":{},"     \
    "\"later\":[1,2.5,null]}"
#define CONF(version, members)                                                                     \
    "{\"cniVersion\":\"" version "\",\"name\":\"pods\",\"type\":\"stile-cni\"," members "}"
#define EVERY(port) "\"rules\":[{\"Policies\":[" TO(port) "]}]"
#define NETNS       "/run/netns/pod"

struct outcome {
    int status;
    json_t *out; /* NULL: nothing was written */
};

static struct outcome call_with(const struct cni_env *env, const char *conf)
{
    struct buf b;
    struct outcome o = {0};
    buf_init(&b, (size_t)1024 * 1024);
    o.status = cni_run(env, slice_str(conf), &b);
    if (buf_len(&b) > 0) {
        o.out = json_loadb((const char *)b.data, buf_len(&b), 0, NULL);
        assert_non_null(o.out);
    }
    buf_release(&b);
    return o;
}

static struct outcome call(const char *command, const char *conf)
{
    return call_with(&(struct cni_env){command, "c0", NETNS, "eth0",
                                       "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web"},
                     conf);
}

static void succeeds(const char *command, const char *conf)
{
    struct outcome o = call(command, conf);
    if (o.status != 0)
        fail_msg("%s", json_string_value(json_object_get(o.out, "details")));
    json_decref(o.out);
}

static void is_error(struct outcome o, int code, const char *words)
{
    assert_int_equal(o.status, 1);
    assert_int_equal(json_integer_value(json_object_get(o.out, "code")), code);
    assert_true(json_is_string(json_object_get(o.out, "cniVersion")));
    assert_true(json_string_length(json_object_get(o.out, "msg")) > 0);
    const char *details = json_string_value(json_object_get(o.out, "details"));
    if (details == NULL || strstr(details, words) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", details != NULL ? details : "", words);
    json_decref(o.out);
}

static int set_up(UNUSED void **state)
{
    fake_endpoints_reset();
    fake_endpoint_add(NETNS);
    return 0;
}

static int tear_down(UNUSED void **state)
{
    bool closed = fake_endpoint(NETNS)->opened == fake_endpoint(NETNS)->closed;
    fake_endpoints_reset();
    return closed ? 0 : -1;
}

static void version_tells_what_is_known(UNUSED void **state)
{
    static const char *const asked[] = {"", "{\"cniVersion\":\"0.4.0\"}",
                                        "{\"cniVersion\":\"9.0.0\"}", "no JSON"};
    static const char *const said[] = {"1.1.0", "0.4.0", "1.1.0", "1.1.0"};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct outcome o = call_with(&(struct cni_env){.command = "VERSION"}, asked[i]);
        assert_int_equal(o.status, 0);
        assert_string_equal(json_string_value(json_object_get(o.out, "cniVersion")), said[i]);
        const json_t *list = json_object_get(o.out, "supportedVersions");
        assert_int_equal(json_array_size(list), 5);
        assert_string_equal(json_string_value(json_array_get(list, 3)), "1.0.0");
        json_decref(o.out);
    }
}

static void add_applies_and_passes_the_result_on_as_it_was(UNUSED void **state)
{
    json_t *conf = json_loads(CONF("1.0.0", EVERY("8000") "," PREV), 0, NULL);
    struct outcome o = call("ADD", CONF("1.0.0", EVERY("8000") "," PREV));
    assert_int_equal(o.status, 0);
    assert_true(json_equal(o.out, json_object_get(conf, "prevResult")));
    assert_int_equal(fake_endpoint(NETNS)->policies.items[0].outbound.proxy_port, 8000);
    json_decref(o.out);
    json_decref(conf);
    o = call("ADD", CONF("0.3.1", EVERY("8000") ",\"prevResult\":{}"));
    assert_string_equal(json_string_value(json_object_get(o.out, "cniVersion")), "0.3.1");
    assert_int_equal(fake_endpoint(NETNS)->written, 1);
    json_decref(o.out);
}

static void add_waits_for_the_loopback_interface_and_not_for_ever(UNUSED void **state)
{
    fake_endpoint(NETNS)->no_loopback = 3;
    succeeds("ADD", CONF("1.0.0", EVERY("8000") "," PREV));
    assert_int_equal(fake_endpoint(NETNS)->written, 1);
    fake_endpoint(NETNS)->no_loopback = 1000;
    is_error(call("ADD", CONF("1.0.0", EVERY("8001") "," PREV)), 100, "loopback");
    assert_true(fake_endpoint(NETNS)->no_loopback > 900);
}

static void add_without_a_rule_touches_nothing(UNUSED void **state)
{
    succeeds("ADD", CONF("1.0.0", "\"rules\":[]," PREV));
    succeeds("CHECK", CONF("1.0.0", "\"rules\":[]," PREV));
    assert_int_equal(fake_endpoint(NETNS)->opened, 0);
}

static void rules_look_at_annotations_and_at_the_pod(UNUSED void **state)
{
    static const char rules[] =
        "\"rules\":[{\"Labels\":{\"io.kubernetes.pod.namespace\":\"bank\"},\"Policies\":[" TO(
            "8000") "]},{\"Annotations\":{\"proxy\":\"yes\"},\"Labels\":{\"io.kubernetes.pod."
                    "name\":\"web\"},\"Policies\":[" TO("8001") "]}]," PREV;
    char conf[4096];
    (void)str_format(conf, sizeof(conf), CONF("1.0.0", "%s,%s"), rules,
                     "\"runtimeConfig\":{\"" CNI_ANNOTATIONS "\":{\"proxy\":\"yes\"}}");
    succeeds("ADD", conf);
    assert_int_equal(fake_endpoint(NETNS)->policies.items[0].outbound.proxy_port, 8001);
    (void)str_format(conf, sizeof(conf), CONF("1.0.0", "%s,%s"), rules,
                     "\"runtimeConfig\":{\"" CNI_ANNOTATIONS "\":null}");
    succeeds("ADD", conf);
    assert_int_equal(fake_endpoint(NETNS)->opened, 1);
    (void)str_format(conf, sizeof(conf), CONF("1.0.0", "%s,%s"), rules,
                     "\"capabilities\":{\"" CNI_ANNOTATIONS "\":true}");
    succeeds("ADD", conf);
    (void)str_format(conf, sizeof(conf), CONF("1.0.0", "%s"), rules);
    is_error(call("ADD", conf), 7, "\"capabilities\"");
}

static void a_failure_of_any_kind_fails_add(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint(NETNS);
    e->fail_change = ERR_IO;
    is_error(call("ADD", CONF("1.0.0", EVERY("8000") "," PREV)), 100, "can't be changed");
    e->fail_change = 0;
    e->fail_open = ERR_DENIED;
    is_error(call("ADD", CONF("1.0.0", EVERY("8000") "," PREV)), 102, "no container's");
    e->fail_open = ERR_PERM;
    is_error(call("ADD", CONF("1.0.0", EVERY("8000") "," PREV)), 100, "can't be opened");
    e->fail_open = 0;
    is_error(call("ADD", CONF("1.0.0", EVERY("90001") "," PREV)), 7, "90001");
    is_error(call("ADD", CONF("1.0.0", "\"file\":\"/nowhere/rules\"," PREV)), 7, "/nowhere/rules");
    is_error(call("ADD", CONF("1.0.0", "\"file\":\"rules\"," PREV)), 7, "absolute");
    is_error(call("ADD", CONF("1.0.0", PREV)), 7, "\"rules\"");
    is_error(call("ADD", CONF("1.0.0", EVERY("8000") ",\"file\":\"/x\"," PREV)), 7, "One of");
    is_error(call("ADD", CONF("1.0.0", EVERY("8000"))), 7, "prevResult");
    is_error(call("ADD", CONF("0.2.0", EVERY("8000") "," PREV)), 1, "0.2.0");
    is_error(call("ADD", CONF("1.0.0", EVERY("8000") ",\"rule\":7," PREV)), 2, "\"rule\": 7");
    is_error(call("ADD", "{\"cniVersion\""), 6, "line 1");
    is_error(call("ADD", "[]"), 6, "JSON");
    is_error(call("ADD",
                  CONF("1.0.0", "\"rules\":[{\"Labels\":{\"app\":\"x\"},\"Policies\":[]}]," PREV)),
             7, "label app");
    assert_int_equal(e->written, 0);
}

static void variables_that_are_missing_or_wrong_are_refused(UNUSED void **state)
{
    static const struct cni_env wrong[] = {
        {NULL, "c0", NETNS, "eth0", NULL},     {"NONE", "c0", NETNS, "eth0", NULL},
        {"ADD", NULL, NETNS, "eth0", NULL},    {"ADD", "", NETNS, "eth0", NULL},
        {"ADD", "../x", NETNS, "eth0", NULL},  {"ADD", "c0/x", NETNS, "eth0", NULL},
        {"ADD", "c0", NULL, "eth0", NULL},     {"ADD", "c0", "", "eth0", NULL},
        {"ADD", "c0", "pod", "eth0", NULL},    {"ADD", "c0", "pid:1", "eth0", NULL},
        {"ADD", "c0", NETNS, NULL, NULL},      {"ADD", "c0", NETNS, "..", NULL},
        {"ADD", "c0", NETNS, "a b", NULL},     {"ADD", "c0", NETNS, "a/b", NULL},
        {"ADD", "c0", NETNS, "eth0", "A;B=C"}, {"ADD", "c0", NETNS, "sixteen-letters-", NULL},
        {"CHECK", "c0", NULL, "eth0", NULL},   {"DEL", "c0", "pod", "eth0", NULL},
        {"ADD", "\xff", NETNS, "eth0", NULL},  {"ADD", "c0", NETNS, "eth0", "\xff\xfe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        is_error(call_with(&wrong[i], CONF("1.0.0", EVERY("8000") "," PREV)), 4, "CNI_");
    assert_int_equal(fake_endpoint(NETNS)->opened, 0);
}

#define EUROS10 "€€€€€€€€€€"

/* The message is cut within a character. */
static void an_error_is_told_whatever_text_is_in_it(UNUSED void **state)
{
    is_error(call("ADD", CONF(EUROS10 EUROS10, EVERY("8000") "," PREV)), 1, "of version");
    is_error(call("ADD", CONF("x" EUROS10 EUROS10, EVERY("8000") "," PREV)), 1, "of version");
    is_error(call("ADD", CONF("xx" EUROS10 EUROS10, EVERY("8000") "," PREV)), 1, "of version");
    struct outcome o = call_with(&(struct cni_env){"ADD", "c0", "/run/netns/\xff", "eth0", NULL},
                                 CONF("1.0.0", EVERY("8000") "," PREV));
    is_error(o, 100, "/run/netns/?");
}

static void check_tells_what_is_not_as_it_should_be(UNUSED void **state)
{
    static const char conf[] = CONF("1.0.0", EVERY("8000") "," PREV);
    is_error(call("CHECK", conf), 101, "1 of them missing");
    succeeds("ADD", conf);
    succeeds("CHECK", conf);
    fake_endpoint(NETNS)->drifted = true;
    is_error(call("CHECK", conf), 101, "a rule is missing");
    assert_int_equal(fake_endpoint(NETNS)->written, 1);
    is_error(call("CHECK", CONF("1.0.0", EVERY("8000"))), 7, "prevResult");
}

static void del_clears_and_succeeds_again_and_for_what_is_gone(UNUSED void **state)
{
    static const char conf[] = CONF("1.0.0", EVERY("8000") "," PREV);
    succeeds("ADD", conf);
    succeeds("DEL", conf);
    assert_int_equal(fake_endpoint(NETNS)->policies.count, 0);
    succeeds("DEL", conf);
    succeeds("DEL", CONF("1.0.0", EVERY("90001"))); /* a wrong rule doesn't keep it from ending */
    struct outcome o =
        call_with(&(struct cni_env){"DEL", "c0", "/run/netns/none", "eth0", NULL}, conf);
    assert_int_equal(o.status, 0);
    o = call_with(&(struct cni_env){"DEL", "c0", "", "eth0", NULL}, conf);
    assert_int_equal(o.status, 0);
    fake_endpoint(NETNS)->fail_change = ERR_IO;
    is_error(call("DEL", conf), 100, "can't be changed");
    fake_endpoint(NETNS)->fail_open = ERR_DENIED; /* the host's: nothing of ours is there */
    succeeds("DEL", conf);
}

static void del_clears_without_nft_too(UNUSED void **state)
{
    static const char conf[] = CONF("1.0.0", EVERY("8000") "," PREV);
    succeeds("ADD", conf);
    fake_system_err = ERR_NOTFOUND;
    is_error(call("ADD", conf), 100, "no such program");
    fake_endpoint(NETNS)->fail_change = ERR_PERM;
    is_error(call("DEL", conf), 100, "can't be changed");
    fake_endpoint(NETNS)->fail_change = 0;
    succeeds("DEL", conf);
    assert_int_equal(fake_endpoint(NETNS)->policies.count, 0);
    struct outcome o =
        call_with(&(struct cni_env){"DEL", "c0", "/run/netns/none", "eth0", NULL}, conf);
    assert_int_equal(o.status, 0);
}

static void what_passes_is_to_be_tried_again(UNUSED void **state)
{
    static const char conf[] = CONF("1.0.0", EVERY("8000") "," PREV);
    static const int passing[] = {ERR_BUSY, ERR_TIMEOUT};
    for (size_t i = 0; i < ARRAY_LEN(passing); i++) {
        fake_endpoint(NETNS)->fail_change = passing[i];
        is_error(call("ADD", conf), 11, "can't be changed");
        is_error(call("CHECK", conf), 11, "can't be changed");
        is_error(call("DEL", conf), 11, "can't be changed");
    }
}

static void commands_are_of_the_version_that_has_them(UNUSED void **state)
{
    is_error(call("CHECK", CONF("0.3.1", EVERY("8000") "," PREV)), 1, "0.4.0");
    is_error(call("STATUS", CONF("1.0.0", EVERY("8000"))), 1, "1.1.0");
    is_error(call("GC", CONF("1.0.0", EVERY("8000"))), 1, "1.1.0");
    succeeds("ADD", CONF("0.3.0", EVERY("8000") "," PREV));
    succeeds("CHECK", CONF("0.4.0", EVERY("8000") "," PREV));
}

static void a_network_has_a_name(UNUSED void **state)
{
    is_error(
        call("ADD", "{\"cniVersion\":\"1.0.0\",\"type\":\"stile-cni\"," EVERY("8000") "," PREV "}"),
        7, "name");
}

static void status_says_whether_containers_can_be_added(UNUSED void **state)
{
    const struct cni_env env = {.command = "STATUS"};
    struct outcome o = call_with(&env, CONF("1.1.0", EVERY("8000")));
    assert_int_equal(o.status, 0);
    is_error(call_with(&env, CONF("1.1.0", EVERY("90001"))), 50, "90001");
    fake_system_err = ERR_NOTFOUND;
    is_error(call_with(&env, CONF("1.1.0", EVERY("8000"))), 50, "no such program");
    o = call_with(&(struct cni_env){.command = "GC"},
                  CONF("1.1.0", "\"cni.dev/valid-attachments\":[]"));
    assert_int_equal(o.status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* jansson's memory, of a kind that nobody else can free. */
static void *theirs_alloc(size_t size)
{
    char *p = mem_alloc(size + sizeof(max_align_t));

    return p != NULL ? p + sizeof(max_align_t) : NULL;
}

static void theirs_free(void *p)
{
    if (p != NULL)
        mem_free((char *)p - sizeof(max_align_t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_tells_what_is_known),
        TEST(add_applies_and_passes_the_result_on_as_it_was),
        TEST(add_waits_for_the_loopback_interface_and_not_for_ever),
        TEST(add_without_a_rule_touches_nothing),
        TEST(rules_look_at_annotations_and_at_the_pod),
        TEST(a_failure_of_any_kind_fails_add),
        TEST(variables_that_are_missing_or_wrong_are_refused),
        TEST(an_error_is_told_whatever_text_is_in_it),
        TEST(check_tells_what_is_not_as_it_should_be),
        TEST(del_clears_and_succeeds_again_and_for_what_is_gone),
        TEST(del_clears_without_nft_too),
        TEST(what_passes_is_to_be_tried_again),
        TEST(commands_are_of_the_version_that_has_them),
        TEST(a_network_has_a_name),
        TEST(status_says_whether_containers_can_be_added),
    };
    json_set_alloc_funcs(theirs_alloc, theirs_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
