/* What scenarios can't say: callbacks that do things, memory that runs out, configuration, initial sequence numbers. */
#include "testing.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "world.h"

static struct world world;

static const struct seg a_syn = {.flags = TCP_SYN, .win = 65535, .mss = 1000, .ws = 7, .sackok = 1};

static struct seg segment(uint8_t flags, int64_t seq, int64_t ack, int64_t len)
{
    return (struct seg){
        .flags = flags, .seq = seq, .ack = ack, .len = len, .win = 65535, .mss = -1, .ws = -1};
}

static void input(struct seg s)
{
    world_input(&world, &s);
}

static void start(void)
{
    world_init(&world, 4);
    assert_int_equal(world_start(&world), 0);
}

static void open_flow(void)
{
    input(a_syn);
    if (world.current->flow == NULL)
        return;
    tcp_accept(world.current->flow, world.now);
    input(segment(TCP_ACK, 1, 1, 0));
}

static struct tcp_host_stats stats(void)
{
    struct tcp_host_stats s;
    tcp_host_get_stats(world.host, &s);
    return s;
}

static void finish(void)
{
    assert_string_equal(world.problem, "");
    world_release(&world);
}

static const char *wanted_event;

static bool is_wanted(const char *event)
{
    return str_starts(event, wanted_event);
}

static void abort_then(struct world *w, struct tcp_flow *flow, const char *event)
{
    if (is_wanted(event))
        tcp_abort(flow, w->now);
}

static void drop_then(struct world *w UNUSED, struct tcp_flow *flow, const char *event)
{
    if (is_wanted(event))
        tcp_drop(flow);
}

/* A flow with everything: data both ways, out of order too, a full ring, the client's FIN. */
static void live_fully(void)
{
    open_flow();
    if (world.current->flow != NULL)
        (void)world_send(&world, 1U << 20);
    (void)tcp_flush(world.host, world.now);
    input(segment(TCP_ACK, 2001, 1, 1000));
    input(segment(TCP_ACK, 1, 1, 1000));
    input(segment(TCP_ACK | TCP_FIN, 3001, 400001, 0));
    input(segment(TCP_ACK, 1001, 400001, 1000));
    (void)tcp_flush(world.host, world.now);
}

static void a_callback_may_end_its_flow(void **state UNUSED)
{
    static const char *const events[] = {"syn", "established", "data", "space", "end"};
    static void (*const hooks[])(struct world *, struct tcp_flow *, const char *) = {abort_then,
                                                                                     drop_then};
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        for (size_t k = 0; k < ARRAY_LEN(hooks); k++) {
            wanted_event = events[i];
            start();
            world.hook = hooks[k];
            input(a_syn);
            if (stats().flows == 1) {
                tcp_accept(world.current->flow, world.now);
                input(segment(TCP_ACK, 1, 1, 0));
            }
            if (stats().flows == 1)
                (void)world_send(&world, 1U << 20);
            (void)tcp_flush(world.host, world.now);
            input(segment(TCP_ACK, 1, 1, 1000));
            input(segment(TCP_ACK, 1001, 400001, 0));
            input(segment(TCP_ACK | TCP_FIN, 1001, 400001, 0));
            assert_int_equal(stats().flows, 0);
            assert_int_equal(stats().rings, 0);
            finish();
        }
    }
}

static void flush_in(struct world *w, struct tcp_flow *flow UNUSED, const char *event UNUSED)
{
    size_t before = w->seen_count;
    assert_int_equal(tcp_flush(w->host, w->now), 0);
    assert_int_equal(w->seen_count, before);
}

static void a_flush_in_a_callback_does_nothing(void **state UNUSED)
{
    start();
    world.hook = flush_in;
    live_fully();
    assert_true(world.event_count > 4);
    finish();
}

static void refuse_syn(struct world *w, struct tcp_flow *flow, const char *event)
{
    if (str_eq(event, "syn"))
        tcp_refuse(flow, w->now);
}

static void a_syn_may_be_refused_in_its_callback(void **state UNUSED)
{
    start();
    world.hook = refuse_syn;
    input(a_syn);
    input(a_syn);
    assert_int_equal(world.event_count, 1);
    assert_int_equal(world.seen_count, 2);
    assert_int_equal(stats().refused, 1);
    finish();
}

