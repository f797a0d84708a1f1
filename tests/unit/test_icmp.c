#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "net/checksum.h"
#include "net/icmp.h"
#include "net/udp.h"

struct family {
    struct ip_addr us, them;
    uint8_t icmp, request, reply, unreachable, port_code;
};

static struct family family(uint8_t version)
{
    static const uint8_t us[16] = {0xfd, [15] = 1};
    static const uint8_t them[16] = {0xfd, [15] = 2};
    if (version == 6)
        return (struct family){
            ip_addr_from(6, us), ip_addr_from(6, them), IP_ICMP6, 128, 129, 1, 4};
    return (struct family){ip_addr_v4(10, 0, 0, 1), ip_addr_v4(10, 0, 0, 2), IP_ICMP, 8, 0, 3, 3};
}

static uint8_t memory[70000];

/* A packet from them to us. */
static struct ip_packet packet_of(const struct family *f, uint8_t protocol, const void *l4,
                                  size_t len)
{
    struct ip_packet p;
    size_t n = ip_write_header(memory, &f->them, &f->us, protocol, len);
    memcpy(memory + n, l4, len);
    assert_int_equal(ip_parse(slice_of(memory, n + len), &p), 0);
    return p;
}

/* What was written, parsed; whole, good, from us to them. */
static struct ip_packet parsed(const struct family *f, const uint8_t *bytes, size_t len)
{
    struct ip_packet p;
    assert_int_equal(ip_parse(slice_of(bytes, len), &p), 0);
    assert_int_equal(p.whole.len, len);
    assert_true(checksum_l4_is_good(&p));
    assert_true(ip_addr_eq(&p.src, &f->us) && ip_addr_eq(&p.dst, &f->them));
    return p;
}

static void an_echo_is_answered_with_its_own_bytes(void **state UNUSED)
{
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct family f = family(version);
        const uint8_t echo[] = {f.request, 0, 0, 0, 1, 2, 3, 4, 'p', 'i', 'n', 'g', '!'};
        struct ip_packet p = packet_of(&f, f.icmp, echo, sizeof echo);
        uint8_t answer[200];
        size_t len;
        assert_true(icmp_is_echo_request(&p));
        assert_int_equal(icmp_write_echo_reply(answer, sizeof answer, &p, &len), 0);
        struct ip_packet reply = parsed(&f, answer, len);
        assert_int_equal(reply.l4.data[0], f.reply);
        assert_memory_equal(reply.l4.data + 4, echo + 4, sizeof echo - 4);
        assert_int_equal(icmp_write_echo_reply(answer, len - 1, &p, &len), ERR_TOOBIG);
    }
}

static void what_is_no_echo_request_gets_no_reply(void **state UNUSED)
{
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct family f = family(version);
        const uint8_t reply[8] = {f.reply};
        const uint8_t code[8] = {f.request, 1};
        const uint8_t good[8] = {f.request};
        uint8_t answer[200];
        size_t len;
        struct ip_packet p = packet_of(&f, f.icmp, reply, 8);
        assert_int_equal(icmp_write_echo_reply(answer, sizeof answer, &p, &len), ERR_INVAL);
        p = packet_of(&f, f.icmp, code, 8);
        assert_false(icmp_is_echo_request(&p));
        p = packet_of(&f, f.icmp, good, 7);
        assert_false(icmp_is_echo_request(&p));
        p = packet_of(&f, IP_UDP, good, 8);
        assert_false(icmp_is_echo_request(&p));
        f.us.bytes[0] = version == 4 ? 224 : 0xff; /* to a group */
        p = packet_of(&f, f.icmp, good, 8);
        assert_false(icmp_is_echo_request(&p));
    }
}

static void unreachable_quotes_what_it_is_about(void **state UNUSED)
{
    static uint8_t udp[1400];
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct family f = family(version);
        for (size_t n = 8; n <= sizeof udp; n += sizeof udp - 8) {
            struct ip_packet p = packet_of(&f, IP_UDP, udp, n);
            uint8_t answer[ICMP_ERROR_MAX];
            size_t len;
            assert_int_equal(
                icmp_write_unreachable(answer, sizeof answer, &p, ICMP_PORT_UNREACHABLE, &len), 0);
            struct ip_packet e = parsed(&f, answer, len);
            assert_int_equal(e.l4.data[0], f.unreachable);
            assert_int_equal(e.l4.data[1], f.port_code);
            struct slice quote = slice_from(e.l4, 8);
            assert_memory_equal(quote.data, p.whole.data, quote.len);
            size_t most = version == 4 ? 576 : 1280;
            assert_int_equal(len, MIN(most, p.whole.len + 8 + (version == 4 ? 20 : 40)));
        }
    }
}

