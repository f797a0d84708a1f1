#include "netcfg_world.h"

/* Plans on a host in memory: applied whole or not at all, undone exactly, in any order, whatever fails. */

static int apply(struct netcfg_world *w, uint32_t session, void (*make)(struct plan *p))
{
    struct plan p;
    make(&p);
    int r = world_apply(w, session, &p);
    plan_release(&p);
    return r;
}

static bool said(const struct netcfg_world *w, enum netcfg_what what, const char *words)
{
    for (size_t i = 0; i < w->report.count; i++)
        if (w->report.lines[i].what == what && strstr(w->report.lines[i].text, words) != NULL)
            return true;
    return false;
}

/* What the host looks like with this plan alone. */
static char *picture(void (*make)(struct plan *p))
{
    struct netcfg_world w;
    world_init(&w);
    if (make != NULL)
        assert_int_equal(apply(&w, 1, make), 0);
    char *s = world_snapshot(&w);
    world_release(&w);
    return s;
}

static void an_unchanged_plan_touches_nothing(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_APPLIED), 6);
    size_t operations = w.os.operations, looks = w.os.looks, writes = w.disk.writes;
    assert_int_equal(apply(&w, 1, plan_first), 0);
    assert_int_equal(apply(&w, 2, plan_first), 0); /* another session that wants the same */
    assert_int_equal(world_end(&w, 2), 0);
    assert_int_equal(w.report.total, 0);
    assert_int_equal(w.os.operations, operations);
    assert_int_equal(w.os.looks, looks);
    assert_int_equal(w.disk.writes, writes);
    world_release(&w);
}

static void a_changed_plan_touches_the_difference_only(void **state)
{
    struct netcfg_world w;
    char *second = picture(plan_second);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    size_t operations = w.os.operations;
    assert_int_equal(apply(&w, 1, plan_second), 0);
    assert_true(world_is(&w, second));
    assert_int_equal(w.os.operations - operations, 7);
    assert_false(said(&w, NETCFG_APPLIED, "fd00::1"));
    mem_free(second);
    world_release(&w);
}

static void the_end_of_the_last_session_leaves_the_host_as_it_was(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    assert_int_equal(apply(&w, 1, plan_second), 0);
    assert_int_equal(netcfg_applied(w.n), 6);
    assert_int_equal(world_end(&w, 1), 0);
    assert_true(world_is(&w, before));
    assert_int_equal(netcfg_applied(w.n), 0);
    assert_int_equal(buf_len(&w.disk.file), 0);
    assert_int_equal(world_end(&w, 1), 0); /* unknown by now */
    mem_free(before);
    world_release(&w);
}

/* ---- each step fails in turn ---- */

static size_t fail_change_at(uint64_t at, enum fuse_action action, bool *ret_refused)
{
    struct netcfg_world w;
    char *first = picture(plan_first), *second = picture(plan_second), *before = picture(NULL);
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    fuse_set(&w.fuse, at, action);
    int r = apply(&w, 1, plan_second);
    size_t steps = w.fuse.steps;
    bool acted = steps >= at;
    fuse_set(&w.fuse, 0, FUSE_GO);
    if (r < 0) {
        assert_true(w.diag.text[0] != '\0');
        assert_true(world_is(&w, first));
    } else if (netcfg_report_of(&w.report, NETCFG_FAILED) > 0) {
        world_recover(&w); /* what couldn't be removed: now it can */
        assert_true(world_is(&w, second));
    } else {
        assert_true(world_is(&w, second));
    }
    assert_int_equal(apply(&w, 1, plan_second), 0);
    assert_true(world_is(&w, second));
    assert_int_equal(world_end(&w, 1), 0);
    assert_true(world_is(&w, before));
    assert_int_equal(netcfg_leftovers(w.n), 0);
    *ret_refused = r < 0;
    mem_free(first);
    mem_free(second);
    mem_free(before);
    world_release(&w);
    return acted ? steps : 0;
}

