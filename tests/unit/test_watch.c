/* The watch over a runtime and endpoints that do what the test says. */
#include <string.h>

#include "base/clock.h"
#include "fake_endpoints.h"
#include "policy/watch.h"

#define TO(port)                                                                                   \
    "{\"Type\":\"L4WFPPROXY\",\"Settings\":{\"OutboundProxyPort\":\"" port                         \
    "\",\"UserID\":\"1337\",\"FilterTuple\":{\"Protocols\":\"6\"}}}"

static const char rules_text[] = "[{\"Labels\":{\"app\":\"web\"},\"Policies\":[" TO(
    "8000") "]},{\"Labels\":{\"app\":\"db\"},\"Policies\":[" TO("8001") "]}]";

/* ---- the fake runtime ---- */

#define CONTAINERS_MAX 8
#define ASKS_MAX       16

struct fake_container {
    char id[32], sandbox[32], path[64], app[32];
    bool running, host;
};

struct fake_ask {
    char id[RUNTIME_ID_SIZE];
    runtime_answer_fn *answer;
    void *arg;
};

struct runtime {
    struct runtime_events events;
    void *arg;
    struct fake_container containers[CONTAINERS_MAX];
    struct fake_ask asks[ASKS_MAX];
    size_t ask_count;
    int ask_err; /* what every question is answered with; 0: what is so */
    bool silent; /* nothing is answered */
    size_t problems;
    int start_err; /* runtime_start fails */
};

static struct runtime fake;

int runtime_start(struct loop *loop, const char *endpoint, const struct runtime_events *events,
                  void *arg, struct runtime **ret, struct diag *d)
{
    (void)loop;
    (void)endpoint;
    if (fake.start_err != 0)
        return diag_set(d, fake.start_err, 0, "no such runtime");
    fake.events = *events;
    fake.arg = arg;
    *ret = &fake;
    return 0;
}

void runtime_free(struct runtime *r)
{
    r->ask_count = 0;
    r->events = (struct runtime_events){0};
}

size_t runtime_problems(const struct runtime *r)
{
    return r->problems;
}

int runtime_ask(struct runtime *r, const char *id, runtime_answer_fn *answer, void *arg)
{
    assert_true(r->ask_count < ASKS_MAX);
    struct fake_ask *ask = &r->asks[r->ask_count++];
    assert_int_equal(str_copy(ask->id, sizeof(ask->id), id), 0);
    ask->answer = answer;
    ask->arg = arg;
    return 0;
}

static size_t container_index(const char *id)
{
    size_t i = 0;
    while (i < CONTAINERS_MAX && !str_eq(fake.containers[i].id, id))
        i++;
    return i;
}

static struct fake_container *container(const char *id)
{
    size_t i = container_index(id);
    assert_true(i < CONTAINERS_MAX);
    return &fake.containers[i];
}

/* Calls fn with what is so now. */
static void with_container(const struct fake_container *c,
                           int (*fn)(void *arg, const struct runtime_container *told), void *arg)
{
    const struct runtime_label label = {"app", c->app};
    const struct runtime_container told = {.id = c->id,
                                           .sandbox_id = c->sandbox,
                                           .name = c->id,
                                           .running = c->running,
                                           .host_network = c->host,
                                           .network_path = c->path,
                                           .network_problem = c->path[0] != '\0' ? "" : "hidden",
                                           .labels = &label,
                                           .label_count = 1};
    assert_int_equal(fn(arg, &told), 0);
}

static int answer_with(void *arg, const struct runtime_container *told)
{
    const struct fake_ask *ask = arg;
    ask->answer(ask->arg, 0, told, NULL);
    return 0;
}

static void answer_first(void)
{
    struct fake_ask ask = fake.asks[0];
    const struct diag d = {.text = "the runtime doesn't answer"};
    fake.ask_count--;
    memmove(fake.asks, fake.asks + 1, fake.ask_count * sizeof(ask));
    if (fake.ask_err != 0)
        ask.answer(ask.arg, fake.ask_err, NULL, &d);
    else if (container_index(ask.id) == CONTAINERS_MAX)
        ask.answer(ask.arg, ERR_NOTFOUND, NULL, &d);
    else
        with_container(container(ask.id), answer_with, &ask);
}

/* ---- the world ---- */

struct world {
    struct loop loop;
    struct watch *watch;
    unsigned told[WATCH_EVENT_COUNT];
    char text[512]; /* of the last event that had one */
    unsigned retry_ms;
    size_t rule;
    unsigned settled;
    size_t failing;
    bool stopped;
};

static struct world world;

