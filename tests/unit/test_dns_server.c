/* The DNS server with a fake agent and real upstreams on loopback. */
#include "testing.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "engine/dns_server.h"

/* What the upstream does with a question. */
enum manner { ANSWER, SILENT, WRONG_CASE_FIRST, SERVER_FAILURE, LONG_ANSWER, CUT_ANSWER };

struct upstream_double {
    uv_udp_t udp;
    uv_tcp_t tcp;
    uint16_t port;
    enum manner manner;
    unsigned asked;
    unsigned asked_by_tcp;
    uint8_t last[512];
};

struct world {
    struct loop loop;
    struct names *names;
    struct resolver *resolver;
    struct dns_server *server;
    struct upstream_double upstreams[2];
    unsigned first; /* the one that index 0 leads to */
    unsigned agent_asked;
    int agent_says; /* 0: an app; else the error */
    bool web;       /* the app is a web app */
    bool agent_waits;
    dns_resolved pending[8];
    void *pending_arg[8];
    unsigned pending_count;
    unsigned replies;
    uint8_t reply[DNS_MESSAGE_MAX];
    size_t reply_len;
};

static uint8_t udp_buffer[2048];

static void alloc(uv_handle_t *h, size_t n, uv_buf_t *buf)
{
    (void)h;
    (void)n;
    *buf = uv_buf_init((char *)udp_buffer, sizeof(udp_buffer));
}

/* The question turned into an answer with one byte more for each of `extra`. */
static size_t answer_to(const struct upstream_double *u, uint8_t *m, size_t len, size_t extra)
{
    m[2] |= 0x80;
    if (u->manner == SERVER_FAILURE)
        m[3] |= DNS_SERVFAIL;
    memset(m + len, 0, extra);
    return len + extra;
}

static void udp_reply(uv_udp_t *udp, const uint8_t *m, size_t len, const struct sockaddr *to)
{
    union {
        const uint8_t *in;
        char *out;
    } bytes = {.in = m};
    uv_buf_t buf = uv_buf_init(bytes.out, (unsigned)len);

    assert_int_equal(uv_udp_try_send(udp, &buf, 1, to), (int)len);
}

static void on_udp(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                   unsigned flags)
{
    struct upstream_double *u = CONTAINER_OF(udp, struct upstream_double, udp);
    uint8_t m[2048];

    (void)flags;
    if (n <= 0 || from == NULL)
        return;
    u->asked++;
    memcpy(u->last, buf->base, MIN((size_t)n, sizeof(u->last)));
    memcpy(m, buf->base, (size_t)n);
    if (u->manner == SILENT)
        return;
    size_t len = answer_to(u, m, (size_t)n, u->manner == LONG_ANSWER ? 900 : 0);
    if (u->manner == WRONG_CASE_FIRST) {
        m[13] ^= 0x20;
        m[len] = 0xee; /* so that it would be noticed */
        udp_reply(udp, m, len + 1, from);
        m[13] ^= 0x20;
    }
    udp_reply(udp, m, len, from);
}

static void on_tcp_closed(uv_handle_t *h)
{
    mem_free(h);
}

static void on_tcp_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct upstream_double *u = s->data;

    if (n > 2) {
        u->asked_by_tcp++;
        uint8_t m[2048];
        memcpy(m, buf->base, (size_t)n);
        m[4] |= 0x80;
        uv_buf_t out = uv_buf_init((char *)m, (unsigned)n);
        assert_int_equal(uv_try_write(s, &out, 1), (int)n);
    } else if (n < 0) {
        uv_close((uv_handle_t *)s, on_tcp_closed);
    }
}

static void on_tcp(uv_stream_t *listener, int status)
{
    uv_tcp_t *c = NEW(uv_tcp_t);

    assert_int_equal(status, 0);
    assert_int_equal(uv_tcp_init(listener->loop, c), 0);
    c->data = CONTAINER_OF((uv_tcp_t *)listener, struct upstream_double, tcp);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)c), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)c, alloc, on_tcp_read), 0);
}

/* A UDP and a TCP socket on one port, which for TCP alone may be taken by someone else. */
static uint16_t open_pair(int *ret_udp, int *ret_tcp)
{
    for (unsigned tries = 0; tries < 100; tries++) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(a);
        int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(udp >= 0 && tcp >= 0);
        assert_int_equal(bind(udp, (struct sockaddr *)&a, len), 0);
        assert_int_equal(getsockname(udp, (struct sockaddr *)&a, &len), 0);
        if (bind(tcp, (struct sockaddr *)&a, len) == 0) {
            *ret_udp = udp;
            *ret_tcp = tcp;
            return ntohs(a.sin_port);
        }
        close(udp);
        close(tcp);
    }
    fail_msg("no port is free for both UDP and TCP");
    return 0;
}

