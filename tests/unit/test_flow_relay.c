/* The relay between a program's flow and a stream: back-pressure, ends and resets, each both ways. The program is the test, segment by
 * segment; the far end is the other side of a stream pair.
 */
#include "testing.h"

#include "base/clock.h"
#include "engine/flow_relay.h"
#include "loop/stream_pair.h"
#include "packets.h"

#define PAIR_WINDOW 4096

struct world {
    struct loop loop;
    struct test_link *link;
    struct names *names;
    struct stack *stack;
    struct flow_relays all;
    struct flow_relay relay;
    struct stream *far;
    struct ip_endpoint client, app;
    uint32_t seq, ack; /* of the program */
    uint32_t window;   /* last heard */
    uint8_t flags;
    uint8_t got[64];
    size_t got_len;
    size_t far_got;
    bool far_ended, far_failed;
    unsigned ended;
    enum flow_relay_end how;
};

static struct world w;

static void on_done(void *arg, enum flow_relay_end end, const struct diag *d)
{
    (void)arg;
    (void)d;
    w.ended++;
    w.how = end;
}

static void far_data(void *arg, struct slice bytes)
{
    (void)arg;
    w.far_got += bytes.len;
}

static void far_end(void *arg)
{
    (void)arg;
    w.far_ended = true;
}

static void far_error(void *arg, int err, const struct diag *d)
{
    (void)arg;
    (void)err;
    (void)d;
    w.far_failed = true;
}

static void on_syn(void *arg, struct tcp_flow *flow)
{
    (void)arg;
    static const struct stream_events events = {
        .on_data = far_data, .on_end = far_end, .on_error = far_error};
    struct stream *near = NULL;
    assert_int_equal(stream_pair_new(&w.loop, PAIR_WINDOW, &near, &w.far), 0);
    stream_set_events(w.far, &events, NULL);
    tcp_accept(flow, clock_mono_ns());
    flow_relay_start(&w.relay, flow, near, true, &w.all, on_done, NULL);
}

static void on_dns(void *arg, const struct udp_datagram *d)
{
    (void)arg;
    (void)d;
}

static const struct stack_events events = {.on_syn = on_syn, .on_dns = on_dns};

/* What a worker does in a turn. */
static void turn(void)
{
    struct packet p;
    bool more = true;
    while (more)
        assert_int_equal(stack_read(w.stack, &more), 0);
    loop_turn(&w.loop, false);
    flow_relays_settle(&w.all);
    (void)stack_flush(w.stack);
    while (link_get(w.link, &p)) {
        struct segment s = segment_of(&p);
        w.flags = s.flags;
        w.window = (uint32_t)p.bytes[IP4_HEADER_SIZE + 14] << 8 | p.bytes[IP4_HEADER_SIZE + 15];
        if ((s.flags & TCP_SYN) != 0)
            w.ack = s.seq + 1;
        else if (s.seq == w.ack) {
            size_t n = MIN(s.payload.len, sizeof(w.got) - w.got_len);
            if (n > 0)
                memcpy(w.got + w.got_len, s.payload.data, n);
            w.got_len += n;
            w.ack += (uint32_t)s.payload.len + ((s.flags & TCP_FIN) != 0 ? 1 : 0);
        }
    }
}

static void turns(int n)
{
    for (int i = 0; i < n; i++)
        turn();
}

static void program_sends(uint8_t flags, struct slice payload)
{
    struct segment s = {.src = w.client,
                        .dst = w.app,
                        .seq = w.seq,
                        .ack = w.ack,
                        .flags = flags,
                        .payload = payload};
    struct packet p = tcp_packet_of(&s);
    link_put(w.link, &p);
    w.seq += (uint32_t)payload.len + ((flags & (TCP_SYN | TCP_FIN)) != 0 ? 1 : 0);
    turns(2);
}

static void connect_program(void)
{
    program_sends(TCP_SYN, (struct slice){0});
    assert_int_equal(w.flags, TCP_SYN | TCP_ACK);
    program_sends(TCP_ACK, (struct slice){0});
}