static void each_step_of_a_change_failing_keeps_the_old_plan_or_has_the_new_one(void **state)
{
    size_t refused = 0, points = 0;
    bool one;
    (void)state;
    for (uint64_t at = 1; fail_change_at(at, FUSE_FAIL, &one) > 0; at++) {
        refused += one;
        (void)fail_change_at(at, FUSE_FAIL_AFTER, &one);
        refused += one;
        points += 2;
    }
    assert_true(points >= 22);
    assert_true(refused >= 14 && refused < points);
    print_message("# %u failures, %u refused the plan\n", (unsigned)points, (unsigned)refused);
}

static bool fail_first_at(uint64_t at, enum fuse_action action)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    world_init(&w);
    fuse_set(&w.fuse, at, action);
    int r = apply(&w, 1, plan_first);
    bool acted = w.fuse.steps >= at;
    fuse_set(&w.fuse, 0, FUSE_GO);
    if (r < 0) {
        assert_true(world_is(&w, before));
        assert_int_equal(netcfg_applied(w.n), 0);
    }
    assert_int_equal(world_end(&w, 1), 0);
    assert_true(world_is(&w, before));
    assert_true(r < 0 || !acted);
    mem_free(before);
    world_release(&w);
    return acted;
}

static void each_step_of_a_first_plan_failing_leaves_nothing(void **state)
{
    (void)state;
    uint64_t at = 1;
    while (fail_first_at(at, FUSE_FAIL)) {
        (void)fail_first_at(at, FUSE_FAIL_AFTER);
        at++;
    }
    assert_true(at > 12);
}

static bool fail_end_at(uint64_t at)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    fuse_set(&w.fuse, at, FUSE_FAIL);
    assert_int_equal(world_end(&w, 1), 0);
    bool acted = w.fuse.steps >= at;
    if (acted && netcfg_leftovers(w.n) > 0)
        assert_int_equal(netcfg_report_of(&w.report, NETCFG_FAILED), 1);
    fuse_set(&w.fuse, 0, FUSE_GO);
    assert_true(netcfg_leftovers(w.n) <= 1);
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_int_equal(netcfg_leftovers(w.n), 0);
    mem_free(before);
    world_release(&w);
    return acted;
}

static void what_fails_to_be_removed_is_a_leftover_that_recovery_removes(void **state)
{
    (void)state;
    uint64_t at = 1;
    while (fail_end_at(at))
        at++;
    assert_true(at > 6);
}

/* The way back fails too: the old plan isn't there wholly, which is said, and repaired when it can be. */
static void what_cant_be_put_back_is_said_and_repaired_later(void **state)
{
    struct netcfg_world w;
    char *first = picture(plan_first);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    w.os.refused[OBJECT_DNS] = 2;
    assert_int_equal(apply(&w, 1, plan_second), ERR_IO);
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_FAILED), 1);
    assert_true(said(&w, NETCFG_FAILED, "DNS settings of stile0"));
    netcfg_report_init(&w.report);
    assert_int_equal(netcfg_repair(w.n, NULL, NULL, &w.report), 0);
    assert_true(world_is(&w, first));
    mem_free(first);
    world_release(&w);
}

/* ---- the disk ---- */

static void a_full_disk_refuses_plans_and_changes_nothing(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    (void)state;
    world_init(&w);
    w.disk.full = true;
    assert_int_equal(apply(&w, 1, plan_first), ERR_IO);
    assert_int_equal(w.os.operations, 0);
    assert_true(world_is(&w, before));
    assert_non_null(strstr(w.diag.text, "Nothing was changed"));
    assert_non_null(strstr(w.diag.text, "No space left on device"));
    w.disk.full = false;
    assert_int_equal(apply(&w, 1, plan_first), 0); /* once there is room again */
    mem_free(before);
    world_release(&w);
}

static void plan_first_and_more(struct plan *p)
{
    plan_first(p);
    plan_put_route(p, "stile0", "198.18.0.0/15", NULL);
}

