#include "netcfg/journal_record.h"

#include <string.h>

#include "base/table.h"

#define RECORD_MARK   0x53544a52u
#define RECORD_START  8 /* mark and length */
#define CHECKSUM_SIZE 8

static const uint8_t magic[8] = {'S', 'T', 'I', 'L', 'E', 'J', 'N', 'L'};

static uint64_t checksum(struct slice bytes)
{
    static const uint64_t key[2];
    return siphash13(key, bytes);
}

int journal_header_put(struct buf *out)
{
    uint8_t bytes[JOURNAL_HEADER_SIZE];
    struct wr w = wr_init(bytes, sizeof(bytes));
    wr_bytes(&w, slice_of(magic, sizeof(magic)));
    wr_u32(&w, JOURNAL_VERSION);
    wr_u32(&w, 0);
    wr_u64(&w, checksum(slice_of(bytes, wr_len(&w))));
    return buf_put(out, slice_of(bytes, sizeof(bytes)));
}

int journal_header_get(struct slice bytes, uint32_t *ret_version)
{
    struct rd r = rd_init(bytes);
    struct slice name = rd_bytes(&r, sizeof(magic));
    uint32_t version = rd_u32(&r);
    rd_skip(&r, 4);
    uint64_t sum = rd_u64(&r);
    if (r.bad)
        return ERR_TRUNCATED;
    if (!slice_eq(name, slice_of(magic, sizeof(magic))) ||
        sum != checksum(slice_first(bytes, JOURNAL_HEADER_SIZE - CHECKSUM_SIZE)))
        return ERR_FORMAT;
    *ret_version = version;
    return 0;
}

static void put_body(struct wr *w, const struct journal_record *record)
{
    wr_u8(w, (uint8_t)record->type);
    wr_u64(w, record->number);
    if (record->type == JOURNAL_INTENT) {
        wr_bytes(w, slice_of(record->origin.boot_id, sizeof(record->origin.boot_id)));
        wr_u64(w, record->origin.namespace_id);
        wr_u32(w, record->origin.session);
        wr_u64(w, (uint64_t)record->origin.time_s);
    }
    if (record->type != JOURNAL_UNDONE) {
        wr_u32(w, (uint32_t)record->object.len);
        wr_bytes(w, record->object);
    }
    if (record->type == JOURNAL_INTENT) {
        wr_u32(w, (uint32_t)record->undo.len);
        wr_bytes(w, record->undo);
    }
}

int journal_record_put(struct buf *out, const struct journal_record *record)
{
    size_t most = RECORD_START + 64 + record->object.len + record->undo.len + CHECKSUM_SIZE;
    uint8_t *space;
    if (record->object.len > OBJECT_BYTES_MAX || record->undo.len > OBJECT_UNDO_MAX)
        return ERR_TOOBIG;
    int r = buf_reserve(out, most, &space);
    if (r < 0)
        return r;
    struct wr w = wr_init(space, most);
    wr_zeros(&w, RECORD_START);
    put_body(&w, record);
    struct wr start = wr_init(space, RECORD_START);
    wr_u32(&start, RECORD_MARK);
    wr_u32(&start, (uint32_t)(wr_len(&w) - RECORD_START));
    wr_u64(&w, checksum(slice_of(space, wr_len(&w))));
    r = wr_end(&w);
    if (r == 0)
        buf_commit(out, wr_len(&w));
    return r;
}

static void get_origin(struct rd *r, bool with_time, struct journal_origin *origin)
{
    rd_copy(r, origin->boot_id, sizeof(origin->boot_id));
    origin->namespace_id = rd_u64(r);
    origin->session = rd_u32(r);
    origin->time_s = with_time ? (int64_t)rd_u64(r) : 0;
}

static int get_body(struct slice body, struct journal_record *record)
{
    struct rd r = rd_init(body);
    uint8_t type = rd_u8(&r);
    bool intent = type == JOURNAL_INTENT || type == JOURNAL_INTENT_1;
    *record = (struct journal_record){.type = intent ? JOURNAL_INTENT : type, .number = rd_u64(&r)};
    if (!intent && type != JOURNAL_SETTLED && type != JOURNAL_UNDONE)
        return ERR_FORMAT;
    if (intent)
        get_origin(&r, type != JOURNAL_INTENT_1, &record->origin);
    if (type != JOURNAL_UNDONE)
        record->object = rd_bytes(&r, rd_u32(&r));
    if (intent)
        record->undo = rd_bytes(&r, rd_u32(&r));
    return rd_end(&r) < 0 ? ERR_FORMAT : 0;
}

static bool all_zero(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i] != 0)
            return false;
    return true;
}

int journal_record_get(struct slice bytes, struct journal_record *ret_record, size_t *ret_len)
{
    struct rd r = rd_init(bytes);
    uint32_t mark = rd_u32(&r), len = rd_u32(&r);
    if (r.bad || all_zero(bytes))
        return ERR_TRUNCATED;
    if (mark != RECORD_MARK || len > JOURNAL_RECORD_MAX)
        return ERR_FORMAT;
    struct slice body = rd_bytes(&r, len);
    uint64_t sum = rd_u64(&r);
    if (r.bad)
        return ERR_TRUNCATED;
    if (sum != checksum(slice_first(bytes, RECORD_START + (size_t)len)))
        return ERR_FORMAT;
    int err = get_body(body, ret_record);
    if (err == 0)
        *ret_len = RECORD_START + (size_t)len + CHECKSUM_SIZE;
    return err;
}

size_t journal_record_seek(struct slice bytes)
{
    struct journal_record record;
    size_t len;
    for (size_t i = 1; i + RECORD_START <= bytes.len; i++)
        if (bytes.data[i] == RECORD_MARK >> 24 &&
            journal_record_get(slice_from(bytes, i), &record, &len) == 0)
            return i;
    return bytes.len;
}
