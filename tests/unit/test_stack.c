/* What the stack makes of packets: which go where, and which are answered on the spot. */
#include "testing.h"

#include "base/clock.h"
#include "engine/stack.h"
#include "net/icmp.h"
#include "packets.h"

struct world {
    struct test_link *link;
    struct names *names;
    struct stack *stack;
    struct ip_endpoint app;
    unsigned syns;
    unsigned questions;
    unsigned strays;
    bool take_strays;
    uint8_t question[64];
    size_t question_len;
    struct ip_endpoint from, to;
};

static const char *const client = "100.64.0.1:40000";

static void on_syn(void *arg, struct tcp_flow *flow)
{
    struct world *w = arg;
    w->syns++;
    tcp_refuse(flow, clock_mono_ns());
}

static void on_dns(void *arg, const struct udp_datagram *d)
{
    struct world *w = arg;
    w->questions++;
    assert_true(d->payload.len <= sizeof(w->question));
    memcpy(w->question, d->payload.data, d->payload.len);
    w->question_len = d->payload.len;
    w->from = d->src;
    w->to = d->dst;
}

static bool on_stray(void *arg, struct slice packet)
{
    struct world *w = arg;
    assert_true(packet.len >= 40);
    w->strays++;
    return w->take_strays;
}

static const struct stack_events events = {
    .on_syn = on_syn, .on_dns = on_dns, .on_stray = on_stray};

static struct names *names_with_one_app(struct ip_endpoint *ret_app)
{
    struct names_config config = {.range_count = 1};
    struct names *names = NULL;
    struct names_app *app = NULL;
    struct name name;
    assert_int_equal(prefix_parse("fd00:1:2::/48", &config.prefix6), 0);
    assert_int_equal(prefix_parse("100.64.0.0/10", &config.ranges[0]), 0);
    assert_int_equal(names_new(&config, &names), 0);
    assert_int_equal(name_parse("pg.test", &name), 0);
    Stile__Vnet__V1__AppInfo empty = STILE__VNET__V1__APP_INFO__INIT;
    uint8_t bytes[16];
    size_t len = stile__vnet__v1__app_info__pack(&empty, bytes);
    assert_int_equal(
        names_put(names, &name, stile__vnet__v1__app_info__unpack(NULL, len, bytes), 1, &app), 0);
    *ret_app = (struct ip_endpoint){.addr = app->v4, .port = 5432};
    names_app_unref(app);
    return names;
}

static int setup(void **state)
{
    static struct world w;
    w = (struct world){.link = test_link_new()};
    w.names = names_with_one_app(&w.app);
    assert_int_equal(stack_new(&w.link->link, w.names, &events, &w, &w.stack), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    stack_free(w->stack);
    names_free(w->names);
    link_free(&w->link->link);
    return 0;
}

static void read_all(struct world *w)
{
    bool more = true;
    while (more)
        assert_int_equal(stack_read(w->stack, &more), 0);
    (void)stack_flush(w->stack);
}

static struct packet udp_packet(struct ip_endpoint to, const char *text)
{
    struct packet p;
    struct udp_datagram d = {.src = endpoint(client), .dst = to, .payload = slice_str(text)};
    assert_int_equal(udp_write(p.bytes, sizeof(p.bytes), &d, &p.len), 0);
    return p;
}

static struct packet echo_request(struct ip_addr to)
{
    static const uint8_t message[] = {8, 0, 0, 0, 0, 1, 0, 1, 'h', 'i'};
    uint8_t copy[sizeof(message)];
    struct packet p;
    struct checksum c = {0};
    memcpy(copy, message, sizeof(copy));
    checksum_add(&c, slice_of(copy, sizeof(copy)));
    checksum_put(&c, copy + 2);
    struct ip_addr from = endpoint(client).addr;
    p.len = ip_write_header(p.bytes, &from, &to, IP_ICMP, sizeof(copy));
    memcpy(p.bytes + p.len, copy, sizeof(copy));
    p.len += sizeof(copy);
    return p;
}

static struct ip_packet parsed(const struct packet *p)
{
    struct ip_packet ip;
    assert_int_equal(ip_parse(slice_of(p->bytes, p->len), &ip), 0);
    return ip;
}

static void echo_is_answered_for_apps_and_the_dns_server_only(void **state)
{
    struct world *w = *state;
    const struct ip_addr asked[] = {w->app.addr, ip_addr_v4(100, 64, 0, 2),
                                    ip_addr_v4(100, 64, 77, 77)};
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct packet p = echo_request(asked[i]);
        struct packet reply;
        link_put(w->link, &p);
        read_all(w);
        assert_int_equal(link_get(w->link, &reply), i < 2);
        if (i == 2)
            continue;
        struct ip_packet ip = parsed(&reply);
        assert_true(ip_addr_eq(&ip.src, &asked[i]));
        assert_int_equal(ip.l4.data[0], 0);
        assert_memory_equal(ip.l4.data + 8, "hi", 2);
        assert_true(checksum_l4_is_good(&ip));
    }
}

static void a_datagram_to_an_app_is_unreachable_at_once(void **state)
{
    struct world *w = *state;
    struct packet p = udp_packet(w->app, "hello");
    struct packet reply;
    link_put(w->link, &p);
    read_all(w);
    assert_true(link_get(w->link, &reply));
    struct ip_packet ip = parsed(&reply);
    assert_int_equal(ip.protocol, IP_ICMP);
    assert_int_equal(ip.l4.data[0], 3);
    assert_int_equal(ip.l4.data[1], 3);
    assert_int_equal(w->questions, 0);
}