static void accept_syn(struct world *w, struct tcp_flow *flow, const char *event)
{
    if (str_eq(event, "syn"))
        tcp_accept(flow, w->now);
}

static void a_syn_may_be_accepted_in_its_callback(void **state UNUSED)
{
    start();
    world.hook = accept_syn;
    input(a_syn);
    assert_int_equal(world.seen_count, 1);
    input(segment(TCP_ACK, 1, 1, 0));
    assert_string_equal(tcp_flow_state_name(world.current->flow), "ESTABLISHED");
    finish();
}

/* Each allocation fails in turn: nothing leaks, nothing crashes, limits and streams hold (world.c looks). */
static void memory_may_run_out_anywhere(void **state UNUSED)
{
    uint64_t made = 0;
    uint64_t n = 0;
    do {
        n++;
        world_init(&world, 6);
        (void)mem_fail_at(0);
        (void)mem_fail_at(n);
        if (world_start(&world) == 0) {
            live_fully();
            world_advance(&world, NS_PER_S);
            input(segment(TCP_ACK, 3002, 400001, 0));
            world_advance(&world, 300 * NS_PER_S);
            assert_int_equal(stats().flows, 0);
            assert_int_equal(stats().rings, 0);
            assert_int_equal(stats().reordered_bytes, 0);
        }
        made = mem_fail_at(0);
        finish();
    } while (made >= n);
    assert_true(n > 8);
}

static void a_flow_without_memory_for_a_ring_gets_one_later(void **state UNUSED)
{
    start();
    open_flow();
    struct tcp_space space[2];
    (void)mem_fail_at(1);
    world.config.max_rings = 0;
    size_t n = tcp_send_space(world.current->flow, space);
    (void)mem_fail_at(0);
    if (n == 0) {
        world.event_count = 0;
        world_advance(&world, 100 * NS_PER_MS);
        assert_int_equal(world.event_count, 1);
        assert_string_equal(world.events[0].text, "space");
    }
    assert_true(tcp_send_space(world.current->flow, space) > 0);
    finish();
}

static void ending_a_host_resets_every_client(void **state UNUSED)
{
    start();
    input(a_syn);
    world.current = world_client(&world, 40001);
    open_flow();
    world.seen_count = 0;
    tcp_host_abort_all(world.host, world.now);
    assert_int_equal(world.seen_count, 2);
    assert_true((world.seen[0].flags & world.seen[1].flags & TCP_RST) != 0);
    assert_int_equal(stats().flows, 0);
    assert_int_equal(tcp_next_deadline(world.host), TCP_NEVER);
    finish();
}

/* RFC 6528: of each 4-tuple its own, and later ones beyond earlier ones. */
static void initial_numbers_differ_and_grow(void **state UNUSED)
{
    uint32_t first[8];
    start();
    for (uint16_t i = 0; i < 8; i++) {
        world.current = world_client(&world, (uint16_t)(40000 + i));
        open_flow();
        first[i] = world.current->iss;
        for (uint16_t k = 0; k < i; k++)
            assert_true(first[k] - first[i] > 100000 && first[i] - first[k] > 100000);
        tcp_drop(world.current->flow);
        world.current->flow = NULL;
    }
    world.now += 100 * NS_PER_MS;
    open_flow();
    uint32_t grown = world.current->iss - first[7];
    assert_true(grown > 20000 && grown < 30000);
    finish();
}

/* A new connection on a 4-tuple in TIME_WAIT begins beyond what the old one sent, however fast that was. */
static void a_reused_4_tuple_begins_beyond_the_old_numbers(void **state UNUSED)
{
    start();
    open_flow();
    uint32_t iss = world.current->iss;
    uint32_t sent = (uint32_t)world_send(&world, 300000);
    (void)tcp_flush(world.host, world.now);
    input(segment(TCP_ACK, 1, 1 + sent, 0));
    tcp_send_end(world.current->flow, world.now);
    (void)tcp_flush(world.host, world.now);
    input(segment(TCP_ACK | TCP_FIN, 1, 2 + sent, 0));
    assert_int_equal(stats().time_wait, 1);
    struct seg syn = a_syn;
    syn.seq = 1000;
    input(syn);
    tcp_accept(world.current->flow, world.now);
    assert_true((int32_t)(world.current->iss - (iss + sent)) > 0);
    finish();
}

