/* The broker's policy: every problem of the file with its place and remedy, and what a session may have. */
#include "testing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "broker/policy.h"
#include "temp_dir.h"

static void on_problem(void *arg, const char *line)
{
    (void)buf_printf(arg, "%s\n", line);
}

static struct policy *good(const char *text)
{
    struct policy *p = NULL;
    struct diag d = {0};
    if (policy_parse("f", slice_str(text), NULL, NULL, &p, &d) < 0)
        fail_msg("%s", d.text);
    return p;
}

/* Exactly these lines' beginnings, one per problem, "LINE:COLUMN: words". */
static void bad(const char *text, const char *const *expected)
{
    struct policy *p = NULL;
    struct diag d = {0};
    CLEANUP(buf_release) struct buf lines;
    buf_init(&lines, 65536);
    assert_int_equal(policy_parse("f", slice_str(text), on_problem, &lines, &p, &d), ERR_FORMAT);
    assert_null(p);
    const char *line = buf_cstr(&lines);
    for (; *expected != NULL; expected++) {
        if (!str_starts(line, *expected))
            fail_msg("not \"%s\", but \"%s\"", *expected, line);
        line = strchr(line, '\n') + 1;
    }
    assert_string_equal(line, "");
}

#define BAD(text, ...) bad((text), (const char *const[]){__VA_ARGS__, NULL})

static void test_without_a_file_only_root_and_the_standard_ranges(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct diag d = {0};
    assert_int_equal(policy_load("/nonexistent/broker.yaml", true, NULL, NULL, &p, &d),
                     ERR_NOTFOUND);
    assert_int_equal(policy_load("/nonexistent/broker.yaml", false, NULL, NULL, &p, &d), 0);
    assert_int_equal(p->uid_count + p->gid_count, 0);
    assert_int_equal(p->range_count, 5);
    assert_int_equal(p->allow_range_count, 5);
    assert_true(p->any_zone);
    assert_string_equal(p->dns, "auto");
    assert_true(p->engine_uid_count > 32);
    policy_free(p);
}

static void test_every_key_is_read(void **state)
{
    (void)state;
    struct policy *p = good("allow_users: [root, \"@root\"]\n"
                            "allow_ranges: [10.0.0.0/8]\n"
                            "allow_zones: [corp.example, Lab.Example.]\n"
                            "ranges: [10.1.0.0/16, 10.2.0.0/16]\n"
                            "dns: resolved\n"
                            "engine_uids: \"70000-70003\"\n"
                            "log: debug\n");
    assert_int_equal(p->uid_count, 1);
    assert_int_equal(p->uids[0], 0);
    assert_int_equal(p->gid_count, 1);
    assert_int_equal(p->range_count, 2);
    assert_int_equal(p->allow_range_count, 1);
    assert_false(p->any_zone);
    assert_int_equal(p->allow_zone_count, 2);
    assert_string_equal(p->allow_zones[1].text, "lab.example");
    assert_string_equal(p->dns, "resolved");
    assert_int_equal(p->engine_uid_first, 70000);
    assert_int_equal(p->engine_uid_last, 70003);
    assert_int_equal(p->log, LOG_DEBUG);
    policy_free(p);
}

static void test_ranges_follow_what_is_allowed(void **state)
{
    (void)state;
    struct policy *p = good("allow_ranges: [10.0.0.0/8]\n");
    assert_int_equal(p->range_count, 1); /* of the standard ones, that one is allowed */
    assert_int_equal(p->ranges[0].addr.bytes[1], 213);
    policy_free(p);
    p = good("allow_ranges: [192.168.0.0/24]\n");
    assert_int_equal(p->range_count, 1);
    assert_int_equal(p->ranges[0].bits, 24);
    policy_free(p);
    p = good("ranges: [10.9.0.0/16]\n");
    assert_int_equal(p->allow_range_count, 1);
    assert_int_equal(p->allow_ranges[0].bits, 16);
    policy_free(p);
}

