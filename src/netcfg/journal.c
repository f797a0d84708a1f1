#include "netcfg/journal.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"

/* A journal is written anew when it has grown to this, or to twice what it was after the last time. */
#define COMPACT_SIZE ((size_t)64 * 1024)

/* ---- entries ---- */

static void entry_free(struct journal_entry *e)
{
    for (size_t i = 0; i < e->object_count; i++)
        object_release(&e->objects[i]);
    buf_release(&e->undo);
    mem_free(e);
}

static void entry_freep(struct journal_entry **e)
{
    if (*e != NULL)
        entry_free(*e);
}

static struct slice number_slice(const struct journal_entry *e)
{
    return slice_of(e->number_key, sizeof(e->number_key));
}

static struct journal_entry *find(const struct journal *j, uint64_t number)
{
    uint8_t key[8];
    struct wr w = wr_init(key, sizeof(key));
    wr_u64(&w, number);
    return table_get(&j->by_number, slice_of(key, sizeof(key)));
}

static int entry_new(uint64_t number, const struct journal_origin *origin, const struct object *o,
                     struct slice undo, struct journal_entry **ret_e)
{
    CLEANUP(entry_freep) struct journal_entry *e = NEW(struct journal_entry);
    if (e == NULL)
        return ERR_NOMEM;
    struct wr w = wr_init(e->number_key, sizeof(e->number_key));
    wr_u64(&w, number);
    e->number = number;
    e->origin = *origin;
    buf_init(&e->undo, OBJECT_UNDO_MAX);
    int r = buf_put(&e->undo, undo);
    if (r == 0)
        r = object_copy(o, &e->objects[0]);
    if (r < 0)
        return r;
    e->object_count = 1;
    *ret_e = STEAL(e);
    return 0;
}

static int insert(struct journal *j, struct journal_entry *e)
{
    int r = table_put(&j->by_number, number_slice(e), e);
    if (r < 0)
        return r;
    list_push_back(&j->entries, &e->node);
    j->count++;
    j->next_number = MAX(j->next_number, e->number + 1);
    return 0;
}

static void remove_entry(struct journal *j, struct journal_entry *e)
{
    (void)table_remove(&j->by_number, number_slice(e));
    list_remove(&e->node);
    j->count--;
    entry_free(e);
}

static int push_object(struct journal_entry *e, const struct object *o)
{
    struct object copy;
    if (e->object_count == ENTRY_OBJECTS_MAX)
        return ERR_LIMIT;
    int r = object_copy(o, &copy);
    if (r < 0)
        return r;
    memmove(&e->objects[1], &e->objects[0], e->object_count * sizeof(copy));
    e->objects[0] = copy;
    e->object_count++;
    return 0;
}

static void pop_object(struct journal_entry *e)
{
    object_release(&e->objects[0]);
    e->object_count--;
    memmove(&e->objects[0], &e->objects[1], e->object_count * sizeof(e->objects[0]));
}

static void keep_object(struct journal_entry *e, size_t index)
{
    struct object kept = e->objects[index];
    for (size_t i = 0; i < e->object_count; i++)
        if (i != index)
            object_release(&e->objects[i]);
    e->objects[0] = kept;
    e->object_count = 1;
}

/* ---- reading ---- */

static int replay_intent(struct journal *j, const struct journal_record *record,
                         const struct object *o)
{
    struct journal_entry *e = find(j, record->number);
    if (e != NULL) {
        buf_clear(&e->undo);
        int r = buf_put(&e->undo, record->undo);
        if (r == 0 && !object_eq(&e->objects[0], o))
            r = push_object(e, o);
        return r == ERR_LIMIT ? ERR_FORMAT : r;
    }
    if (record->number == 0 || record->number == UINT64_MAX)
        return ERR_FORMAT;
    int r = entry_new(record->number, &record->origin, o, record->undo, &e);
    if (r < 0)
        return r;
    r = insert(j, e);
    if (r < 0)
        entry_free(e);
    return r;
}

static int replay_settled(struct journal *j, const struct journal_record *record,
                          const struct object *o)
{
    struct journal_entry *e = find(j, record->number);
    for (size_t i = 0; e != NULL && i < e->object_count; i++) {
        if (object_eq(&e->objects[i], o)) {
            keep_object(e, i);
            return 0;
        }
    }
    return e == NULL ? 0 : ERR_FORMAT;
}