static void upstream_start(struct world *w, struct upstream_double *u)
{
    int udp = -1;
    int tcp = -1;

    u->port = open_pair(&udp, &tcp);
    assert_int_equal(uv_udp_init(&w->loop.uv, &u->udp), 0);
    assert_int_equal(uv_udp_open(&u->udp, udp), 0);
    assert_int_equal(uv_udp_recv_start(&u->udp, alloc, on_udp), 0);
    assert_int_equal(uv_tcp_init(&w->loop.uv, &u->tcp), 0);
    assert_int_equal(uv_tcp_open(&u->tcp, tcp), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&u->tcp, 8, on_tcp), 0);
}

static void open_socket(void *arg, unsigned index, bool tcp, resolver_opened done, void *done_arg)
{
    struct world *w = arg;
    struct sockaddr_in a;
    int fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);

    index = (w->first + index) % ARRAY_LEN(w->upstreams);
    assert_int_equal(uv_ip4_addr("127.0.0.1", w->upstreams[index].port, &a), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    done(done_arg, 0, fd);
}

static void agent_reply(struct world *w, dns_resolved done, void *done_arg)
{
    Stile__Vnet__V1__AppInfo *info = NULL;

    if (w->agent_says == 0) {
        info = NEW(Stile__Vnet__V1__AppInfo);
        stile__vnet__v1__app_info__init(info);
        info->app = NEW(Stile__Vnet__V1__App);
        stile__vnet__v1__app__init(info->app);
        info->app->web = w->web;
    }
    done(done_arg, w->agent_says, info);
}

static void resolve(void *arg, const struct name *fqdn, dns_resolved done, void *done_arg)
{
    struct world *w = arg;

    (void)fqdn;
    w->agent_asked++;
    if (w->agent_waits) {
        w->pending[w->pending_count] = done;
        w->pending_arg[w->pending_count++] = done_arg;
    } else {
        agent_reply(w, done, done_arg);
    }
}

static const struct resolver_ops resolver_ops = {.open = open_socket};
static const struct dns_server_ops server_ops = {.resolve = resolve};

static int setup(void **state)
{
    struct world *w = NEW(struct world);
    struct names_config c = {.range_count = 1};
    char demo[] = "demo.test";
    char gateway[] = "gw.demo.test";
    char *zones[] = {demo};
    char *forwarded[] = {gateway};

    assert_int_equal(loop_init(&w->loop), 0);
    assert_int_equal(prefix_parse("fd60:67ec:4325::/48", &c.prefix6), 0);
    assert_int_equal(prefix_parse("100.64.0.0/10", &c.ranges[0]), 0);
    assert_int_equal(names_new(&c, &w->names), 0);
    assert_int_equal(names_set_zones(w->names, zones, 1, forwarded, 1), 0);
    for (unsigned i = 0; i < 2; i++)
        upstream_start(w, &w->upstreams[i]);
    assert_int_equal(resolver_new(&w->loop, 2, &resolver_ops, w, &w->resolver), 0);
    assert_int_equal(dns_server_new(w->names, w->resolver, &server_ops, w, &w->server), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    resolver_free(w->resolver);
    dns_server_free(w->server);
    for (unsigned i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&w->upstreams[i].udp, NULL);
        uv_close((uv_handle_t *)&w->upstreams[i].tcp, NULL);
    }
    for (unsigned i = 0; i < 10; i++)
        loop_turn(&w->loop, false);
    assert_int_equal(loop_release(&w->loop), 0);
    names_free(w->names);
    mem_free(w);
    return 0;
}

static void on_reply(void *arg, struct slice answer)
{
    struct world *w = arg;

    w->replies++;
    w->reply_len = answer.len;
    if (answer.len > 0)
        memcpy(w->reply, answer.data, answer.len);
}

