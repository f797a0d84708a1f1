#include "base/slice.h"

#include <string.h>

#include "base/err.h"

struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){data, len};
}

struct slice slice_str(const char *s)
{
    return slice_of(s, strlen(s));
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool slice_eq_str(struct slice a, const char *s)
{
    return slice_eq(a, slice_str(s));
}

struct slice slice_from(struct slice s, size_t skip)
{
    if (skip >= s.len)
        return slice_of(NULL, 0);
    return slice_of(s.data + skip, s.len - skip);
}

struct slice slice_first(struct slice s, size_t n)
{
    return slice_of(s.data, MIN(n, s.len));
}

struct rd rd_init(struct slice bytes)
{
    static const uint8_t none[1];
    const uint8_t *data = bytes.len > 0 ? bytes.data : none;
    return (struct rd){.next = data, .end = data + bytes.len, .bad = false};
}

size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->next);
}

/* The next n bytes, or NULL (and bad) past the end. */
static const uint8_t *take(struct rd *r, size_t n)
{
    if (r->bad || n > rd_left(r)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->next;
    r->next += n;
    return p;
}

uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = take(r, 1);
    return p == NULL ? 0 : p[0];
}

uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = take(r, 2);
    if (p == NULL)
        return 0;
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = take(r, 4);
    if (p == NULL)
        return 0;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

uint64_t rd_u64(struct rd *r)
{
    const uint8_t *p = take(r, 8);
    uint64_t v = 0;
    for (size_t i = 0; p != NULL && i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

uint16_t rd_u16le(struct rd *r)
{
    return __builtin_bswap16(rd_u16(r));
}

uint32_t rd_u32le(struct rd *r)
{
    return __builtin_bswap32(rd_u32(r));
}

uint64_t rd_u64le(struct rd *r)
{
    return __builtin_bswap64(rd_u64(r));
}

struct slice rd_bytes(struct rd *r, size_t n)
{
    const uint8_t *p = take(r, n);
    return p == NULL ? slice_of(NULL, 0) : slice_of(p, n);
}

bool rd_copy(struct rd *r, void *dst, size_t n)
{
    const uint8_t *p = take(r, n);
    if (n == 0)
        return p != NULL;
    if (p == NULL) {
        memset(dst, 0, n);
        return false;
    }
    memcpy(dst, p, n);
    return true;
}

void rd_skip(struct rd *r, size_t n)
{
    take(r, n);
}

int rd_end(const struct rd *r)
{
    if (r->bad)
        return ERR_TRUNCATED;
    return rd_left(r) == 0 ? 0 : ERR_FORMAT;
}

struct wr wr_init(void *memory, size_t cap)
{
    static uint8_t none[1];
    uint8_t *start = cap > 0 ? memory : none;
    return (struct wr){.start = start, .next = start, .end = start + cap, .bad = false};
}

size_t wr_len(const struct wr *w)
{
    return (size_t)(w->next - w->start);
}

/* Room for n bytes, or NULL (and bad) when they don't fit. */
static uint8_t *room(struct wr *w, size_t n)
{
    if (w->bad || n > (size_t)(w->end - w->next)) {
        w->bad = true;
        return NULL;
    }
    uint8_t *p = w->next;
    w->next += n;
    return p;
}

/* The last n bytes of v, most significant first. */
static void put_be(struct wr *w, uint64_t v, size_t n)
{
    uint8_t *p = room(w, n);
    if (p == NULL)
        return;
    for (size_t i = n; i > 0; i--) {
        p[i - 1] = (uint8_t)v;
        v >>= 8;
    }
}

void wr_u8(struct wr *w, uint8_t v)
{
    put_be(w, v, 1);
}

void wr_u16(struct wr *w, uint16_t v)
{
    put_be(w, v, 2);
}

void wr_u32(struct wr *w, uint32_t v)
{
    put_be(w, v, 4);
}

void wr_u64(struct wr *w, uint64_t v)
{
    put_be(w, v, 8);
}

void wr_u16le(struct wr *w, uint16_t v)
{
    wr_u16(w, __builtin_bswap16(v));
}

void wr_u32le(struct wr *w, uint32_t v)
{
    wr_u32(w, __builtin_bswap32(v));
}

void wr_u64le(struct wr *w, uint64_t v)
{
    wr_u64(w, __builtin_bswap64(v));
}

void wr_bytes(struct wr *w, struct slice bytes)
{
    uint8_t *p = room(w, bytes.len);
    if (p != NULL && bytes.len > 0)
        memcpy(p, bytes.data, bytes.len);
}

void wr_zeros(struct wr *w, size_t n)
{
    uint8_t *p = room(w, n);
    if (p != NULL)
        memset(p, 0, n);
}

int wr_end(const struct wr *w)
{
    return w->bad ? ERR_TOOBIG : 0;
}
