/* Running agents and the user's commands: sockets, leftovers, answers; log-ins noticed while an agent runs. */
#include "testing.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/agents.h"
#include "agent/clusters.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "platform/local_socket.h"
#include "platform/signals.h"
#include "profile_maker.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"
#include "temp_dir.h"

struct fixture {
    char path[TEMP_DIR_SIZE];
    struct home home;
    struct loop loop;
    int profile_events;
    int changes;
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    *state = &f;
    temp_dir_make(f.path);
    assert_int_equal(home_open(f.path, &f.home, NULL), 0);
    return loop_init(&f.loop);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    loop_run(&f->loop);
    int r = loop_release(&f->loop);
    home_close(&f->home);
    temp_dir_remove(f->path);
    return r;
}

static void on_engine_gone(void *arg, const char *reason)
{
    (void)arg;
    (void)reason;
}

static int start_agent(struct fixture *f, struct agent **agent, struct diag *d)
{
    static const struct agent_events events = {.on_engine_gone = on_engine_gone};
    const struct agent_config config = {
        .home = f->path, .mode = AGENT_RUN, .command = "psql -h pg"};
    return agent_new(&f->loop, &config, &events, f, agent, d);
}

static void without_a_log_in_there_is_no_agent(void **state)
{
    struct fixture *f = *state;
    struct agent *agent = NULL;
    struct diag d = {0};
    assert_int_equal(start_agent(f, &agent, &d), ERR_NOTFOUND);
    assert_non_null(strstr(d.text, "stile login"));
}

static void an_agent_answers_what_it_runs(void **state)
{
    struct fixture *f = *state;
    struct agent *agent = NULL;
    struct agent_list list;
    struct diag d = {0};
    ProtobufCMessage *reply = NULL;
    profile_put(&f->home, "demo", "alice", "127.0.0.1:1", -10);
    assert_int_equal(start_agent(f, &agent, &d), 0);
    assert_int_equal(agents_find(&f->home, &list, &d), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.pids[0], getpid());
    Stile__Agent__V1__GetStatusRequest q = STILE__AGENT__V1__GET_STATUS_REQUEST__INIT;
    assert_int_equal(
        agents_ask(&f->loop, &f->home, list.pids[0], &control_get_status, &q.base, &reply, &d), 0);
    const Stile__Agent__V1__GetStatusResponse *s = (const void *)reply;
    assert_string_equal(s->version, STILE_VERSION);
    assert_string_equal(s->mode, "run");
    assert_string_equal(s->command, "psql -h pg");
    assert_int_equal(s->n_ipv4_ranges, 1);
    assert_string_equal(s->ipv4_ranges[0], "100.64.0.0/10");
    assert_string_equal(s->dns_zones[0], "demo.stile.test");
    protobuf_c_message_free_unpacked(reply, NULL);
    agent_free(agent);
    assert_int_equal(agents_find(&f->home, &list, &d), 0);
    assert_int_equal(list.count, 0);
}

static void the_control_socket_is_the_users_alone(void **state)
{
    struct fixture *f = *state;
    struct agent *agent = NULL;
    struct stat st;
    char path[256];
    profile_put(&f->home, "demo", "alice", "127.0.0.1:1", -10);
    assert_int_equal(start_agent(f, &agent, NULL), 0);
    (void)str_format(path, sizeof(path), "%s/agents/%d.sock", f->path, (int)getpid());
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    agent_free(agent);
}

