#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/state.h"
#include "netcfg_world.h"

static const bool none_exclusive[OBJECT_KIND_COUNT];
static const bool dns_exclusive[OBJECT_KIND_COUNT] = {[OBJECT_DNS] = true};

static void plans_refuse_what_is_there_and_what_is_too_much(void **state)
{
    struct plan p;
    struct object_route route = {0};
    (void)state;
    plan_init(&p);
    plan_put_route(&p, "stile0", "10.0.0.0/8", NULL);
    assert_int_equal(prefix_parse("10.0.0.0/8", &route.dst), 0);
    assert_int_equal(plan_add_route(&p, "stile0", 7, &route), ERR_EXISTS);
    assert_int_equal(plan_add_route(&p, "a-name-much-too-long", 7, &route), ERR_INVAL);
    assert_int_equal(plan_add_route(&p, "", 7, &route), ERR_INVAL);
    assert_int_equal(p.count, 1);
    for (uint32_t i = 1; i < PLAN_OBJECTS_MAX; i++) {
        route.metric = i;
        assert_int_equal(plan_add_route(&p, "stile0", 7, &route), 0);
    }
    route.metric = PLAN_OBJECTS_MAX;
    assert_int_equal(plan_add_route(&p, "stile0", 7, &route), ERR_LIMIT);
    plan_release(&p);
}

static void a_copied_plan_owns_its_zones(void **state)
{
    struct plan p, copy;
    (void)state;
    plan_first(&p);
    assert_int_equal(plan_copy(&p, &copy), 0);
    plan_release(&p);
    assert_int_equal(copy.count, 6);
    assert_string_equal(copy.objects[5].dns.zones[0], "corp.example");
    plan_release(&copy);
}

static void equal_objects_of_two_sessions_are_one(void **state)
{
    struct plan a, b;
    struct state s;
    (void)state;
    plan_first(&a);
    plan_first(&b);
    state_init(&s);
    struct state_source sources[] = {{1, &a}, {2, &b}};
    assert_int_equal(state_merge(sources, 2, none_exclusive, &s, NULL), 0);
    assert_int_equal(s.count, a.count);
    assert_int_equal(state_get(&s, &b.objects[0])->session, 1);
    state_release(&s);
    plan_release(&a);
    plan_release(&b);
}

static void another_content_of_the_same_key_is_refused_and_says_whose(void **state)
{
    struct plan a, b;
    struct state s;
    struct diag d = {0};
    (void)state;
    plan_first(&a);
    plan_init(&b);
    plan_put_route(&b, "stile1", "100.64.0.0/10", "10.0.0.1");
    state_init(&s);
    struct state_source sources[] = {{41, &a}, {42, &b}};
    assert_int_equal(state_merge(sources, 2, none_exclusive, &s, &d), ERR_EXISTS);
    assert_non_null(strstr(d.text, "number 41"));
    assert_non_null(strstr(d.text, "route 100.64.0.0/10"));
    assert_int_equal(s.count, 0);
    state_release(&s);
    plan_release(&a);
    plan_release(&b);
}

static void of_an_exclusive_kind_the_oldest_is_taken(void **state)
{
    struct plan a, b, c;
    struct state s;
    (void)state;
    plan_init(&a);
    plan_put_address(&a, "stile0", "10.0.0.1");
    plan_init(&b);
    plan_put_dns(&b, "stile1", "10.1.0.2", "b.example", NULL);
    plan_init(&c);
    plan_put_dns(&c, "stile2", "10.2.0.2", "c.example", NULL);
    struct state_source sources[] = {{1, &a}, {2, &b}, {3, &c}};
    state_init(&s);
    assert_int_equal(state_merge(sources, 3, dns_exclusive, &s, NULL), 0);
    assert_int_equal(s.count, 2);
    assert_non_null(state_get(&s, &b.objects[0]));
    assert_null(state_get(&s, &c.objects[0]));
    state_release(&s);
    assert_int_equal(state_merge(sources, 3, none_exclusive, &s, NULL), 0);
    assert_int_equal(s.count, 3);
    state_release(&s);
    plan_release(&a);
    plan_release(&b);
    plan_release(&c);
}

