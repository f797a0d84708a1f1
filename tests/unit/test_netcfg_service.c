#include "base/clock.h"
#include "loop/timer.h"
#include "net/resolv_conf.h"
#include "netcfg/repair_limit.h"
#include "netcfg/service.h"
#include "netcfg_world.h"
#include "temp_dir.h"

/* netcfg's thread with a host in memory: jobs in order, events, repairs, and an end that leaves nothing. */

struct host {
    struct fake_os os;
    struct loop *thread_loop;
    void (*changed)(void *arg, unsigned reasons);
    void *changed_arg;
    uv_async_t poke; /* of the thread's loop: the host's events come from there */
    unsigned poke_reasons;
    struct resolvers resolvers;
    int start_error;
    bool closed;
};

struct caller {
    struct loop loop;
    struct netcfg_service *service;
    struct timer guard;
    char directory[TEMP_DIR_SIZE];
    struct host host;
    char *before;
    size_t ready, done, events, stopped;
    int err;
    struct diag diag;
    struct netcfg_report report;
    struct netcfg_event last;
    char text[NETCFG_LINE_SIZE];
    size_t of_kind[8];
};

/* ---- the host, in the thread ---- */

static int host_open(const struct netcfg_os *self, const struct ops **ret_ops, struct diag *d)
{
    struct host *h = (struct host *)(uintptr_t)self->options;
    (void)d;
    *ret_ops = &h->os.ops;
    return 0;
}

static struct host *of(void *os)
{
    return CONTAINER_OF(os, struct host, os);
}

static void on_poke(uv_async_t *async)
{
    struct host *h = async->data;
    h->changed(h->changed_arg, h->poke_reasons);
}

static int host_start(void *os, struct loop *loop, void (*changed)(void *arg, unsigned reasons),
                      void *arg, struct diag *d)
{
    struct host *h = of(os);
    if (h->start_error < 0)
        return diag_set(d, h->start_error, 0, "No way to set DNS");
    h->changed = changed;
    h->changed_arg = arg;
    h->poke.data = h;
    return loop_err(uv_async_init(&loop->uv, &h->poke, on_poke));
}

static int host_upstreams(void *os, const struct object *ours, struct resolvers *ret,
                          struct diag *d)
{
    (void)ours;
    (void)d;
    *ret = of(os)->resolvers;
    return 0;
}

static const char *host_backend(void *os)
{
    return of(os)->changed == NULL ? "" : "fake";
}

static void host_close(void *os)
{
    struct host *h = of(os);
    h->closed = true;
    if (h->changed != NULL)
        uv_close((uv_handle_t *)&h->poke, NULL);
}

/* ---- the caller ---- */

static void on_event(void *arg, const struct netcfg_event *event)
{
    struct caller *c = arg;
    c->events++;
    c->of_kind[event->kind]++;
    c->last = *event;
    assert_int_equal(str_copy(c->text, sizeof(c->text), event->text), 0);
}

static void take(struct caller *c, const struct netcfg_result *result)
{
    c->err = result->err;
    c->diag = result->diag;
    c->report = result->report;
}

static void on_ready(void *arg, const struct netcfg_result *result)
{
    struct caller *c = arg;
    take(c, result);
    c->ready++;
}

static void on_done(void *arg, const struct netcfg_result *result)
{
    struct caller *c = arg;
    take(c, result);
    c->done++;
}

static void on_stopped(void *arg)
{
    ((struct caller *)arg)->stopped++;
}

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing came for 10 seconds");
}

static void wait_for(struct caller *c, const size_t *counter, size_t value)
{
    timer_start(&c->guard, 10000);
    while (*counter < value)
        loop_turn(&c->loop, true);
    timer_stop(&c->guard);
}

static void start(struct caller *c)
{
    struct netcfg_service_config config = {
        .os = {.open = host_open,
               .start = host_start,
               .upstreams = host_upstreams,
               .dns_backend = host_backend,
               .close = host_close,
               .options = &c->host},
        .directory = c->directory,
        .namespace_id = 1,
        .on_event = on_event,
        .arg = c,
    };
    c->host.changed = NULL;
    c->host.closed = false;
    c->ready = 0;
    assert_int_equal(netcfg_service_start(&c->loop, &config, on_ready, c, &c->service, NULL), 0);
    wait_for(c, &c->ready, 1);
}

static void stop(struct caller *c)
{
    c->stopped = 0;
    netcfg_service_stop(c->service, on_stopped, c);
    wait_for(c, &c->stopped, 1);
    assert_true(c->host.closed);
}

static char *snapshot(struct caller *c)
{
    struct buf text;
    buf_init(&text, 1000000);
    assert_int_equal(fake_os_snapshot(&c->host.os, &text), 0);
    char *s = buf_steal_cstr(&text);
    assert_non_null(s);
    return s;
}

static void assert_as_before(struct caller *c)
{
    char *now = snapshot(c);
    assert_string_equal(now, c->before);
    mem_free(now);
}

