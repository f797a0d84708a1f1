#include "net/prefix.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"

static unsigned max_bits(const struct ip_addr *a)
{
    return a->version == 4 ? 32 : 128;
}

static bool same_bits(const struct ip_addr *a, const struct ip_addr *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned rest = bits % 8;

    if (a->version != b->version || memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

static struct ip_addr masked(const struct ip_addr *a, unsigned bits)
{
    struct ip_addr m = *a;

    for (unsigned i = 0; i < max_bits(a) / 8; i++) {
        unsigned keep = bits <= i * 8 ? 0 : MIN(bits - i * 8, 8U);
        m.bytes[i] &= (uint8_t)(0xff00U >> keep);
    }
    return m;
}

int prefix_of(const struct ip_addr *addr, uint8_t bits, struct prefix *ret)
{
    if (bits > max_bits(addr))
        return ERR_INVAL;
    *ret = (struct prefix){masked(addr, bits), bits};
    return 0;
}

int prefix_parse(const char *text, struct prefix *ret)
{
    const char *slash = strchr(text, '/');
    char addr_text[PREFIX_TEXT_SIZE];
    struct prefix p;
    struct ip_addr addr;
    uint64_t bits;

    if (slash == NULL ||
        str_copy_slice(addr_text, sizeof(addr_text), slice_of(text, (size_t)(slash - text))) < 0 ||
        ip_addr_parse(addr_text, &addr) < 0 || str_to_u64(slash + 1, max_bits(&addr), &bits) < 0)
        return ERR_FORMAT;
    if (prefix_of(&addr, (uint8_t)bits, &p) < 0 || !ip_addr_eq(&p.addr, &addr))
        return ERR_FORMAT;
    *ret = p;
    return 0;
}

void prefix_format(const struct prefix *p, char text[PREFIX_TEXT_SIZE])
{
    char addr[IP_ADDR_TEXT_SIZE];

    ip_addr_format(&p->addr, addr);
    (void)str_format(text, PREFIX_TEXT_SIZE, "%s/%u", addr, p->bits);
}

bool prefix_contains(const struct prefix *p, const struct ip_addr *addr)
{
    return same_bits(&p->addr, addr, p->bits);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return same_bits(&a->addr, &b->addr, MIN(a->bits, b->bits));
}

bool prefix_eq(const struct prefix *a, const struct prefix *b)
{
    return a->bits == b->bits && ip_addr_eq(&a->addr, &b->addr);
}

struct ip_addr prefix_at(const struct prefix *p, uint32_t offset)
{
    struct ip_addr a = p->addr;
    unsigned last = max_bits(&a) / 8 - 4;
    uint64_t low = 0;

    for (unsigned i = 0; i < 4; i++)
        low = low << 8 | a.bytes[last + i];
    low += offset;
    for (unsigned i = 0; i < 4; i++)
        a.bytes[last + i] = (uint8_t)(low >> (8 * (3 - i)));
    return a;
}