static void errors_and_groups_get_no_error(void **state UNUSED)
{
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct family f = family(version);
        const uint8_t error[8] = {f.unreachable};
        const uint8_t echo[8] = {f.request};
        uint8_t answer[ICMP_ERROR_MAX];
        size_t len;
        struct ip_packet p = packet_of(&f, f.icmp, error, 8);
        assert_int_equal(
            icmp_write_unreachable(answer, sizeof answer, &p, ICMP_HOST_UNREACHABLE, &len),
            ERR_DENIED);
        p = packet_of(&f, f.icmp, echo, 8);
        assert_int_equal(icmp_write_unreachable(answer, sizeof answer, &p, ICMP_PROHIBITED, &len),
                         0);
        memset(&f.them.bytes, 0, 16);
        p = packet_of(&f, IP_UDP, echo, 8);
        assert_int_equal(
            icmp_write_unreachable(answer, sizeof answer, &p, ICMP_PORT_UNREACHABLE, &len),
            ERR_DENIED);
    }
}

static void a_datagram_that_is_written_is_read(void **state UNUSED)
{
    for (uint8_t version = 4; version <= 6; version += 2) {
        struct family f = family(version);
        struct udp_datagram d = {
            .src = {f.us, 53}, .dst = {f.them, 4321}, .payload = SLICE_LIT("abc")};
        struct udp_datagram again;
        uint8_t bytes[100];
        size_t len;
        assert_int_equal(udp_write(bytes, sizeof bytes, &d, &len), 0);
        struct ip_packet p = parsed(&f, bytes, len);
        assert_int_equal(udp_parse(&p, &again), 0);
        assert_true(ip_endpoint_eq(&again.src, &d.src) && ip_endpoint_eq(&again.dst, &d.dst));
        assert_true(slice_eq_str(again.payload, "abc"));
        assert_int_equal(udp_write(bytes, len - 1, &d, &len), ERR_TOOBIG);
    }
}

static void a_datagram_is_as_long_as_it_says_or_refused(void **state UNUSED)
{
    struct family f = family(4);
    uint8_t udp[12] = {0, 1, 0, 2, 0, 10, 0, 0, 'a', 'b', 'c', 'd'};
    struct udp_datagram d;
    struct ip_packet p = packet_of(&f, IP_UDP, udp, sizeof udp);
    assert_int_equal(udp_parse(&p, &d), 0);
    assert_true(slice_eq_str(d.payload, "ab"));
    udp[5] = 13;
    p = packet_of(&f, IP_UDP, udp, sizeof udp);
    assert_int_equal(udp_parse(&p, &d), ERR_TRUNCATED);
    udp[5] = 7;
    p = packet_of(&f, IP_UDP, udp, sizeof udp);
    assert_int_equal(udp_parse(&p, &d), ERR_FORMAT);
    p = packet_of(&f, IP_UDP, udp, 7);
    assert_int_equal(udp_parse(&p, &d), ERR_TRUNCATED);
}

/* RFC 768: a sum of zero is sent as all ones, for zero means that there is none. */
static void a_udp_checksum_is_never_zero(void **state UNUSED)
{
    struct family f = family(4);
    uint8_t bytes[100];
    size_t len;
    bool seen = false;
    for (unsigned port = 1; port <= UINT16_MAX; port++) {
        struct udp_datagram d = {.src = {f.us, (uint16_t)port}, .dst = {f.them, 53}};
        assert_int_equal(udp_write(bytes, sizeof bytes, &d, &len), 0);
        assert_false(bytes[26] == 0 && bytes[27] == 0);
        seen |= bytes[26] == 0xff && bytes[27] == 0xff;
    }
    assert_true(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_is_answered_with_its_own_bytes),
        cmocka_unit_test(what_is_no_echo_request_gets_no_reply),
        cmocka_unit_test(unreachable_quotes_what_it_is_about),
        cmocka_unit_test(errors_and_groups_get_no_error),
        cmocka_unit_test(a_datagram_that_is_written_is_read),
        cmocka_unit_test(a_datagram_is_as_long_as_it_says_or_refused),
        cmocka_unit_test(a_udp_checksum_is_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