static void a_full_disk_doesnt_keep_sessions_from_ending(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL), *first = picture(plan_first);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    assert_int_equal(apply(&w, 2, plan_first), 0);
    w.disk.full = true;
    assert_int_equal(apply(&w, 1, plan_first_and_more), ERR_IO);
    assert_true(world_is(&w, first));
    assert_int_equal(world_end(&w, 1), 0);
    assert_int_equal(world_end(&w, 2), 0);
    assert_true(world_is(&w, before));
    assert_int_equal(buf_len(&w.disk.file), 0); /* cutting it needs no room */
    mem_free(before);
    mem_free(first);
    world_release(&w);
}

static void a_disk_that_cant_be_written_doesnt_keep_sessions_from_ending(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    w.disk.read_only = true;
    assert_int_equal(world_end(&w, 1), 0);
    assert_true(world_is(&w, before));
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_NOTE), 1);
    size_t operations = w.os.operations;
    assert_int_equal(apply(&w, 1, plan_first), ERR_IO);
    assert_non_null(strstr(w.diag.text, "Read-only"));
    assert_int_equal(w.os.operations, operations);
    world_restart(&w); /* the file still has all: undoing it again does no harm */
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_GONE), 6);
    mem_free(before);
    world_release(&w);
}

static void plan_of_nothing(struct plan *p)
{
    plan_init(p);
}

static void what_couldnt_be_written_is_written_at_the_next_chance(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    w.disk.read_only = true;
    assert_int_equal(apply(&w, 1, plan_of_nothing), 0);
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_NOTE), 1);
    assert_true(buf_len(&w.disk.file) > 0);
    w.disk.read_only = false;
    assert_int_equal(world_end(&w, 1), 0);
    assert_int_equal(buf_len(&w.disk.file), 0);
    world_release(&w);
}

/* ---- several sessions ---- */

static void plan_shared(struct plan *p, const char *link, const char *own)
{
    plan_init(p);
    plan_put_route(p, "stile0", "100.64.0.0/10", "100.64.0.1"); /* of all */
    plan_put_address(p, link, own);
    plan_put_dns(p, link, "100.64.0.2", "corp.example", NULL);
}

static void plan_one(struct plan *p)
{
    plan_shared(p, "stile0", "100.64.0.1");
}

static void plan_two(struct plan *p)
{
    plan_shared(p, "stile1", "100.64.0.1");
    plan_put_route(p, "stile1", "fd01::/48", NULL);
}

static void plan_three(struct plan *p)
{
    plan_shared(p, "stile1", "100.64.0.9"); /* the DNS of two */
    plan_put_route(p, "stile1", "fd01::/48", NULL);
}

static void (*const session_plans[])(struct plan *p) = {plan_one, plan_two, plan_three};

/* What the host looks like with these sessions (a mask), however it came to that. */
static char *picture_of(unsigned sessions, bool exclusive)
{
    struct netcfg_world w;
    world_init(&w);
    w.os.kinds[OBJECT_DNS].exclusive = exclusive;
    for (uint32_t i = 0; i < 3; i++)
        if (sessions & (1u << i))
            assert_int_equal(apply(&w, i + 1, session_plans[i]), 0);
    char *s = world_snapshot(&w);
    world_release(&w);
    return s;
}

static void end_in_order(const unsigned order[3], bool exclusive)
{
    struct netcfg_world w;
    unsigned left = 7;
    world_init(&w);
    w.os.kinds[OBJECT_DNS].exclusive = exclusive;
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(apply(&w, i + 1, session_plans[i]), 0);
    for (size_t i = 0; i < 3; i++) {
        left &= ~(1u << order[i]);
        assert_int_equal(world_end(&w, order[i] + 1), 0);
        char *expected = picture_of(left, exclusive);
        assert_true(world_is(&w, expected));
        mem_free(expected);
    }
    assert_int_equal(buf_len(&w.disk.file), 0);
    world_release(&w);
}

static void sessions_end_in_any_order(void **state)
{
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        end_in_order(orders[i], false);
        end_in_order(orders[i], true);
    }
}

static void plan_conflicting(struct plan *p)
{
    plan_init(p);
    plan_put_address(p, "stile1", "10.0.0.1");
    plan_put_route(p, "stile1", "100.64.0.0/10", "10.0.0.1");
}

