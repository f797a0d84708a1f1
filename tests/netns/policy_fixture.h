/* An endpoint of a test's own, and what policies have changed of it: what the tests of endpoints share. */
#ifndef STILE_TESTS_NETNS_POLICY_FIXTURE_H
#define STILE_TESTS_NETNS_POLICY_FIXTURE_H

#include "policy_network.h"

#include "base/mem.h"
#include "policy/endpoint.h"
#include "policy/l4_json.h"

#define TCP_POLICY "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8000','UserID':'1337'}}"
#define UDP_POLICY                                                                                 \
    "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8001','UserID':'1337','FilterTuple':{"  \
    "'Protocols':'17','Priority':5}}}"
#define IN_POLICY "{'Type':'L4WFPPROXY','Settings':{'InboundProxyPort':'9000'}}"

static struct container container;
static struct endpoint *endpoint;
static struct endpoint_change change;
static struct diag d;
static char before[COMMAND_OUTPUT], after[COMMAND_OUTPUT];

static inline int make_endpoint(void **state UNUSED)
{
    container = container_new();
    d = (struct diag){0};
    endpoint_change_init(&change);
    if (endpoint_open(container.name, 0, &endpoint, &d) < 0)
        fail_msg("%s", d.text);
    return 0;
}

static inline int end_endpoint(void **state UNUSED)
{
    (void)umount("/usr/sbin/nft");
    endpoint_close(endpoint);
    endpoint_change_release(&change);
    container_end(&container);
    return 0;
}

/* JSON with ' for ". */
static inline struct l4_policies policies(const char *text)
{
    struct l4_policies l;
    char *json = mem_strdup(text);

    assert_non_null(json);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    l4_policies_init(&l);
    if (l4_json_read(slice_str(json), &l, &d) < 0)
        fail_msg("%s", d.text);
    mem_free(json);
    return l;
}

typedef int change_fn(struct endpoint *e, const struct l4_policies *l, struct endpoint_change *c,
                      struct diag *d);

static inline int try(change_fn *fn, const char *text)
{
    CLEANUP(l4_policies_release) struct l4_policies l = policies(text);

    return fn(endpoint, &l, &change, &d);
}

static inline void must(change_fn *fn, const char *text)
{
    if (try(fn, text) < 0)
        fail_msg("%s", d.text);
}

static inline void reconcile(void)
{
    if (endpoint_reconcile(endpoint, NULL, &change, &d) < 0)
        fail_msg("%s", d.text);
}

static inline const char *notes(void)
{
    return buf_cstr(&change.notes);
}

static inline size_t listed(void)
{
    CLEANUP(l4_policies_release) struct l4_policies l;

    l4_policies_init(&l);
    if (endpoint_list(endpoint, &l, &d) < 0)
        fail_msg("%s", d.text);
    return l.count;
}

/* All that policies could have touched. */
static inline void look(char *all)
{
    static const char *const commands[] = {"nft -s list ruleset", "ip rule", "ip -6 rule",
                                           "ip route show table all", "ip -6 route show table all"};
    static char out[COMMAND_OUTPUT];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)command_in(container.netns_fd, commands[i], out);
        len += (size_t)snprintf(all + len, COMMAND_OUTPUT - len, "# %s\n%s", commands[i], out);
        assert_true(len < COMMAND_OUTPUT);
    }
}

static inline void expect_as_before(void)
{
    look(after);
    assert_string_equal(after, before);
}

static inline void in_container(const char *words)
{
    must_in(container.netns_fd, words);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_endpoint, end_endpoint)

/* A network, mounts and a /run of this program's own. */
static inline void enter_own_world(void)
{
    network_enter();
    private_mounts();
    assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=755"), 0);
}

#endif
