/* Any bytes as a journal: read, recovered on an empty host, and what is written anew reads back as the same entries. The first
 * byte chooses: a whole file (0), records behind a good header (1), or bodies of records, each behind two bytes of length, that
 * get marks and checksums here (2), which no mutation would find. */
#include "base/mem.h"
#include "netcfg/journal.h"
#include "netcfg/netcfg.h"
#include "netcfg/ops_fake.h"
#include "netcfg/store_memory.h"

static void object_alone(struct slice bytes)
{
    struct object o;
    struct buf again;
    if (object_decode(bytes, &o) < 0)
        return;
    buf_init(&again, OBJECT_BYTES_MAX);
    if (object_encode(&o, &again) != 0 || !slice_eq(buf_slice(&again), bytes))
        __builtin_trap();
    buf_release(&again);
    object_release(&o);
}

/* What was read and written anew is the same when it is read again. */
static void rewrite(struct store_memory *disk)
{
    struct journal j, back;
    struct store *store;
    if (store_memory_open(disk, &store, NULL) < 0)
        return;
    if (journal_open(store, &j, NULL) < 0) {
        store_close(store);
        return;
    }
    size_t count = j.count;
    j.stale = true;
    if (journal_flush(&j, NULL) < 0)
        __builtin_trap();
    journal_close(&j);
    if (store_memory_open(disk, &store, NULL) < 0 || journal_open(store, &back, NULL) < 0)
        __builtin_trap();
    if (back.count != count || back.torn || back.damaged)
        __builtin_trap();
    journal_close(&back);
}

static void recover(struct store_memory *disk)
{
    struct fake_os os;
    struct netcfg *n;
    fake_os_init(&os, NULL);
    struct netcfg_config config = {.ops = &os.ops};
    if (store_memory_open(disk, &config.store, NULL) == 0) {
        if (netcfg_open(&config, &n, NULL) == 0) {
            (void)netcfg_recover(n, NULL);
            netcfg_close(n);
        } else {
            store_close(config.store);
        }
    }
    fake_os_release(&os);
}

static void whole_file(struct slice bytes, void (*what)(struct store_memory *))
{
    struct store_memory disk;
    store_memory_init(&disk, NULL);
    if (buf_put(&disk.file, bytes) == 0)
        what(&disk);
    store_memory_release(&disk);
}

static void put_records(struct buf *out, struct slice bodies)
{
    static const uint64_t key[2];
    struct rd r = rd_init(bodies);
    while (rd_left(&r) > 2) {
        size_t len = rd_u16(&r);
        struct slice body = rd_bytes(&r, MIN(len, rd_left(&r)));
        uint8_t frame[8];
        size_t start = buf_len(out);
        struct wr w = wr_init(frame, sizeof(frame));
        wr_u32(&w, 0x53544a52);
        wr_u32(&w, (uint32_t)body.len);
        if (buf_put(out, slice_of(frame, sizeof(frame))) < 0 || buf_put(out, body) < 0)
            return;
        w = wr_init(frame, sizeof(frame));
        wr_u64(&w, siphash13(key, slice_from(buf_slice(out), start)));
        if (buf_put(out, slice_of(frame, sizeof(frame))) < 0)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    struct buf file;
    buf_init(&file, STORE_SIZE_MAX);
    object_alone(bytes);
    if (data[0] % 3 != 0)
        (void)journal_header_put(&file);
    if (data[0] % 3 == 2)
        put_records(&file, bytes);
    else
        (void)buf_put(&file, bytes);
    whole_file(buf_slice(&file), rewrite);
    whole_file(buf_slice(&file), recover);
    buf_release(&file);
    return 0;
}