static void another_sessions_route_is_refused_before_anything_happens(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    size_t operations = w.os.operations, writes = w.disk.writes;
    assert_int_equal(apply(&w, 2, plan_conflicting), ERR_EXISTS);
    assert_non_null(strstr(w.diag.text, "route 100.64.0.0/10"));
    assert_int_equal(w.os.operations, operations);
    assert_int_equal(w.disk.writes, writes);
    assert_int_equal(world_end(&w, 1), 0);
    assert_int_equal(apply(&w, 2, plan_conflicting), 0);
    world_release(&w);
}

static void plan_over_the_hosts_route(struct plan *p)
{
    plan_init(p);
    plan_put_address(p, "stile0", "10.0.0.1");
    plan_put_route(p, "stile0", "192.168.1.0/24", NULL);
}

static void a_route_of_the_hosts_is_refused_and_stays(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_over_the_hosts_route), ERR_EXISTS);
    assert_int_equal(w.os.operations, 0);
    assert_true(world_is(&w, before));
    mem_free(before);
    world_release(&w);
}

static void limits_and_bad_calls_are_refused(void **state)
{
    struct netcfg_world w;
    struct plan p;
    (void)state;
    world_init(&w);
    plan_init(&p);
    assert_int_equal(world_apply(&w, 0, &p), ERR_INVAL);
    for (uint32_t i = 1; i <= NETCFG_SESSIONS_MAX; i++)
        assert_int_equal(world_apply(&w, i, &p), 0);
    assert_int_equal(world_apply(&w, NETCFG_SESSIONS_MAX + 1, &p), ERR_LIMIT);
    assert_int_equal(world_apply(&w, 1, &p), 0);
    assert_int_equal(netcfg_end_all(w.n, NULL), 0);
    world_close(&w);
    w.os.ops.kinds[OBJECT_ROUTE] = NULL;
    world_open(&w);
    assert_int_equal(apply(&w, 1, plan_first), ERR_UNSUPPORTED);
    assert_int_equal(w.os.operations, 0);
    world_release(&w);
}

static void what_doesnt_fit_into_a_report_is_counted(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    for (uint32_t session = 1; session <= 2; session++) {
        struct plan p;
        plan_init(&p);
        for (uint32_t i = 1; i <= PLAN_OBJECTS_MAX; i++) {
            struct object_route route = {.metric = 100 * session + i};
            assert_int_equal(prefix_parse("10.0.0.0/8", &route.dst), 0);
            assert_int_equal(plan_add_route(&p, "stile0", 7, &route), 0);
        }
        assert_int_equal(world_apply(&w, session, &p), 0);
        plan_release(&p);
    }
    netcfg_report_init(&w.report);
    assert_int_equal(netcfg_end_all(w.n, &w.report), 0);
    assert_int_equal(w.report.count, NETCFG_LINES_MAX);
    assert_int_equal(w.report.total, 2 * PLAN_OBJECTS_MAX);
    world_release(&w);
}

/* ---- someone else ---- */

static void what_someone_else_changed_is_left_and_said(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    struct object theirs = {.kind = OBJECT_DNS, .link = "stile0", .link_index = 7};
    theirs.dns.servers[0] = ip_addr_v4(9, 9, 9, 9);
    theirs.dns.server_count = 1;
    assert_int_equal(fake_os_set(&w.os, &theirs), 0);
    char *with_theirs = world_snapshot(&w);
    netcfg_report_init(&w.report);
    assert_int_equal(netcfg_repair(w.n, NULL, NULL, &w.report), 0);
    assert_true(said(&w, NETCFG_LEFT, "DNS settings of stile0"));
    netcfg_report_init(&w.report);
    assert_int_equal(netcfg_repair(w.n, NULL, NULL, &w.report), 0);
    assert_int_equal(w.report.total, 0); /* said once */
    assert_true(world_is(&w, with_theirs));
    assert_int_equal(world_end(&w, 1), 0);
    assert_true(said(&w, NETCFG_LEFT, "DNS settings of stile0"));
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_UNDONE), 5);
    char *after = world_snapshot(&w);
    assert_non_null(strstr(after, "0409090909")); /* theirs, 9.9.9.9 */
    mem_free(after);
    mem_free(with_theirs);
    world_release(&w);
}

