/* Endpoints that somebody else changes too, or that refuse: drift, routes, and the block. */
#include "policy_fixture.h"

/* ---- Drift ---- */

static void drift_of_every_kind_is_mended_and_told(void **state UNUSED)
{
    static const char *const kinds[] = {
        "nft flush chain inet stile_policy output_nat",
        "nft flush chain inet stile_policy input",
        "nft add rule inet stile_policy input accept",
        "nft insert rule inet stile_policy output_udp return",
        "nft add chain inet stile_policy more",
        "nft add set inet stile_policy more { type ipv4_addr ; }",
        "nft add chain inet stile_policy hooked { type filter hook forward priority 0 ; }",
        "nft add table inet stile_policy { flags dormant ; }",
        "ip rule del priority 5711",
        "ip -6 rule del priority 5711",
        "ip route flush table 57110",
        "ip -6 route flush table 57110",
        "ip rule add fwmark 0x2 lookup 57110 priority 5700 protocol 115",
        "ip rule add fwmark 0x100000/0x100000 lookup 57110 pref 5711 protocol 115",
        "ip rule add from 10.0.0.1 fwmark 0x100000/0x100000 lookup 57110 pref 5711 protocol 115",
    };

    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "," IN_POLICY "]");
    reconcile();
    assert_false(change.drifted);
    look(before);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        in_container(kinds[i]);
        look(after);
        assert_string_not_equal(after, before);
        reconcile();
        if (!change.drifted || buf_len(&change.notes) == 0)
            fail_msg("not noticed: %s", kinds[i]);
        look(after);
        if (strcmp(after, before) != 0)
            fail_msg("not mended: %s\n%s", kinds[i], after);
        reconcile();
        if (change.drifted || buf_len(&change.notes) != 0)
            fail_msg("again after %s: %s", kinds[i], notes());
    }
}

static void a_deleted_rule_is_mended(void **state UNUSED)
{
    static char out[COMMAND_OUTPUT];
    char words[128];
    unsigned handles[256] = {0};
    size_t count = 0;

    must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "]");
    look(before);
    assert_int_equal(
        command_in(container.netns_fd, "nft -a list chain inet stile_policy output_nat", out), 0);
    for (const char *at = strstr(out, "# handle "); at != NULL && count < ARRAY_LEN(handles);
         at = strstr(at + 1, "# handle "))
        handles[count++] = (unsigned)strtoul(at + strlen("# handle "), NULL, 10);
    assert_true(count > 2);
    (void)snprintf(words, sizeof(words), "nft delete rule inet stile_policy output_nat handle %u",
                   handles[count - 1]);
    in_container(words);
    reconcile();
    assert_true(change.drifted);
    expect_as_before();
}

/* Nothing remembers them but the one who calls. */
static void policies_that_are_gone_come_back_from_those_that_are_given(void **state UNUSED)
{
    must(endpoint_apply, "[" UDP_POLICY "]");
    look(before);
    in_container("nft delete table inet stile_policy");
    must(endpoint_reconcile, "[" UDP_POLICY "]");
    assert_true(change.added == 1);
    expect_as_before();
}

static void expect_nothing_remembered(const char *says)
{
    look(before);
    for (int dry = 0; dry < 2; dry++) {
        change.dry_run = dry;
        assert_int_equal(endpoint_reconcile(endpoint, NULL, &change, &d), ERR_NOTFOUND);
        assert_non_null(strstr(d.text, says));
        expect_as_before();
    }
    change.dry_run = false;
}

/* What was deleted with the table can't be repaired from it, and its last trace isn't taken. */
static void policies_that_are_gone_are_no_drift_but_a_failure(void **state UNUSED)
{
    expect_nothing_remembered("has no policies");
    must(endpoint_apply, "[" TCP_POLICY "]");
    in_container("nft delete table inet stile_policy");
    expect_nothing_remembered("has no policies");
    must(endpoint_apply, "[" UDP_POLICY "]");
    in_container("nft flush ruleset");
    expect_nothing_remembered("Policies were here and are gone");
    assert_true(says_in(container.netns_fd, "ip rule", "5711:"));
    must(endpoint_reconcile, "[]");
    assert_false(says_in(container.netns_fd, "ip rule", "5711:"));
    expect_nothing_remembered("has no policies");
}

