#include "base/table.h"

#include "base/err.h"
#include "base/mem.h"

#define FIRST_SIZE 16

void table_init(struct table *t, const uint8_t secret[16])
{
    struct rd r = rd_init(slice_of(secret, 16));
    *t = (struct table){0};
    t->secret[0] = rd_u64le(&r);
    t->secret[1] = rd_u64le(&r);
}

void table_release(struct table *t)
{
    mem_free(t->slots);
    t->slots = NULL;
    t->size = 0;
    t->count = 0;
}

static uint64_t hash_of(const struct table *t, struct slice key)
{
    uint64_t hash = siphash13(t->secret, key);
    return hash != 0 ? hash : 1;
}

/* The slot that holds the key, or the empty one where it belongs. There is one: at most 3/4 are
 * full. */
static size_t find(const struct table *t, uint64_t hash, struct slice key)
{
    size_t mask = t->size - 1;
    size_t i = (size_t)hash & mask;
    while (t->slots[i].hash != 0 && !(t->slots[i].hash == hash && slice_eq(t->slots[i].key, key)))
        i = (i + 1) & mask;
    return i;
}

static int grow(struct table *t)
{
    if (t->size > SIZE_MAX / 2)
        return ERR_NOMEM;
    struct table bigger = *t;
    bigger.size = t->size == 0 ? FIRST_SIZE : t->size * 2;
    bigger.slots = mem_array(bigger.size, sizeof(*bigger.slots));
    if (bigger.slots == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->size; i++) {
        const struct table_slot *s = &t->slots[i];
        if (s->hash != 0)
            bigger.slots[find(&bigger, s->hash, s->key)] = *s;
    }
    mem_free(t->slots);
    *t = bigger;
    return 0;
}

void *table_get(const struct table *t, struct slice key)
{
    if (t->count == 0)
        return NULL;
    return t->slots[find(t, hash_of(t, key), key)].value;
}

int table_put(struct table *t, struct slice key, void *value)
{
    uint64_t hash = hash_of(t, key);
    if (t->count > 0 && t->slots[find(t, hash, key)].hash != 0)
        return ERR_EXISTS;
    if (t->count >= t->size - t->size / 4) {
        int r = grow(t);
        if (r < 0)
            return r;
    }
    t->slots[find(t, hash, key)] = (struct table_slot){hash, key, value};
    t->count++;
    return 0;
}

/* Closes the hole by moving back those that were pushed past it, so that no search ends too early.
 */
static void close_hole(struct table *t, size_t hole)
{
    size_t mask = t->size - 1;
    for (size_t i = (hole + 1) & mask; t->slots[i].hash != 0; i = (i + 1) & mask) {
        size_t pushed = (i - (size_t)t->slots[i].hash) & mask;
        if (pushed >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole] = (struct table_slot){0};
}

void *table_remove(struct table *t, struct slice key)
{
    if (t->count == 0)
        return NULL;
    size_t i = find(t, hash_of(t, key), key);
    if (t->slots[i].hash == 0)
        return NULL;
    void *value = t->slots[i].value;
    close_hole(t, i);
    t->count--;
    return value;
}

void *table_next(const struct table *t, size_t *index)
{
    while (*index < t->size) {
        const struct table_slot *s = &t->slots[(*index)++];
        if (s->hash != 0)
            return s->value;
    }
    return NULL;
}