static void what_is_missing_is_repaired_once(void **state)
{
    struct netcfg_world w;
    struct plan p;
    (void)state;
    world_init(&w);
    plan_first(&p);
    assert_int_equal(world_apply(&w, 1, &p), 0);
    char *whole = world_snapshot(&w);
    fake_os_remove(&w.os, &p.objects[1]);
    fake_os_remove(&w.os, &p.objects[3]);
    netcfg_report_init(&w.report);
    assert_int_equal(netcfg_repair(w.n, NULL, NULL, &w.report), 0);
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_REPAIRED), 2);
    assert_int_equal(w.report.lines[0].session, 1);
    assert_true(world_is(&w, whole));
    netcfg_report_init(&w.report);
    size_t operations = w.os.operations, writes = w.disk.writes;
    assert_int_equal(netcfg_repair(w.n, NULL, NULL, &w.report), 0);
    assert_int_equal(w.report.total, 0);
    assert_int_equal(w.os.operations, operations);
    assert_int_equal(w.disk.writes, writes);
    mem_free(whole);
    plan_release(&p);
    world_release(&w);
}

/* Not what was there at the start, in another network perhaps, but what was there when ours was put back. */
static void what_a_repair_found_is_what_comes_back_in_the_end(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    struct object dns = {.kind = OBJECT_DNS, .link = "stile0", .link_index = 7};
    fake_os_remove(&w.os, &dns); /* missing: nothing is there at all */
    assert_int_equal(netcfg_repair(w.n, NULL, NULL, NULL), 0);
    assert_int_equal(world_end(&w, 1), 0);
    char *after = world_snapshot(&w);
    assert_null(strstr(after, "DNS settings"));
    mem_free(after);
    world_release(&w);
}

static bool never(void *arg, const struct object *o)
{
    (void)o;
    ++*(int *)arg;
    return false;
}

static void the_caller_decides_about_each_repair(void **state)
{
    struct netcfg_world w;
    struct plan p;
    int asked = 0;
    (void)state;
    world_init(&w);
    plan_first(&p);
    assert_int_equal(world_apply(&w, 1, &p), 0);
    fake_os_remove(&w.os, &p.objects[1]);
    size_t operations = w.os.operations;
    assert_int_equal(netcfg_repair(w.n, never, &asked, NULL), 0);
    assert_int_equal(asked, 1);
    assert_int_equal(w.os.operations, operations);
    plan_release(&p);
    world_release(&w);
}

static void a_link_that_went_with_all_on_it_is_no_failure(void **state)
{
    struct netcfg_world w;
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    fake_os_remove_link(&w.os, "stile0");
    assert_int_equal(world_end(&w, 1), 0);
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_GONE), 5);
    assert_int_equal(netcfg_report_of(&w.report, NETCFG_UNDONE), 1); /* DNS, which persists */
    assert_int_equal(netcfg_leftovers(w.n), 0);
    world_release(&w);
}

/* ---- other boots, other namespaces ---- */

static void after_a_reboot_only_what_persists_is_undone(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    world_close(&w);
    fake_os_reboot(&w.os);
    struct object link = {.kind = OBJECT_LINK, .link = "stile0", .link_index = 7};
    link.settings.mtu = 1500;
    assert_int_equal(fake_os_set(&w.os, &link), 0);
    struct object route = {.kind = OBJECT_ROUTE, .link = "eth0", .link_index = 2};
    assert_int_equal(prefix_parse("192.168.1.0/24", &route.route.dst), 0);
    assert_int_equal(fake_os_set(&w.os, &route), 0);
    w.boot = 2;
    w.os.operations = 0;
    world_open(&w);
    world_recover(&w);
    assert_int_equal(w.os.operations, 1);
    assert_true(said(&w, NETCFG_UNDONE, "DNS"));
    assert_true(said(&w, NETCFG_NOTE, "5 objects are gone"));
    assert_true(world_is(&w, before));
    assert_int_equal(buf_len(&w.disk.file), 0);
    mem_free(before);
    world_release(&w);
}

