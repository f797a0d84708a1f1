#include <stdlib.h>

#include "netcfg_world.h"

/* Random plans, sessions, failures, kills and meddling, against a model: what the host must look like is what the sessions'
 * plans say, laid over what it was before. The seed is printed; STILE_SEED sets it. */

enum { SESSIONS = 4, ROUNDS = 200, ACTIONS = 40 };

static uint64_t random_state;

static uint32_t next_random(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 33) % below);
}

struct model {
    struct plan plans[SESSIONS + 1]; /* by session */
    bool there[SESSIONS + 1];
    uint32_t order[SESSIONS]; /* oldest first */
    size_t count;
    bool exclusive;
};

static const char *const links[] = {"stile0", "stile1"};

static void random_object(struct object *o, char zone[1][OBJECT_ZONE_SIZE])
{
    *o = (struct object){.link_index = 7};
    o->kind = (enum object_kind)(1 + next_random(OBJECT_KIND_COUNT - 1));
    assert_int_equal(str_copy(o->link, sizeof(o->link), links[next_random(2)]), 0);
    struct ip_addr addr = ip_addr_v4(10, 0, 0, (uint8_t)(1 + next_random(6)));
    switch (o->kind) {
    case OBJECT_LINK:
        o->settings.mtu = 1300 + next_random(3);
        break;
    case OBJECT_ADDRESS:
        o->address = (struct object_address){.addr = addr, .bits = 32};
        break;
    case OBJECT_ROUTE:
        o->route.dst = (struct prefix){ip_addr_v4(10, (uint8_t)next_random(6), 0, 0), 16};
        o->route.source = addr;
        break;
    default:
        o->dns.servers[0] = addr;
        o->dns.server_count = 1;
        assert_int_equal(str_format(zone[0], OBJECT_ZONE_SIZE, "z%u.example", next_random(3)), 0);
        o->dns.zones = zone;
        o->dns.zone_count = 1;
        break;
    }
}

static void random_plan(struct plan *p)
{
    plan_init(p);
    for (uint32_t n = next_random(8); n > 0; n--) {
        char zone[1][OBJECT_ZONE_SIZE];
        struct object o;
        random_object(&o, zone);
        int r = plan_add(p, &o);
        assert_true(r == 0 || r == ERR_EXISTS);
    }
}

static const struct object *wanted_at(const struct model *m, size_t upto, const struct object *o)
{
    struct object_key key, other;
    object_key(o, &key);
    for (size_t i = 0; i < upto; i++) {
        const struct plan *p = &m->plans[m->order[i]];
        for (size_t j = 0; j < p->count; j++) {
            object_key(&p->objects[j], &other);
            if (key.len == other.len && memcmp(key.bytes, other.bytes, key.len) == 0)
                return &p->objects[j];
        }
    }
    return NULL;
}

static bool has_kind(const struct plan *p, size_t count, enum object_kind kind)
{
    for (size_t j = 0; j < count; j++)
        if (p->objects[j].kind == kind)
            return true;
    return false;
}

/* The one DNS of the host is the first of the oldest session that has one. */
static bool counts(const struct model *m, size_t session, size_t object)
{
    const struct plan *p = &m->plans[m->order[session]];
    if (!m->exclusive || p->objects[object].kind != OBJECT_DNS)
        return true;
    if (has_kind(p, object, OBJECT_DNS))
        return false;
    for (size_t i = 0; i < session; i++)
        if (has_kind(&m->plans[m->order[i]], m->plans[m->order[i]].count, OBJECT_DNS))
            return false;
    return true;
}

static bool conflicts(const struct model *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct plan *p = &m->plans[m->order[i]];
        for (size_t j = 0; j < p->count; j++) {
            const struct object *o = wanted_at(m, i, &p->objects[j]);
            if (counts(m, i, j) && o != NULL && !object_eq(o, &p->objects[j]))
                return true;
        }
    }
    return false;
}

static char *model_snapshot(const struct model *m)
{
    struct netcfg_world w = {0}; /* its host alone */
    fake_os_init(&w.os, NULL);
    world_host(&w);
    for (size_t i = 0; i < m->count; i++) {
        const struct plan *p = &m->plans[m->order[i]];
        for (size_t j = 0; j < p->count; j++)
            if (counts(m, i, j))
                assert_int_equal(
                    w.os.kinds[p->objects[j].kind].apply(&w.os, &p->objects[j], NULL, NULL), 0);
    }
    char *s = world_snapshot(&w);
    fake_os_release(&w.os);
    return s;
}

static void model_clear(struct model *m)
{
    for (size_t i = 0; i <= SESSIONS; i++)
        plan_release(&m->plans[i]);
    *m = (struct model){.exclusive = m->exclusive};
}

static void model_set(struct model *m, uint32_t session, struct plan plan)
{
    if (!m->there[session])
        m->order[m->count++] = session;
    m->there[session] = true;
    plan_release(&m->plans[session]);
    m->plans[session] = plan;
}