static void caller_init(struct caller *c)
{
    *c = (struct caller){0};
    temp_dir_make(c->directory);
    assert_int_equal(loop_init(&c->loop), 0);
    assert_int_equal(timer_init(&c->guard, &c->loop, too_long, c), 0);
    fake_os_init(&c->host.os, NULL);
    struct object dns = {.kind = OBJECT_DNS, .link = "stile0", .link_index = 7};
    assert_int_equal(fake_os_set(&c->host.os, &dns), 0);
    c->before = snapshot(c);
}

static void caller_release(struct caller *c)
{
    assert_as_before(c);
    mem_free(c->before);
    timer_close(&c->guard, NULL);
    assert_int_equal(loop_release(&c->loop), 0);
    fake_os_release(&c->host.os);
    temp_dir_remove(c->directory);
}

static void apply_first(struct caller *c)
{
    struct plan p;
    plan_first(&p);
    assert_int_equal(netcfg_service_apply(c->service, 1, &p, on_done, c), 0);
    plan_release(&p);
    wait_for(c, &c->done, c->done + 1);
    assert_int_equal(c->err, 0);
}

static void poke(struct caller *c, unsigned reasons)
{
    c->host.poke_reasons = reasons;
    uv_async_send(&c->host.poke);
}

/* ---- */

static void jobs_are_done_and_answered_in_order(void **state)
{
    struct caller c;
    struct plan p;
    (void)state;
    caller_init(&c);
    start(&c);
    assert_int_equal(c.err, 0);
    plan_first(&p);
    assert_int_equal(netcfg_service_apply(c.service, 1, &p, on_done, &c), 0);
    plan_release(&p);
    assert_int_equal(netcfg_service_repair(c.service, on_done, &c), 0);
    assert_int_equal(netcfg_service_recover(c.service, on_done, &c), 0);
    plan_second(&p);
    assert_int_equal(netcfg_service_apply(c.service, 2, &p, on_done, &c), 0);
    plan_release(&p);
    assert_int_equal(c.done, 0); /* never inside the call */
    wait_for(&c, &c.done, 4);
    assert_int_equal(c.err, ERR_EXISTS); /* the last one's */
    assert_non_null(strstr(c.diag.text, "another session"));
    assert_int_equal(netcfg_service_end(c.service, 1, on_done, &c), 0);
    wait_for(&c, &c.done, 5);
    assert_int_equal(c.err, 0);
    assert_int_equal(c.report.total, 6);
    assert_as_before(&c);
    stop(&c);
    caller_release(&c);
}

static void stopping_ends_all_sessions_and_answers_all_jobs(void **state)
{
    struct caller c;
    struct plan p;
    (void)state;
    caller_init(&c);
    start(&c);
    plan_first(&p);
    assert_int_equal(netcfg_service_apply(c.service, 1, &p, on_done, &c), 0);
    netcfg_service_stop(c.service, on_stopped, &c);
    assert_int_equal(netcfg_service_apply(c.service, 2, &p, on_done, &c), ERR_CLOSED);
    plan_release(&p);
    wait_for(&c, &c.stopped, 1);
    assert_int_equal(c.done, 1);
    assert_int_equal(c.err, 0);
    caller_release(&c);
}

static void a_start_that_fails_says_why_and_can_be_stopped(void **state)
{
    struct caller c, second;
    (void)state;
    caller_init(&c);
    start(&c);
    caller_init(&second);
    /* The same directory: another broker. */
    temp_dir_remove(second.directory);
    memcpy(second.directory, c.directory, sizeof(c.directory));
    start(&second);
    assert_int_equal(second.err, ERR_BUSY);
    assert_non_null(strstr(second.diag.text, "Another stile broker"));
    assert_int_equal(netcfg_service_end(second.service, 1, on_done, &second), 0);
    wait_for(&second, &second.done, 1);
    assert_int_equal(second.err, ERR_CLOSED);
    second.host.closed = true; /* it was never opened */
    stop(&second);
    temp_dir_make(second.directory);
    caller_release(&second);
    stop(&c);
    c.host.start_error = ERR_NOTFOUND;
    start(&c);
    assert_int_equal(c.err, ERR_NOTFOUND);
    assert_string_equal(c.diag.text, "No way to set DNS");
    stop(&c);
    caller_release(&c);
}

static void what_a_dead_process_left_is_undone_before_ready(void **state)
{
    struct caller c;
    struct store *store;
    struct netcfg *n;
    struct plan p;
    (void)state;
    caller_init(&c);
    struct netcfg_config config = {.ops = &c.host.os.ops, .namespace_id = 1};
    assert_int_equal(store_open(c.directory, &store, NULL), 0);
    config.store = store;
    assert_int_equal(netcfg_open(&config, &n, NULL), 0);
    plan_first(&p);
    assert_int_equal(netcfg_apply(n, 1, &p, NULL, NULL), 0);
    plan_release(&p);
    netcfg_close(n);
    start(&c);
    assert_int_equal(c.err, 0);
    assert_int_equal(c.report.total, 6);
    assert_as_before(&c);
    stop(&c);
    caller_release(&c);
}

