#include "testing.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/slice.h"
#include "diag/dns_question.h"
#include "diag/host_lookup.h"
#include "net/dns.h"

/* ---- replies ---- */

#define QUESTION "\002pg\007example\000\000\001\000\001"

/* A response to QUESTION: flags, count of answers, the records. */
static enum dns_outcome read_reply(uint16_t flags, uint16_t answers, struct slice records,
                                   uint16_t type, struct ip_addr *got)
{
    uint8_t memory[512];
    struct wr w = wr_init(memory, sizeof(memory));
    wr_u16(&w, 7);
    wr_u16(&w, flags);
    wr_u16(&w, 1);
    wr_u16(&w, answers);
    wr_zeros(&w, 4);
    wr_bytes(&w, SLICE_LIT(QUESTION));
    wr_bytes(&w, records);
    assert_int_equal(wr_end(&w), 0);
    return dns_reply_read(slice_of(memory, wr_len(&w)), sizeof(QUESTION) - 1, type, got);
}

#define A_RECORD     "\300\014\000\001\000\001\000\000\000\000\000\004\144\100\000\002"
#define CNAME_RECORD "\300\014\000\005\000\001\000\000\000\000\000\003\001x\000"

static void the_first_address_of_the_type_counts(void **state)
{
    struct ip_addr got = {0};
    struct ip_addr right = ip_addr_v4(100, 64, 0, 2);
    (void)state;
    assert_int_equal(read_reply(0x8180, 1, SLICE_LIT(A_RECORD), DNS_TYPE_A, &got), DNS_FOREIGN);
    assert_true(ip_addr_eq(&got, &right));
    assert_int_equal(read_reply(0x8180, 2, SLICE_LIT(CNAME_RECORD A_RECORD), DNS_TYPE_A, &got),
                     DNS_FOREIGN);
    assert_int_equal(read_reply(0x8180, 1, SLICE_LIT(A_RECORD), DNS_TYPE_AAAA, &got), DNS_NO_NAME);
    assert_int_equal(read_reply(0x8180, 0, SLICE_LIT(""), DNS_TYPE_A, &got), DNS_NO_NAME);
}

static void errors_and_broken_replies_are_no_answers(void **state)
{
    struct ip_addr got;
    (void)state;
    assert_int_equal(read_reply(0x8183, 0, SLICE_LIT(""), DNS_TYPE_A, &got), DNS_NO_NAME);
    assert_int_equal(read_reply(0x8182, 0, SLICE_LIT(""), DNS_TYPE_A, &got), DNS_FAILED);
    assert_int_equal(read_reply(0x8180, 9, SLICE_LIT(CNAME_RECORD), DNS_TYPE_A, &got), DNS_FAILED);
    for (size_t cut = 1; cut < sizeof(A_RECORD) - 1; cut++)
        assert_int_equal(read_reply(0x8180, 1, slice_of(A_RECORD, cut), DNS_TYPE_A, &got),
                         DNS_FAILED);
    assert_int_equal(dns_reply_read(SLICE_LIT("\000\000"), 4, DNS_TYPE_A, &got), DNS_FAILED);
}

/* ---- a server ---- */

struct server {
    int udp;
    int stop[2];
    uint16_t port;
    unsigned asked;
    unsigned ignore; /* so many questions first */
    pthread_t thread;
};

static void answer(struct server *s)
{
    uint8_t message[1024];
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(s->udp, message, 512, 0, (struct sockaddr *)&from, &len);
    if (n < DNS_HEADER_SIZE || s->asked++ < s->ignore)
        return;
    message[2] |= 0x80;
    message[7] = 1;
    memcpy(message + n, A_RECORD, sizeof(A_RECORD) - 1);
    (void)sendto(s->udp, message, (size_t)n + sizeof(A_RECORD) - 1, 0, (struct sockaddr *)&from,
                 len);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (;;) {
        struct pollfd fds[] = {{.fd = s->udp, .events = POLLIN},
                               {.fd = s->stop[0], .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 || fds[1].revents != 0)
            return NULL;
        answer(s);
    }
}

static int setup(void **state)
{
    static struct server s;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    memset(&s, 0, sizeof(s));
    s.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s.udp, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(getsockname(s.udp, (struct sockaddr *)&addr, &len), 0);
    s.port = ntohs(addr.sin_port);
    assert_int_equal(pipe(s.stop), 0);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    struct server *s = *state;
    (void)close(s->stop[1]);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->stop[0]);
    (void)close(s->udp);
    return 0;
}

static struct dns_question question(const struct server *s)
{
    return (struct dns_question){
        .server = "127.0.0.1", .port = s->port, .name = "pg.example", .type = DNS_TYPE_A};
}

static void many_are_asked_at_once(void **state)
{
    struct server *s = *state;
    struct dns_question q[20];
    struct ip_addr right = ip_addr_v4(100, 64, 0, 2);
    for (size_t i = 0; i < ARRAY_LEN(q); i++)
        q[i] = question(s);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    dns_questions_ask(q, ARRAY_LEN(q), 5000);
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        assert_int_equal(q[i].outcome, DNS_FOREIGN);
        assert_true(ip_addr_eq(&q[i].got, &right));
    }
}

static void a_lost_datagram_is_sent_again(void **state)
{
    struct server *s = *state;
    struct dns_question q = question(s);
    s->ignore = 1;
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    dns_questions_ask(&q, 1, 1000);
    assert_int_equal(q.outcome, DNS_FOREIGN);
    assert_int_equal(s->asked, 2);
}

static void silence_and_refusal_end_in_time(void **state)
{
    struct server *s = *state;
    struct dns_question q[3] = {question(s), question(s), question(s)};
    s->ignore = 100;
    q[1].transport = DNS_TCP; /* nobody listens */
    q[2].server = "not an address";
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    uint64_t began = clock_mono_ns();
    dns_questions_ask(q, ARRAY_LEN(q), 300);
    assert_true(clock_mono_ns() - began < 5 * NS_PER_S);
    assert_int_equal(q[0].outcome, DNS_SILENT);
    assert_int_equal(q[1].outcome, DNS_FAILED);
    assert_int_equal(q[2].outcome, DNS_FAILED);
}

static void the_host_s_resolver_is_asked_of_each_family(void **state)
{
    struct host_lookup l[3] = {{.name = "127.0.0.9", .version = 4},
                               {.name = "::9", .version = 6},
                               {.name = "127.0.0.9", .version = 6}};
    (void)state;
    host_lookups_run(l, ARRAY_LEN(l), 5000);
    assert_int_equal(l[0].outcome, DNS_FOREIGN);
    assert_int_equal(l[0].got.bytes[3], 9);
    assert_int_equal(l[1].outcome, DNS_FOREIGN);
    assert_int_equal(l[1].got.bytes[15], 9);
    assert_int_equal(l[2].outcome, DNS_NO_NAME);
    host_lookups_run(l, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(the_first_address_of_the_type_counts),
        cmocka_unit_test(errors_and_broken_replies_are_no_answers),
        TEST(many_are_asked_at_once),
        TEST(a_lost_datagram_is_sent_again),
        TEST(silence_and_refusal_end_in_time),
        cmocka_unit_test(the_host_s_resolver_is_asked_of_each_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
