/* SipHash-1-3: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), with one
 * round per block and three at the end. */
#include "base/table.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t v, unsigned int bits)
{
    return v << bits | v >> (64 - bits);
}

static inline void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t block)
{
    s->v3 ^= block;
    sip_round(s);
    s->v0 ^= block;
}

static inline uint64_t load_le(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

uint64_t siphash13(const uint64_t secret[2], struct slice key)
{
    struct state s = {
        .v0 = secret[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = secret[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = secret[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = secret[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = key.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        absorb(&s, load_le(key.data + i));
    uint64_t last = (uint64_t)key.len << 56;
    for (size_t i = whole; i < key.len; i++)
        last |= (uint64_t)key.data[i] << (8 * (i - whole));
    absorb(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