static void ask_only(struct world *w, const char *fqdn, uint16_t type, bool tcp)
{
    uint8_t memory[512];
    struct wr m = wr_init(memory, sizeof(memory));
    struct name n;

    assert_int_equal(name_parse(fqdn, &n), 0);
    wr_u16(&m, 0x4242);
    wr_u16(&m, 0x0100);
    wr_u16(&m, 1);
    wr_zeros(&m, 6);
    name_write(&m, &n);
    wr_u16(&m, type);
    wr_u16(&m, DNS_CLASS_IN);
    assert_int_equal(wr_end(&m), 0);
    dns_server_ask(w->server, slice_of(memory, wr_len(&m)), tcp, on_reply, w);
}

static void ask(struct world *w, const char *fqdn, uint16_t type, bool tcp)
{
    unsigned before = w->replies;
    uint64_t end = clock_mono_ns() + 8 * NS_PER_S;

    ask_only(w, fqdn, type, tcp);
    while (w->replies == before && clock_mono_ns() < end)
        loop_turn(&w->loop, true);
    assert_int_equal(w->replies, before + 1);
    assert_true(w->reply_len >= DNS_HEADER_SIZE);
    assert_int_equal(w->reply[0] << 8 | w->reply[1], 0x4242);
}

static unsigned answers(const struct world *w)
{
    return (unsigned)w->reply[7];
}

static enum dns_rcode rcode(const struct world *w)
{
    return dns_rcode_of(slice_of(w->reply, w->reply_len));
}

static void test_app_names_are_asked_of_the_agent_once_and_answered_in_both_families(void **state)
{
    struct world *w = *state;

    ask(w, "pg.demo.test", DNS_TYPE_A, false);
    assert_int_equal(answers(w), 1);
    assert_int_equal(w->reply[2] & 0x04, 0x04); /* authoritative */
    assert_int_equal(w->reply[w->reply_len - 4], 100);
    ask(w, "PG.Demo.Test", DNS_TYPE_AAAA, false);
    assert_int_equal(answers(w), 1);
    assert_int_equal(w->reply[w->reply_len - 16], 0xfd);
    ask(w, "pg.demo.test", 16, false);
    assert_int_equal(answers(w), 0);
    assert_int_equal(w->reply[9], 1); /* SOA */
    assert_int_equal(w->agent_asked, 1);
    assert_int_equal(w->upstreams[0].asked + w->upstreams[1].asked, 0); /* nothing leaked */
}

static void test_names_outside_the_zones_never_reach_the_agent(void **state)
{
    struct world *w = *state;
    static const char *const outside[] = {"www.example", "gw.demo.test",
                                          "1.1.168.192.in-addr.arpa"};

    for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
        ask(w, outside[i], DNS_TYPE_A, false);
        assert_int_equal(rcode(w), DNS_NOERROR);
    }
    assert_int_equal(w->agent_asked, 0);
    assert_int_equal(w->upstreams[0].asked, 3);
}

static void test_probes_get_the_server_s_own_addresses_and_nobody_else_is_asked(void **state)
{
    struct world *w = *state;
    static const uint8_t v4[] = {100, 64, 0, 2};
    static const uint8_t v6[] = {0xfd, 0x60, 0x67, 0xec, 0x43, 0x25, [15] = 2};

    ask(w, "stile-diag-k3v9.demo.test", DNS_TYPE_A, false);
    assert_int_equal(answers(w), 1);
    assert_int_equal(w->reply[2] & 0x04, 0x04); /* authoritative */
    assert_memory_equal(w->reply + w->reply_len - sizeof(v4), v4, sizeof(v4));
    assert_memory_equal(w->reply + w->reply_len - sizeof(v4) - 6, "\0\0\0\0", 4); /* TTL */
    ask(w, "STILE-Diag-.Demo.Test", DNS_TYPE_AAAA, true);
    assert_int_equal(answers(w), 1);
    assert_memory_equal(w->reply + w->reply_len - sizeof(v6), v6, sizeof(v6));
    ask(w, "stile-diag-k3v9.demo.test", 16, false);
    assert_int_equal(answers(w), 0);
    assert_int_equal(rcode(w), DNS_NOERROR);
    assert_int_equal(w->agent_asked + w->upstreams[0].asked, 0);
    /* Below a name of the zone, or outside: nothing special. */
    ask(w, "stile-diag-k3v9.pg.demo.test", DNS_TYPE_A, false);
    assert_int_equal(w->agent_asked, 1);
    ask(w, "stile-diag-k3v9.example", DNS_TYPE_A, false);
    assert_int_equal(w->upstreams[0].asked, 1);
}