/* A SYN with these ends, by hand: world.c would make a proper one. */
static int input_syn_between(struct ip_addr src, uint16_t src_port, struct ip_addr dst,
                             uint16_t dst_port)
{
    uint8_t l4[TCP_HEADER_SIZE] = {[12] = 0x50, [13] = TCP_SYN};
    struct wr w = wr_init(l4, 4);
    wr_u16(&w, src_port);
    wr_u16(&w, dst_port);
    const struct ip_packet p = {.version = src.version,
                                .protocol = IP_TCP,
                                .src = src,
                                .dst = dst,
                                .l4 = slice_of(l4, sizeof l4)};
    return tcp_input(world.host, &p, world.now);
}

static void ends_that_no_connection_can_have_are_dropped(void **state UNUSED)
{
    const struct ip_addr a = ip_addr_v4(10, 0, 0, 1);
    const struct ip_addr b = ip_addr_v4(10, 0, 0, 2);
    start();
    assert_int_equal(input_syn_between(a, 80, a, 80), ERR_FORMAT); /* land */
    assert_int_equal(input_syn_between(a, 0, b, 80), ERR_FORMAT);
    assert_int_equal(input_syn_between(a, 80, b, 0), ERR_FORMAT);
    assert_int_equal(input_syn_between(ip_addr_v4(224, 0, 0, 1), 1, b, 80), ERR_FORMAT);
    assert_int_equal(input_syn_between(a, 1, ip_addr_v4(255, 255, 255, 255), 80), ERR_FORMAT);
    assert_int_equal(input_syn_between(ip_addr_v4(0, 0, 0, 0), 1, b, 80), ERR_FORMAT);
    assert_true(world.seen_count == 0 && world.event_count == 0 && stats().flows == 0);
    finish();
}

/* A flood costs what the limits allow, and is over when it is over. */
static void a_syn_flood_is_bounded(void **state UNUSED)
{
    world_init(&world, 4);
    world.config.max_pending = 10;
    assert_int_equal(world_start(&world), 0);
    for (unsigned i = 0; i < 50000; i++) {
        struct ip_addr src = ip_addr_v4(10, 1, (uint8_t)(i >> 8), (uint8_t)i);
        assert_int_equal(input_syn_between(src, (uint16_t)(1 + i / 7), ip_addr_v4(10, 0, 0, 2), 80),
                         0);
    }
    assert_int_equal(stats().flows, 10);
    assert_int_equal(stats().syns_ignored, 49990);
    world_advance(&world, 5 * NS_PER_S);
    assert_int_equal(stats().flows, 0);
    open_flow();
    assert_string_equal(tcp_flow_state_name(world.current->flow), "ESTABLISHED");
    finish();
}

static void configurations_that_make_no_sense_are_refused(void **state UNUSED)
{
    world_init(&world, 4);
    struct tcp_config good = world.config;
    struct tcp_config bad[6] = {good, good, good, good, good, good};
    bad[0].mtu = 1000;
    bad[1].send_ring_size = 100000;
    bad[2].send_ring_size = 4096;
    bad[3].receive_window_max = 100;
    bad[4].receive_window_max = (size_t)1 << 31;
    bad[5].rto_min_ns = 0;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        world.config = bad[i];
        assert_int_equal(world_start(&world), ERR_INVAL);
    }
    world.config = good;
    assert_int_equal(world_start(&world), 0);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_may_end_its_flow),
        cmocka_unit_test(a_flush_in_a_callback_does_nothing),
        cmocka_unit_test(a_syn_may_be_refused_in_its_callback),
        cmocka_unit_test(a_syn_may_be_accepted_in_its_callback),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(a_flow_without_memory_for_a_ring_gets_one_later),
        cmocka_unit_test(ending_a_host_resets_every_client),
        cmocka_unit_test(initial_numbers_differ_and_grow),
        cmocka_unit_test(a_reused_4_tuple_begins_beyond_the_old_numbers),
        cmocka_unit_test(ends_that_no_connection_can_have_are_dropped),
        cmocka_unit_test(a_syn_flood_is_bounded),
        cmocka_unit_test(configurations_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