/* ERR_FORMAT: this record can't be; ERR_NOMEM. */
static int replay(struct journal *j, const struct journal_record *record)
{
    if (record->type == JOURNAL_UNDONE) {
        struct journal_entry *e = find(j, record->number);
        if (e != NULL)
            remove_entry(j, e);
        return 0;
    }
    CLEANUP(object_release) struct object o = {0};
    int r = object_decode(record->object, &o);
    if (r < 0)
        return r == ERR_NOMEM ? r : ERR_FORMAT;
    return record->type == JOURNAL_INTENT ? replay_intent(j, record, &o)
                                          : replay_settled(j, record, &o);
}

/* What doesn't begin with a whole record: the cut end of the file, or damage to step over. */
static size_t step_over(struct journal *j, struct slice bytes, int err)
{
    size_t skip = journal_record_seek(bytes);
    if (skip < bytes.len || err != ERR_TRUNCATED)
        j->damaged = true;
    else
        j->torn = true;
    return skip;
}

static int read_records(struct journal *j, struct slice bytes)
{
    while (bytes.len > 0) {
        struct journal_record record;
        size_t len;
        int r = journal_record_get(bytes, &record, &len);
        if (r < 0) {
            len = step_over(j, bytes, r);
        } else {
            r = replay(j, &record);
            if (r == ERR_NOMEM)
                return r;
            j->damaged |= r < 0;
        }
        bytes = slice_from(bytes, len);
    }
    return 0;
}

static int read_header(struct journal *j, struct slice bytes, struct diag *d)
{
    uint32_t version = JOURNAL_VERSION;
    int r = journal_header_get(bytes, &version);
    if (r == ERR_TRUNCATED)
        j->torn = true;
    else if (r < 0)
        j->damaged = true;
    else if (version > JOURNAL_VERSION)
        return diag_set(d, ERR_VERSION, 0,
                        "The journal was written by a newer version of stile (format %u, this "
                        "version knows %u): start that version, or run its \"stile cleanup\"",
                        version, JOURNAL_VERSION);
    j->stale |= version < JOURNAL_VERSION;
    j->damaged |= version == 0;
    return 0;
}

static int read_all(struct journal *j, struct slice bytes, struct diag *d)
{
    int r = bytes.len == 0 ? 0 : read_header(j, bytes, d);
    if (r == 0)
        r = read_records(j, slice_from(bytes, JOURNAL_HEADER_SIZE));
    if (r == ERR_NOMEM)
        diag_set(d, r, 0, "Failed to read the journal: out of memory");
    j->stale |= j->torn || j->damaged || (j->count == 0 && bytes.len > 0);
    return r;
}

static void init(struct journal *j, struct store *store)
{
    uint8_t secret[16];
    random_bytes(secret, sizeof(secret));
    *j = (struct journal){.store = store, .next_number = 1, .compact_at = COMPACT_SIZE};
    list_init(&j->entries);
    table_init(&j->by_number, secret);
    buf_init(&j->pending, STORE_SIZE_MAX);
}

int journal_open(struct store *store, struct journal *j, struct diag *d)
{
    CLEANUP(buf_release) struct buf bytes;
    buf_init(&bytes, STORE_SIZE_MAX);
    init(j, store);
    int r = store->ops->read(store, &bytes, d);
    if (r == 0)
        r = read_all(j, buf_slice(&bytes), d);
    if (r == 0 && j->damaged)
        j->unkept = store->ops->keep_damaged(store, NULL) < 0;
    if (r < 0) {
        j->store = NULL;
        journal_close(j);
        return r;
    }
    j->size = buf_len(&bytes);
    return 0;
}

void journal_close(struct journal *j)
{
    LIST_FOR_EACH (node, &j->entries)
        remove_entry(j, LIST_ENTRY(node, struct journal_entry, node));
    table_release(&j->by_number);
    buf_release(&j->pending);
    store_close(STEAL(j->store));
}

/* ---- writing ---- */

static int put_record(struct buf *out, enum journal_record_type type, const struct journal_entry *e,
                      const struct object *o, struct slice undo)
{
    CLEANUP(buf_release) struct buf object;
    buf_init(&object, OBJECT_BYTES_MAX);
    int r = type == JOURNAL_UNDONE ? 0 : object_encode(o, &object);
    if (r < 0)
        return r;
    return journal_record_put(out, &(struct journal_record){.type = type,
                                                            .number = e->number,
                                                            .origin = e->origin,
                                                            .object = buf_slice(&object),
                                                            .undo = undo});
}

