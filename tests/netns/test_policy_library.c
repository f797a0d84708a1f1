/* libstile-policy on networks that are really there: what a change leaves, each allocation failing in turn, many threads. */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy_network.h"
#include "stile/policy.h"

#define THREADS 8
#define ROUNDS  3

static struct container container;

static int make_container(void **state UNUSED)
{
    container = container_new();
    return 0;
}

static int end_container(void **state UNUSED)
{
    container_end(&container);
    return 0;
}

static struct stile_policies *list_of(const char *port)
{
    const struct stile_policy_setting settings[] = {{"port", port}, {"uid", "1337"}};
    struct stile_policies *p = NULL;

    assert_int_equal(stile_policies_new(&p, NULL), 0);
    assert_int_equal(stile_policies_add(p, settings, 2, NULL), 0);
    return p;
}

static struct stile_endpoint *opened(const struct container *c)
{
    struct stile_endpoint *e = NULL;
    struct stile_policy_error error;

    if (stile_endpoint_open(c->name, 0, &e, &error) < 0)
        fail_msg("%s", error.text);
    return e;
}

static size_t how_many(struct stile_endpoint *e)
{
    struct stile_policies *p = NULL;
    struct stile_policy_error error;

    assert_int_equal(stile_policies_new(&p, NULL), 0);
    if (stile_endpoint_list(e, p, &error) < 0)
        fail_msg("%s", error.text);
    size_t count = stile_policies_count(p);
    stile_policies_free(p);
    return count;
}

static void policies_are_added_listed_removed_and_cleared(void **state UNUSED)
{
    struct stile_policies *p = list_of("8000"), *q = list_of("9000");
    struct stile_policy_result r;
    struct stile_policy_error error;
    size_t fds = open_fds();
    struct stile_endpoint *e = opened(&container);

    assert_int_equal(stile_endpoint_add(e, p, STILE_POLICY_DRY_RUN, &r, NULL), 0);
    assert_int_equal(r.added, 1);
    assert_non_null(strstr(r.sent, "8000"));
    stile_policy_result_release(&r);
    assert_int_equal(how_many(e), 0);

    assert_int_equal(stile_endpoint_add(e, p, 0, &r, NULL), 0);
    assert_int_equal(r.added, 1);
    stile_policy_result_release(&r);
    assert_int_equal(stile_endpoint_add(e, p, 0, &r, NULL), 0);
    assert_int_equal(r.unchanged, 1);
    assert_string_equal(r.sent, "");
    stile_policy_result_release(&r);
    assert_int_equal(how_many(e), 1);

    assert_int_equal(stile_endpoint_remove(e, q, 0, NULL, &error), STILE_POLICY_ENOTFOUND);
    assert_int_equal(stile_endpoint_apply(e, q, 0, &r, NULL), 0);
    assert_int_equal(r.added, 1);
    assert_int_equal(r.removed, 1);
    stile_policy_result_release(&r);
    assert_int_equal(stile_endpoint_remove(e, q, 0, NULL, NULL), 0);
    assert_int_equal(how_many(e), 0);
    assert_int_equal(stile_endpoint_add(e, p, 0, NULL, NULL), 0);
    assert_int_equal(stile_endpoint_clear(e, 0, NULL, NULL), 0);
    assert_int_equal(how_many(e), 0);
    stile_endpoint_close(e);
    assert_int_equal(open_fds(), fds);
    stile_policies_free(p);
    stile_policies_free(q);
}

static void asking_a_runtime_leaves_no_descriptor_but_libuvs_two(void **state UNUSED)
{
    struct stile_endpoint_names names;
    size_t fds = open_fds(), after_first = 0;

    for (int i = 0; i < 3; i++) {
        assert_true(stile_endpoint_find("/run/no.sock", "abc", &names, NULL) < 0);
        after_first = i == 0 ? open_fds() : after_first;
        assert_int_equal(open_fds(), after_first);
    }
    assert_true(after_first <= fds + 2);
}

