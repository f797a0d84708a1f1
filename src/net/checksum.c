#include "net/checksum.h"

#include <string.h>

/* The sum is taken over words in the machine's own order, and wide ones: byte order only turns the
 * result round, and storing it turns it back; wide sums fold to the same (RFC 1071 §2). */

static uint16_t fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    sum = (sum >> 16) + (sum & UINT16_MAX);
    return (uint16_t)sum;
}

/* A carry out of 64 bits is worth one, as it is out of 16. */
static uint64_t add_carry(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? sum + 1 : sum;
}

/* Two sums side by side: neither waits for the other's carry. */
static uint64_t sum_blocks(const uint8_t *p, size_t blocks)
{
    uint64_t even = 0;
    uint64_t odd = 0;
    for (; blocks > 0; blocks--, p += 32) {
        uint64_t words[4];
        memcpy(words, p, sizeof words);
        even = add_carry(even, words[0]);
        odd = add_carry(odd, words[1]);
        even = add_carry(even, words[2]);
        odd = add_carry(odd, words[3]);
    }
    return (uint64_t)fold(even) + fold(odd);
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
