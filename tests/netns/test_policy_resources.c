/* Endpoints and what they need: cgroups, time, descriptors, memory. */
#include "policy_fixture.h"

#include <sys/resource.h>

#include "base/clock.h"

/* ---- Cgroups ---- */

#define CGROUP_POLICY                                                                              \
    "{'Type':'L4WFPPROXY','Settings':{'OutboundProxyPort':'8000','Cgroup':'stile-test/proxy'}}"

static const char *cgroup_root(void)
{
    return access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup/unified"
                                                                    : "/sys/fs/cgroup";
}

static bool make_cgroup(bool wanted)
{
    char outer[128], inner[160];

    (void)snprintf(outer, sizeof(outer), "%s/stile-test", cgroup_root());
    (void)snprintf(inner, sizeof(inner), "%s/proxy", outer);
    if (wanted)
        return mkdir(outer, 0755) == 0 && mkdir(inner, 0755) == 0;
    bool removed = rmdir(inner) == 0;
    return rmdir(outer) == 0 && removed;
}

static void a_cgroup_must_be_there_and_what_becomes_of_it_is_told(void **state UNUSED)
{
    look(before);
    assert_int_equal(try(endpoint_add, CGROUP_POLICY), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile-test/proxy"));
    expect_as_before();
    if (!make_cgroup(true)) {
        print_message("no cgroup can be made here\n");
        skip();
    }
    must(endpoint_add, CGROUP_POLICY);
    reconcile();
    bool drifted = change.drifted;
    assert_true(make_cgroup(false));
    assert_false(drifted);
    assert_int_equal(listed(), 1);
    assert_int_equal(endpoint_reconcile(endpoint, NULL, &change, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile-test/proxy"));
    assert_true(make_cgroup(true)); /* of the same name, but another one */
    int err = endpoint_reconcile(endpoint, NULL, &change, &d);
    drifted = change.drifted;
    int again = endpoint_reconcile(endpoint, NULL, &change, &d);
    assert_true(make_cgroup(false));
    assert_int_equal(err, 0);
    assert_true(drifted);
    assert_int_equal(again, 0);
    assert_false(change.drifted);
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
}

static void a_path_that_leads_out_of_the_cgroups_is_refused(void **state UNUSED)
{
    static const char *const paths[] = {
        "../../../etc", "a/../../b", "./a", "a//b", "..", "/a", "a/", "a\" accept", "cgroup.procs"};

    look(before);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        CLEANUP(l4_policies_release) struct l4_policies l = policies("[" TCP_POLICY "]");
        l.items[0].guard.has_uid = false;
        (void)snprintf(l.items[0].guard.cgroup, sizeof(l.items[0].guard.cgroup), "%s", paths[i]);
        int expected =
            i + 1 < ARRAY_LEN(paths) ? ERR_FORMAT : ERR_INVAL; /* it is there, as a file */
        if (endpoint_add(endpoint, &l, &change, &d) != expected)
            fail_msg("%s: %s", paths[i], d.text);
    }
    expect_as_before();
}

/* ---- Many ---- */

static void put_many(struct l4_policies *l, unsigned count)
{
    struct l4_policy p;

    for (unsigned i = 0; i < count; i++) {
        l4_policy_init(&p);
        p.outbound.proxy_port = 8000;
        p.guard.has_uid = true;
        p.guard.uid = 1337;
        p.priority = (uint16_t)(i % 7);
        char port[16];
        (void)snprintf(port, sizeof(port), "%u", 10000 + i);
        assert_int_equal(port_set_add(&p.remote_ports, port, &d), 0);
        assert_int_equal(l4_policies_add(l, &p), 0);
    }
}

static uint64_t ms_since(uint64_t start)
{
    return (clock_mono_ns() - start) / NS_PER_MS;
}

static uint64_t time_many(unsigned count)
{
    CLEANUP(l4_policies_release) struct l4_policies l;
    uint64_t start = clock_mono_ns(), applied, listed_in, again, cleared;

    l4_policies_init(&l);
    put_many(&l, count);
    if (endpoint_apply(endpoint, &l, &change, &d) < 0)
        fail_msg("%s", d.text);
    applied = ms_since(start);
    start = clock_mono_ns();
    assert_int_equal(listed(), count);
    listed_in = ms_since(start);
    start = clock_mono_ns();
    assert_int_equal(endpoint_apply(endpoint, &l, &change, &d), 0);
    assert_int_equal(buf_len(&change.sent), 0);
    again = ms_since(start);
    start = clock_mono_ns();
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    cleared = ms_since(start);
    print_message("%u policies: applied in %u ms, listed in %u, again in %u, cleared in %u\n",
                  count, (unsigned)applied, (unsigned)listed_in, (unsigned)again,
                  (unsigned)cleared);
    return applied + listed_in + again + cleared;
}

static void time_grows_with_the_number_of_policies(void **state UNUSED)
{
    uint64_t some = time_many(250), many = time_many(1000);

    assert_true(many < 8 * some + 500); /* four times as many; a machine that is busy */
}

/* ---- Descriptors and memory ---- */

static void no_descriptor_is_left(void **state UNUSED)
{
    size_t fds = open_fds();

    for (int i = 0; i < 3; i++) {
        struct endpoint *e = NULL;
        assert_int_equal(endpoint_open(container.name, 0, &e, &d), 0);
        endpoint_close(e);
        must(endpoint_apply, "[" UDP_POLICY "]");
        (void)try(endpoint_remove, TCP_POLICY);
        (void)try(endpoint_add, CGROUP_POLICY);
        assert_int_equal(listed(), 1);
        assert_int_equal(endpoint_block(endpoint, &change, &d), 0);
        assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
        assert_int_equal(open_fds(), fds);
    }
}

static void too_few_descriptors_are_an_error_and_change_nothing(void **state UNUSED)
{
    struct rlimit normal, few;
    int errors = 0, err = -1;

    look(before);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &normal), 0);
    for (rlim_t more = 0; more < 40 && err < 0; more++) {
        few = (struct rlimit){.rlim_cur = 4 + more, .rlim_max = normal.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        err = try(endpoint_apply, "[" UDP_POLICY "]");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &normal), 0);
        if (err < 0)
            expect_as_before();
        errors += err < 0;
    }
    assert_int_equal(err, 0);
    assert_true(errors > 3);
}

static void memory_that_runs_out_anywhere_changes_nothing(void **state UNUSED)
{
    CLEANUP(l4_policies_release) struct l4_policies l = policies("[" TCP_POLICY "," UDP_POLICY "]");
    int err = -1;
    unsigned n = 0;

    look(before);
    while (err < 0 && n < 5000) {
        (void)mem_fail_at(++n);
        err = endpoint_apply(endpoint, &l, &change, &d);
        (void)mem_fail_at(0);
        if (err < 0) {
            assert_int_equal(err, ERR_NOMEM);
            expect_as_before();
        }
    }
    assert_int_equal(err, 0);
    assert_true(n > 5);
    assert_int_equal(listed(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cgroup_must_be_there_and_what_becomes_of_it_is_told),
        TEST(a_path_that_leads_out_of_the_cgroups_is_refused),
        TEST(time_grows_with_the_number_of_policies),
        TEST(no_descriptor_is_left),
        TEST(too_few_descriptors_are_an_error_and_change_nothing),
        TEST(memory_that_runs_out_anywhere_changes_nothing),
    };

    enter_own_world();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