static void what_drifted_is_told_and_repaired(void **state UNUSED)
{
    struct stile_policies *p = list_of("8000");
    struct stile_policy_result r;
    struct stile_policy_error error;
    struct stile_endpoint *e = opened(&container);

    assert_int_equal(stile_endpoint_apply(e, p, 0, NULL, NULL), 0);
    assert_int_equal(stile_endpoint_reconcile(e, NULL, 0, &r, &error), 0);
    assert_false(r.drifted);
    stile_policy_result_release(&r);
    must_in(container.netns_fd, "nft flush chain inet stile_policy output_nat");
    assert_int_equal(stile_endpoint_reconcile(e, NULL, 0, &r, &error), 0);
    assert_true(r.drifted);
    assert_true(strlen(r.notes) > 0);
    stile_policy_result_release(&r);
    assert_int_equal(stile_endpoint_reconcile(e, p, 0, &r, &error), 0);
    assert_false(r.drifted);
    stile_policy_result_release(&r);
    stile_endpoint_close(e);
    stile_policies_free(p);
}

static bool is_blocked(struct stile_endpoint *e)
{
    int blocked = -1;

    assert_int_equal(stile_endpoint_is_blocked(e, &blocked, NULL), 0);
    assert_int_equal(blocked,
                     says_in(container.netns_fd, "nft list ruleset", "stile_policy_block"));
    return blocked == 1;
}

static void a_blocked_network_opens_again_when_it_is_cleared(void **state UNUSED)
{
    struct stile_endpoint *e = opened(&container);

    struct stile_policy_result r;

    assert_false(is_blocked(e));
    assert_int_equal(stile_endpoint_block(e, STILE_POLICY_DRY_RUN, &r, NULL), 0);
    assert_non_null(strstr(r.sent, "stile_policy_block"));
    stile_policy_result_release(&r);
    assert_false(is_blocked(e));
    assert_int_equal(stile_endpoint_block(e, 0, NULL, NULL), 0);
    assert_true(is_blocked(e));
    assert_int_equal(stile_endpoint_clear(e, 0, NULL, NULL), 0);
    assert_false(is_blocked(e));
    assert_false(says_in(container.netns_fd, "nft list ruleset", "table"));
    stile_endpoint_close(e);
}

static void a_blocked_network_takes_a_whole_set_and_no_single_policies(void **state UNUSED)
{
    struct stile_policies *p = list_of("8000");
    struct stile_policy_error error;
    struct stile_endpoint *e = opened(&container);

    assert_int_equal(stile_endpoint_block(e, 0, NULL, NULL), 0);
    assert_int_equal(stile_endpoint_add(e, p, 0, NULL, &error), STILE_POLICY_EBLOCKED);
    assert_non_null(strstr(error.text, "blocked"));
    assert_int_equal(stile_endpoint_remove(e, p, 0, NULL, &error), STILE_POLICY_EBLOCKED);
    assert_int_equal(stile_endpoint_reconcile(e, NULL, 0, NULL, &error), 0);
    assert_true(is_blocked(e));
    assert_int_equal(stile_endpoint_reconcile(e, p, 0, NULL, &error), 0);
    assert_false(is_blocked(e));
    assert_int_equal(stile_endpoint_block(e, 0, NULL, NULL), 0);
    assert_int_equal(stile_endpoint_apply(e, p, 0, NULL, &error), 0);
    assert_false(is_blocked(e));
    assert_int_equal(stile_endpoint_add(e, p, 0, NULL, &error), 0);
    stile_endpoint_close(e);
    stile_policies_free(p);
}

