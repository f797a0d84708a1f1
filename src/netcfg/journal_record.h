/* The bytes of a journal: a header and records, each with a checksum. Pure.
 *
 * The file, all integers big-endian:
 *   header   "STILEJNL", u32 version, u32 zero, u64 checksum of these 16 bytes
 *   record   u32 0x53544a52 ("STJR"), u32 length of the body, body, u64 checksum of all before
 *   body     u8 type, u64 number of the entry, then
 *     INTENT   16 boot id, u64 network namespace, u32 session, i64 time, u32 length and object, u32 length and undo bytes
 *     SETTLED  u32 length and object
 *     UNDONE   nothing
 *     INTENT of format 1 (type 1) had no time; it is read as one with time 0
 * Checksums are SipHash-1-3 with the key of all zeros: against accidents, not against people (the directory is root's).
 */
#ifndef STILE_NETCFG_JOURNAL_RECORD_H
#define STILE_NETCFG_JOURNAL_RECORD_H

#include "base/buf.h"
#include "netcfg/ops.h"

#define JOURNAL_VERSION     2 /* what is written; all from 1 on are read */
#define JOURNAL_HEADER_SIZE 24
#define JOURNAL_RECORD_MAX  (OBJECT_BYTES_MAX + OBJECT_UNDO_MAX + 64)

/* A number is never used again for another body: every record can be read whatever the header says. */
enum journal_record_type {
    JOURNAL_INTENT_1 = 1, /* never given to callers */
    JOURNAL_SETTLED,
    JOURNAL_UNDONE,
    JOURNAL_INTENT,
};

/* Where and for whom an object was applied. */
struct journal_origin {
    uint8_t boot_id[16];
    uint64_t namespace_id;
    uint32_t session; /* that wanted it first */
    int64_t time_s;   /* Unix time of the intent; 0: not known */
};

struct journal_record {
    enum journal_record_type type;
    uint64_t number;
    struct journal_origin origin; /* INTENT */
    struct slice object;          /* INTENT, SETTLED; borrowed */
    struct slice undo;            /* INTENT; borrowed */
};

/* ERR_NOMEM, ERR_TOOBIG; the buffer is unchanged then. */
int journal_header_put(struct buf *out);
int journal_record_put(struct buf *out, const struct journal_record *record);

/* 0; ERR_TRUNCATED (cut off before its end), ERR_FORMAT (damaged). */
int journal_header_get(struct slice bytes, uint32_t *ret_version);

/* The record that these bytes begin with. ERR_TRUNCATED: they are the beginning of one, or nothing but zeros, which is how some
 * file systems end a file after a power cut. ERR_FORMAT: damaged. */
int journal_record_get(struct slice bytes, struct journal_record *ret_record, size_t *ret_len);
/* The distance to the next whole record behind bytes that don't begin with one; their length if there is none. */
size_t journal_record_seek(struct slice bytes);

#endif
