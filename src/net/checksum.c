#include "net/checksum.h"

#include <string.h>

/* The sum is taken over words in the machine's own order: byte order only turns the result round, and storing it turns it
 * back (RFC 1071 §2 B). 32-bit words into 64-bit sums leave room for 2^32 of them before a carry could be lost. */

static uint16_t fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    return (uint16_t)sum;
}

static uint64_t sum_blocks(const uint8_t *p, size_t blocks)
{
    uint64_t sums[8] = {0};
    for (; blocks > 0; blocks--, p += 32) {
        uint32_t words[8];
        memcpy(words, p, sizeof words);
        for (size_t i = 0; i < 8; i++)
            sums[i] += words[i];
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < 8; i++)
        sum += (sums[i] >> 32) + (sums[i] & UINT32_MAX);
    return sum;
}

static uint64_t sum_bytes(const uint8_t *p, size_t len)
{
    uint64_t sum = sum_blocks(p, len / 32);
    p += len / 32 * 32;
    len %= 32;
    for (; len >= 2; len -= 2, p += 2) {
        uint16_t word;
        memcpy(&word, p, 2);
        sum += word;
    }
    if (len == 1) {
        const uint8_t padded[2] = {*p, 0};
        uint16_t word;
        memcpy(&word, padded, 2);
        sum += word;
    }
    return sum;
}

void checksum_add(struct checksum *c, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    uint64_t sum = sum_bytes(bytes.data, bytes.len);
    if (c->odd) {
        uint16_t word = fold(sum);
        sum = (uint16_t)(word << 8 | word >> 8);
    }
    c->sum += sum;
    c->odd ^= bytes.len % 2 == 1;
}

void checksum_add_pseudo(struct checksum *c, const struct ip_addr *src, const struct ip_addr *dst,
                         uint8_t protocol, size_t l4_len)
{
    size_t n = ip_addr_len(src);
    const uint8_t tail[8] = {(uint8_t)(l4_len >> 24),
                             (uint8_t)(l4_len >> 16),
                             (uint8_t)(l4_len >> 8),
                             (uint8_t)l4_len,
                             0,
                             0,
                             0,
                             protocol};
    checksum_add(c, slice_of(src->bytes, n));
    checksum_add(c, slice_of(dst->bytes, n));
    checksum_add(c, slice_of(tail, sizeof tail));
}

void checksum_put_partial(const struct checksum *c, uint8_t field[2])
{
    uint16_t sum = fold(c->sum);
    memcpy(field, &sum, 2);
}

void checksum_put(const struct checksum *c, uint8_t field[2])
{
    uint16_t sum = (uint16_t)~fold(c->sum);
    memcpy(field, &sum, 2);
}

bool checksum_is_good(const struct checksum *c)
{
    return fold(c->sum) == UINT16_MAX;
}

static bool udp_has_no_checksum(const struct ip_packet *packet)
{
    return packet->version == 4 && packet->l4.len >= 8 && packet->l4.data[6] == 0 &&
           packet->l4.data[7] == 0;
}

bool checksum_l4_is_good(const struct ip_packet *packet)
{
    struct checksum c = {0};
    switch (packet->protocol) {
    case IP_ICMP:
        break;
    case IP_UDP:
        if (udp_has_no_checksum(packet))
            return true;
        checksum_add_pseudo(&c, &packet->src, &packet->dst, packet->protocol, packet->l4.len);
        break;
    case IP_TCP:
    case IP_ICMP6:
        checksum_add_pseudo(&c, &packet->src, &packet->dst, packet->protocol, packet->l4.len);
        break;
    default:
        return true;
    }
    checksum_add(&c, packet->l4);
    return checksum_is_good(&c);
}