static void what_is_remembered_but_damaged_is_told_and_mended_by_apply(void **state UNUSED)
{
    must(endpoint_apply, "[" TCP_POLICY "]");
    look(before);
    in_container("nft flush chain inet stile_policy policies");
    CLEANUP(l4_policies_release) struct l4_policies l;
    l4_policies_init(&l);
    assert_int_equal(endpoint_list(endpoint, &l, &d), ERR_FORMAT);
    assert_non_null(strstr(d.text, "apply"));
    assert_int_equal(try(endpoint_add, UDP_POLICY), ERR_FORMAT);
    assert_int_equal(try(endpoint_remove, TCP_POLICY), ERR_FORMAT);
    assert_int_equal(endpoint_reconcile(endpoint, NULL, &change, &d), ERR_FORMAT);
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_true(change.drifted);
    expect_as_before();
    in_container("nft flush chain inet stile_policy policies");
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    assert_false(says_in(container.netns_fd, "nft list ruleset", "stile"));
}

/* ---- Failures: nothing is changed ---- */

static void put_in_place(const char *lines)
{
    char text[512];

    if (access("/run/nft.real", F_OK) != 0)
        must_in(-1, "cp /usr/sbin/nft /run/nft.real");
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n%sexec /run/nft.real \"$@\"\n", lines);
    write_text("/run/nft.false", text, 0755);
    assert_int_equal(mount("/run/nft.false", "/usr/sbin/nft", NULL, MS_BIND, NULL), 0);
}

static void nft_that_refuses_to_change(void)
{
    put_in_place("case \"$*\" in *-f*) echo 'Error: Could not process rule: Operation not "
                 "supported' >&2; exit 1;; esac\n");
}

static void a_refusal_by_nft_leaves_routes_as_they_were(void **state UNUSED)
{
    look(before);
    nft_that_refuses_to_change();
    assert_int_equal(try(endpoint_apply, "[" UDP_POLICY "]"), ERR_UNSUPPORTED);
    assert_non_null(strstr(d.text, "modprobe"));
    (void)umount("/usr/sbin/nft");
    expect_as_before();
    must(endpoint_apply, "[" UDP_POLICY "]");
    look(before);
    nft_that_refuses_to_change();
    assert_int_equal(try(endpoint_apply, "[" TCP_POLICY "]"), ERR_UNSUPPORTED);
    assert_int_equal(endpoint_clear(endpoint, &change, &d), ERR_UNSUPPORTED);
    assert_int_equal(try(endpoint_add, TCP_POLICY), ERR_UNSUPPORTED);
    assert_int_equal(endpoint_block(endpoint, &change, &d), ERR_UNSUPPORTED);
    (void)umount("/usr/sbin/nft");
    expect_as_before();
}

/* By somebody in the container, so that nobody outside can change them any more. */
static void a_table_too_large_to_be_listed_is_replaced(void **state UNUSED)
{
    look(before);
    for (size_t i = 0; i < 2; i++) {
        must(endpoint_apply, "[" TCP_POLICY "]");
        put_in_place("case \"$*\" in list*\"table inet stile_policy\") exec yes;; esac\n");
        CLEANUP(l4_policies_release) struct l4_policies l;
        l4_policies_init(&l);
        assert_int_equal(endpoint_list(endpoint, &l, &d), ERR_FORMAT);
        assert_int_equal(try(endpoint_add, UDP_POLICY), ERR_FORMAT);
        assert_int_equal(i == 0 ? endpoint_clear(endpoint, &change, &d)
                                : try(endpoint_apply, "[" UDP_POLICY "]"),
                         0);
        (void)umount("/usr/sbin/nft");
        assert_int_equal(listed(), i);
    }
    must(endpoint_remove, UDP_POLICY);
    expect_as_before();
}