static void fill(struct state *s, const struct plan *p)
{
    struct state_source source = {1, p};
    state_init(s);
    assert_int_equal(state_merge(&source, 1, none_exclusive, s, NULL), 0);
}

static void equal_states_need_no_step(void **state)
{
    struct plan p;
    struct state a, b;
    struct steps steps;
    (void)state;
    plan_first(&p);
    fill(&a, &p);
    fill(&b, &p);
    assert_int_equal(state_diff(&a, &b, NULL, &steps), 0);
    assert_int_equal(steps.count, 0);
    steps_release(&steps);
    state_release(&a);
    state_release(&b);
    plan_release(&p);
}

static void steps_come_in_the_order_of_kinds_and_removals_last_in_reverse(void **state)
{
    static const struct {
        enum step_verb verb;
        const char *text;
    } expected[] = {
        {STEP_CHANGE, "settings of stile0"},
        {STEP_ADD, "address 198.18.0.1/32 on stile0"},
        {STEP_ADD, "route 198.18.0.0/15 on stile0"},
        {STEP_CHANGE, "route fd00::/48 on stile0"},
        {STEP_CHANGE, "DNS settings of stile0"},
        {STEP_REMOVE, "route 100.64.0.0/10 on stile0"},
        {STEP_REMOVE, "address 100.64.0.1/32 on stile0"},
    };
    struct plan p, q;
    struct state a, b;
    struct steps steps;
    char text[OBJECT_TEXT_SIZE];
    (void)state;
    plan_first(&p);
    plan_second(&q);
    fill(&a, &p);
    fill(&b, &q);
    assert_int_equal(state_diff(&a, &b, NULL, &steps), 0);
    assert_int_equal(steps.count, ARRAY_LEN(expected));
    assert_int_equal(steps.forward, 5);
    for (size_t i = 0; i < steps.count; i++) {
        const struct step *s = &steps.list[i];
        object_text(s->to != NULL ? s->to->object : s->from->object, text);
        assert_int_equal(s->verb, expected[i].verb);
        assert_string_equal(text, expected[i].text);
    }
    steps_release(&steps);
    state_release(&a);
    state_release(&b);
    plan_release(&p);
    plan_release(&q);
}

static struct object *many_routes(uint32_t count, uint32_t first)
{
    struct object *list = mem_array(count, sizeof(*list));
    assert_non_null(list);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n = first + i;
        list[i] = (struct object){.kind = OBJECT_ROUTE, .link = "stile0", .link_index = 7};
        list[i].route.dst =
            (struct prefix){ip_addr_v4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n), 32};
    }
    return list;
}

/* With a cost that grows as the square this would take hours. */
static void a_hundred_thousand_objects_are_compared_at_once(void **state)
{
    enum { COUNT = 100000 };
    struct object *old = many_routes(COUNT, 0), *new = many_routes(COUNT, COUNT / 2);
    struct state a, b;
    struct steps steps;
    (void)state;
    state_init(&a);
    state_init(&b);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(state_add(&a, &old[i], 1, NULL), 0);
        assert_int_equal(state_add(&b, &new[i], 1, NULL), 0);
    }
    assert_int_equal(state_add(&a, &old[0], 1, NULL), ERR_EXISTS);
    assert_int_equal(state_diff(&a, &b, NULL, &steps), 0);
    assert_int_equal(steps.count, COUNT);
    assert_int_equal(steps.forward, COUNT / 2);
    steps_release(&steps);
    state_release(&a);
    state_release(&b);
    mem_free(old);
    mem_free(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_refuse_what_is_there_and_what_is_too_much),
        cmocka_unit_test(a_copied_plan_owns_its_zones),
        cmocka_unit_test(equal_objects_of_two_sessions_are_one),
        cmocka_unit_test(another_content_of_the_same_key_is_refused_and_says_whose),
        cmocka_unit_test(of_an_exclusive_kind_the_oldest_is_taken),
        cmocka_unit_test(equal_states_need_no_step),
        cmocka_unit_test(steps_come_in_the_order_of_kinds_and_removals_last_in_reverse),
        cmocka_unit_test(a_hundred_thousand_objects_are_compared_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
