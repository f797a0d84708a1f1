#include "testing.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "net/checksum.h"
#include "net/ip.h"

static struct ip_addr addr(const char *text)
{
    struct ip_addr a = {0};
    assert_int_equal(ip_addr_parse(text, &a), 0);
    return a;
}

static void addresses_that_are_read_are_written_as_rfc_5952_wants(void **state UNUSED)
{
    static const char *const pairs[][2] = {
        {"10.0.0.1", "10.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"FD00:0:0:0:0:0:0:1", "fd00::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::ffff:1.2.3.4", "::ffff:102:304"},
        {"0abc::0010", "abc::10"},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        char text[IP_ADDR_TEXT_SIZE];
        struct ip_addr a = addr(pairs[i][0]);
        ip_addr_format(&a, text);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void texts_that_are_no_address_are_refused(void **state UNUSED)
{
    static const char *const texts[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        "1..2.3",
        ":",
        ":::",
        "1::2::3",
        "1:2:3:4:5:6:7",
        "12345::",
        "1:2:3:4:5:6:7:8:9",
        "::1.2.3",
        "1:2:3:4:5:6:7:1.2.3.4",
        "fe80::1%eth0",
        "[::1]",
        "1:",
        ":1",
        "::g",
        "1:2:3:4:5:6:7:8::",
        "1.2.3.4:5",
        "1000.2.3.4",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct ip_addr a;
        assert_int_equal(ip_addr_parse(texts[i], &a), ERR_FORMAT);
    }
}

static void endpoints_are_read_and_written(void **state UNUSED)
{
    struct ip_endpoint e;
    char text[IP_ENDPOINT_TEXT_SIZE];
    assert_int_equal(ip_endpoint_parse("[fd00::1]:443", &e), 0);
    assert_int_equal(e.port, 443);
    ip_endpoint_format(&e, text);
    assert_string_equal(text, "[fd00::1]:443");
    assert_int_equal(ip_endpoint_parse("10.0.0.1:65535", &e), 0);
    ip_endpoint_format(&e, text);
    assert_string_equal(text, "10.0.0.1:65535");
    static const char *const bad[] = {"10.0.0.1",      "10.0.0.1:", ":80",   "fd00::1:80",
                                      "[10.0.0.1]:80", "[fd00::1]", "[]:80", "10.0.0.1:65536",
                                      "10.0.0.1:x",    "]:1",       "[:1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(ip_endpoint_parse(bad[i], &e) < 0);
}

static void kinds_of_addresses_are_told_apart(void **state UNUSED)
{
    struct ip_addr a = addr("127.9.9.9");
    assert_true(ip_addr_is_loopback(&a));
    a = addr("::1");
    assert_true(ip_addr_is_loopback(&a) && !ip_addr_is_unspecified(&a));
    a = addr("224.0.0.1");
    assert_true(ip_addr_is_multicast(&a));
    a = addr("255.255.255.255");
    assert_true(ip_addr_is_multicast(&a));
    a = addr("ff02::1");
    assert_true(ip_addr_is_multicast(&a));
    a = addr("169.254.3.4");
    assert_true(ip_addr_is_link_local(&a));
    a = addr("fe90::1");
    assert_true(ip_addr_is_link_local(&a) && !ip_addr_is_multicast(&a));
    struct ip_addr b = addr("10.0.0.1");
    assert_true(ip_addr_cmp(&b, &a) < 0 && !ip_addr_eq(&a, &b));
}

/* A packet with a payload of 5 bytes. */
static size_t make(uint8_t packet[100], const char *src, const char *dst)
{
    struct ip_addr s = addr(src);
    struct ip_addr d = addr(dst);
    size_t n = ip_write_header(packet, &s, &d, IP_TCP, 5);
    memcpy(packet + n, "hello", 5);
    return n + 5;
}

static void what_is_written_is_read(void **state UNUSED)
{
    static const char *const pairs[][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
    for (size_t i = 0; i < 2; i++) {
        uint8_t packet[100];
        struct ip_packet p;
        size_t n = make(packet, pairs[i][0], pairs[i][1]);
        /* What follows the end of the packet isn't part of it. */
        assert_int_equal(ip_parse(slice_of(packet, n + 7), &p), 0);
        struct ip_addr src = addr(pairs[i][0]);
        struct ip_addr dst = addr(pairs[i][1]);
        assert_true(ip_addr_eq(&p.src, &src) && ip_addr_eq(&p.dst, &dst));
        assert_int_equal(p.protocol, IP_TCP);
        assert_int_equal(p.hop_limit, 64);
        assert_int_equal(p.whole.len, n);
        assert_true(slice_eq_str(p.l4, "hello"));
        for (size_t cut = 0; cut < n; cut++)
            assert_true(ip_parse(slice_of(packet, cut), &p) < 0);
    }
}

static void fix_sum(uint8_t *packet, size_t header)
{
    struct checksum c = {0};
    memset(packet + 10, 0, 2);
    checksum_add(&c, slice_of(packet, header));
    checksum_put(&c, packet + 10);
}

static void a_broken_ipv4_header_is_refused(void **state UNUSED)
{
    uint8_t packet[100];
    struct ip_packet p;
    size_t n = make(packet, "10.0.0.1", "10.0.0.2");
    packet[8]--;
    assert_int_equal(ip_parse(slice_of(packet, n), &p), ERR_FORMAT);
    fix_sum(packet, 20);
    assert_int_equal(ip_parse(slice_of(packet, n), &p), 0);
    packet[6] = 0x20; /* more fragments */
    fix_sum(packet, 20);
    assert_int_equal(ip_parse(slice_of(packet, n), &p), ERR_UNSUPPORTED);
    packet[6] = 0;
    packet[7] = 1; /* a later fragment */
    fix_sum(packet, 20);
    assert_int_equal(ip_parse(slice_of(packet, n), &p), ERR_UNSUPPORTED);
    packet[7] = 0;
    packet[0] = 0x44; /* a header of 16 bytes */
    assert_int_equal(ip_parse(slice_of(packet, n), &p), ERR_FORMAT);
    packet[0] = 0x47; /* of 28: more than the packet */
    assert_int_equal(ip_parse(slice_of(packet, n), &p), ERR_FORMAT);
    packet[0] = 0x55;
    assert_int_equal(ip_parse(slice_of(packet, n), &p), ERR_FORMAT);
}

static void ipv4_options_are_stepped_over(void **state UNUSED)
{
    uint8_t packet[100] = {0x46, 0, 0, 29, 0, 0, 0, 0, 9, IP_UDP, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
    struct ip_packet p;
    memcpy(packet + 20, "\1\1\1\0hello", 9);
    fix_sum(packet, 24);
    assert_int_equal(ip_parse(slice_of(packet, 29), &p), 0);
    assert_true(slice_eq_str(p.l4, "hello"));
}

/* An IPv6 packet of these bytes behind the header. */
static int parse_v6(uint8_t next, const void *rest, size_t len, struct ip_packet *ret)
{
    static uint8_t packet[200];
    struct ip_addr a = addr("fd00::1");
    size_t n = ip_write_header(packet, &a, &a, next, len);
    memcpy(packet + n, rest, len);
    return ip_parse(slice_of(packet, n + len), ret);
}

static void ipv6_extension_headers_are_stepped_over_or_refused(void **state UNUSED)
{
    struct ip_packet p;
    const uint8_t hop[] = {60, 0, 1, 4, 0, 0, 0, 0, IP_TCP, 0, 1, 4, 0, 0, 0, 0, 'x'};
    assert_int_equal(parse_v6(0, hop, sizeof hop, &p), 0);
    assert_true(p.protocol == IP_TCP && slice_eq_str(p.l4, "x"));
    const uint8_t atomic[] = {IP_TCP, 0, 0, 0, 1, 2, 3, 4, 'x'};
    assert_int_equal(parse_v6(44, atomic, sizeof atomic, &p), 0);
    const uint8_t fragment[] = {IP_TCP, 0, 0, 1, 1, 2, 3, 4, 'x'};
    assert_int_equal(parse_v6(44, fragment, sizeof fragment, &p), ERR_UNSUPPORTED);
    const uint8_t route[] = {IP_TCP, 0, 0, 1, 0, 0, 0, 0, 'x'};
    assert_int_equal(parse_v6(43, route, sizeof route, &p), ERR_UNSUPPORTED);
    const uint8_t cut[] = {IP_TCP, 1, 1, 4, 0, 0, 0, 0, 'x'};
    assert_int_equal(parse_v6(60, cut, sizeof cut, &p), ERR_TRUNCATED);
    uint8_t many[100] = {0};
    for (size_t i = 0; i < 9; i++)
        many[8 * i] = 60;
    assert_int_equal(parse_v6(60, many, 80, &p), ERR_FORMAT);
}

/* IPv6 with an empty length and a hop-by-hop header that holds these options. */
static int parse_jumbo(const uint8_t options[6], size_t payload, struct ip_packet *ret)
{
    static uint8_t packet[80000];
    struct ip_addr a = addr("fd00::1");
    size_t n = ip_write_header(packet, &a, &a, 0, 0);
    packet[n] = IP_TCP;
    packet[n + 1] = 0;
    memcpy(packet + n + 2, options, 6);
    return ip_parse(slice_of(packet, n + payload), ret);
}

static void a_jumbo_length_is_believed_if_it_is_one(void **state UNUSED)
{
    struct ip_packet p;
    const uint8_t good[6] = {0xc2, 4, 0, 1, 0, 8}; /* 65544 */
    assert_int_equal(parse_jumbo(good, 65544, &p), 0);
    assert_int_equal(p.l4.len, 65536);
    assert_int_equal(parse_jumbo(good, 65543, &p), ERR_TRUNCATED);
    const uint8_t small[6] = {0xc2, 4, 0, 0, 0, 8};
    assert_int_equal(parse_jumbo(small, 1000, &p), ERR_FORMAT);
    /* An option that runs out of its header ends the search. */
    const uint8_t cut[6] = {5, 200, 0, 0, 0, 0};
    assert_int_equal(parse_jumbo(cut, 1000, &p), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_are_read_are_written_as_rfc_5952_wants),
        cmocka_unit_test(texts_that_are_no_address_are_refused),
        cmocka_unit_test(endpoints_are_read_and_written),
        cmocka_unit_test(kinds_of_addresses_are_told_apart),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_broken_ipv4_header_is_refused),
        cmocka_unit_test(ipv4_options_are_stepped_over),
        cmocka_unit_test(ipv6_extension_headers_are_stepped_over_or_refused),
        cmocka_unit_test(a_jumbo_length_is_believed_if_it_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