static void on_event(UNUSED void *arg, const struct watch_event *event)
{
    world.told[event->kind]++;
    world.rule = event->rule;
    if (event->text[0] != '\0')
        (void)str_format(world.text, sizeof(world.text), "%s", event->text);
    if (event->retry_ms > 0)
        world.retry_ms = event->retry_ms;
    assert_non_null(watch_event_word(event->kind));
}

static void on_settled(UNUSED void *arg, size_t failing)
{
    world.settled++;
    world.failing = failing;
}

static struct watch_rules *rules_of(const char *text)
{
    struct diag d = {0};
    struct watch_rules *rules = NULL;
    if (watch_rules_read(slice_str(text), &rules, &d) < 0)
        fail_msg("%s", d.text);
    return rules;
}

static void begin(const struct watch_config *config)
{
    static const struct watch_events events = {on_event, on_settled};
    struct diag d = {0};
    world = (struct world){0};
    assert_int_equal(loop_init(&world.loop), 0);
    assert_int_equal(
        watch_start(&world.loop, config, rules_of(rules_text), &events, NULL, &world.watch, &d), 0);
}

static int set_up(UNUSED void **state)
{
    fake = (struct runtime){0};
    fake_endpoints_reset();
    return 0;
}

static void on_stopped(UNUSED void *arg)
{
    world.stopped = true;
}

static void end(void)
{
    watch_stop(world.watch, on_stopped, NULL);
    (void)loop_run(&world.loop);
    assert_true(world.stopped);
    assert_int_equal(loop_release(&world.loop), 0);
    for (size_t i = 0; i < FAKE_ENDPOINTS_MAX; i++)
        assert_int_equal(fake_endpoints[i].closed, fake_endpoints[i].opened);
    fake_endpoints_reset();
}

static void listed(void)
{
    fake.events.on_state(fake.arg, true, "fake");
    for (size_t i = 0; i < CONTAINERS_MAX; i++)
        if (fake.containers[i].running)
            with_container(&fake.containers[i], fake.events.on_container, fake.arg);
    fake.events.on_listed(fake.arg);
}

/* Until the count is reached; questions are answered meanwhile. */
static void wait_for(const unsigned *count, unsigned value)
{
    uint64_t until = clock_mono_ns() + 30 * NS_PER_S;
    while (*count < value && clock_mono_ns() < until) {
        uv_run(&world.loop.uv, UV_RUN_NOWAIT);
        if (fake.ask_count > 0 && !fake.silent)
            answer_first();
        uv_sleep(1);
    }
    assert_true(*count >= value);
}

static void settle(void)
{
    wait_for(&world.settled, world.settled + 1);
}

static struct fake_container *add(const char *id, const char *sandbox, const char *path,
                                  const char *app)
{
    struct fake_container *c = container("");
    (void)str_format(c->id, sizeof(c->id), "%s", id);
    (void)str_format(c->sandbox, sizeof(c->sandbox), "%s", sandbox);
    (void)str_format(c->path, sizeof(c->path), "%s", path);
    (void)str_format(c->app, sizeof(c->app), "%s", app);
    c->running = true;
    return c;
}

static void tell(const struct fake_container *c)
{
    with_container(c, fake.events.on_container, fake.arg);
}

static void is_to(const char *name, uint16_t port)
{
    const struct endpoint *e = fake_endpoint(name);
    assert_int_equal(e->policies.count, 1);
    assert_int_equal(e->policies.items[0].outbound.proxy_port, port);
}

static const struct watch_config quick = {.retry_ms = 1};

/* ---- tests ---- */

static void
containers_get_the_policies_of_their_rule_and_others_are_not_touched(UNUSED void **state)
{
    fake_endpoint_add("/n/web");
    fake_endpoint_add("/n/db");
    fake_endpoint_add("/n/other");
    add("a", "a", "/n/web", "web");
    add("b", "b", "/n/other", "none");
    begin(&quick);
    listed();
    settle();
    is_to("/n/web", 8000);
    assert_int_equal(world.told[WATCH_APPLIED], 1);
    tell(add("c", "", "/n/db", "db"));
    settle();
    is_to("/n/db", 8001);
    assert_int_equal(world.rule, 2);
    assert_int_equal(fake_endpoint("/n/other")->opened, 0);
    end();
}