static void model_end(struct model *m, uint32_t session)
{
    if (!m->there[session])
        return;
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->order[i] != session)
            m->order[kept++] = m->order[i];
    m->count = kept;
    m->there[session] = false;
    plan_release(&m->plans[session]);
    plan_init(&m->plans[session]);
}

static void check(const struct netcfg_world *w, const struct model *m, const char *after)
{
    char *expected = model_snapshot(m);
    if (!world_is(w, expected))
        fail_msg("after %s: not what the plans say", after);
    mem_free(expected);
}

/* Would it be refused? Asked of the model, with the plan in place. */
static bool refused(struct model *m, uint32_t session, const struct plan *plan)
{
    struct model trial = *m;
    if (!trial.there[session])
        trial.order[trial.count++] = session;
    trial.plans[session] = *plan;
    return conflicts(&trial);
}

static void do_apply(struct netcfg_world *w, struct model *m, bool failing)
{
    uint32_t session = 1 + next_random(SESSIONS);
    struct plan p;
    random_plan(&p);
    if (failing)
        fuse_set(&w->fuse, 1 + next_random(10), next_random(2) ? FUSE_FAIL : FUSE_FAIL_AFTER);
    int r = world_apply(w, session, &p);
    bool blown = w->fuse.at != 0 && w->fuse.steps >= w->fuse.at;
    fuse_set(&w->fuse, 0, FUSE_GO);
    assert_true(r == 0 || blown || (r == ERR_EXISTS && refused(m, session, &p)));
    assert_true(r < 0 || !refused(m, session, &p));
    if (r == 0)
        model_set(m, session, p);
    else
        plan_release(&p);
    if (r == 0 && netcfg_leftovers(w->n) > 0)
        world_recover(w);
    check(w, m, r == 0 ? "apply" : "a refused apply");
}

static void do_end(struct netcfg_world *w, struct model *m)
{
    uint32_t session = 1 + next_random(SESSIONS);
    assert_int_equal(world_end(w, session), 0);
    model_end(m, session);
    check(w, m, "end");
}

static void do_kill(struct netcfg_world *w, struct model *m)
{
    static const enum fuse_action actions[] = {FUSE_KILL_BEFORE, FUSE_KILL_AFTER, FUSE_KILL_WITHIN};
    struct plan p;
    random_plan(&p);
    w->fuse.part = next_random(300);
    fuse_set(&w->fuse, 1 + next_random(12), actions[next_random(3)]);
    if (next_random(3) > 0)
        (void)world_apply(w, 1 + next_random(SESSIONS), &p);
    else
        (void)world_end(w, 1 + next_random(SESSIONS));
    plan_release(&p);
    model_clear(m);
    world_restart(w);
    if (next_random(3) == 0) { /* killed again while it recovers */
        fuse_set(&w->fuse, 1 + next_random(6), actions[next_random(3)]);
        (void)netcfg_recover(w->n, NULL);
        world_restart(w);
    }
    world_recover(w);
    assert_int_equal(netcfg_leftovers(w->n), 0);
    check(w, m, "kill and recovery");
}

/* Someone takes something of ours away. */
static void do_meddle(struct netcfg_world *w, struct model *m)
{
    if (m->count == 0)
        return;
    const struct plan *p = &m->plans[m->order[next_random((uint32_t)m->count)]];
    if (p->count == 0)
        return;
    const struct object *o = &p->objects[next_random((uint32_t)p->count)];
    if (o->kind != OBJECT_ADDRESS && o->kind != OBJECT_ROUTE)
        return;
    fake_os_remove(&w->os, o);
    assert_int_equal(netcfg_repair(w->n, NULL, NULL, NULL), 0);
    check(w, m, "repair");
}

static void run(uint64_t seed)
{
    struct netcfg_world w;
    struct model m = {0};
    random_state = seed;
    m.exclusive = next_random(2) == 1;
    world_init(&w);
    w.os.kinds[OBJECT_DNS].exclusive = m.exclusive;
    for (int i = 0; i < ACTIONS; i++) {
        switch (next_random(8)) {
        case 0:
            do_end(&w, &m);
            break;
        case 1:
            do_kill(&w, &m);
            break;
        case 2:
            do_meddle(&w, &m);
            break;
        case 3:
            do_apply(&w, &m, true);
            break;
        default:
            do_apply(&w, &m, false);
            break;
        }
    }
    assert_int_equal(netcfg_end_all(w.n, NULL), 0);
    model_clear(&m);
    check(&w, &m, "the end of all");
    assert_int_equal(buf_len(&w.disk.file), 0);
    world_release(&w);
}

static void the_host_is_what_the_plans_say_whatever_happens(void **state)
{
    const char *given = getenv("STILE_SEED");
    uint64_t seed = 1;
    (void)state;
    if (given != NULL)
        seed = strtoull(given, NULL, 10);
    print_message("# seed %u and the %d after it, %d actions each\n", (unsigned)seed, ROUNDS,
                  ACTIONS);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        random_state = 0;
        run((seed + i) * UINT64_C(0x9e3779b97f4a7c15));
        if (given != NULL)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_is_what_the_plans_say_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