/* What was there of the routes, and no more. */
static void a_refusal_leaves_half_a_route_as_half_a_route(void **state UNUSED)
{
    must(endpoint_apply, "[" UDP_POLICY "]");
    in_container("ip rule del priority 5711");
    look(before);
    nft_that_refuses_to_change();
    assert_int_equal(try(endpoint_add, TCP_POLICY), ERR_UNSUPPORTED);
    (void)umount("/usr/sbin/nft");
    expect_as_before();
}

static void a_foreign_route_in_our_table_is_told(void **state UNUSED)
{
    static const char *const versions[] = {"4", "6"};
    char words[64];

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        (void)snprintf(words, sizeof(words), "ip -%s route add blackhole default table 57110",
                       versions[i]);
        in_container(words);
        look(before);
        assert_int_equal(try(endpoint_apply, "[" UDP_POLICY "]"), ERR_EXISTS);
        (void)snprintf(words, sizeof(words), "ip -%s route flush table 57110", versions[i]);
        assert_non_null(strstr(d.text, words));
        expect_as_before();
        in_container(words);
    }
    must(endpoint_apply, "[" UDP_POLICY "]");
}

static void a_loopback_that_is_down_is_told(void **state UNUSED)
{
    in_container("ip link set lo down");
    look(before);
    assert_int_equal(try(endpoint_apply, "[" UDP_POLICY "]"), ERR_UNREACHABLE);
    assert_non_null(strstr(d.text, "ip link set lo up"));
    expect_as_before();
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_non_null(strstr(notes(), "down"));
    in_container("ip link set lo up");
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_null(strstr(notes(), "down"));
}

static void without_ipv6_there_is_no_route_of_it(void **state UNUSED)
{
    in_container("sysctl -q net.ipv6.conf.all.disable_ipv6=1");
    must(endpoint_apply, "[" UDP_POLICY "]");
    assert_true(says_in(container.netns_fd, "ip rule", "5711:"));
    assert_false(says_in(container.netns_fd, "ip -6 rule", "5711:"));
    reconcile();
    assert_false(change.drifted);
    in_container("sysctl -q net.ipv6.conf.all.disable_ipv6=0");
    reconcile();
    assert_true(change.drifted);
    assert_true(says_in(container.netns_fd, "ip -6 rule", "5711:"));
}

/* ---- The block ---- */

static bool is_blocked(void)
{
    bool blocked = false;

    assert_int_equal(endpoint_is_blocked(endpoint, &blocked, &d), 0);
    assert_int_equal(blocked,
                     says_in(container.netns_fd, "nft list ruleset", "stile_policy_block"));
    return blocked;
}

static void block(void)
{
    assert_int_equal(endpoint_block(endpoint, &change, &d), 0);
    assert_true(is_blocked());
}

static void a_block_stays_until_policies_come(void **state UNUSED)
{
    look(before);
    block();
    block();
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_false(is_blocked());
    block();
    must(endpoint_apply, "[" TCP_POLICY "]");
    assert_false(is_blocked());
    block();
    must(endpoint_reconcile, "[" TCP_POLICY "]");
    assert_false(is_blocked());
    block();
    must(endpoint_apply, "[]");
    expect_as_before();
    block();
    assert_int_equal(endpoint_clear(endpoint, &change, &d), 0);
    expect_as_before();
}

static void expect_refused_as_blocked(change_fn *fn, const char *text)
{
    assert_int_equal(try(fn, text), ERR_BLOCKED);
    assert_non_null(strstr(d.text, "blocked"));
    assert_non_null(strstr(d.text, "stile policy apply"));
    assert_non_null(strstr(d.text, "stile policy clear"));
    expect_as_before();
}