static void errors_of_the_system_have_their_codes(void **state UNUSED)
{
    const struct stile_policy_setting udp[] = {{"port", "1"}, {"uid", "1"}, {"protocol", "udp"}};
    struct stile_policies *p = list_of("8000");
    struct stile_endpoint *e = NULL;
    struct stile_endpoint_names names;
    struct stile_policy_error error;

    assert_int_equal(stile_endpoint_open("nowhere", 0, &e, &error), STILE_POLICY_ENOTFOUND);
    assert_non_null(strstr(error.text, "nowhere"));
    assert_int_equal(stile_endpoint_open("/proc/self/ns/net", 0, &e, &error), STILE_POLICY_EDENIED);
    assert_null(e);
    assert_int_equal(stile_endpoint_open("/proc/self/ns/net", STILE_ENDPOINT_HOST, &e, &error), 0);
    stile_endpoint_close(e);
    assert_int_equal(stile_endpoint_open("/run/a\nb\xff\xc3\xa4", 0, &e, &error),
                     STILE_POLICY_ENOTFOUND);
    assert_non_null(strstr(error.text, "/run/a?b?\xc3\xa4 "));
    assert_true(str_is_utf8(slice_str(error.text)) && strchr(error.text, '\n') == NULL);
    assert_int_equal(stile_endpoint_find("/run/no.sock", "abc", &names, &error),
                     STILE_POLICY_ENOTFOUND);
    assert_non_null(strstr(error.text, "/run/no.sock"));
    e = opened(&container);
    assert_int_equal(stile_policies_add(p, udp, 3, NULL), 0);
    must_in(container.netns_fd, "ip route add blackhole default table 57110");
    assert_int_equal(stile_endpoint_apply(e, p, 0, NULL, &error), STILE_POLICY_EEXISTS);
    must_in(container.netns_fd, "ip route flush table 57110");
    stile_endpoint_close(e);
    stile_policies_free(p);
}

/* The program's own: as they were, whatever the library does. */
static void the_program_keeps_its_signals_and_namespaces(void **state UNUSED)
{
    struct stile_policies *p = list_of("8000");
    struct sigaction before[NSIG] = {0}, after = {0};
    struct stat own, now;
    sigset_t mask_before, mask_after;
    struct stile_endpoint_names names;

    for (int s = 1; s < NSIG; s++)
        (void)sigaction(s, NULL, &before[s]);
    (void)sigprocmask(SIG_SETMASK, NULL, &mask_before);
    assert_int_equal(stat("/proc/self/ns/net", &own), 0);
    struct stile_endpoint *e = opened(&container);
    assert_int_equal(stile_endpoint_apply(e, p, 0, NULL, NULL), 0);
    assert_true(stile_endpoint_find("/run/no.sock", "abc", &names, NULL) < 0);
    assert_int_equal(stile_endpoint_clear(e, 0, NULL, NULL), 0);
    stile_endpoint_close(e);
    for (int s = 1; s < NSIG; s++) {
        after = (struct sigaction){0};
        (void)sigaction(s, NULL, &after);
        assert_true(before[s].sa_handler == after.sa_handler);
    }
    (void)sigprocmask(SIG_SETMASK, NULL, &mask_after);
    assert_memory_equal(&mask_before, &mask_after, sizeof(mask_before));
    assert_int_equal(stat("/proc/self/ns/net", &now), 0);
    assert_int_equal(own.st_ino, now.st_ino);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* the container alone is its child */
    stile_policies_free(p);
}

/* The kernel tells such a program of no child's end, not even when it asks. */
static void a_program_that_ignores_the_end_of_children_loses_nothing(void **state UNUSED)
{
    struct stile_policies *p = list_of("8000");
    struct stile_endpoint *e = opened(&container);
    struct stile_policy_error error;

    (void)signal(SIGCHLD, SIG_IGN);
    assert_int_equal(stile_endpoint_apply(e, p, 0, NULL, &error), 0);
    assert_int_equal(how_many(e), 1);
    assert_int_equal(stile_endpoint_clear(e, 0, NULL, &error), 0);
    (void)signal(SIGCHLD, SIG_DFL);
    stile_endpoint_close(e);
    stile_policies_free(p);
}

/* ---- Memory ---- */

static size_t living; /* what jansson holds */

static void *counted(size_t size)
{
    void *p = mem_alloc(size);

    living += p != NULL;
    return p;
}

static void uncounted(void *p)
{
    living -= p != NULL;
    mem_free(p);
}

typedef int step_fn(struct stile_endpoint *e, const struct stile_policies *p,
                    struct stile_policy_error *error);

