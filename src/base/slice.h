/* Borrowed bytes, and the one bounded reader and writer of every wire format here.
 *
 * The reader never reads past its end: a read that would fail sets `bad`, returns zeros and stays
 * bad, so a parser reads a whole message and asks once, with rd_end, which is also the check of the
 * exact length. Integers are big-endian unless the name says otherwise (le).
 */
#ifndef STILE_BASE_SLICE_H
#define STILE_BASE_SLICE_H

#include "base/compiler.h"

/* Borrowed, not owned; not NUL-terminated. An empty slice may have any pointer. */
struct slice {
    const uint8_t *data;
    size_t len;
};

#define SLICE_LIT(s) ((struct slice){(const uint8_t *)(s), sizeof(s) - 1})

struct slice slice_of(const void *data, size_t len);
struct slice slice_str(const char *s); /* without the NUL */
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_str(struct slice a, const char *s);
struct slice slice_from(struct slice s, size_t skip); /* empty when skip is over the length */
struct slice slice_first(struct slice s, size_t n);

struct rd {
    const uint8_t *next;
    const uint8_t *end;
    bool bad;
};

struct rd rd_init(struct slice bytes);
size_t rd_left(const struct rd *r);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint16_t rd_u16le(struct rd *r);
uint32_t rd_u32le(struct rd *r);
uint64_t rd_u64le(struct rd *r);
struct slice rd_bytes(struct rd *r, size_t n); /* borrowed from the input */
bool rd_copy(struct rd *r, void *dst, size_t n);
void rd_skip(struct rd *r, size_t n);
/* 0 if all reads were good and nothing is left; ERR_TRUNCATED if a read was past the end;
 * ERR_FORMAT if bytes are left. */
int rd_end(const struct rd *r);

/* Writes into caller's memory; a write that doesn't fit sets `bad` and writes nothing more. */
struct wr {
    uint8_t *start;
    uint8_t *next;
    uint8_t *end;
    bool bad;
};

struct wr wr_init(void *memory, size_t cap);
size_t wr_len(const struct wr *w);
void wr_u8(struct wr *w, uint8_t v);
void wr_u16(struct wr *w, uint16_t v);
void wr_u32(struct wr *w, uint32_t v);
void wr_u64(struct wr *w, uint64_t v);
void wr_u16le(struct wr *w, uint16_t v);
void wr_u32le(struct wr *w, uint32_t v);
void wr_u64le(struct wr *w, uint64_t v);
void wr_bytes(struct wr *w, struct slice bytes);
void wr_zeros(struct wr *w, size_t n);
int wr_end(const struct wr *w); /* 0, or ERR_TOOBIG if something didn't fit */

#endif
