/* The bridge: every byte in order, each direction ends by itself, a slow reader stops its source, a cut is no end. */
#include "testing.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/bridge.h"
#include "loop/stream_pair.h"
#include "tls_helpers.h"

#define WINDOW ((size_t)64 * 1024)

/* The far end of one side. */
struct far_end {
    struct stream *stream;
    struct buf got;
    bool ended, failed;
};

struct fixture {
    struct loop loop;
    struct far_end client, target;
    struct bridge *bridge;
    bool over;
    int err;
    char where[16];
    uint64_t up, down;
};

static void on_data(void *arg, struct slice bytes)
{
    struct far_end *e = arg;
    assert_int_equal(buf_put(&e->got, bytes), 0);
}

static void on_end(void *arg)
{
    ((struct far_end *)arg)->ended = true;
}

static void on_error(void *arg, int err, const struct diag *d)
{
    (void)err;
    (void)d;
    ((struct far_end *)arg)->failed = true;
}

static void on_over(void *arg, const struct bridge_result *result)
{
    struct fixture *f = arg;
    assert_false(f->over);
    f->over = true;
    f->err = result->err;
    f->up = result->bytes_up;
    f->down = result->bytes_down;
    assert_int_equal(str_format(f->where, sizeof(f->where), "%s", result->where), 0);
}

static void far_end_init(struct fixture *f, struct far_end *e, struct stream **near)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error};
    assert_int_equal(stream_pair_new(&f->loop, WINDOW, &e->stream, near), 0);
    buf_init(&e->got, (size_t)64 * 1024 * 1024);
    stream_set_events(e->stream, &events, e);
}

static int setup(void **state)
{
    struct stream *client;
    struct stream *target;
    struct fixture *f = NEW(struct fixture);
    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    far_end_init(f, &f->client, &client);
    far_end_init(f, &f->target, &target);
    assert_int_equal(bridge_start(client, target, on_over, f, &f->bridge), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stream_close(f->client.stream);
    stream_close(f->target.stream);
    if (!f->over)
        bridge_abort(f->bridge);
    buf_release(&f->client.got);
    buf_release(&f->target.got);
    assert_int_equal(loop_release(&f->loop), 0);
    mem_free(f);
    return 0;
}

static void read_both(struct fixture *f)
{
    assert_int_equal(stream_read_start(f->client.stream), 0);
    assert_int_equal(stream_read_start(f->target.stream), 0);
}

static void say(struct far_end *e, struct slice bytes)
{
    assert_int_equal(stream_write(e->stream, &bytes, 1), 0);
}

static void bytes_go_both_ways(void **state)
{
    struct fixture *f = *state;
    read_both(f);
    say(&f->client, SLICE_LIT("question"));
    say(&f->target, SLICE_LIT("greeting"));
    turn_some(&f->loop, 20);
    assert_true(slice_eq_str(buf_slice(&f->target.got), "question"));
    assert_true(slice_eq_str(buf_slice(&f->client.got), "greeting"));
    assert_false(f->over);
}

static void each_direction_ends_by_itself(void **state)
{
    struct fixture *f = *state;
    read_both(f);
    say(&f->client, SLICE_LIT("all of it"));
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_true(turn_until(&f->loop, &f->target.ended));
    assert_true(slice_eq_str(buf_slice(&f->target.got), "all of it"));
    assert_false(f->client.ended);
    say(&f->target, SLICE_LIT("the answer, later"));
    assert_int_equal(stream_end(f->target.stream), 0);
    assert_true(turn_until(&f->loop, &f->client.ended));
    assert_true(slice_eq_str(buf_slice(&f->client.got), "the answer, later"));
    assert_true(turn_until(&f->loop, &f->over));
    assert_int_equal(f->err, 0);
    assert_int_equal(f->up, strlen("all of it"));
    assert_int_equal(f->down, strlen("the answer, later"));
}

static void the_target_may_end_first(void **state)
{
    struct fixture *f = *state;
    read_both(f);
    assert_int_equal(stream_end(f->target.stream), 0);
    assert_true(turn_until(&f->loop, &f->client.ended));
    assert_false(f->over);
    say(&f->client, SLICE_LIT("still here"));
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_true(turn_until(&f->loop, &f->over));
    assert_int_equal(f->err, 0);
    turn_some(&f->loop, 20);
    assert_true(slice_eq_str(buf_slice(&f->target.got), "still here"));
}

/* The target doesn't read: the client must be stopped after about the bridge's queue and the two windows. */
static void a_reader_that_stalls_stops_the_source(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0;
    uint8_t *block = mem_zalloc(WINDOW);
    assert_non_null(block);
    while (sent < (size_t)32 * 1024 * 1024 && stream_queued(f->client.stream) == 0) {
        say(&f->client, slice_of(block, WINDOW));
        sent += WINDOW;
        turn_some(&f->loop, 5);
    }
    assert_true(sent <= STREAM_QUEUE_HIGH + LOOP_SCRATCH_SIZE + 4 * WINDOW);
    assert_int_equal(stream_read_start(f->target.stream), 0);
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_true(turn_until(&f->loop, &f->target.ended));
    assert_int_equal(buf_len(&f->target.got), sent);
    mem_free(block);
}

static void every_byte_arrives_in_order(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 2 * 1024 * 1024 };
    struct buf all;
    buf_init(&all, COUNT * sizeof(uint32_t));
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(buf_put(&all, slice_of(&i, sizeof(i))), 0);
    read_both(f);
    say(&f->target, buf_slice(&all));
    assert_int_equal(stream_end(f->target.stream), 0);
    assert_true(turn_until(&f->loop, &f->client.ended));
    assert_true(slice_eq(buf_slice(&f->client.got), buf_slice(&all)));
    buf_release(&all);
}

static void a_target_that_breaks_is_no_end_for_the_client(void **state)
{
    struct fixture *f = *state;
    read_both(f);
    say(&f->target, SLICE_LIT("half of"));
    turn_some(&f->loop, 20);
    stream_reset(f->target.stream);
    f->target.stream = NULL;
    assert_true(turn_until(&f->loop, &f->over));
    assert_true(f->err < 0);
    assert_string_equal(f->where, "target");
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_false(f->client.ended);
}

static void a_client_that_breaks_resets_the_target(void **state)
{
    struct fixture *f = *state;
    read_both(f);
    stream_reset(f->client.stream);
    f->client.stream = NULL;
    assert_true(turn_until(&f->loop, &f->over));
    assert_string_equal(f->where, "client");
    assert_true(turn_until(&f->loop, &f->target.failed));
    assert_false(f->target.ended);
}

static void aborting_resets_both(void **state)
{
    struct fixture *f = *state;
    read_both(f);
    bridge_abort(f->bridge);
    assert_true(f->over);
    assert_int_equal(f->err, ERR_CANCELED);
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_true(turn_until(&f->loop, &f->target.failed));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways),
        TEST(each_direction_ends_by_itself),
        TEST(the_target_may_end_first),
        TEST(a_reader_that_stalls_stops_the_source),
        TEST(every_byte_arrives_in_order),
        TEST(a_target_that_breaks_is_no_end_for_the_client),
        TEST(a_client_that_breaks_resets_the_target),
        TEST(aborting_resets_both),
    };
    return cmocka_run_group_tests_name("gateway_bridge", tests, NULL, NULL);
}