static void a_sandbox_has_the_first_rule_that_any_of_its_containers_matches(UNUSED void **state)
{
    fake_endpoint_add("/n/pod");
    add("pod", "pod", "/n/pod", "none");
    add("b", "pod", "pid:7@1", "db");
    begin(&quick);
    listed();
    settle();
    is_to("/n/pod", 8001);
    struct fake_container *web = add("c", "pod", "pid:8@1", "web");
    tell(web);
    settle();
    is_to("/n/pod", 8000);
    assert_int_equal(fake_endpoint("/n/pod")->written, 2);
    /* The one that decided ends: no policy is taken away while the sandbox is there. */
    web->running = false;
    fake.events.on_gone(fake.arg, "c");
    tell(container("b"));
    settle();
    is_to("/n/pod", 8000);
    assert_int_equal(fake_endpoint("/n/pod")->written, 2);
    assert_int_equal(world.told[WATCH_GONE], 0);
    fake.events.on_gone(fake.arg, "b");
    fake.events.on_gone(fake.arg, "pod");
    assert_int_equal(world.told[WATCH_GONE], 1);
    end();
}

static void a_container_that_has_ended_meanwhile_is_never_configured(UNUSED void **state)
{
    fake_endpoint_add("pid:7@1");
    struct fake_container *c = add("a", "", "pid:7@1", "web");
    begin(&quick);
    listed();
    c->running = false; /* by now its pid is another's */
    settle();
    assert_int_equal(fake_endpoint("pid:7@1")->opened, 1);
    assert_int_equal(fake_endpoint("pid:7@1")->written, 0);
    assert_int_equal(fake_endpoint("pid:7@1")->blocks, 0);
    assert_int_equal(world.told[WATCH_GONE], 1);
    end();
}

static void a_container_with_another_network_than_was_told_is_asked_for_again(UNUSED void **state)
{
    fake_endpoint_add("pid:7@1");
    fake_endpoint_add("pid:8@1");
    struct fake_container *c = add("a", "", "pid:7@1", "web");
    begin(&quick);
    listed();
    (void)str_format(c->path, sizeof(c->path), "pid:8@1");
    wait_for(&world.told[WATCH_APPLIED], 1);
    assert_int_equal(fake_endpoint("pid:7@1")->written, 0);
    is_to("pid:8@1", 8000);
    end();
}

static void it_is_asked_for_until_there_is_an_answer(UNUSED void **state)
{
    fake_endpoint_add("pid:7@1");
    fake_endpoint_add("pid:8@1");
    struct fake_container *c = add("a", "", "pid:7@1", "web");
    begin(&quick);
    listed();
    (void)str_format(c->path, sizeof(c->path), "pid:8@1");
    while (fake.ask_count == 0)
        uv_run(&world.loop.uv, UV_RUN_ONCE);
    answer_first(); /* the pass's question: it is another network */
    assert_int_equal(fake.ask_count, 1);
    assert_int_equal(world.settled, 0);
    fake.ask_err = ERR_TIMEOUT;
    answer_first(); /* what network? */
    assert_int_equal(world.settled, 1);
    assert_int_equal(world.failing, 1);
    assert_int_equal(world.told[WATCH_FAILED], 1);
    assert_string_equal(world.text, "the runtime doesn't answer");
    fake.ask_err = 0;
    wait_for(&world.told[WATCH_APPLIED], 1);
    is_to("pid:8@1", 8000);
    assert_int_equal(fake_endpoint("pid:7@1")->written, 0);
    assert_int_equal(world.failing, 0);
    end();
}

static void it_stops_while_it_is_asked_for_what_moved(UNUSED void **state)
{
    fake_endpoint_add("pid:7@1");
    struct fake_container *c = add("a", "", "pid:7@1", "web");
    begin(&quick);
    listed();
    (void)str_format(c->path, sizeof(c->path), "pid:8@1");
    while (fake.ask_count == 0)
        uv_run(&world.loop.uv, UV_RUN_ONCE);
    answer_first();
    assert_int_equal(fake.ask_count, 1);
    fake.events.on_gone(fake.arg, "a"); /* its sandbox waits for the answer */
    end();
}

static void what_fails_is_blocked_and_tried_again_until_it_works(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    e->fail_change = ERR_IO;
    add("a", "a", "/n/web", "web");
    begin(&quick);
    listed();
    settle();
    assert_true(e->blocked);
    assert_int_equal(world.told[WATCH_BLOCKED], 1);
    assert_int_equal(world.failing, 1);
    assert_string_equal(world.text, "/n/web can't be changed");
    wait_for(&world.told[WATCH_BLOCKED], 4);
    assert_true(world.retry_ms >= 8); /* 1, 2, 4, 8 */
    e->fail_change = 0;
    wait_for(&world.told[WATCH_APPLIED], 1);
    assert_false(e->blocked);
    assert_int_equal(world.failing, 0);
    is_to("/n/web", 8000);
    end();
}

