/* The gateway when something runs out: descriptors, memory, places for clients who don't finish. Everyone else goes on. */
#include "gateway_world.h"

#include <sys/resource.h>
#include <unistd.h>

static const char apps[] = "- {name: pg, public_name: pg.demo.test, target: \"127.0.0.1:@\", "
                           "ports: [5432], allow: {groups: [dba]}}\n";

static struct world world;
static struct identity alice;
static struct identity pg;

static int setup(void **state)
{
    world_init(&world, apps, "{connections: 100}");
    alice = world_user(&world, "alice");
    pg = world_app(&world, &alice, "pg", 5432);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    identity_release(&alice);
    identity_release(&pg);
    world_release(*state);
    return 0;
}

static void must_work(struct world *w)
{
    struct dialed x;
    struct slice hello = SLICE_LIT("hello");
    world_dial(w, &pg, &x);
    if (x.err < 0)
        fail_msg("%s", x.diag.text);
    assert_int_equal(stream_write(x.stream, &hello, 1), 0);
    for (int i = 0; i < 30000 && buf_len(&x.got) < hello.len; i++) {
        loop_turn(&w->loop, false);
        uv_sleep(1);
    }
    assert_true(slice_eq(buf_slice(&x.got), hello));
    dialed_release(&x);
}

/* A connection that may fail at any point, in any way but by a crash. */
static void try_once(struct world *w, uv_os_sock_t fd)
{
    struct dialed x = {.done = false};
    struct dial *dial = NULL;
    struct stream *socket = NULL;
    struct dial_config config = {
        .tls = {.ctx = w->ctx, .server_name = "127.0.0.1", .cert = pg.cert, .key = pg.key}};
    if (socket_stream_new(&w->loop, fd, &socket) < 0) {
        socket_close(fd);
        return;
    }
    if (dial_start(&w->loop, socket, &config, on_dialed, &x, &dial) < 0) {
        stream_close(socket);
        return;
    }
    for (int i = 0; i < 200 && !x.done; i++) {
        loop_turn(&w->loop, false);
        uv_sleep(1);
    }
    if (!x.done)
        dial_cancel(dial);
    stream_close(x.stream);
    turn_some(&w->loop, 5);
}

static uv_os_sock_t connected_fd(struct world *w)
{
    struct connected c = {.done = false};
    struct socket_connect *connect = NULL;
    assert_int_equal(
        socket_connect_start(&w->loop, "127.0.0.1", w->port, 5000, on_connected, &c, &connect), 0);
    assert_true(turn_until(&w->loop, &c.done));
    assert_int_equal(c.err, 0);
    return c.fd;
}

static void memory_that_runs_out_at_any_point_ends_one_connection_alone(void **state)
{
    struct world *w = *state;
    (void)mem_fail_at(0);
    try_once(w, connected_fd(w));
    uint64_t count = mem_fail_at(0);
    assert_true(count > 20);
    for (uint64_t n = 1; n <= count; n += 1 + n / 64) {
        uv_os_sock_t fd = connected_fd(w);
        (void)mem_fail_at(n);
        try_once(w, fd);
        (void)mem_fail_at(0);
    }
    for (int i = 0; i < 50; i++) {
        turn_some(&w->loop, 5);
        uv_sleep(2);
    }
    must_work(w);
}

static void descriptors_that_run_out_are_waited_for(void **state)
{
    struct world *w = *state;
    struct rlimit old;
    struct rlimit low;
    uv_os_sock_t fd = connected_fd(w);
    int probe = dup(0);
    assert_true(probe >= 0);
    close(probe);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)probe; /* not one more */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    try_once(w, fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    for (int i = 0; i < 300; i++) {
        loop_turn(&w->loop, false);
        uv_sleep(1);
    }
    must_work(w);
}

/* Whether the other side has closed. */
static bool is_closed(uv_os_sock_t fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static void one_silent_client_more_than_the_limit_costs_the_oldest_its_place(void **state)
{
    struct world *w = *state;
    static uv_os_sock_t fds[SERVER_HANDSHAKES_MAX + 1];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t had = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * SERVER_HANDSHAKES_MAX + 100)
        skip();
    for (size_t i = 0; i < SERVER_HANDSHAKES_MAX; i++)
        fds[i] = connected_fd(w);
    turn_some(&w->loop, 20);
    assert_false(is_closed(fds[0]));
    fds[SERVER_HANDSHAKES_MAX] = connected_fd(w);
    turn_some(&w->loop, 20);
    assert_true(is_closed(fds[0]));
    assert_false(is_closed(fds[1]));
    must_work(w);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        socket_close(fds[i]);
    turn_some(&w->loop, 50);
    limit.rlim_cur = had;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void one_stranger_more_than_the_limit_costs_the_oldest_its_place(void **state)
{
    struct world *w = *state;
    static struct api strangers[SERVER_STRANGERS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        api_open(w, NULL, &strangers[i]);
        assert_int_equal(strangers[i].err, 0);
        if (i < SERVER_STRANGERS_MAX)
            assert_false(strangers[0].closed);
    }
    assert_true(turn_until(&w->loop, &strangers[0].closed));
    assert_false(strangers[1].closed);
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        api_close(&strangers[i]);
    must_work(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_that_runs_out_at_any_point_ends_one_connection_alone),
        TEST(descriptors_that_run_out_are_waited_for),
        TEST(one_silent_client_more_than_the_limit_costs_the_oldest_its_place),
        TEST(one_stranger_more_than_the_limit_costs_the_oldest_its_place),
    };
    return cmocka_run_group_tests_name("gateway_limits", tests, NULL, NULL);
}