static void another_namespaces_objects_are_left_to_it(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    world_close(&w);
    w.namespace_id = 200;
    w.os.operations = 0;
    world_open(&w);
    world_recover(&w);
    assert_int_equal(w.os.operations, 1); /* a file is the same in every network namespace */
    assert_true(said(&w, NETCFG_NOTE, "5 objects belong to another network namespace"));
    assert_int_equal(netcfg_leftovers(w.n), 5);
    world_close(&w);
    w.namespace_id = 100;
    world_open(&w);
    world_recover(&w);
    assert_true(world_is(&w, before));
    assert_int_equal(netcfg_leftovers(w.n), 0);
    mem_free(before);
    world_release(&w);
}

static void cleaning_up_by_hand_leaves_sessions_alone(void **state)
{
    struct netcfg_world w;
    char *first = picture(plan_first);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    size_t operations = w.os.operations, writes = w.disk.writes;
    world_recover(&w);
    assert_int_equal(w.report.total, 0);
    assert_int_equal(w.os.operations, operations);
    assert_int_equal(w.disk.writes, writes);
    assert_true(world_is(&w, first));
    mem_free(first);
    world_release(&w);
}

static void what_couldnt_be_removed_is_taken_over_by_who_wants_it(void **state)
{
    struct netcfg_world w;
    char *before = picture(NULL), *first = picture(plan_first);
    (void)state;
    world_init(&w);
    assert_int_equal(apply(&w, 1, plan_first), 0);
    fuse_set(&w.fuse, 3, FUSE_FAIL);
    assert_int_equal(world_end(&w, 1), 0);
    assert_int_equal(netcfg_leftovers(w.n), 1);
    fuse_set(&w.fuse, 0, FUSE_GO);
    assert_int_equal(apply(&w, 2, plan_first), 0);
    assert_int_equal(netcfg_leftovers(w.n), 0);
    assert_true(world_is(&w, first));
    assert_int_equal(world_end(&w, 2), 0);
    assert_true(world_is(&w, before));
    mem_free(before);
    mem_free(first);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_plan_touches_nothing),
        cmocka_unit_test(a_changed_plan_touches_the_difference_only),
        cmocka_unit_test(the_end_of_the_last_session_leaves_the_host_as_it_was),
        cmocka_unit_test(each_step_of_a_change_failing_keeps_the_old_plan_or_has_the_new_one),
        cmocka_unit_test(each_step_of_a_first_plan_failing_leaves_nothing),
        cmocka_unit_test(what_fails_to_be_removed_is_a_leftover_that_recovery_removes),
        cmocka_unit_test(what_cant_be_put_back_is_said_and_repaired_later),
        cmocka_unit_test(a_full_disk_refuses_plans_and_changes_nothing),
        cmocka_unit_test(a_full_disk_doesnt_keep_sessions_from_ending),
        cmocka_unit_test(a_disk_that_cant_be_written_doesnt_keep_sessions_from_ending),
        cmocka_unit_test(what_couldnt_be_written_is_written_at_the_next_chance),
        cmocka_unit_test(sessions_end_in_any_order),
        cmocka_unit_test(another_sessions_route_is_refused_before_anything_happens),
        cmocka_unit_test(a_route_of_the_hosts_is_refused_and_stays),
        cmocka_unit_test(limits_and_bad_calls_are_refused),
        cmocka_unit_test(what_doesnt_fit_into_a_report_is_counted),
        cmocka_unit_test(what_someone_else_changed_is_left_and_said),
        cmocka_unit_test(what_is_missing_is_repaired_once),
        cmocka_unit_test(what_a_repair_found_is_what_comes_back_in_the_end),
        cmocka_unit_test(the_caller_decides_about_each_repair),
        cmocka_unit_test(a_link_that_went_with_all_on_it_is_no_failure),
        cmocka_unit_test(after_a_reboot_only_what_persists_is_undone),
        cmocka_unit_test(another_namespaces_objects_are_left_to_it),
        cmocka_unit_test(cleaning_up_by_hand_leaves_sessions_alone),
        cmocka_unit_test(what_couldnt_be_removed_is_taken_over_by_who_wants_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