static void what_cannot_be_asked_about_is_a_failure_that_is_told(UNUSED void **state)
{
    fake_endpoint_add("/n/web");
    add("a", "a", "/n/web", "web");
    begin(&quick);
    fake.problems = 1;
    fake.events.on_problem(fake.arg, "b", "it makes no sense");
    assert_int_equal(world.told[WATCH_FAILED], 1);
    assert_string_equal(world.text, "it makes no sense");
    listed();
    settle();
    assert_int_equal(world.failing, 1);
    is_to("/n/web", 8000);
    fake.problems = 0; /* it has ended, or was answered for */
    fake.events.on_listed(fake.arg);
    assert_int_equal(world.failing, 0);
    end();
}

static void a_block_that_fails_is_told_each_time(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    e->fail_change = ERR_IO;
    e->fail_block = ERR_PERM;
    add("a", "a", "/n/web", "web");
    begin(&quick);
    listed();
    wait_for(&world.told[WATCH_FAILED], 3);
    assert_int_equal(world.told[WATCH_BLOCKED], 0);
    assert_string_equal(world.text, "/n/web can't be changed; and blocking its network failed: "
                                    "/n/web can't be blocked");
    end();
}

static void what_fails_is_left_as_it_is_where_that_is_wanted(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    e->fail_change = ERR_IO;
    add("a", "a", "/n/web", "web");
    begin(&(struct watch_config){.retry_ms = 1, .leave = true});
    listed();
    wait_for(&world.told[WATCH_FAILED], 2);
    assert_int_equal(e->blocks, 0);
    end();
}

static void an_endpoint_that_cannot_be_opened_is_tried_again(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    e->fail_open = ERR_PERM;
    add("a", "a", "/n/web", "web");
    begin(&quick);
    listed();
    wait_for(&world.told[WATCH_FAILED], 2);
    e->fail_open = 0;
    wait_for(&world.told[WATCH_APPLIED], 1);
    end();
}

static void a_container_whose_network_is_not_known_is_asked_for_until_it_is(UNUSED void **state)
{
    fake_endpoint_add("/n/web");
    struct fake_container *c = add("a", "a", "", "web");
    begin(&quick);
    listed();
    wait_for(&world.told[WATCH_FAILED], 3);
    assert_string_equal(world.text, "hidden");
    (void)str_format(c->path, sizeof(c->path), "/n/web");
    wait_for(&world.told[WATCH_APPLIED], 1);
    is_to("/n/web", 8000);
    end();
}

static void the_host_itself_is_never_touched(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/host");
    fake_endpoint_add("/n/hidden")->fail_open = ERR_DENIED;
    add("a", "a", "/n/host", "web")->host = true;
    add("b", "b", "/n/hidden", "web"); /* the runtime doesn't say so */
    begin(&(struct watch_config){.retry_ms = 1, .interval_ms = 5});
    listed();
    settle();
    tell(container("a"));
    uint64_t until = clock_mono_ns() + 30 * NS_PER_MS;
    while (clock_mono_ns() < until)
        settle();
    assert_int_equal(e->opened, 0);
    assert_int_equal(world.told[WATCH_HOST], 2);
    assert_int_equal(world.told[WATCH_FAILED] + world.told[WATCH_BLOCKED], 0);
    end();
}

static void a_restarted_runtime_is_heard_and_what_is_right_is_not_written_to(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    fake_endpoint_add("/n/db");
    add("a", "a", "/n/web", "web");
    struct fake_container *b = add("b", "b", "/n/db", "db");
    begin(&quick);
    listed();
    settle();
    fake.events.on_state(fake.arg, false, "it went away");
    assert_int_equal(world.told[WATCH_DISCONNECTED], 1);
    assert_int_equal(world.told[WATCH_GONE], 0);
    b->running = false; /* it ended while nobody listened */
    listed();
    settle();
    assert_int_equal(world.told[WATCH_GONE], 1);
    assert_int_equal(e->written, 1);
    assert_int_equal(world.told[WATCH_RIGHT], 1);
    end();
}

static void a_runtime_that_is_lost_while_it_is_asked_changes_nothing(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    add("a", "a", "/n/web", "web");
    begin(&quick);
    fake.ask_err = ERR_CLOSED;
    listed();
    settle();
    assert_int_equal(e->written + e->blocks, 0);
    assert_int_equal(world.told[WATCH_FAILED] + world.told[WATCH_BLOCKED], 0);
    fake.ask_err = ERR_TIMEOUT;
    listed();
    wait_for(&world.told[WATCH_FAILED], 2);
    assert_int_equal(e->written + e->blocks, 0);
    fake.ask_err = 0;
    wait_for(&world.told[WATCH_APPLIED], 1);
    end();
}

