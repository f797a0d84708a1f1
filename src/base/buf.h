/* A growing byte buffer with a cap, that can be consumed from the front. Also the string builder.
 */
#ifndef STILE_BASE_BUF_H
#define STILE_BASE_BUF_H

#include "base/slice.h"

struct buf {
    uint8_t *data; /* owned */
    size_t start;  /* first byte not consumed */
    size_t end;    /* one past the last byte */
    size_t size;   /* allocated */
    size_t cap;    /* most bytes it may hold at once */
};

void buf_init(struct buf *b, size_t cap); /* allocates nothing */
void buf_release(struct buf *b);          /* frees; may be used again */
void buf_release_wiped(struct buf *b);    /* the same for secrets */
void buf_clear(struct buf *b);            /* keeps the memory */

size_t buf_len(const struct buf *b);
struct slice buf_slice(const struct buf *b); /* valid until the next change */

/* ERR_TOOBIG over the cap, ERR_NOMEM; the buffer is unchanged then. What is put must not be bytes
 * of the buffer itself. Memory left behind by growing is wiped. */
int buf_reserve(struct buf *b, size_t n, uint8_t **space_ret); /* room for n bytes at the end */
void buf_commit(struct buf *b, size_t n); /* n of the reserved bytes were filled */
int buf_put(struct buf *b, struct slice bytes);
int buf_put_str(struct buf *b, const char *s);
int buf_put_u8(struct buf *b, uint8_t v);
PRINTF_LIKE(2, 3) int buf_printf(struct buf *b, const char *fmt, ...);
void buf_consume(struct buf *b, size_t n); /* n ≤ buf_len */

/* NUL-terminates (the NUL isn't counted) and lends the text; NULL when memory runs out. */
const char *buf_cstr(struct buf *b);
/* The same, but the caller owns the text (mem_free) and the buffer is empty. */
char *buf_steal_cstr(struct buf *b);

#endif
