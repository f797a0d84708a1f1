#include "testing.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "loop/listener.h"
#include "loop/socket.h"

/* One end of a TCP connection over loopback and what happened to it. */
struct end {
    struct stream *stream;
    struct buf got;
    bool ended, failed, drained;
    int err;
};

struct fixture {
    struct loop loop;
    struct listener *listener;
    uint16_t port;
    struct end client, server;
    bool accepted, connected;
    int connect_err;
    struct diag diag;
};

static bool turn_until(struct fixture *f, const bool *flag)
{
    uint64_t deadline = clock_mono_ns() + 30 * NS_PER_S;
    while (!*flag && clock_mono_ns() < deadline) {
        loop_turn(&f->loop, false);
        if (!*flag)
            uv_sleep(1);
    }
    return *flag;
}

static void turn_for(struct fixture *f, int ms)
{
    for (int i = 0; i < ms; i++) {
        loop_turn(&f->loop, false);
        uv_sleep(1);
    }
}

static void on_data(void *arg, struct slice bytes)
{
    struct end *e = arg;
    assert_int_equal(buf_put(&e->got, bytes), 0);
}

static void on_end(void *arg)
{
    struct end *e = arg;
    assert_false(e->ended);
    e->ended = true;
}

static void on_drain(void *arg)
{
    ((struct end *)arg)->drained = true;
}

static void on_error(void *arg, int err, const struct diag *d)
{
    struct end *e = arg;
    assert_false(e->failed);
    assert_int_equal(d->err, err);
    assert_int_not_equal(d->text[0], 0);
    e->failed = true;
    e->err = err;
}

static const struct stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_error = on_error};

static void take(struct fixture *f, struct end *e, uv_os_sock_t fd)
{
    assert_int_equal(socket_stream_new(&f->loop, fd, &e->stream), 0);
    stream_set_events(e->stream, &events, e);
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    struct fixture *f = arg;
    f->accepted = true;
    take(f, &f->server, fd);
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    struct fixture *f = arg;
    f->connected = true;
    f->connect_err = err;
    if (err < 0)
        f->diag = *d;
    else
        take(f, &f->client, fd);
}

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    buf_init(&f->client.got, 64 << 20);
    buf_init(&f->server.got, 64 << 20);
    uv_os_sock_t fd;
    assert_int_equal(listener_open_tcp("127.0.0.1", 0, &fd, &f->port, NULL), 0);
    assert_int_equal(listener_new(&f->loop, fd, on_accept, f, &f->listener), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    stream_close(f->client.stream);
    stream_close(f->server.stream);
    listener_close(f->listener);
    assert_int_equal(loop_release(&f->loop), 0);
    buf_release(&f->client.got);
    buf_release(&f->server.got);
    mem_free(f);
    return 0;
}

static void connect_to(struct fixture *f, const char *host, uint16_t port)
{
    assert_int_equal(socket_connect_start(&f->loop, host, port, 3000, on_connected, f, NULL), 0);
    assert_true(turn_until(f, &f->connected));
}

static void connect_both(struct fixture *f)
{
    connect_to(f, "127.0.0.1", f->port);
    assert_int_equal(f->connect_err, 0);
    assert_true(turn_until(f, &f->accepted));
    assert_int_equal(stream_read_start(f->client.stream), 0);
    assert_int_equal(stream_read_start(f->server.stream), 0);
}

static void send_text(struct stream *s, const char *text)
{
    struct slice part = slice_str(text);
    assert_int_equal(stream_write(s, &part, 1), 0);
}

static void parts_arrive_in_order_and_half_close_works_both_ways(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    struct slice parts[] = {SLICE_LIT("a"), SLICE_LIT(""), SLICE_LIT("bc")};
    assert_int_equal(stream_write(f->client.stream, parts, 3), 0);
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_true(turn_until(f, &f->server.ended));
    assert_true(slice_eq_str(buf_slice(&f->server.got), "abc"));
    struct slice late = SLICE_LIT("x");
    assert_int_equal(stream_write(f->client.stream, &late, 1), ERR_CLOSED);
    send_text(f->server.stream, "reply");
    assert_int_equal(stream_end(f->server.stream), 0);
    assert_true(turn_until(f, &f->client.ended));
    assert_true(slice_eq_str(buf_slice(&f->client.got), "reply"));
    assert_false(f->client.failed || f->server.failed);
}

static void what_the_kernel_does_not_take_waits_and_arrives(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[24 << 20];
    random_bytes(data, sizeof(data));
    connect_both(f);
    stream_read_stop(f->server.stream);
    struct slice halves[] = {slice_of(data, sizeof(data) / 2),
                             slice_of(data + sizeof(data) / 2, sizeof(data) / 2)};
    assert_int_equal(stream_write(f->client.stream, &halves[0], 1), 0);
    assert_int_equal(stream_write(f->client.stream, &halves[1], 1), 0);
    assert_int_equal(stream_end(f->client.stream), 0);
    turn_for(f, 20);
    assert_true(stream_queued(f->client.stream) > 0);
    assert_false(f->client.drained);
    assert_int_equal(buf_len(&f->server.got), 0);
    assert_int_equal(stream_read_start(f->server.stream), 0);
    assert_true(turn_until(f, &f->server.ended));
    assert_true(f->client.drained);
    assert_int_equal(stream_queued(f->client.stream), 0);
    assert_true(slice_eq(buf_slice(&f->server.got), slice_of(data, sizeof(data))));
}