static void new_rules_change_what_is_there_and_a_rule_that_went_takes_nothing(UNUSED void **state)
{
    fake_endpoint_add("/n/web");
    fake_endpoint_add("/n/db");
    fake_endpoint_add("/n/late");
    add("a", "a", "/n/web", "web");
    add("b", "b", "/n/db", "db");
    add("c", "c", "/n/late", "late");
    begin(&quick);
    listed();
    settle();
    watch_set_rules(
        world.watch,
        rules_of("[{\"Labels\":{\"app\":\"web\"},\"Policies\":[" TO(
            "9000") "]},{\"Labels\":{\"app\":\"late\"},\"Policies\":[" TO("9001") "]}]"));
    settle();
    is_to("/n/web", 9000);
    is_to("/n/late", 9001);
    is_to("/n/db", 8001);
    assert_int_equal(world.told[WATCH_UNMATCHED], 1);
    assert_int_equal(fake_endpoint("/n/db")->written, 1);
    watch_set_rules(world.watch, rules_of("[{\"Policies\":[]}]"));
    settle();
    assert_int_equal(fake_endpoint("/n/db")->policies.count, 0);
    end();
}

static void what_drifted_is_repaired_and_told(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    add("a", "a", "/n/web", "web");
    begin(&(struct watch_config){.retry_ms = 1, .interval_ms = 5});
    listed();
    settle();
    wait_for(&world.told[WATCH_RIGHT], 2);
    assert_int_equal(e->written, 1);
    e->drifted = true;
    wait_for(&world.told[WATCH_REPAIRED], 1);
    assert_int_equal(e->written, 2);
    assert_string_equal(world.text, "a rule is missing;another too");
    end();
}

static void it_stops_while_a_question_is_open(UNUSED void **state)
{
    struct endpoint *e = fake_endpoint_add("/n/web");
    add("a", "a", "/n/web", "web");
    begin(&quick);
    fake.silent = true;
    listed();
    while (fake.ask_count == 0)
        loop_turn(&world.loop, true);
    end();
    assert_int_equal(e->written, 0);
}

static void it_stops_while_a_thread_works(UNUSED void **state)
{
    fake_endpoint_add("/n/web");
    add("a", "a", "/n/web", "web");
    begin(&quick);
    listed();
    end();
}

static void a_runtime_that_cannot_be_is_said_at_the_start(UNUSED void **state)
{
    static const struct watch_events events = {on_event, on_settled};
    struct diag d = {0};
    struct watch_rules *rules = rules_of(rules_text);
    world = (struct world){0};
    fake.start_err = ERR_NOTFOUND;
    assert_int_equal(loop_init(&world.loop), 0);
    assert_int_equal(watch_start(&world.loop, &quick, rules, &events, NULL, &world.watch, &d),
                     ERR_NOTFOUND);
    watch_rules_free(rules);
    (void)loop_run(&world.loop);
    assert_int_equal(loop_release(&world.loop), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(containers_get_the_policies_of_their_rule_and_others_are_not_touched),
        TEST(a_sandbox_has_the_first_rule_that_any_of_its_containers_matches),
        TEST(a_container_that_has_ended_meanwhile_is_never_configured),
        TEST(a_container_with_another_network_than_was_told_is_asked_for_again),
        TEST(it_is_asked_for_until_there_is_an_answer),
        TEST(it_stops_while_it_is_asked_for_what_moved),
        TEST(what_fails_is_blocked_and_tried_again_until_it_works),
        TEST(what_cannot_be_asked_about_is_a_failure_that_is_told),
        TEST(a_block_that_fails_is_told_each_time),
        TEST(what_fails_is_left_as_it_is_where_that_is_wanted),
        TEST(an_endpoint_that_cannot_be_opened_is_tried_again),
        TEST(a_container_whose_network_is_not_known_is_asked_for_until_it_is),
        TEST(the_host_itself_is_never_touched),
        TEST(a_restarted_runtime_is_heard_and_what_is_right_is_not_written_to),
        TEST(a_runtime_that_is_lost_while_it_is_asked_changes_nothing),
        TEST(new_rules_change_what_is_there_and_a_rule_that_went_takes_nothing),
        TEST(what_drifted_is_repaired_and_told),
        TEST(it_stops_while_a_question_is_open),
        TEST(it_stops_while_a_thread_works),
        TEST(a_runtime_that_cannot_be_is_said_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