static int open_and_list(struct stile_endpoint *e UNUSED, const struct stile_policies *p UNUSED,
                         struct stile_policy_error *error)
{
    struct stile_endpoint *other = NULL;
    struct stile_policies *into = NULL;
    int r = stile_endpoint_open(container.name, 0, &other, error);

    if (r == 0)
        r = stile_policies_new(&into, error);
    if (r == 0)
        r = stile_endpoint_list(other, into, error);
    stile_policies_free(into);
    stile_endpoint_close(other);
    return r;
}

static int change(struct stile_endpoint *e, const struct stile_policies *p,
                  struct stile_policy_error *error)
{
    struct stile_policy_result result = {0};
    int r = stile_endpoint_apply(e, p, 0, &result, error);

    stile_policy_result_release(&result);
    return r;
}

static int repair(struct stile_endpoint *e, const struct stile_policies *p UNUSED,
                  struct stile_policy_error *error)
{
    return stile_endpoint_reconcile(e, NULL, 0, NULL, error);
}

static int clear(struct stile_endpoint *e, const struct stile_policies *p UNUSED,
                 struct stile_policy_error *error)
{
    return stile_endpoint_clear(e, 0, NULL, error);
}

/* Where a step failed the policies are those of before. */
static void fail_each_allocation(step_fn *step, struct stile_endpoint *e,
                                 const struct stile_policies *before,
                                 const struct stile_policies *p)
{
    struct stile_policy_error error;
    uint64_t n = 1, made;
    size_t fds = open_fds();

    do {
        assert_int_equal(stile_endpoint_apply(e, before, 0, NULL, NULL), 0);
        (void)mem_fail_at(n);
        int r = step(e, p, &error);
        made = mem_fail_at(0);
        if (r < 0 && r != STILE_POLICY_ENOMEM)
            fail_msg("allocation %d: %s", (int)n, error.text);
        if (r < 0)
            assert_int_equal(how_many(e), stile_policies_count(before));
        assert_int_equal(open_fds(), fds);
        assert_int_equal(living, 0);
        n++;
    } while (n <= made);
}

static void lack_of_memory_is_an_error_and_changes_nothing(void **state UNUSED)
{
    struct stile_policies *none = NULL, *p = list_of("8000");
    const struct stile_policy_setting more[] = {{"port", "9000"},
                                                {"uid", "1"},
                                                {"protocol", "udp"},
                                                {"remoteports", "53"},
                                                {"priority", "1"}};
    struct stile_endpoint *e = opened(&container);

    assert_int_equal(stile_policies_add(p, more, 5, NULL), 0);
    assert_int_equal(stile_policies_new(&none, NULL), 0);
    json_set_alloc_funcs(counted, uncounted);
    fail_each_allocation(open_and_list, e, p, p);
    fail_each_allocation(change, e, none, p);
    fail_each_allocation(repair, e, p, p);
    fail_each_allocation(clear, e, p, p);
    json_set_alloc_funcs(mem_alloc, mem_free);
    stile_endpoint_close(e);
    stile_policies_free(none);
    stile_policies_free(p);
}

/* ---- Threads ---- */

struct worker {
    pthread_t thread;
    struct container container;
    char port[8];
    struct stile_policy_error error;
    int r;
};

static int work(struct worker *w, struct stile_policies *p, struct stile_policies *seen)
{
    const struct stile_policy_setting settings[] = {{"port", w->port}, {"uid", "1337"}};
    struct stile_endpoint *e = NULL;
    char *json = NULL;
    int r = stile_policies_add(p, settings, 2, &w->error);

    if (r == 0)
        r = stile_endpoint_open(w->container.name, 0, &e, &w->error);
    if (r == 0)
        r = stile_endpoint_apply(e, p, 0, NULL, &w->error);
    if (r == 0)
        r = stile_endpoint_list(e, seen, &w->error);
    if (r == 0)
        r = stile_policies_write_json(seen, &json, &w->error);
    if (r == 0 && (stile_policies_count(seen) != 1 || strstr(json, w->port) == NULL))
        r = STILE_POLICY_EINTERNAL;
    if (r == 0)
        r = stile_endpoint_clear(e, 0, NULL, &w->error);
    stile_policy_free(json);
    stile_endpoint_close(e);
    return r;
}