static void queue_has_a_cap(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    stream_read_stop(f->server.stream);
    size_t size = STREAM_QUEUE_MAX / 2;
    void *data = mem_zalloc(size);
    assert_non_null(data);
    struct slice part = slice_of(data, size);
    int r = 0;
    for (int i = 0; i < 6 && r == 0; i++)
        r = stream_write(f->client.stream, &part, 1);
    assert_int_equal(r, ERR_TOOBIG);
    assert_true(stream_queued(f->client.stream) <= STREAM_QUEUE_MAX);
    mem_free(data);
}

static uint8_t space[7];
static size_t space_len;

static struct span get_space(void *arg)
{
    (void)arg;
    return (struct span){space, space_len};
}

static void reads_go_into_the_readers_memory_and_pause_without_any(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    struct stream_events spaced = events;
    spaced.get_space = get_space;
    stream_set_events(f->server.stream, &spaced, &f->server);
    space_len = 0;
    send_text(f->client.stream, "0123456789");
    turn_for(f, 20);
    assert_int_equal(buf_len(&f->server.got), 0);
    space_len = sizeof(space);
    assert_int_equal(stream_read_start(f->server.stream), 0);
    turn_for(f, 20);
    assert_true(slice_eq_str(buf_slice(&f->server.got), "0123456789"));
    assert_memory_equal(space, "789", 3);
}

static void corked_writes_wait_for_the_uncork(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    stream_cork(f->client.stream);
    stream_cork(f->client.stream);
    send_text(f->client.stream, "one ");
    send_text(f->client.stream, "two");
    stream_uncork(f->client.stream);
    assert_int_equal(stream_end(f->client.stream), 0);
    turn_for(f, 20);
    assert_int_equal(buf_len(&f->server.got), 0);
    stream_uncork(f->client.stream);
    assert_true(turn_until(f, &f->server.ended));
    assert_true(slice_eq_str(buf_slice(&f->server.got), "one two"));
}

static void reset_is_an_error_at_the_other_end(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    stream_reset(STEAL(f->server.stream));
    assert_true(turn_until(f, &f->client.failed));
    assert_int_equal(f->client.err, ERR_CLOSED);
    assert_false(f->client.ended);
}

static void close_is_an_end_at_the_other_end(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    stream_close(STEAL(f->server.stream));
    assert_true(turn_until(f, &f->client.ended));
    assert_false(f->client.failed);
}

static void nobody_listening_is_refused(void **state)
{
    struct fixture *f = *state;
    listener_close(STEAL(f->listener));
    turn_for(f, 5);
    connect_to(f, "127.0.0.1", f->port);
    assert_int_equal(f->connect_err, ERR_REFUSED);
    assert_non_null(strstr(f->diag.text, "nothing listens"));
}

static void name_is_resolved_and_its_addresses_tried(void **state)
{
    struct fixture *f = *state;
    connect_to(f, "localhost", f->port); /* ::1 may come first, where nobody listens */
    assert_int_equal(f->connect_err, 0);
}

static void cancelled_connect_says_nothing(void **state)
{
    struct fixture *f = *state;
    struct socket_connect *c = NULL;
    assert_int_equal(
        socket_connect_start(&f->loop, "127.0.0.1", f->port, 3000, on_connected, f, &c), 0);
    socket_connect_cancel(c);
    turn_for(f, 30);
    assert_false(f->connected);
}

static void port_in_use_is_named(void **state)
{
    struct fixture *f = *state;
    uv_os_sock_t fd;
    struct diag d;
    assert_int_equal(listener_open_tcp("127.0.0.1", f->port, &fd, NULL, &d), ERR_BUSY);
    assert_non_null(strstr(d.text, "in use"));
    assert_int_equal(listener_open_tcp("localhost", 0, &fd, NULL, &d), ERR_INVAL);
}

static void paused_listener_accepts_nothing_until_resumed(void **state)
{
    struct fixture *f = *state;
    listener_pause(f->listener);
    connect_to(f, "127.0.0.1", f->port);
    assert_int_equal(f->connect_err, 0); /* the backlog */
    turn_for(f, 20);
    assert_false(f->accepted);
    listener_resume(f->listener);
    assert_true(turn_until(f, &f->accepted));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(parts_arrive_in_order_and_half_close_works_both_ways),
        TEST(what_the_kernel_does_not_take_waits_and_arrives),
        TEST(queue_has_a_cap),
        TEST(reads_go_into_the_readers_memory_and_pause_without_any),
        TEST(corked_writes_wait_for_the_uncork),
        TEST(reset_is_an_error_at_the_other_end),
        TEST(close_is_an_end_at_the_other_end),
        TEST(nobody_listening_is_refused),
        TEST(name_is_resolved_and_its_addresses_tried),
        TEST(cancelled_connect_says_nothing),
        TEST(port_in_use_is_named),
        TEST(paused_listener_accepts_nothing_until_resumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