static void test_unknown_names_and_web_apps_in_the_zone_are_forwarded(void **state)
{
    struct world *w = *state;

    w->agent_says = ERR_NOTFOUND;
    ask(w, "nothing.demo.test", DNS_TYPE_A, false);
    assert_int_equal(w->upstreams[0].asked, 1);
    w->agent_says = 0;
    w->web = true;
    ask(w, "dash.demo.test", DNS_TYPE_A, false);
    assert_int_equal(w->upstreams[0].asked, 2);
    assert_int_equal(answers(w), 0);
}

static void test_an_agent_that_can_t_tell_gives_server_failure(void **state)
{
    struct world *w = *state;

    w->agent_says = ERR_UNREACHABLE;
    ask(w, "pg.demo.test", DNS_TYPE_A, false);
    assert_int_equal(rcode(w), DNS_SERVFAIL);
    assert_int_equal(w->upstreams[0].asked, 0);
}

static void test_the_same_name_is_asked_of_the_agent_once_however_many_wait(void **state)
{
    struct world *w = *state;

    w->agent_waits = true;
    for (unsigned i = 0; i < 5; i++)
        ask_only(w, "pg.demo.test", DNS_TYPE_A, false);
    assert_int_equal(w->agent_asked, 1);
    assert_int_equal(w->replies, 0);
    agent_reply(w, w->pending[0], w->pending_arg[0]);
    assert_int_equal(w->replies, 5);
}

static void test_upstream_sees_another_id_and_case_and_the_asker_its_own(void **state)
{
    struct world *w = *state;
    unsigned differ = 0;

    for (unsigned i = 0; i < 8; i++) {
        ask(w, "some.quite.long.name.example", DNS_TYPE_A, false);
        differ += memcmp(w->upstreams[0].last + 12, w->reply + 12, 28) != 0;
        assert_memory_equal(w->reply + 12, "\004some\005quite\004long\004name\007example", 29);
    }
    assert_true(differ >= 7);
}

static void test_a_forged_answer_with_the_wrong_case_is_waited_out(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = WRONG_CASE_FIRST;
    ask(w, "www.example", DNS_TYPE_A, false);
    assert_int_equal(w->reply_len, 12 + 13 + 4);
}

static void test_a_silent_upstream_is_passed_over_and_the_next_one_remembered(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = SILENT;
    ask(w, "www.example", DNS_TYPE_A, false);
    assert_int_equal(w->upstreams[1].asked, 1);
    ask(w, "www2.example", DNS_TYPE_A, false);
    assert_int_equal(w->upstreams[1].asked, 2);
    assert_int_equal(w->upstreams[0].asked, 1);
}

static void test_silence_everywhere_is_server_failure_not_silence(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = w->upstreams[1].manner = SILENT;
    uint64_t before = clock_mono_ns();
    ask(w, "www.example", DNS_TYPE_A, false);
    assert_int_equal(rcode(w), DNS_SERVFAIL);
    assert_true(clock_mono_ns() - before < 5 * NS_PER_S);
}

static void test_a_failing_upstream_is_asked_only_once_before_the_next(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = SERVER_FAILURE;
    ask(w, "www.example", DNS_TYPE_A, false);
    assert_int_equal(rcode(w), DNS_NOERROR);
    assert_int_equal(w->upstreams[1].asked, 1);
}

static void use_second_alone(struct world *w)
{
    w->first = 1;
    resolver_set_upstreams(w->resolver, 1);
}

static void await_reply(struct world *w)
{
    uint64_t end = clock_mono_ns() + 8 * NS_PER_S;

    while (w->replies == 0 && clock_mono_ns() < end)
        loop_turn(&w->loop, true);
    assert_int_equal(w->replies, 1);
}

static void test_other_upstreams_are_asked_from_now_on(void **state)
{
    struct world *w = *state;

    ask(w, "www.example.org", DNS_TYPE_A, false);
    assert_int_equal(w->upstreams[0].asked, 1);
    use_second_alone(w);
    ask(w, "www.example.org", DNS_TYPE_A, false);
    ask(w, "www.example.org", DNS_TYPE_A, true);
    assert_int_equal(w->upstreams[0].asked, 1);
    assert_int_equal(w->upstreams[0].asked_by_tcp, 0);
    assert_int_equal(w->upstreams[1].asked, 1);
    assert_int_equal(w->upstreams[1].asked_by_tcp, 1);
}

