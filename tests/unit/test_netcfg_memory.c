#include "netcfg_world.h"

/* The n-th allocation of netcfg's fails, for each n in turn: the plan is refused with nothing changed, or the change is whole; and
 * everything can be undone afterwards. (That nothing is leaked is what the sanitizers' run proves.) */

struct scene {
    const char *name;
    void (*before)(struct netcfg_world *w);
    int (*act)(struct netcfg_world *w);
    bool by_parts; /* each repair by itself: one may fail after another */
};

static struct plan first, second;

static void nothing(struct netcfg_world *w)
{
    (void)w;
}

static int apply_first(struct netcfg_world *w)
{
    return world_apply(w, 1, &first);
}

static void have_first(struct netcfg_world *w)
{
    assert_int_equal(apply_first(w), 0);
}

static int change(struct netcfg_world *w)
{
    return world_apply(w, 1, &second);
}

static int end(struct netcfg_world *w)
{
    return world_end(w, 1);
}

static void something_is_missing(struct netcfg_world *w)
{
    have_first(w);
    fake_os_remove(&w->os, &first.objects[1]);
    fake_os_remove(&w->os, &first.objects[4]);
}

static int repair(struct netcfg_world *w)
{
    return netcfg_repair(w->n, NULL, NULL, NULL);
}

static void died(struct netcfg_world *w)
{
    have_first(w);
    world_restart(w);
}

static int recover(struct netcfg_world *w)
{
    return netcfg_recover(w->n, NULL);
}

static void closed(struct netcfg_world *w)
{
    have_first(w);
    world_close(w);
}

static int reopen(struct netcfg_world *w)
{
    return world_try_open(w);
}

static const struct scene scenes[] = {
    {"apply", nothing, apply_first, false}, {"change", have_first, change, false},
    {"end", have_first, end, false},        {"repair", something_is_missing, repair, true},
    {"recovery", died, recover, false},     {"open", closed, reopen, false},
};

/* False: the act made fewer allocations than that. */
static bool fails_at(const struct scene *s, uint64_t at)
{
    struct netcfg_world w;
    world_init(&w);
    char *before = world_snapshot(&w);
    s->before(&w);
    char *start = world_snapshot(&w);
    (void)mem_fail_at(at);
    int r = s->act(&w);
    bool reached = mem_fail_at(0) >= at;
    if (r < 0 && !s->by_parts && !world_is(&w, start))
        fail_msg("%s: allocation %u failed, and something was changed", s->name, (unsigned)at);
    if (r < 0 && w.n == NULL)
        world_open(&w);
    assert_int_equal(world_end(&w, 1), 0);
    world_recover(&w);
    if (!world_is(&w, before) || netcfg_leftovers(w.n) > 0)
        fail_msg("%s: allocation %u failed: it couldn't be undone", s->name, (unsigned)at);
    assert_int_equal(buf_len(&w.disk.file), 0);
    mem_free(before);
    mem_free(start);
    world_release(&w);
    return reached;
}

static void each_allocation_failing_in_turn_is_survived(void **state)
{
    (void)state;
    plan_first(&first);
    plan_second(&second);
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
        uint64_t at = 1;
        while (fails_at(&scenes[i], at))
            at++;
        assert_true(at > 4);
        print_message("# %s: %u allocations\n", scenes[i].name, (unsigned)at - 1);
    }
    plan_release(&first);
    plan_release(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_failing_in_turn_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