static void some_policies_more_or_less_do_not_open_a_block(void **state UNUSED)
{
    for (int with_policies = 0; with_policies < 2; with_policies++) {
        if (with_policies)
            must(endpoint_apply, "[" TCP_POLICY "," UDP_POLICY "]");
        block();
        look(before);
        for (int dry = 0; dry < 2; dry++) {
            change.dry_run = dry;
            expect_refused_as_blocked(endpoint_add, IN_POLICY);
            expect_refused_as_blocked(endpoint_add, TCP_POLICY);
            expect_refused_as_blocked(endpoint_add, "[]");
            expect_refused_as_blocked(endpoint_remove, TCP_POLICY);
        }
        change.dry_run = false;
    }
}

static void reconcile_keeps_a_block_and_what_is_beneath_it(void **state UNUSED)
{
    for (size_t beneath = 0; beneath < 2; beneath++) {
        must(endpoint_apply, beneath == 0 ? "[]" : "[" UDP_POLICY "]");
        block();
        look(before);
        reconcile();
        assert_false(change.drifted);
        assert_int_equal(change.added + change.removed, 0);
        assert_int_equal(change.unchanged, beneath);
        assert_int_equal(buf_len(&change.sent), 0);
        assert_non_null(strstr(notes(), "blocked"));
        expect_as_before();
    }
    in_container("nft flush chain inet stile_policy policies"); /* damaged: it matters to nobody */
    look(before);
    reconcile();
    expect_as_before();
}

static void a_block_that_drifted_is_mended_and_told(void **state UNUSED)
{
    static const struct {
        const char *by, *says;
    } drifts[] = {
        {"nft flush chain inet stile_policy_block input",
         "the block: rule 1 of chain input is missing"},
        {"nft insert rule inet stile_policy_block output accept", "chain output is not ours"},
        {"nft delete chain inet stile_policy_block forward", "chain forward is missing"},
        {"nft chain inet stile_policy_block output { policy accept ; }",
         "the hook of chain output was changed"},
        {"nft flush table inet stile_policy_block", "rule 1 of chain output is missing"},
    };

    block();
    look(before);
    for (size_t i = 0; i < ARRAY_LEN(drifts); i++) {
        in_container(drifts[i].by);
        change.dry_run = true;
        reconcile();
        assert_true(change.drifted && buf_len(&change.sent) > 0);
        assert_non_null(strstr(notes(), drifts[i].says));
        change.dry_run = false;
        reconcile();
        assert_true(change.drifted);
        assert_non_null(strstr(notes(), drifts[i].says));
        expect_as_before();
    }
}

static void a_block_too_large_to_be_listed_is_mended(void **state UNUSED)
{
    block();
    look(before);
    put_in_place("case \"$*\" in list*\"table inet stile_policy_block\") exec yes;; esac\n");
    reconcile();
    assert_true(change.drifted);
    assert_non_null(strstr(notes(), "can't be read"));
    assert_int_equal(try(endpoint_add, TCP_POLICY), ERR_BLOCKED);
    (void)umount("/usr/sbin/nft");
    expect_as_before();
    reconcile();
    assert_false(change.drifted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(drift_of_every_kind_is_mended_and_told),
        TEST(a_deleted_rule_is_mended),
        TEST(policies_that_are_gone_come_back_from_those_that_are_given),
        TEST(policies_that_are_gone_are_no_drift_but_a_failure),
        TEST(what_is_remembered_but_damaged_is_told_and_mended_by_apply),
        TEST(a_refusal_by_nft_leaves_routes_as_they_were),
        TEST(a_table_too_large_to_be_listed_is_replaced),
        TEST(a_refusal_leaves_half_a_route_as_half_a_route),
        TEST(a_foreign_route_in_our_table_is_told),
        TEST(a_loopback_that_is_down_is_told),
        TEST(without_ipv6_there_is_no_route_of_it),
        TEST(a_block_stays_until_policies_come),
        TEST(some_policies_more_or_less_do_not_open_a_block),
        TEST(reconcile_keeps_a_block_and_what_is_beneath_it),
        TEST(a_block_that_drifted_is_mended_and_told),
        TEST(a_block_too_large_to_be_listed_is_mended),
    };

    enter_own_world();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
