#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define FIRST_SIZE 64

void buf_init(struct buf *b, size_t cap)
{
    *b = (struct buf){.cap = MIN(cap, (size_t)PTRDIFF_MAX / 2)};
}

void buf_release(struct buf *b)
{
    mem_free(b->data);
    buf_init(b, b->cap);
}

void buf_release_wiped(struct buf *b)
{
    mem_free_wiped(b->data, b->size);
    buf_init(b, b->cap);
}

void buf_clear(struct buf *b)
{
    b->start = 0;
    b->end = 0;
}

size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data == NULL ? NULL : b->data + b->start, buf_len(b));
}

static int grow(struct buf *b, size_t need)
{
    size_t most = b->cap + 1;
    size_t size = MIN(MAX(MAX(b->size * 2, need), (size_t)FIRST_SIZE), most);
    uint8_t *data = mem_alloc(size);
    if (data == NULL)
        return ERR_NOMEM;
    size_t len = buf_len(b);
    if (len > 0)
        memcpy(data, b->data + b->start, len);
    mem_free_wiped(b->data, b->size); /* no copies of what buf_release_wiped is meant to remove */
    *b = (struct buf){.data = data, .end = len, .size = size, .cap = b->cap};
    return 0;
}

/* Room for n bytes and always one more, for the NUL of buf_cstr. */
static int make_room(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (n > b->cap - len)
        return ERR_TOOBIG;
    if (b->end + n < b->size)
        return 0;
    /* Moving is for free if at least as much was consumed as is moved; else growing comes first. */
    if (len + n < b->size && (b->start >= len || b->size > b->cap)) {
        memmove(b->data, b->data + b->start, len);
        b->start = 0;
        b->end = len;
        return 0;
    }
    return grow(b, len + n + 1);
}

int buf_reserve(struct buf *b, size_t n, uint8_t **space_ret)
{
    int r = make_room(b, n);
    if (r < 0)
        return r;
    *space_ret = b->data + b->end;
    return 0;
}

void buf_commit(struct buf *b, size_t n)
{
    assert(n == 0 || n < b->size - b->end);
    b->end += n;
}

int buf_put(struct buf *b, struct slice bytes)
{
    int r = make_room(b, bytes.len);
    if (r < 0)
        return r;
    if (bytes.len > 0)
        memcpy(b->data + b->end, bytes.data, bytes.len);
    b->end += bytes.len;
    return 0;
}

int buf_put_str(struct buf *b, const char *s)
{
    return buf_put(b, slice_str(s));
}

int buf_put_u8(struct buf *b, uint8_t v)
{
    return buf_put(b, slice_of(&v, 1));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        return ERR_FORMAT;
    int r = make_room(b, (size_t)n);
    if (r < 0)
        return r;
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->end, (size_t)n + 1, fmt, args);
    va_end(args);
    b->end += (size_t)n;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->start += n;
    if (b->start == b->end)
        buf_clear(b);
}

const char *buf_cstr(struct buf *b)
{
    if (make_room(b, 0) < 0)
        return NULL;
    b->data[b->end] = '\0';
    return (const char *)b->data + b->start;
}

char *buf_steal_cstr(struct buf *b)
{
    if (buf_cstr(b) == NULL)
        return NULL;
    if (b->start > 0)
        memmove(b->data, b->data + b->start, buf_len(b) + 1);
    char *text = (char *)STEAL(b->data);
    buf_init(b, b->cap);
    return text;
}