/* The socket of a process that was killed. */
static void leave_socket(struct fixture *f)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = -1;
        _exit(local_socket_listen(&f->home.agents, "4242.sock", &fd, NULL) == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void sockets_of_agents_that_were_killed_are_removed(void **state)
{
    struct fixture *f = *state;
    struct agent_list list;
    leave_socket(f);
    assert_true(private_dir_stamp(&f->home.agents, "4242.sock") != 0);
    assert_int_equal(agents_find(&f->home, &list, NULL), 0);
    assert_int_equal(list.count, 0);
    assert_int_equal(private_dir_stamp(&f->home.agents, "4242.sock"), 0);
}

/* Removes leftovers without a pause, until it is killed or the test has ended. */
static pid_t start_remover(const struct fixture *f)
{
    pid_t parent = getpid();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    while (getppid() == parent)
        agents_remove_stale(&f->home);
    _exit(0);
}

static void a_socket_that_is_being_made_is_not_taken_for_a_leftover(void **state)
{
    struct fixture *f = *state;
    pid_t remover = start_remover(f);
    for (unsigned i = 1; i <= 500; i++) {
        char name[32];
        int fd = -1;
        int connected = -1;
        agents_socket_name(i, name);
        assert_int_equal(local_socket_listen(&f->home.agents, name, &fd, NULL), 0);
        /* There; the remover may have filled its queue. */
        int r = local_socket_connect(&f->home.agents, name, &connected);
        assert_true(r == 0 || r == ERR_AGAIN);
        assert_int_equal(private_dir_remove(&f->home.agents, name, NULL), 0);
        if (connected >= 0)
            close(connected);
        close(fd);
    }
    kill(remover, SIGKILL);
    assert_int_equal(waitpid(remover, NULL, 0), remover);
}

/* ---- log-ins while it runs ---- */

static void on_profile(void *arg, const char *profile)
{
    struct fixture *f = arg;
    (void)profile;
    f->profile_events++;
}

static void on_change(void *arg)
{
    struct fixture *f = arg;
    f->changes++;
}

static struct clusters *start_clusters(struct fixture *f)
{
    static const struct clusters_events events = {.on_profile = on_profile, .on_change = on_change};
    struct clusters *c = NULL;
    assert_int_equal(clusters_new(&f->loop, &f->home, NULL, &events, f, &c, NULL), 0);
    return c;
}

static void a_log_in_and_a_log_out_take_effect_at_the_next_question(void **state)
{
    struct fixture *f = *state;
    profile_put(&f->home, "demo", "alice", "127.0.0.1:1", -10);
    struct clusters *c = start_clusters(f);
    assert_true(profile_expired(clusters_find(c, "demo")->profile));
    profile_put(&f->home, "demo", "bob", "127.0.0.1:1", 3600);
    struct member *m = clusters_find(c, "demo");
    assert_string_equal(m->profile->user, "bob");
    assert_false(profile_expired(m->profile));
    assert_int_equal(clusters_count(c), 1);
    assert_int_equal(profile_remove(&f->home, "demo", NULL), 0);
    assert_null(clusters_find(c, "demo"));
    assert_int_equal(f->profile_events, 4); /* read, replaced (gone and read), removed */
    clusters_free(c);
}

static void a_certificate_replaced_in_place_is_noticed(void **state)
{
    struct fixture *f = *state;
    CLEANUP(private_dir_close) struct private_dir dir = PRIVATE_DIR_NONE;
    profile_put(&f->home, "demo", "alice", "127.0.0.1:1", -10);
    struct clusters *c = start_clusters(f);
    assert_int_equal(private_dir_sub(&f->home.profiles, "demo", false, &dir, NULL), 0);
    assert_int_equal(private_dir_write(&dir, "cert.pem", SLICE_LIT("not a certificate"), NULL), 0);
    assert_null(clusters_find(c, "demo"));
    clusters_free(c);
}

static void a_log_in_is_noticed_without_a_question(void **state)
{
    struct fixture *f = *state;
    struct clusters *c = start_clusters(f);
    int before = f->changes;
    profile_put(&f->home, "demo", "alice", "127.0.0.1:1", -10);
    uint64_t end = clock_mono_ns() + 30 * NS_PER_S;
    while (f->changes == before && clock_mono_ns() < end)
        loop_turn(&f->loop, true);
    assert_int_equal(clusters_count(c), 1);
    clusters_free(c);
}

static void the_longest_zone_wins_and_labels_are_whole(void **state)
{
    struct fixture *f = *state;
    CLEANUP(profile_freep) struct profile *deep = profile_make("deep", "alice", "127.0.0.1:1", -10);
    profile_put(&f->home, "demo", "alice", "127.0.0.1:1", -10);
    assert_int_equal(str_copy(deep->cluster.zones[0], PROFILE_HOST_SIZE, "db.Demo.stile.test"), 0);
    assert_int_equal(profile_save(&f->home, deep, NULL), 0);
    struct clusters *c = start_clusters(f);
    assert_string_equal(clusters_for_name(c, "pg.demo.stile.test")->profile->name, "demo");
    assert_string_equal(clusters_for_name(c, "pg.db.demo.stile.test")->profile->name, "deep");
    assert_string_equal(clusters_for_name(c, "xdb.demo.stile.test")->profile->name, "demo");
    assert_null(clusters_for_name(c, "xdemo.stile.test"));
    assert_null(clusters_for_name(c, "stile.test"));
    clusters_free(c);
}

static void of_two_clusters_with_one_zone_the_first_profile_has_it(void **state)
{
    struct fixture *f = *state;
    profile_put(&f->home, "b", "alice", "127.0.0.1:1", -10);
    profile_put(&f->home, "a", "alice", "127.0.0.1:2", -10);
    struct clusters *c = start_clusters(f);
    assert_string_equal(clusters_for_name(c, "pg.demo.stile.test")->profile->name, "a");
    assert_int_equal(profile_remove(&f->home, "a", NULL), 0);
    assert_string_equal(clusters_for_name(c, "pg.demo.stile.test")->profile->name, "b");
    profile_put(&f->home, "a", "alice", "127.0.0.1:2", -10);
    assert_string_equal(clusters_for_name(c, "pg.demo.stile.test")->profile->name, "a");
    clusters_free(c);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    signals_block_broken_pipes(); /* as the program does */
    const struct CMUnitTest tests[] = {
        WITH(without_a_log_in_there_is_no_agent),
        WITH(an_agent_answers_what_it_runs),
        WITH(the_control_socket_is_the_users_alone),
        WITH(sockets_of_agents_that_were_killed_are_removed),
        WITH(a_socket_that_is_being_made_is_not_taken_for_a_leftover),
        WITH(a_log_in_and_a_log_out_take_effect_at_the_next_question),
        WITH(a_certificate_replaced_in_place_is_noticed),
        WITH(a_log_in_is_noticed_without_a_question),
        WITH(the_longest_zone_wins_and_labels_are_whole),
        WITH(of_two_clusters_with_one_zone_the_first_profile_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