int journal_intend(struct journal *j, const struct journal_origin *origin, const struct object *o,
                   struct slice undo, struct journal_entry **ret_e)
{
    struct journal_entry *e;
    int r = entry_new(j->next_number, origin, o, undo, &e);
    if (r < 0)
        return r;
    r = insert(j, e);
    if (r < 0) {
        entry_free(e);
        return r;
    }
    r = put_record(&j->pending, JOURNAL_INTENT, e, o, undo);
    if (r < 0)
        remove_entry(j, e);
    else
        *ret_e = e;
    return r;
}

int journal_change(struct journal *j, struct journal_entry *e, const struct object *to)
{
    int r = push_object(e, to);
    if (r < 0)
        return r;
    r = put_record(&j->pending, JOURNAL_INTENT, e, to, buf_slice(&e->undo));
    if (r < 0)
        pop_object(e);
    return r;
}

int journal_recapture(struct journal *j, struct journal_entry *e, struct slice undo)
{
    CLEANUP(buf_release) struct buf fresh;
    buf_init(&fresh, OBJECT_UNDO_MAX);
    int r = buf_put(&fresh, undo);
    if (r == 0)
        r = put_record(&j->pending, JOURNAL_INTENT, e, &e->objects[0], undo);
    if (r < 0)
        return r;
    struct buf old = e->undo;
    e->undo = fresh;
    fresh = old;
    return 0;
}

void journal_settle(struct journal *j, struct journal_entry *e, size_t object)
{
    keep_object(e, object);
    if (put_record(&j->pending, JOURNAL_SETTLED, e, &e->objects[0], slice_of(NULL, 0)) < 0)
        j->stale = true;
}

void journal_undone(struct journal *j, struct journal_entry *e)
{
    if (put_record(&j->pending, JOURNAL_UNDONE, e, NULL, slice_of(NULL, 0)) < 0)
        j->stale = true;
    remove_entry(j, e);
}

static int put_entry(struct buf *out, const struct journal_entry *e)
{
    int r = 0;
    for (size_t i = e->object_count; i-- > 0 && r == 0;)
        r = put_record(out, JOURNAL_INTENT, e, &e->objects[i], buf_slice(&e->undo));
    return r;
}

static int write_anew(struct journal *j, struct diag *d)
{
    CLEANUP(buf_release) struct buf whole;
    buf_init(&whole, STORE_SIZE_MAX);
    int r = journal_header_put(&whole);
    LIST_FOR_EACH (node, &j->entries)
        if (r == 0)
            r = put_entry(&whole, LIST_ENTRY(node, struct journal_entry, node));
    if (r < 0)
        return diag_set(d, r, 0, "Failed to write the journal: %s", err_text(r));
    r = j->store->ops->replace(j->store, buf_slice(&whole), d);
    if (r < 0)
        return r;
    j->size = buf_len(&whole);
    j->compact_at = MAX(COMPACT_SIZE, 2 * j->size);
    return 0;
}

static int empty(struct journal *j, struct diag *d)
{
    int r = j->size == 0 && !j->stale ? 0 : j->store->ops->truncate(j->store, 0, d);
    if (r == 0)
        j->size = 0;
    return r;
}

static int append(struct journal *j, struct diag *d)
{
    CLEANUP(buf_release) struct buf first;
    buf_init(&first, STORE_SIZE_MAX);
    struct slice bytes = buf_slice(&j->pending);
    if (j->size == 0) {
        int r = journal_header_put(&first);
        if (r == 0)
            r = buf_put(&first, bytes);
        if (r < 0)
            return diag_set(d, r, 0, "Failed to write the journal: %s", err_text(r));
        bytes = buf_slice(&first);
    }
    int r = j->store->ops->append(j->store, bytes, d);
    if (r == 0)
        j->size += bytes.len;
    return r;
}

static int write_out(struct journal *j, struct diag *d)
{
    if (j->unkept) {
        int r = j->store->ops->keep_damaged(j->store, d);
        if (r < 0)
            return r;
        j->unkept = false;
    }
    if (j->count == 0)
        return empty(j, d);
    if (j->stale)
        return write_anew(j, d);
    if (j->size >= j->compact_at && write_anew(j, NULL) == 0)
        return 0;
    return append(j, d);
}

int journal_flush(struct journal *j, struct diag *d)
{
    if (!j->stale && buf_len(&j->pending) == 0)
        return 0;
    int r = write_out(j, d);
    buf_clear(&j->pending);
    j->stale = r < 0;
    return r;
}