static void *run(void *arg)
{
    struct worker *w = arg;

    for (size_t i = 0; i < ROUNDS && w->r == 0; i++) {
        struct stile_policies *p = NULL, *seen = NULL;
        w->r = stile_policies_new(&p, &w->error);
        if (w->r == 0)
            w->r = stile_policies_new(&seen, &w->error);
        if (w->r == 0)
            w->r = work(w, p, seen);
        stile_policies_free(p);
        stile_policies_free(seen);
    }
    return NULL;
}

static void threads_change_endpoints_of_their_own_at_once(void **state UNUSED)
{
    static struct worker workers[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        workers[i].container = container_new();
        (void)snprintf(workers[i].port, sizeof(workers[i].port), "80%02u", (unsigned)i);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        if (workers[i].r < 0)
            fail_msg("thread %zu: %d %s", i, workers[i].r, workers[i].error.text);
        container_end(&workers[i].container);
    }
}

/* Children of another thread, begun at any moment: each has a copy of whatever is open then, and keeps it. */
struct forker {
    pthread_t thread;
    atomic_bool done;
    int ends[2]; /* of a pipe: they live until nobody can write */
    size_t count;
    pid_t pids[200];
};

static void *fork_on(void *arg)
{
    struct forker *f = arg;
    char byte;

    while (!atomic_load(&f->done) && f->count < ARRAY_LEN(f->pids)) {
        pid_t pid = fork();
        if (pid == 0) {
            (void)close(f->ends[1]);
            (void)!read(f->ends[0], &byte, 1);
            _exit(0);
        }
        f->pids[f->count++] = pid;
        (void)usleep(1000);
    }
    return NULL;
}

static void begin_forking(struct forker *f)
{
    *f = (struct forker){.count = 0};
    assert_int_equal(pipe2(f->ends, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, fork_on, f), 0);
}

static void stop_forking(struct forker *f)
{
    atomic_store(&f->done, true);
    (void)pthread_join(f->thread, NULL);
}

static void end_children(struct forker *f)
{
    (void)close(f->ends[1]);
    for (size_t i = 0; i < f->count; i++)
        (void)waitpid(f->pids[i], NULL, 0);
    (void)close(f->ends[0]);
}

static void what_another_thread_forks_does_not_keep_the_endpoint(void **state UNUSED)
{
    struct stile_policies *p = list_of("8000");
    struct stile_endpoint *e = opened(&container);
    struct stile_policy_error error = {0};
    struct forker f;

    begin_forking(&f);
    int r = stile_endpoint_apply(e, p, 0, NULL, &error);
    stop_forking(&f);
    if (r == 0)
        r = stile_endpoint_clear(e, 0, NULL, &error);
    end_children(&f);
    if (r < 0)
        fail_msg("%s", error.text);
    assert_true(f.count > 0);
    stile_endpoint_close(e);
    stile_policies_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_added_listed_removed_and_cleared),
        cmocka_unit_test(asking_a_runtime_leaves_no_descriptor_but_libuvs_two),
        cmocka_unit_test(what_drifted_is_told_and_repaired),
        cmocka_unit_test(a_blocked_network_opens_again_when_it_is_cleared),
        cmocka_unit_test(a_blocked_network_takes_a_whole_set_and_no_single_policies),
        cmocka_unit_test(errors_of_the_system_have_their_codes),
        cmocka_unit_test(the_program_keeps_its_signals_and_namespaces),
        cmocka_unit_test(a_program_that_ignores_the_end_of_children_loses_nothing),
        cmocka_unit_test(lack_of_memory_is_an_error_and_changes_nothing),
        cmocka_unit_test(threads_change_endpoints_of_their_own_at_once),
        cmocka_unit_test(what_another_thread_forks_does_not_keep_the_endpoint),
    };

    network_enter();
    private_mounts();
    assert_int_equal(mount("none", "/run", "tmpfs", 0, "mode=755"), 0);
    return cmocka_run_group_tests(tests, make_container, end_container);
}