static void test_each_problem_is_told_with_its_place_and_remedy(void **state)
{
    (void)state;
    BAD("", "f:1:1: the file has no YAML document");
    BAD("allow_user: [root]\n", "f:1:1: ");
    BAD("allow_users: root\n", "f:1:14: ");
    BAD("allow_users:\n  - nobody-of-this-name\n  - \"@nogroup-of-this-name\"\n",
        "f:2:5: there is no user \"nobody-of-this-name\" on this machine; write",
        "f:3:5: there is no group \"nogroup-of-this-name\"");
    BAD("ranges: [10.0.0.1/8]\n", "f:1:10: a range must be an IPv4 network of /8 to /29");
    BAD("ranges: [\"fd00::/8\"]\n", "f:1:10: a range must be an IPv4 network");
    BAD("ranges: [127.0.0.0/16]\n", "f:1:10: 127.0.0.0/16 overlaps loopback");
    BAD("ranges: [0.0.0.0/0]\n", "f:1:10: ");
    BAD("ranges: []\n", "f:1:1: ranges is empty");
    BAD("ranges: [10.1.0.0/16]\nallow_ranges: [10.2.0.0/16]\n",
        "f:1:10: range 10.1.0.0/16 lies in none of the allow_ranges; add it there");
    BAD("allow_zones: [example]\n", "f:1:15: zone \"example\" has only one label");
    BAD("allow_zones: [\"a..b\"]\n", "f:1:15: \"a..b\" is no domain name");
    BAD("dns: bind\n", "f:1:6: dns must be auto, resolved, networkmanager");
    BAD("log: loud\n", "f:1:6: log must be debug, info, warn or error");
    BAD("engine_uids: 0-10\n", "f:1:14: engine_uids must be a range");
    BAD("engine_uids: 70010-70000\n", "f:1:14: engine_uids must be a range");
    BAD("engine_uids: 4294967294\n", "f:1:14: engine_uids must be a range");
    BAD("engine_uids: 100-100000\n", "f:1:14: engine_uids must be a range");
    BAD("allow_users: [x\n", "f:");
}

/* The first problem is the error, with the number of the others. */
static void test_error_names_the_first_problem_and_how_to_see_the_rest(void **state)
{
    (void)state;
    struct policy *p = NULL;
    struct diag d = {0};
    assert_int_equal(policy_parse("f", slice_str("dns: x\nlog: y\n"), NULL, NULL, &p, &d),
                     ERR_FORMAT);
    assert_true(str_starts(d.text, "f:1:6: dns must be"));
    assert_non_null(strstr(d.text, "(1 more: see `stile broker check`)"));
}

static void write_file(const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "log: info\n", 10), 10);
    close(fd);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], path[128];
    struct policy *p = NULL;
    struct diag d = {0};
    temp_dir_make(dir);
    (void)str_format(path, sizeof(path), "%s/broker.yaml", dir);
    write_file(path, 0644);
    assert_int_equal(policy_load(path, true, NULL, NULL, &p, &d), 0);
    policy_free(p);
    write_file(path, 0666);
    assert_int_equal(policy_load(path, true, NULL, NULL, &p, &d), ERR_PERM);
    assert_non_null(strstr(d.text, "chmod 0644"));
    if (geteuid() == 0) {
        write_file(path, 0644);
        assert_int_equal(chown(path, 1234, 0), 0);
        assert_int_equal(policy_load(path, true, NULL, NULL, &p, &d), ERR_PERM);
    }
    assert_int_equal(policy_load(dir, true, NULL, NULL, &p, &d), ERR_INVAL);
    temp_dir_remove(dir);
}

