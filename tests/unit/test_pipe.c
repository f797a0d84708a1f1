/* Connections by path, against a listener of libuv's on the same loop: a Unix socket here, a named pipe on Windows. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/pipe.h"

struct fixture {
    struct loop loop;
    char path[PIPE_PATH_SIZE];
    uv_pipe_t listener;
    struct stream *client, *server;
    int connected; /* the error of done; 1: not called */
    struct diag diag;
    char got[64]; /* by whoever reads */
    bool ended;
};

static void on_connected(void *arg, int err, struct stream *stream, const struct diag *d)
{
    struct fixture *f = arg;
    f->connected = err;
    f->client = stream;
    assert_true((err == 0) == (d == NULL));
    assert_true((err == 0) == (stream != NULL));
    if (d != NULL)
        f->diag = *d;
}

static void on_listening(uv_stream_t *listener, int status)
{
    struct fixture *f = listener->data;
    uv_pipe_t *pipe;
    assert_int_equal(status, 0);
    assert_int_equal(pipe_stream_new(&f->loop, &pipe, &f->server), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)pipe), 0);
}

static void on_data(void *arg, struct slice bytes)
{
    struct fixture *f = arg;
    size_t have = strlen(f->got);
    assert_true(have + bytes.len < sizeof(f->got));
    memcpy(f->got + have, bytes.data, bytes.len);
}

static void on_end(void *arg)
{
    ((struct fixture *)arg)->ended = true;
}

static const struct stream_events reader = {.on_data = on_data, .on_end = on_end};

/* One that was killed, with this process id, may have left its socket. */
static void remove_old(const char *path)
{
    uv_fs_t unlink;
    (void)uv_fs_unlink(NULL, &unlink, path, NULL);
    uv_fs_req_cleanup(&unlink);
}

static void begin(struct fixture *f)
{
    uv_utsname_t system;
    *f = (struct fixture){.connected = 1};
    assert_int_equal(loop_init(&f->loop), 0);
    assert_int_equal(uv_os_uname(&system), 0);
    bool windows = str_starts(system.sysname, "Windows") || str_starts(system.sysname, "MINGW");
    assert_int_equal(str_format(f->path, sizeof(f->path), "%s%ld",
                                windows ? "\\\\.\\pipe\\stile-test-" : "/tmp/stile-test-pipe-",
                                (long)uv_os_getpid()),
                     0);
    if (!windows)
        remove_old(f->path);
}

static void listen_there(struct fixture *f)
{
    assert_int_equal(uv_pipe_init(&f->loop.uv, &f->listener, 0), 0);
    f->listener.data = f;
    assert_int_equal(uv_pipe_bind(&f->listener, f->path), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 4, on_listening), 0);
}

#define TURN_UNTIL(f, condition)                                                                   \
    do {                                                                                           \
        bool met_ = false;                                                                         \
        for (int i_ = 0; i_ < 30000 && !met_; i_++) {                                              \
            loop_turn(&(f)->loop, false);                                                          \
            met_ = (condition);                                                                    \
            if (!met_)                                                                             \
                uv_sleep(1);                                                                       \
        }                                                                                          \
        assert_true(met_);                                                                         \
    } while (0)

static void end(struct fixture *f)
{
    stream_close(f->client);
    stream_close(f->server);
    if (f->listener.data != NULL)
        uv_close((uv_handle_t *)&f->listener, NULL);
    assert_int_equal(loop_release(&f->loop), 0);
}

static void connect_to(struct fixture *f, unsigned timeout_ms)
{
    assert_int_equal(pipe_connect_start(&f->loop, f->path, timeout_ms, on_connected, f, NULL), 0);
}

static void bytes_go_both_ways_and_the_end_is_told(UNUSED void **state)
{
    struct fixture f;
    begin(&f);
    listen_there(&f);
    connect_to(&f, 5000);
    TURN_UNTIL(&f, f.connected != 1 && f.server != NULL);
    assert_int_equal(f.connected, 0);

    struct slice ping = SLICE_LIT("ping"), pong = SLICE_LIT("pong");
    stream_set_events(f.server, &reader, &f);
    assert_int_equal(stream_read_start(f.server), 0);
    assert_int_equal(stream_write(f.client, &ping, 1), 0);
    TURN_UNTIL(&f, strcmp(f.got, "ping") == 0);
    stream_read_stop(f.server);

    stream_set_events(f.client, &reader, &f);
    assert_int_equal(stream_read_start(f.client), 0);
    assert_int_equal(stream_write(f.server, &pong, 1), 0);
    TURN_UNTIL(&f, strcmp(f.got, "pingpong") == 0);

    stream_close(STEAL(f.server));
    TURN_UNTIL(&f, f.ended);
    end(&f);
}

static void a_path_where_nothing_is_is_not_found_by_name(UNUSED void **state)
{
    struct fixture f;
    begin(&f);
    connect_to(&f, 5000);
    TURN_UNTIL(&f, f.connected != 1);
    assert_int_equal(f.connected, ERR_NOTFOUND);
    assert_non_null(strstr(f.diag.text, f.path));
    end(&f);
}

static void a_path_that_is_too_long_is_refused_not_cut(UNUSED void **state)
{
    struct fixture f;
    char path[PIPE_PATH_SIZE + 1];
    begin(&f);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(pipe_connect_start(&f.loop, path, 5000, on_connected, &f, NULL), ERR_TOOBIG);
    end(&f);
}

static void cancelled_is_not_told(UNUSED void **state)
{
    struct fixture f;
    struct pipe_connect *c;
    begin(&f);
    listen_there(&f);
    assert_int_equal(pipe_connect_start(&f.loop, f.path, 5000, on_connected, &f, &c), 0);
    pipe_connect_cancel(c);
    for (int i = 0; i < 20; i++) {
        loop_turn(&f.loop, false);
        uv_sleep(1);
    }
    assert_int_equal(f.connected, 1);
    end(&f);
}

static void without_memory_nothing_is_left(UNUSED void **state)
{
    for (uint64_t n = 1; n <= 2; n++) {
        struct fixture f;
        begin(&f);
        mem_fail_at(n);
        assert_int_equal(pipe_connect_start(&f.loop, f.path, 5000, on_connected, &f, NULL),
                         ERR_NOMEM);
        mem_fail_at(0);
        end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_and_the_end_is_told),
        cmocka_unit_test(a_path_where_nothing_is_is_not_found_by_name),
        cmocka_unit_test(a_path_that_is_too_long_is_refused_not_cut),
        cmocka_unit_test(cancelled_is_not_told),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
