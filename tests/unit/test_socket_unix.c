#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "loop/listener.h"
#include "loop/socket.h"

static struct loop loop;
static struct stream *a, *b;
static struct buf got;
static bool ended;
static int failed;

static void on_data(void *arg, struct slice bytes)
{
    (void)arg;
    assert_int_equal(buf_put(&got, bytes), 0);
}

static void on_end(void *arg)
{
    (void)arg;
    ended = true;
}

static void on_error(void *arg, int err, const struct diag *d)
{
    (void)arg;
    (void)d;
    failed = err;
}

static const struct stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_error = on_error};

static int set_up(void **state)
{
    (void)state;
    int fds[2];
    ended = false;
    failed = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    buf_init(&got, 1 << 20);
    assert_int_equal(loop_init(&loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(socket_stream_new(&loop, fds[0], &a), 0);
    assert_int_equal(socket_stream_new(&loop, fds[1], &b), 0);
    /* Blocking sockets were made non-blocking. */
    assert_true((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    stream_set_events(b, &events, NULL);
    assert_int_equal(stream_read_start(b), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stream_close(a);
    stream_close(b);
    assert_int_equal(loop_release(&loop), 0);
    buf_release(&got);
    return 0;
}

static void turns(int n)
{
    for (int i = 0; i < n; i++)
        loop_turn(&loop, false);
}

static void unix_socket_carries_bytes_and_half_close(void **state)
{
    (void)state;
    struct slice part = SLICE_LIT("hello");
    assert_int_equal(stream_write(a, &part, 1), 0);
    assert_int_equal(stream_end(a), 0);
    turns(10);
    assert_true(slice_eq_str(buf_slice(&got), "hello"));
    assert_true(ended);
}

static void writing_to_a_closed_peer_is_an_error_not_a_signal(void **state)
{
    (void)state;
    stream_close(b);
    b = NULL;
    turns(5);
    struct slice part = SLICE_LIT("hello");
    assert_int_equal(stream_write(a, &part, 1), ERR_CLOSED);
    assert_int_equal(stream_write(a, &part, 1), ERR_CLOSED);
}

static void what_the_peer_said_before_it_went_is_still_read(void **state)
{
    (void)state;
    int fds[2];
    struct stream *s = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(socket_stream_new(&loop, fds[0], &s), 0);
    stream_set_events(s, &events, NULL);
    assert_int_equal(stream_read_start(s), 0);
    assert_int_equal(send(fds[1], "why", 3, 0), 3);
    close(fds[1]);
    struct slice part = SLICE_LIT("hello");
    assert_int_equal(stream_write(s, &part, 1), ERR_CLOSED);
    turns(10);
    assert_true(slice_eq_str(buf_slice(&got), "why"));
    assert_int_equal(failed, 0); /* the call has told it */
    stream_close(s);
}

static void failure_of_corked_bytes_is_told_after_what_the_peer_said(void **state)
{
    (void)state;
    int fds[2];
    struct stream *s = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(socket_stream_new(&loop, fds[0], &s), 0);
    stream_set_events(s, &events, NULL);
    assert_int_equal(stream_read_start(s), 0);
    stream_cork(s);
    struct slice part = SLICE_LIT("hello");
    assert_int_equal(stream_write(s, &part, 1), 0);
    assert_int_equal(send(fds[1], "why", 3, 0), 3);
    close(fds[1]);
    stream_uncork(s);
    assert_int_equal(failed, 0); /* never from inside a call */
    turns(10);
    assert_true(slice_eq_str(buf_slice(&got), "why"));
    assert_int_equal(failed, ERR_CLOSED);
    assert_false(ended);
    stream_close(s);
}

/* ---- a listener that runs out of descriptors ---- */

static int accepted;

static void on_accept(void *arg, uv_os_sock_t fd)
{
    (void)arg;
    accepted++;
    socket_close(fd);
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    (void)d;
    if (err == 0)
        *(int *)arg = fd;
}

static void listener_without_descriptors_waits_and_recovers(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    uv_os_sock_t listening = -1;
    uint16_t port = 0;
    int client = -1;
    accepted = 0;
    assert_int_equal(listener_open_tcp("127.0.0.1", 0, &listening, &port, NULL), 0);
    assert_int_equal(listener_new(&loop, listening, on_accept, NULL, &listener), 0);
    listener_pause(listener);
    assert_int_equal(
        socket_connect_start(&loop, "127.0.0.1", port, 1000, on_connected, &client, NULL), 0);
    for (int i = 0; i < 30000 && client < 0; i++) {
        turns(1);
        uv_sleep(1);
    }
    assert_true(client >= 0);
    /* No descriptor is left. */
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    listener_resume(listener);
    clock_t before = clock();
    uint64_t until = uv_hrtime() + UINT64_C(250000000);
    int count = 0;
    while (uv_hrtime() < until && count < 100000) {
        loop_turn(&loop, true);
        count++;
    }
    clock_t spent = clock() - before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(accepted, 0);
    assert_true(count < 100); /* it didn't spin */
    assert_true(spent < CLOCKS_PER_SEC / 10);
    for (int i = 0; i < 30000 && accepted == 0; i++) {
        turns(1);
        uv_sleep(1);
    }
    assert_int_equal(accepted, 1);
    listener_close(listener);
    socket_close(client);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(unix_socket_carries_bytes_and_half_close),
        TEST(writing_to_a_closed_peer_is_an_error_not_a_signal),
        TEST(what_the_peer_said_before_it_went_is_still_read),
        TEST(failure_of_corked_bytes_is_told_after_what_the_peer_said),
        TEST(listener_without_descriptors_waits_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
