/* Hash table from byte keys to pointers: keyed (SipHash-1-3 with a secret of its own), open
 * addressing, so that no peer can choose keys that collide. The table owns neither keys nor values:
 * a key is usually a member of its value and must not change while it is in. Growing is amortised;
 * look-up never allocates.
 */
#ifndef STILE_BASE_TABLE_H
#define STILE_BASE_TABLE_H

#include "base/slice.h"

struct table_slot {
    uint64_t hash; /* 0 is an empty slot */
    struct slice key;
    void *value;
};

struct table {
    struct table_slot *slots; /* owned */
    size_t size;              /* power of two, or 0 */
    size_t count;
    uint64_t secret[2];
};

/* secret: 16 random bytes (random_bytes in programs, fixed ones in tests). Allocates nothing. */
void table_init(struct table *t, const uint8_t secret[16]);
void table_release(struct table *t);

void *table_get(const struct table *t, struct slice key); /* NULL if absent */
MUST_CHECK int table_put(struct table *t, struct slice key,
                         void *value);                 /* ERR_EXISTS, ERR_NOMEM */
void *table_remove(struct table *t, struct slice key); /* the value, or NULL */

/* for (size_t i = 0; (v = table_next(&t, &i)) != NULL;)  No changes meanwhile. */
void *table_next(const struct table *t, size_t *index);

/* The hash alone, for structures that keep their own slots. */
uint64_t siphash13(const uint64_t secret[2], struct slice key);

#endif