static void a_question_reaches_the_dns_server_and_the_answer_its_asker(void **state)
{
    struct world *w = *state;
    struct packet p = udp_packet(endpoint("100.64.0.2:53"), "question");
    struct packet reply;
    struct udp_datagram d;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->questions, 1);
    assert_memory_equal(w->question, "question", w->question_len);
    assert_false(link_get(w->link, &reply));
    stack_reply_udp(w->stack, &w->to, &w->from, SLICE_LIT("answer"));
    assert_true(link_get(w->link, &reply));
    struct ip_packet ip = parsed(&reply);
    assert_true(checksum_l4_is_good(&ip));
    assert_int_equal(udp_parse(&ip, &d), 0);
    assert_true(slice_eq_str(d.payload, "answer"));
    struct ip_endpoint asker = endpoint(client);
    assert_true(ip_endpoint_eq(&d.dst, &asker));
    assert_int_equal(d.src.port, 53);
}

static void a_question_from_beyond_this_host_is_not_answered(void **state)
{
    struct world *w = *state;
    struct packet p, reply;
    struct udp_datagram d = {.src = endpoint("192.0.2.1:40000"),
                             .dst = endpoint("100.64.0.2:53"),
                             .payload = SLICE_LIT("question")};
    assert_int_equal(udp_write(p.bytes, sizeof(p.bytes), &d, &p.len), 0);
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->questions, 0);
    assert_true(link_get(w->link, &reply));
    assert_int_equal(parsed(&reply).protocol, IP_ICMP);
}

static struct segment syn_to(struct ip_endpoint to)
{
    return (struct segment){.src = endpoint(client), .dst = to, .seq = 1000, .flags = TCP_SYN};
}

static void a_refused_syn_gets_a_reset_for_it(void **state)
{
    struct world *w = *state;
    struct segment syn = syn_to(w->app);
    struct packet p = tcp_packet_of(&syn);
    struct packet reply;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->syns, 1);
    assert_true(link_get(w->link, &reply));
    struct segment rst = segment_of(&reply);
    assert_int_equal(rst.flags & (TCP_RST | TCP_ACK), TCP_RST | TCP_ACK);
    assert_int_equal(rst.ack, 1001);
}

static void a_bad_checksum_is_dropped_unless_the_device_vouches_for_it(void **state)
{
    struct world *w = *state;
    struct segment syn = syn_to(w->app);
    struct packet p = tcp_packet_of(&syn);
    p.bytes[36] ^= 0x55; /* the TCP checksum */
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->syns, 0);
    assert_int_equal(stack_stats(w->stack)->bad_checksum, 1);
    w->link->meta.csum_partial = true;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->syns, 1);
}

static void a_segment_of_an_unknown_flow_is_offered_to_other_workers_first(void **state)
{
    struct world *w = *state;
    struct segment ack = syn_to(w->app);
    struct packet reply;
    ack.flags = TCP_ACK;
    ack.ack = 5;
    struct packet p = tcp_packet_of(&ack);
    w->take_strays = true;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->strays, 1);
    assert_false(link_get(w->link, &reply));
    w->take_strays = false;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->strays, 2);
    assert_true(link_get(w->link, &reply));
    assert_true(segment_of(&reply).flags & TCP_RST);
}

static void a_syn_is_never_a_stray(void **state)
{
    struct world *w = *state;
    struct segment syn = syn_to(w->app);
    struct packet p = tcp_packet_of(&syn);
    w->take_strays = true;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(w->strays, 0);
    assert_int_equal(w->syns, 1);
}

static void garbage_is_counted_and_dropped(void **state)
{
    struct world *w = *state;
    struct packet p = {.bytes = {0x45, 0, 0, 200}, .len = 30};
    struct packet reply;
    link_put(w->link, &p);
    p.bytes[0] = 0x75;
    link_put(w->link, &p);
    read_all(w);
    assert_int_equal(stack_stats(w->stack)->malformed, 2);
    assert_int_equal(stack_stats(w->stack)->packets_in, 2);
    assert_false(link_get(w->link, &reply));
}

static void one_read_takes_a_bounded_number_of_packets(void **state)
{
    struct world *w = *state;
    struct packet p = udp_packet(endpoint("100.64.0.2:53"), "q");
    bool more = false;
    w->link->endless = &p;
    assert_int_equal(stack_read(w->stack, &more), 0);
    assert_int_equal(w->questions, STACK_BURST_PACKETS);
    assert_true(more);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(echo_is_answered_for_apps_and_the_dns_server_only),
        TEST(a_datagram_to_an_app_is_unreachable_at_once),
        TEST(a_question_reaches_the_dns_server_and_the_answer_its_asker),
        TEST(a_question_from_beyond_this_host_is_not_answered),
        TEST(a_refused_syn_gets_a_reset_for_it),
        TEST(a_bad_checksum_is_dropped_unless_the_device_vouches_for_it),
        TEST(a_segment_of_an_unknown_flow_is_offered_to_other_workers_first),
        TEST(a_syn_is_never_a_stray),
        TEST(garbage_is_counted_and_dropped),
        TEST(one_read_takes_a_bounded_number_of_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
