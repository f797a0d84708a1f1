/* Two workers with a queue each: what they answer themselves (DNS of known names, by UDP and TCP), and segments on the wrong queue. */
#include "testing.h"

#include "base/clock.h"
#include "engine/worker.h"
#include "net/dns.h"
#include "packets.h"

#define WORKERS 2

struct world {
    struct shared shared;
    struct worker *workers[WORKERS];
    struct test_link *links[WORKERS];
    struct ip_addr app;
};

static struct world w;

static void on_syn(struct worker *worker, struct tcp_flow *flow)
{
    (void)worker;
    tcp_refuse(flow, clock_mono_ns());
}

static void stop(struct worker *worker)
{
    (void)worker;
}

static const struct worker_ops ops = {.on_syn = on_syn, .stop = stop};

static void make_names(void)
{
    struct names_config config = {.range_count = 1};
    struct names_app *app = NULL;
    struct name name;
    char zone[] = "test";
    char *zones[] = {zone};
    Stile__Vnet__V1__AppInfo empty = STILE__VNET__V1__APP_INFO__INIT;
    uint8_t bytes[16];
    assert_int_equal(prefix_parse("fd00:1:2::/48", &config.prefix6), 0);
    assert_int_equal(prefix_parse("100.64.0.0/10", &config.ranges[0]), 0);
    assert_int_equal(names_new(&config, &w.shared.names), 0);
    assert_int_equal(names_set_zones(w.shared.names, zones, 1, NULL, 0), 0);
    assert_int_equal(name_parse("pg.test", &name), 0);
    size_t len = stile__vnet__v1__app_info__pack(&empty, bytes);
    assert_int_equal(names_put(w.shared.names, &name,
                               stile__vnet__v1__app_info__unpack(NULL, len, bytes), clock_mono_ns(),
                               &app),
                     0);
    w.app = app->v4;
    names_app_unref(app);
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    make_names();
    for (unsigned i = 0; i < WORKERS; i++) {
        w.links[i] = test_link_new();
        assert_int_equal(worker_new(&w.shared, &ops, &w.links[i]->link, i, &w.workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(worker_start(w.workers[i], w.workers, WORKERS), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_go(w.workers[i]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++)
        worker_stop(w.workers[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_free(w.workers[i]);
    names_free(w.shared.names);
    return 0;
}

/* The next packet of a queue within 30 s. */
static struct packet expect(unsigned queue)
{
    struct pollfd fd = {.fd = w.links[queue]->outside, .events = POLLIN};
    struct packet p;
    assert_int_equal(poll(&fd, 1, 30000), 1);
    assert_true(link_get(w.links[queue], &p));
    return p;
}

static bool silent(unsigned queue)
{
    struct pollfd fd = {.fd = w.links[queue]->outside, .events = POLLIN};
    return poll(&fd, 1, 50) == 0;
}

static size_t question(uint8_t *message, uint16_t id)
{
    struct wr wr = wr_init(message, 64);
    struct name name;
    assert_int_equal(name_parse("pg.test", &name), 0);
    wr_u16(&wr, id);
    wr_u16(&wr, 0x0100);
    wr_u16(&wr, 1);
    wr_zeros(&wr, 6);
    name_write(&wr, &name);
    wr_u16(&wr, DNS_TYPE_A);
    wr_u16(&wr, DNS_CLASS_IN);
    assert_int_equal(wr_end(&wr), 0);
    return wr_len(&wr);
}

/* The answer to question(id): its last four bytes are the address. */
static void check_answer(struct slice answer, uint16_t id)
{
    assert_true(answer.len > 16);
    assert_int_equal(answer.data[0] << 8 | answer.data[1], id);
    assert_int_equal(dns_rcode_of(answer), DNS_NOERROR);
    assert_memory_equal(answer.data + answer.len - 4, w.app.bytes, 4);
}

static void send_segment(unsigned queue, struct segment *s, uint8_t flags, struct slice payload)
{
    s->flags = flags;
    s->payload = payload;
    struct packet p = tcp_packet_of(s);
    link_put(w.links[queue], &p);
    s->seq += (uint32_t)payload.len + ((flags & (TCP_SYN | TCP_FIN)) != 0 ? 1 : 0);
}

/* A connection to the DNS server on queue 0. */
static struct segment connect_dns(void)
{
    struct segment s = {
        .src = endpoint("100.64.0.1:40000"), .dst = endpoint("100.64.0.2:53"), .seq = 1000};
    send_segment(0, &s, TCP_SYN, (struct slice){0});
    struct packet p = expect(0);
    struct segment answer = segment_of(&p);
    assert_int_equal(answer.flags, TCP_SYN | TCP_ACK);
    s.ack = answer.seq + 1;
    return s;
}

static void a_connection_to_the_dns_server_from_beyond_this_host_is_refused(void **state)
{
    (void)state;
    struct segment s = {
        .src = endpoint("192.0.2.1:40000"), .dst = endpoint("100.64.0.2:53"), .seq = 1000};
    send_segment(0, &s, TCP_SYN, (struct slice){0});
    struct packet p = expect(0);
    assert_true(segment_of(&p).flags & TCP_RST);
}

/* The next segment with payload. */
static struct segment expect_data(unsigned queue, struct packet *memory)
{
    for (;;) {
        *memory = expect(queue);
        struct segment s = segment_of(memory);
        assert_false(s.flags & TCP_RST);
        if (s.payload.len > 0)
            return s;
    }
}

static size_t framed(uint8_t *memory, uint16_t id)
{
    size_t len = question(memory + 2, id);
    memory[0] = 0;
    memory[1] = (uint8_t)len;
    return len + 2;
}

static void a_known_name_is_answered_by_udp(void **state)
{
    (void)state;
    uint8_t message[64];
    struct packet p;
    struct udp_datagram d = {.src = endpoint("100.64.0.1:5353"),
                             .dst = endpoint("100.64.0.2:53"),
                             .payload = slice_of(message, question(message, 7))};
    assert_int_equal(udp_write(p.bytes, sizeof(p.bytes), &d, &p.len), 0);
    link_put(w.links[1], &p);
    p = expect(1);
    struct ip_packet ip;
    assert_int_equal(ip_parse(slice_of(p.bytes, p.len), &ip), 0);
    assert_int_equal(udp_parse(&ip, &d), 0);
    assert_int_equal(d.dst.port, 5353);
    check_answer(d.payload, 7);
}

static void questions_by_tcp_may_share_or_span_segments(void **state)
{
    (void)state;
    uint8_t memory[256];
    struct packet p;
    struct segment s = connect_dns();
    size_t one = framed(memory, 1);
    size_t both = one + framed(memory + one, 2);
    send_segment(0, &s, TCP_ACK, slice_of(memory, 1)); /* half of the length */
    send_segment(0, &s, TCP_ACK, slice_of(memory + 1, both - 1));
    uint8_t got[512];
    size_t len = 0;
    while (len < 2 || len < 2 * (2 + ((size_t)got[0] << 8 | got[1]))) {
        struct segment a = expect_data(0, &p);
        assert_true(len + a.payload.len <= sizeof(got));
        memcpy(got + len, a.payload.data, a.payload.len);
        len += a.payload.len;
        s.ack += (uint32_t)a.payload.len;
        send_segment(0, &s, TCP_ACK, (struct slice){0});
    }
    check_answer(slice_of(got + 2, len / 2 - 2), 1);
    check_answer(slice_of(got + len / 2 + 2, len / 2 - 2), 2);
}

static void the_last_answer_is_followed_by_the_end(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct packet p;
    struct segment s = connect_dns();
    send_segment(0, &s, TCP_ACK | TCP_FIN, slice_of(memory, framed(memory, 9)));
    struct segment a = expect_data(0, &p);
    check_answer(slice_from(a.payload, 2), 9);
    while ((a.flags & TCP_FIN) == 0) {
        p = expect(0);
        a = segment_of(&p);
    }
}

static void a_segment_on_the_wrong_queue_finds_its_flow(void **state)
{
    (void)state;
    uint8_t memory[64];
    struct packet p;
    struct segment s = connect_dns();
    send_segment(1, &s, TCP_ACK, slice_of(memory, framed(memory, 5)));
    struct segment a = expect_data(0, &p);
    check_answer(slice_from(a.payload, 2), 5);
    assert_true(silent(1));
}

static void a_segment_of_nobodys_flow_is_reset_where_it_came_from(void **state)
{
    (void)state;
    struct segment s = {
        .src = endpoint("100.64.0.1:40001"), .dst = endpoint("100.64.0.2:53"), .seq = 1, .ack = 77};
    send_segment(1, &s, TCP_ACK, (struct slice){0});
    struct packet p = expect(1);
    struct segment a = segment_of(&p);
    assert_true(a.flags & TCP_RST);
    assert_int_equal(a.seq, 77);
    assert_true(silent(0));
    assert_true(silent(1));
    assert_int_equal(atomic_load(&w.workers[1]->strays), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_known_name_is_answered_by_udp),
        TEST(questions_by_tcp_may_share_or_span_segments),
        TEST(a_connection_to_the_dns_server_from_beyond_this_host_is_refused),
        TEST(the_last_answer_is_followed_by_the_end),
        TEST(a_segment_on_the_wrong_queue_finds_its_flow),
        TEST(a_segment_of_nobodys_flow_is_reset_where_it_came_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
