#include "netcfg_world.h"

/* A process is killed before, within and after everything it does to the host and to the journal; another one recovers: the host
 * is as it was before both. */

struct scene {
    const char *name;
    void (*before)(struct netcfg_world *w); /* undisturbed */
    void (*act)(struct netcfg_world *w);    /* killed somewhere */
    bool exclusive_dns;
};

static void apply_plan(struct netcfg_world *w, uint32_t session, void (*make)(struct plan *p))
{
    struct plan p;
    make(&p);
    (void)world_apply(w, session, &p);
    plan_release(&p);
}

static void plan_other_link(struct plan *p)
{
    plan_init(p);
    plan_put_address(p, "stile1", "10.213.0.1");
    plan_put_route(p, "stile1", "10.213.0.0/16", "10.213.0.1");
    plan_put_route(p, "stile0", "fd00::/48", NULL); /* shared with the first one */
    plan_put_dns(p, "stile1", "10.213.0.2", "other.example", NULL);
}

static void nothing(struct netcfg_world *w)
{
    (void)w;
}

static void apply_first(struct netcfg_world *w)
{
    apply_plan(w, 1, plan_first);
}

static void apply_two(struct netcfg_world *w)
{
    apply_plan(w, 1, plan_first);
    apply_plan(w, 2, plan_other_link);
}

static void change(struct netcfg_world *w)
{
    apply_plan(w, 1, plan_second);
}

static void change_back_and_forth(struct netcfg_world *w)
{
    change(w);
    apply_first(w);
    change(w);
}

static void plan_without_dns(struct plan *p)
{
    plan_init(p);
    plan_put_address(p, "stile0", "100.64.0.1");
    plan_put_route(p, "stile0", "100.64.0.0/10", "100.64.0.1");
}

static void hand_dns_over(struct netcfg_world *w)
{
    apply_plan(w, 1, plan_without_dns);
    apply_plan(w, 1, plan_first);
}

static void end_first(struct netcfg_world *w)
{
    (void)world_end(w, 1);
}

static void end_both(struct netcfg_world *w)
{
    end_first(w);
    (void)world_end(w, 2);
}

static void someone_removes(struct netcfg_world *w)
{
    struct plan p;
    apply_first(w);
    plan_first(&p);
    fake_os_remove(&w->os, &p.objects[1]);
    fake_os_remove(&w->os, &p.objects[3]);
    plan_release(&p);
}

static void repair(struct netcfg_world *w)
{
    (void)netcfg_repair(w->n, NULL, NULL, NULL);
}

static void leave(struct netcfg_world *w)
{
    apply_first(w);
    change(w);
    world_restart(w);
}

static void recover(struct netcfg_world *w)
{
    (void)netcfg_recover(w->n, NULL);
}

/* So that the journal must be written anew: a record was begun. */
static void leave_torn(struct netcfg_world *w)
{
    apply_first(w);
    assert_int_equal(buf_put_str(&w->disk.file, "STJR"), 0);
    world_restart(w);
}

static void recover_and_apply(struct netcfg_world *w)
{
    recover(w);
    apply_first(w);
}

static const struct scene scenes[] = {
    {"apply", nothing, apply_first, false},
    {"change", apply_first, change, false},
    {"changes", apply_first, change_back_and_forth, false},
    {"end", apply_first, end_first, false},
    {"second session", apply_first, apply_two, false},
    {"ends", apply_two, end_both, false},
    {"ends, one DNS for the host", apply_two, end_both, true},
    {"DNS handed over, one for the host", apply_two, hand_dns_over, true},
    {"repair", someone_removes, repair, false},
    {"recovery", leave, recover, false},
    {"recovery of a torn journal, and apply", leave_torn, recover_and_apply, false},
};

/* False: the act ended before it came to that step. */
static bool killed_at(const struct scene *s, uint64_t at, enum fuse_action action, size_t part,
                      size_t *ret_write_len)
{
    struct netcfg_world w;
    world_init(&w);
    w.os.kinds[OBJECT_DNS].exclusive = s->exclusive_dns;
    char *before = world_snapshot(&w);
    s->before(&w);
    w.fuse.part = part;
    fuse_set(&w.fuse, at, action);
    s->act(&w);
    bool killed = w.fuse.dead;
    *ret_write_len = w.fuse.write_len;
    world_restart(&w);
    world_recover(&w);
    if (!world_is(&w, before) || netcfg_leftovers(w.n) > 0 || buf_len(&w.disk.file) > 0)
        fail_msg("%s: killed at step %u (%d, part %u): not as before", s->name, (unsigned)at,
                 action, (unsigned)part);
    mem_free(before);
    world_release(&w);
    return killed;
}

static size_t kill_everywhere(const struct scene *s)
{
    size_t points = 0, len;
    for (uint64_t at = 1; killed_at(s, at, FUSE_KILL_BEFORE, 0, &len); at++) {
        (void)killed_at(s, at, FUSE_KILL_AFTER, 0, &len);
        points += 2;
        size_t part = 0;
        do {
            (void)killed_at(s, at, FUSE_KILL_WITHIN, part, &len);
            points++;
        } while (++part < len);
    }
    return points;
}

static void a_kill_anywhere_is_undone(void **state)
{
    size_t total = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
        size_t points = kill_everywhere(&scenes[i]);
        assert_true(points > 10);
        print_message("# %s: killed at %u points\n", scenes[i].name, (unsigned)points);
        total += points;
    }
    print_message("# killed at %u points in all\n", (unsigned)total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_anywhere_is_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