static void a_change_of_the_host_is_told_once_it_has_settled(void **state)
{
    struct caller c;
    (void)state;
    caller_init(&c);
    start(&c);
    uint64_t began = clock_mono_ns();
    c.host.resolvers.count = 1;
    assert_int_equal(str_copy(c.host.resolvers.addrs[0], RESOLVER_TEXT, "10.9.9.9"), 0);
    for (int i = 0; i < 5; i++)
        poke(&c, NETCFG_CHANGED_LINK);
    wait_for(&c, &c.of_kind[NETCFG_EVENT_UPSTREAMS], 1);
    assert_true(clock_mono_ns() - began > 150 * NS_PER_MS);
    assert_int_equal(c.of_kind[NETCFG_EVENT_NETWORK], 1);
    assert_int_equal(c.events, 2);
    assert_string_equal(netcfg_service_upstreams(c.service)->addrs[0], "10.9.9.9");
    stop(&c);
    caller_release(&c);
}

static void what_someone_removed_is_repaired_and_told(void **state)
{
    struct caller c;
    struct plan p;
    (void)state;
    caller_init(&c);
    start(&c);
    apply_first(&c);
    char *whole = snapshot(&c);
    plan_first(&p);
    fake_os_remove(&c.host.os, &p.objects[3]);
    poke(&c, NETCFG_CHANGED_OURS);
    wait_for(&c, &c.of_kind[NETCFG_EVENT_REPAIRED], 1);
    assert_int_equal(c.last.session, 1);
    assert_string_equal(c.text, "Repaired the route 100.64.0.0/10 on stile0");
    assert_int_equal(c.of_kind[NETCFG_EVENT_NETWORK], 0); /* the host's own is as it was */
    char *now = snapshot(&c);
    assert_string_equal(now, whole);
    mem_free(now);
    mem_free(whole);
    plan_release(&p);
    stop(&c);
    caller_release(&c);
}

static void nobody_is_fought_with_for_ever(void **state)
{
    struct caller c;
    struct plan p;
    (void)state;
    caller_init(&c);
    start(&c);
    apply_first(&c);
    plan_first(&p);
    for (size_t i = 0; i < 8; i++) {
        fake_os_remove(&c.host.os, &p.objects[3]);
        assert_int_equal(netcfg_service_repair(c.service, on_done, &c), 0);
        wait_for(&c, &c.done, i + 2);
    }
    assert_int_equal(c.of_kind[NETCFG_EVENT_REPAIRED], REPAIR_TIMES);
    assert_int_equal(c.of_kind[NETCFG_EVENT_LEFT_ALONE], 1);
    assert_non_null(strstr(c.text, "left alone"));
    apply_first(&c); /* asked for anew */
    fake_os_remove(&c.host.os, &p.objects[3]);
    assert_int_equal(netcfg_service_repair(c.service, on_done, &c), 0);
    wait_for(&c, &c.of_kind[NETCFG_EVENT_REPAIRED], REPAIR_TIMES + 1);
    plan_release(&p);
    stop(&c);
    caller_release(&c);
}

static void the_limit_of_repairs_is_for_each_object_and_a_minute(void **state)
{
    struct repair_limit l;
    struct plan p;
    uint64_t now = NS_PER_S;
    (void)state;
    plan_first(&p);
    repair_limit_init(&l);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(repair_limit_ask(&l, &p.objects[1], now), REPAIR_YES);
        now += 25 * NS_PER_S; /* three within a minute: no more than is allowed */
    }
    for (int i = 0; i < REPAIR_TIMES; i++)
        assert_int_equal(repair_limit_ask(&l, &p.objects[2], now), REPAIR_YES);
    assert_int_equal(repair_limit_ask(&l, &p.objects[2], now), REPAIR_GIVEN_UP_NOW);
    assert_int_equal(repair_limit_ask(&l, &p.objects[2], now + 3600 * NS_PER_S), REPAIR_NO);
    repair_limit_clear(&l);
    assert_int_equal(repair_limit_ask(&l, &p.objects[2], now), REPAIR_YES);
    repair_limit_clear(&l);
    plan_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_are_done_and_answered_in_order),
        cmocka_unit_test(stopping_ends_all_sessions_and_answers_all_jobs),
        cmocka_unit_test(a_start_that_fails_says_why_and_can_be_stopped),
        cmocka_unit_test(what_a_dead_process_left_is_undone_before_ready),
        cmocka_unit_test(a_change_of_the_host_is_told_once_it_has_settled),
        cmocka_unit_test(what_someone_removed_is_repaired_and_told),
        cmocka_unit_test(nobody_is_fought_with_for_ever),
        cmocka_unit_test(the_limit_of_repairs_is_for_each_object_and_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
