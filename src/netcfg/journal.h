/* What must be undone, kept so that any later process can: one entry per object that is applied or about to be.
 *
 * journal_record.h has the format of the file.
 *
 * An INTENT of a known number is a change: the entry's object may be the new one or the old one until SETTLED says which. A
 * record that the file ends in the middle of was never acted upon and is dropped. What is damaged elsewhere is stepped over up
 * to the next whole record; the file is kept beside as "journal.damaged".
 *
 * An empty file is an empty journal: when no entry is left the file is cut to nothing, which needs no room on the disk.
 */
#ifndef STILE_NETCFG_JOURNAL_H
#define STILE_NETCFG_JOURNAL_H

#include "base/list.h"
#include "base/table.h"
#include "netcfg/journal_record.h"
#include "netcfg/store.h"

/* An entry's object may be one of so many: each change that failed, and whose taking back failed too, adds one. */
#define ENTRY_OBJECTS_MAX 4

struct journal_entry {
    struct list node; /* in journal.entries, by number */
    uint64_t number;
    uint8_t number_key[8];
    struct journal_origin origin;
    struct object objects[ENTRY_OBJECTS_MAX]; /* newest first */
    size_t object_count;
    struct buf undo;

    /* netcfg's, not in the file: */
    bool owned;   /* sessions of this process want it, and it is applied */
    bool foreign; /* someone else's now, and that was said */
};

struct journal {
    struct store *store; /* owned */
    struct list entries;
    size_t count;
    struct table by_number;
    uint64_t next_number;
    uint64_t size; /* of the file; once over compact_at, it is written anew */
    uint64_t compact_at;
    struct buf pending; /* records for the next flush */
    bool stale; /* the file isn't what it should be: written anew before anything is added */

    /* What opening found: */
    bool torn;    /* the last record was cut off, and dropped */
    bool damaged; /* records in the middle couldn't be read */
    bool unkept;  /* and the file couldn't be kept aside yet: it is before anything is written */
};

/* Reads all. ERR_VERSION: written by a newer version; ERR_IO, ERR_NOMEM: the store is still the caller's. */
int journal_open(struct store *store, struct journal *j, struct diag *d);
void journal_close(struct journal *j); /* writes nothing */

/* All of these change the entries at once and the file at the next flush. ERR_NOMEM, ERR_TOOBIG, ERR_LIMIT: nothing has
 * changed. */
int journal_intend(struct journal *j, const struct journal_origin *origin, const struct object *o,
                   struct slice undo, struct journal_entry **ret_e);
int journal_change(struct journal *j, struct journal_entry *e, const struct object *to);
int journal_recapture(struct journal *j, struct journal_entry *e, struct slice undo);
/* These don't fail: if memory runs out the file is written anew later. */
void journal_settle(struct journal *j, struct journal_entry *e, size_t object); /* an index */
void journal_undone(struct journal *j, struct journal_entry *e);                /* frees e */

/* Makes all that durable. ERR_IO: nothing of it is; the caller takes its intents back (journal_settle, journal_undone) and
 * mustn't act on them. */
int journal_flush(struct journal *j, struct diag *d);

#endif