static int setup(void **state)
{
    (void)state;
    struct names_config config = {.range_count = 1};
    memset(&w, 0, sizeof(w));
    w.client = endpoint("100.64.0.1:40000");
    w.app = endpoint("100.64.0.9:5432");
    w.seq = 1000;
    assert_int_equal(prefix_parse("fd00:1:2::/48", &config.prefix6), 0);
    assert_int_equal(prefix_parse("100.64.0.0/10", &config.ranges[0]), 0);
    assert_int_equal(names_new(&config, &w.names), 0);
    assert_int_equal(loop_init(&w.loop), 0);
    w.link = test_link_new();
    flow_relays_init(&w.all);
    assert_int_equal(stack_new(&w.link->link, w.names, &events, NULL, &w.stack), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (w.ended == 0)
        flow_relay_abort(&w.relay);
    stream_close(w.far);
    for (int i = 0; i < 5; i++)
        loop_turn(&w.loop, false);
    stack_free(w.stack);
    link_free(&w.link->link);
    names_free(w.names);
    assert_int_equal(loop_release(&w.loop), 0);
    return 0;
}

static const uint8_t chunk[1400];

/* Sends as long as the window is open; how much that was. */
static size_t fill(void)
{
    size_t sent = 0;
    while (w.window >= sizeof(chunk) && sent < 4 * FLOW_RELAY_UP_MAX) {
        program_sends(TCP_ACK, slice_of(chunk, sizeof(chunk)));
        sent += sizeof(chunk);
    }
    return sent;
}

static void a_stalled_far_end_closes_the_programs_window_in_time(void **state)
{
    (void)state;
    connect_program();
    size_t sent = fill();
    assert_true(sent >= FLOW_RELAY_UP_MAX / 2);
    assert_true(sent <= FLOW_RELAY_UP_MAX + 65536 + PAIR_WINDOW);
    assert_true(w.window < sizeof(chunk));
    assert_true(w.all.queued > 0 && w.all.queued <= FLOW_RELAY_UP_MAX + 65536);

    assert_int_equal(stream_read_start(w.far), 0);
    for (int i = 0; i < 1000 && w.far_got < sent; i++)
        turn();
    assert_int_equal(w.far_got, sent);
    assert_true(w.window >= 32768);
    turns(2);
    assert_int_equal(w.relay.up, sent);
}

static void when_all_relays_hold_much_each_may_hold_little(void **state)
{
    (void)state;
    w.all.queued = FLOW_RELAY_ALL_MAX;
    connect_program();
    size_t sent = fill();
    assert_true(sent <= 65536 + PAIR_WINDOW);
    assert_true(w.window < sizeof(chunk));
    w.all.queued -= FLOW_RELAY_ALL_MAX;
    assert_int_equal(stream_read_start(w.far), 0);
    for (int i = 0; i < 100 && w.far_got < sent; i++)
        turn();
    assert_int_equal(w.far_got, sent);
    turns(2);
    assert_true(w.window >= 32768);
}

static void a_program_that_does_not_read_stops_the_far_end(void **state)
{
    (void)state;
    static const uint8_t much[64 * 1024];
    const struct slice part = slice_of(much, sizeof(much));
    connect_program();
    uint32_t frozen = w.ack;
    for (int i = 0; i < 64; i++) {
        assert_int_equal(stream_write(w.far, &part, 1), 0);
        turn();
        w.ack = frozen; /* nothing is acknowledged */
    }
    assert_true(stream_queued(w.far) > 2 * 1024 * 1024);
    assert_true(w.relay.down <= 1024 * 1024);
}

static void the_programs_end_leaves_the_other_way_open(void **state)
{
    (void)state;
    const struct slice answer = SLICE_LIT("answer");
    connect_program();
    assert_int_equal(stream_read_start(w.far), 0);
    program_sends(TCP_ACK | TCP_FIN, SLICE_LIT("question"));
    turns(3);
    assert_int_equal(w.far_got, 8);
    assert_true(w.far_ended);
    assert_int_equal(w.ended, 0);
    assert_int_equal(stream_write(w.far, &answer, 1), 0);
    assert_int_equal(stream_end(w.far), 0);
    turns(4);
    assert_int_equal(w.got_len, 6);
    assert_memory_equal(w.got, "answer", 6);
    assert_true(w.flags & TCP_FIN);
    program_sends(TCP_ACK, (struct slice){0});
    turns(2);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.how, FLOW_RELAY_DONE);
    assert_int_equal(w.relay.up, 8);
    assert_int_equal(w.relay.down, 6);
}

static void the_far_ends_end_leaves_the_other_way_open(void **state)
{
    (void)state;
    connect_program();
    assert_int_equal(stream_read_start(w.far), 0);
    assert_int_equal(stream_end(w.far), 0);
    turns(3);
    assert_true(w.flags & TCP_FIN);
    program_sends(TCP_ACK, SLICE_LIT("still here"));
    turns(2);
    assert_int_equal(w.far_got, 10);
    assert_int_equal(w.ended, 0);
    program_sends(TCP_ACK | TCP_FIN, (struct slice){0});
    turns(3);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.how, FLOW_RELAY_DONE);
}

static void a_reset_by_the_program_reaches_the_far_end(void **state)
{
    (void)state;
    connect_program();
    assert_int_equal(stream_read_start(w.far), 0);
    program_sends(TCP_RST, (struct slice){0});
    turns(3);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.how, FLOW_RELAY_CLIENT_RESET);
    assert_true(w.far_failed || w.far_ended);
    assert_int_equal(w.all.queued, 0);
}

static void a_failure_of_the_far_end_resets_the_program(void **state)
{
    (void)state;
    connect_program();
    stream_reset(STEAL(w.far));
    turns(3);
    assert_true(w.flags & TCP_RST);
    assert_int_equal(w.ended, 1);
    assert_int_equal(w.how, FLOW_RELAY_FAR_FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stalled_far_end_closes_the_programs_window_in_time),
        TEST(when_all_relays_hold_much_each_may_hold_little),
        TEST(a_program_that_does_not_read_stops_the_far_end),
        TEST(the_programs_end_leaves_the_other_way_open),
        TEST(the_far_ends_end_leaves_the_other_way_open),
        TEST(a_reset_by_the_program_reaches_the_far_end),
        TEST(a_failure_of_the_far_end_resets_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