static void test_uids_of_users_and_groups_are_left_to_them(void **state)
{
    (void)state;
    char dir[TEMP_DIR_SIZE], path[128];
    struct policy *p = NULL;
    struct diag d = {0};
    temp_dir_make(dir);
    (void)str_format(path, sizeof(path), "%s/broker.yaml", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("engine_uids: 65533-65535\n", f); /* nobody, and nogroup, are 65534 everywhere */
    fclose(f);
    assert_int_equal(policy_load(path, true, NULL, NULL, &p, &d), 0);
    assert_int_equal(p->engine_uid_count, 2);
    assert_int_equal(p->engine_uids[0], 65533);
    assert_int_equal(p->engine_uids[1], 65535);
    policy_free(p);
    p = NULL;
    f = fopen(path, "w");
    fputs("engine_uids: 500001-501000\n", f); /* so many aren't needed, and not looked for */
    fclose(f);
    assert_int_equal(policy_load(path, true, NULL, NULL, &p, &d), 0);
    assert_int_equal(p->engine_uid_count, POLICY_UIDS_FOUND);
    assert_int_equal(p->engine_uids[POLICY_UIDS_FOUND - 1], 500064);
    policy_free(p);
    p = NULL;
    f = fopen(path, "w");
    fputs("engine_uids: \"65534\"\n", f);
    fclose(f);
    assert_int_equal(policy_load(path, true, NULL, NULL, &p, &d), ERR_EXISTS);
    assert_non_null(strstr(d.text, "engine_uids in "));
    temp_dir_remove(dir);
}

/* ---- judging ---- */

static void network(struct broker_network *n)
{
    memset(n, 0, sizeof(*n));
    n->mtu = 1500;
    n->range_count = 1;
    n->ranges[0] = (struct broker_range){.addr = {10, 1, 0, 0}, .bits = 16};
    n->zone_count = 1;
    (void)str_format(n->zones[0], BROKER_ZONE_SIZE, "apps.corp.example");
}

static void denied(const struct policy *p, const struct broker_network *n, const char *text)
{
    struct diag d = {0};
    assert_int_equal(policy_check(p, n, &d), ERR_DENIED);
    if (strstr(d.text, text) == NULL)
        fail_msg("not \"%s\", but \"%s\"", text, d.text);
}

static void denied_range(const struct policy *p, uint8_t a, uint8_t b, uint32_t bits,
                         const char *text)
{
    struct broker_network n;
    network(&n);
    n.ranges[0] = (struct broker_range){.addr = {a, b, 0, 0}, .bits = bits};
    denied(p, &n, text);
}

static void test_ranges_must_be_allowed_and_never_the_hosts_own(void **state)
{
    (void)state;
    struct policy *p = good("allow_ranges: [10.0.0.0/9, 100.64.0.0/10]\n");
    struct broker_network n;
    struct diag d = {0};
    network(&n);
    assert_int_equal(policy_check(p, &n, &d), 0);
    denied_range(p, 10, 0, 8, "allow_ranges in f"); /* wider than what is allowed */
    denied_range(p, 10, 128, 16, "allow_ranges");
    denied_range(p, 127, 0, 8, "loopback");
    denied_range(p, 169, 254, 16, "link-local");
    denied_range(p, 224, 0, 8, "multicast");
    denied_range(p, 0, 0, 8, "loopback");
    denied_range(p, 240, 0, 8, "loopback");
    denied_range(p, 10, 1, 30, "no room");
    n.range_count = 2;
    n.ranges[1] = (struct broker_range){.addr = {10, 1, 128, 0}, .bits = 17};
    denied(p, &n, "overlaps another one");
    policy_free(p);
}

/* Even a policy made by hand doesn't allow what no session may have. */
static void test_policy_that_allows_everything_doesnt_allow_loopback(void **state)
{
    (void)state;
    struct policy *p = good("log: info\n");
    p->allow_ranges[0] = (struct prefix){.addr = {.version = 4}, .bits = 0};
    denied_range(p, 127, 0, 8, "loopback");
    policy_free(p);
}

static void denied_zone(const struct policy *p, const char *zone, const char *text)
{
    struct broker_network n;
    network(&n);
    (void)str_format(n.zones[0], BROKER_ZONE_SIZE, "%s", zone);
    denied(p, &n, text);
}

static void test_zones_must_be_allowed_and_have_more_than_one_label(void **state)
{
    (void)state;
    struct policy *p = good("ranges: [10.0.0.0/8]\nallow_zones: [corp.example]\n");
    struct broker_network n;
    struct diag d = {0};
    network(&n);
    assert_int_equal(policy_check(p, &n, &d), 0);
    (void)str_format(n.zones[0], BROKER_ZONE_SIZE, "corp.example");
    assert_int_equal(policy_check(p, &n, &d), 0);
    denied_zone(p, "evilcorp.example", "allow_zones in f");
    denied_zone(p, "other.example", "allow_zones");
    policy_free(p);
    p = good("ranges: [10.0.0.0/8]\n");
    denied_zone(p, "com", "one label");
    denied_zone(p, "a..b", "no domain name");
    denied_zone(p, "in-addr.arpa", "all addresses");
    denied_zone(p, "ip6.arpa", "all addresses");
    denied_zone(p, "x$(id).example", "no domain name");
    denied_zone(p, "*.example", "no domain name");
    policy_free(p);
}

static void test_one_more_user_than_the_engine_knows_is_refused(void **state)
{
    (void)state;
    struct policy *p = good("ranges: [10.0.0.0/8]\n");
    struct broker_network n;
    network(&n);
    n.uid_count = 8;
    denied(p, &n, "At most 7");
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_file_only_root_and_the_standard_ranges),
        cmocka_unit_test(test_every_key_is_read),
        cmocka_unit_test(test_ranges_follow_what_is_allowed),
        cmocka_unit_test(test_each_problem_is_told_with_its_place_and_remedy),
        cmocka_unit_test(test_error_names_the_first_problem_and_how_to_see_the_rest),
        cmocka_unit_test(test_file_that_others_may_write_is_refused),
        cmocka_unit_test(test_uids_of_users_and_groups_are_left_to_them),
        cmocka_unit_test(test_ranges_must_be_allowed_and_never_the_hosts_own),
        cmocka_unit_test(test_policy_that_allows_everything_doesnt_allow_loopback),
        cmocka_unit_test(test_zones_must_be_allowed_and_have_more_than_one_label),
        cmocka_unit_test(test_one_more_user_than_the_engine_knows_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
