/* Where a journal is kept: one file that only grows, until it is emptied or replaced. An interface, so that tests can tear, fill
 * and stop it; store_posix.c is the real one, store_memory (ops_fake.h) the tests'.
 *
 * Every function returns after its effect is durable: a power cut a moment later doesn't take it back. After a failed append the
 * file may end with any first part of the bytes. ERR_NOSPC isn't a code of its own: ERR_IO with the system's code in d.
 */
#ifndef STILE_NETCFG_STORE_H
#define STILE_NETCFG_STORE_H

#include "base/buf.h"
#include "base/err.h"

/* A journal larger than this isn't ours. */
#define STORE_SIZE_MAX ((size_t)64 * 1024 * 1024)

struct store;

struct store_ops {
    int (*read)(struct store *s, struct buf *ret_bytes, struct diag *d); /* all; no file: none */
    int (*append)(struct store *s, struct slice bytes, struct diag *d);
    int (*truncate)(struct store *s, uint64_t size, struct diag *d);     /* needs no room */
    int (*replace)(struct store *s, struct slice whole, struct diag *d); /* all or nothing */
    int (*keep_damaged)(struct store *s,
                        struct diag *d); /* a copy of it as "journal.damaged", over an older one */
    void (*close)(struct store *s);      /* frees s */
};

struct store {
    const struct store_ops *ops;
};

/* A directory with "journal" and "lock", made 0700 if it isn't there (its parent must be). A symbolic link, another owner than
 * the caller or a mode that lets others write is refused: ERR_PERM. ERR_BUSY: another process has it open. A read-only
 * directory opens if a journal can be read or isn't there; then appends fail. */
int store_open(const char *directory, struct store **ret_s, struct diag *d);
void store_close(struct store *s); /* NULL does nothing */

#endif
