#include "base/log_ring.h"

#include <pthread.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct log_ring {
    pthread_mutex_t lock; /* over all below */
    size_t size;
    size_t start; /* of the oldest line */
    size_t len;
    uint8_t data[];
};

int log_ring_new(size_t size, struct log_ring **ret)
{
    struct log_ring *r = mem_alloc(sizeof(*r) + size);
    if (r == NULL)
        return ERR_NOMEM;
    if (pthread_mutex_init(&r->lock, NULL) != 0) {
        mem_free(r);
        return ERR_NOMEM;
    }
    r->size = size;
    r->start = r->len = 0;
    *ret = r;
    return 0;
}

void log_ring_free(struct log_ring *r)
{
    if (r == NULL)
        return;
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* What lies from `at` on, up to the end of the memory or of the lines. */
static struct slice piece(const struct log_ring *r, size_t skip)
{
    size_t at = (r->start + skip) % r->size;
    return slice_of(r->data + at, MIN(r->len - skip, r->size - at));
}

static void drop_oldest(struct log_ring *r)
{
    size_t skip = 0;
    while (skip < r->len) {
        struct slice s = piece(r, skip);
        const uint8_t *end = memchr(s.data, '\n', s.len);
        skip += end != NULL ? (size_t)(end - s.data) + 1 : s.len;
        if (end != NULL)
            break;
    }
    r->start = (r->start + skip) % r->size;
    r->len -= skip;
}

void log_ring_put(struct log_ring *r, struct slice line)
{
    if (line.len == 0 || line.len > r->size)
        return;
    pthread_mutex_lock(&r->lock);
    while (r->size - r->len < line.len)
        drop_oldest(r);
    size_t at = (r->start + r->len) % r->size;
    struct slice first = slice_first(line, r->size - at);
    memcpy(r->data + at, first.data, first.len);
    memcpy(r->data, line.data + first.len, line.len - first.len);
    r->len += line.len;
    pthread_mutex_unlock(&r->lock);
}

int log_ring_copy(struct log_ring *r, struct buf *out)
{
    uint8_t *space = NULL;
    pthread_mutex_lock(&r->lock);
    size_t len = r->len;
    int e = buf_reserve(out, len, &space);
    if (e == 0 && len > 0) {
        struct slice first = piece(r, 0);
        memcpy(space, first.data, first.len);
        memcpy(space + first.len, r->data, len - first.len);
        buf_commit(out, len);
    }
    pthread_mutex_unlock(&r->lock);
    return e;
}