static void test_a_question_under_way_takes_the_answer_of_the_old_upstream(void **state)
{
    struct world *w = *state;

    ask_only(w, "www.example.org", DNS_TYPE_A, false);
    use_second_alone(w);
    await_reply(w);
    assert_int_equal(rcode(w), DNS_NOERROR);
    assert_int_equal(w->upstreams[1].asked, 0);
}

static void test_a_question_that_old_upstreams_leave_open_is_asked_of_the_new_ones(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = SILENT;
    ask_only(w, "www.example.org", DNS_TYPE_A, false);
    use_second_alone(w);
    await_reply(w);
    assert_int_equal(rcode(w), DNS_NOERROR);
    assert_int_equal(w->upstreams[1].asked, 1);
}

static void test_without_any_upstream_left_a_question_fails(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = SILENT;
    ask_only(w, "www.example.org", DNS_TYPE_A, false);
    resolver_set_upstreams(w->resolver, 0);
    await_reply(w);
    assert_int_equal(rcode(w), DNS_SERVFAIL);
}

static void test_a_long_answer_is_cut_for_udp_and_whole_by_tcp(void **state)
{
    struct world *w = *state;

    w->upstreams[0].manner = LONG_ANSWER;
    ask(w, "www.example", DNS_TYPE_A, false);
    assert_true(w->reply_len <= 512);
    assert_true(dns_is_truncated(slice_of(w->reply, w->reply_len)));
    ask(w, "www.example", DNS_TYPE_A, true);
    assert_false(dns_is_truncated(slice_of(w->reply, w->reply_len)));
    assert_int_equal(w->upstreams[0].asked_by_tcp, 1);
}

static void test_garbage_gets_no_answer_and_other_opcodes_not_implemented(void **state)
{
    struct world *w = *state;
    static const uint8_t answer[12] = {0, 1, 0x80};
    static const uint8_t update[12] = {0x42, 0x42, 0x28};

    dns_server_ask(w->server, slice_of(answer, 11), false, on_reply, w);
    assert_int_equal(w->reply_len, 0);
    dns_server_ask(w->server, slice_of(answer, 12), false, on_reply, w);
    assert_int_equal(w->reply_len, 0);
    dns_server_ask(w->server, slice_of(update, 12), false, on_reply, w);
    assert_int_equal(rcode(w), DNS_NOTIMP);
    assert_int_equal(w->replies, 3);
}

static void test_failing_memory_never_leaves_a_question_without_a_reply(void **state)
{
    struct world *w = *state;

    for (uint64_t i = 1; i < 12; i++) {
        unsigned before = w->replies;
        w->agent_says = ERR_NOTFOUND;
        (void)mem_fail_at(i);
        ask_only(w, "lost.demo.test", DNS_TYPE_A, false);
        uint64_t end = clock_mono_ns() + 8 * NS_PER_S;
        while (w->replies == before && clock_mono_ns() < end)
            loop_turn(&w->loop, true);
        (void)mem_fail_at(0);
        assert_int_equal(w->replies, before + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_app_names_are_asked_of_the_agent_once_and_answered_in_both_families),
        TEST(test_names_outside_the_zones_never_reach_the_agent),
        TEST(test_probes_get_the_server_s_own_addresses_and_nobody_else_is_asked),
        TEST(test_unknown_names_and_web_apps_in_the_zone_are_forwarded),
        TEST(test_an_agent_that_can_t_tell_gives_server_failure),
        TEST(test_the_same_name_is_asked_of_the_agent_once_however_many_wait),
        TEST(test_upstream_sees_another_id_and_case_and_the_asker_its_own),
        TEST(test_a_forged_answer_with_the_wrong_case_is_waited_out),
        TEST(test_a_silent_upstream_is_passed_over_and_the_next_one_remembered),
        TEST(test_silence_everywhere_is_server_failure_not_silence),
        TEST(test_a_failing_upstream_is_asked_only_once_before_the_next),
        TEST(test_other_upstreams_are_asked_from_now_on),
        TEST(test_a_question_under_way_takes_the_answer_of_the_old_upstream),
        TEST(test_a_question_that_old_upstreams_leave_open_is_asked_of_the_new_ones),
        TEST(test_without_any_upstream_left_a_question_fails),
        TEST(test_a_long_answer_is_cut_for_udp_and_whole_by_tcp),
        TEST(test_garbage_gets_no_answer_and_other_opcodes_not_implemented),
        TEST(test_failing_memory_never_leaves_a_question_without_a_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
