#include "testing.h"

#include <string.h>

#include "net/checksum.h"

/* The definition, word by word (RFC 1071). */
static uint16_t plain_sum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)p[i] << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0)
        sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)~sum;
}

static uint16_t stored(const struct checksum *c)
{
    uint8_t field[2];
    checksum_put(c, field);
    return (uint16_t)(field[0] << 8 | field[1]);
}

static void fill(uint8_t *bytes, size_t len)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
}

static void it_is_the_defined_sum_for_every_length(void **state UNUSED)
{
    uint8_t bytes[300];
    fill(bytes, sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes - 3; len++) {
        struct checksum c = {0};
        checksum_add(&c, slice_of(bytes + len % 3, len));
        assert_int_equal(stored(&c), plain_sum(bytes + len % 3, len));
    }
}

static void pieces_of_any_length_are_as_good_as_the_whole(void **state UNUSED)
{
    uint8_t bytes[200];
    fill(bytes, sizeof bytes);
    for (size_t a = 0; a < 70; a++) {
        for (size_t b = a; b < sizeof bytes; b += 13) {
            struct checksum c = {0};
            checksum_add(&c, slice_of(bytes, a));
            checksum_add(&c, slice_of(bytes + a, b - a));
            checksum_add(&c, slice_of(bytes + b, sizeof bytes - b));
            assert_int_equal(stored(&c), plain_sum(bytes, sizeof bytes));
        }
    }
}

static void no_carry_is_lost_in_a_superpacket(void **state UNUSED)
{
    static uint8_t bytes[65535];
    memset(bytes, 0xff, sizeof bytes);
    struct checksum c = {0};
    for (size_t i = 0; i < 100; i++)
        checksum_add(&c, slice_of(bytes, 65534));
    assert_int_equal(stored(&c), 0);
    checksum_add(&c, slice_of("\0\1", 2));
    assert_int_equal(stored(&c), 0xfffe);
}

/* An ICMP echo request as a Linux ping sends it, checksum included. */
static void a_real_packet_is_good_until_a_bit_is_wrong(void **state UNUSED)
{
    uint8_t echo[] = {8, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b', 'c'};
    struct checksum c = {0};
    checksum_add(&c, slice_of(echo, sizeof echo));
    checksum_put(&c, echo + 2);
    struct ip_packet p = {.version = 4, .protocol = IP_ICMP, .l4 = slice_of(echo, sizeof echo)};
    assert_true(checksum_l4_is_good(&p));
    for (size_t bit = 0; bit < 8 * sizeof echo; bit++) {
        echo[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(checksum_l4_is_good(&p));
        echo[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void the_pseudo_header_counts(void **state UNUSED)
{
    uint8_t tcp[20] = {1, 2, 3, 4};
    struct ip_packet p = {.version = 4, .protocol = IP_TCP, .l4 = slice_of(tcp, sizeof tcp)};
    p.src = ip_addr_v4(10, 0, 0, 1);
    p.dst = ip_addr_v4(10, 0, 0, 2);
    struct checksum c = {0};
    checksum_add_pseudo(&c, &p.src, &p.dst, IP_TCP, sizeof tcp);
    checksum_add(&c, p.l4);
    checksum_put(&c, tcp + 16);
    assert_true(checksum_l4_is_good(&p));
    p.dst.bytes[3]++;
    assert_false(checksum_l4_is_good(&p));
}

static void udp_may_have_none_in_ipv4_only(void **state UNUSED)
{
    uint8_t udp[9] = {0, 1, 0, 2, 0, 9, 0, 0, 'x'};
    struct ip_packet p = {.version = 4, .protocol = IP_UDP, .l4 = slice_of(udp, sizeof udp)};
    p.src = p.dst = ip_addr_v4(10, 0, 0, 1);
    assert_true(checksum_l4_is_good(&p));
    p.version = p.src.version = p.dst.version = 6;
    assert_false(checksum_l4_is_good(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_defined_sum_for_every_length),
        cmocka_unit_test(pieces_of_any_length_are_as_good_as_the_whole),
        cmocka_unit_test(no_carry_is_lost_in_a_superpacket),
        cmocka_unit_test(a_real_packet_is_good_until_a_bit_is_wrong),
        cmocka_unit_test(the_pseudo_header_counts),
        cmocka_unit_test(udp_may_have_none_in_ipv4_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
