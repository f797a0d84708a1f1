/* Two streams joined: bytes and ends both ways, a failure that isn't taken for an end. */
#include "testing.h"

#include <string.h>

#include "agent/splice.h"
#include "base/mem.h"
#include "loop/stream_pair.h"

#define BULK ((size_t)3 * 1024 * 1024)

struct end {
    struct stream *stream;
    size_t received;
    uint8_t last;
    bool ended;
    int error;
};

struct fixture {
    struct loop loop;
    struct end client, app;
    struct splice *splice;
    int done;
    struct splice_result result;
};

static void on_data(void *arg, struct slice bytes)
{
    struct end *e = arg;
    e->received += bytes.len;
    e->last = bytes.data[bytes.len - 1];
}

static void on_end(void *arg)
{
    ((struct end *)arg)->ended = true;
}

static void on_error(void *arg, int err, const struct diag *d)
{
    (void)d;
    ((struct end *)arg)->error = err;
}

static void on_done(void *arg, const struct splice_result *result)
{
    struct fixture *f = arg;
    f->done++;
    f->result = *result;
    f->splice = NULL;
}

static void listen_on(struct end *e)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error};
    stream_set_events(e->stream, &events, e);
    assert_int_equal(stream_read_start(e->stream), 0);
}

static int setup(void **state)
{
    static struct fixture f;
    struct stream *a = NULL, *b = NULL;
    memset(&f, 0, sizeof(f));
    *state = &f;
    assert_int_equal(loop_init(&f.loop), 0);
    assert_int_equal(stream_pair_new(&f.loop, 65536, &f.client.stream, &a), 0);
    assert_int_equal(stream_pair_new(&f.loop, 65536, &f.app.stream, &b), 0);
    listen_on(&f.client);
    listen_on(&f.app);
    return splice_new(a, b, on_done, &f, &f.splice);
}

static void turn(struct fixture *f)
{
    for (int i = 0; i < 2000; i++)
        loop_turn(&f->loop, false);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->splice != NULL)
        splice_abort(f->splice);
    stream_close(f->client.stream);
    stream_close(f->app.stream);
    turn(f);
    return loop_release(&f->loop);
}

static void say(struct end *e, const char *text)
{
    struct slice s = slice_str(text);
    assert_int_equal(stream_write(e->stream, &s, 1), 0);
}

static void each_direction_ends_on_its_own(void **state)
{
    struct fixture *f = *state;
    say(&f->client, "question");
    assert_int_equal(stream_end(f->client.stream), 0);
    turn(f);
    assert_int_equal(f->app.received, 8);
    assert_true(f->app.ended);
    assert_false(f->client.ended);
    assert_int_equal(f->done, 0);
    say(&f->app, "the answer");
    turn(f);
    assert_int_equal(f->client.received, 10);
    assert_int_equal(stream_end(f->app.stream), 0);
    turn(f);
    assert_true(f->client.ended);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->result.err, 0);
    assert_int_equal(f->result.bytes_up, 8);
    assert_int_equal(f->result.bytes_down, 10);
}

static void the_app_may_end_first(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(stream_end(f->app.stream), 0);
    turn(f);
    assert_true(f->client.ended);
    say(&f->client, "still there");
    assert_int_equal(stream_end(f->client.stream), 0);
    turn(f);
    assert_int_equal(f->app.received, 11);
    assert_int_equal(f->done, 1);
}

static void a_reset_is_passed_on_as_a_failure(void **state)
{
    struct fixture *f = *state;
    say(&f->client, "half a mess");
    turn(f);
    stream_reset(STEAL(f->client.stream));
    turn(f);
    assert_int_equal(f->done, 1);
    assert_int_not_equal(f->result.err, 0);
    assert_int_not_equal(f->app.error, 0);
    assert_false(f->app.ended);
}

static void a_reader_that_stops_stops_the_writer(void **state)
{
    struct fixture *f = *state;
    uint8_t *bulk = mem_zalloc(BULK);
    assert_non_null(bulk);
    bulk[BULK - 1] = 42;
    stream_read_stop(f->app.stream);
    struct slice s = slice_of(bulk, BULK);
    assert_int_equal(stream_write(f->client.stream, &s, 1), 0);
    turn(f);
    assert_int_equal(f->app.received, 0);
    assert_true(stream_queued(f->client.stream) > BULK / 2);
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_int_equal(stream_read_start(f->app.stream), 0);
    turn(f);
    assert_int_equal(f->app.received, BULK);
    assert_int_equal(f->app.last, 42);
    assert_true(f->app.ended);
    mem_free(bulk);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(each_direction_ends_on_its_own),
        WITH(the_app_may_end_first),
        WITH(a_reset_is_passed_on_as_a_failure),
        WITH(a_reader_that_stops_stops_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
