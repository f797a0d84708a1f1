/* The host's configuration as one transaction: the plans of all sessions merged into one wanted state, the operations that lead
 * there from what was applied, and the journal that lets any later process undo them. docs/transactions.md has the proof.
 *
 * A plan is applied whole or not at all, and only what differs from before is touched: an unchanged plan costs no operation and
 * no write. Before each operation its undo record is durable. Ending a session applies the difference to the state without it,
 * so sessions end in any order. Session end, recovery after a crash, and clean-up by hand run the same code.
 *
 * One thread at a time; calls block for as long as the operations and the disk take. One process per directory: a second
 * netcfg_open gets ERR_BUSY.
 */
#ifndef STILE_NETCFG_NETCFG_H
#define STILE_NETCFG_NETCFG_H

#include "netcfg/ops.h"
#include "netcfg/plan.h"
#include "netcfg/report.h"
#include "netcfg/store.h"

#define NETCFG_DIRECTORY    "/var/lib/stile"
#define NETCFG_SESSIONS_MAX 64

struct netcfg;

struct netcfg_config {
    struct store *store;   /* where the journal is; netcfg's from a successful netcfg_open on */
    const struct ops *ops; /* borrowed; outlives netcfg */
    uint8_t boot_id[16];   /* of this boot of the system */
    uint64_t namespace_id; /* of the network namespace that ops work in (its inode) */
};

/* Reads the journal. Nothing is undone yet: call netcfg_recover before the first apply. ERR_VERSION (a newer stile's journal: d
 * says what to do), ERR_IO, ERR_NOMEM; the store is still the caller's then. */
int netcfg_open(const struct netcfg_config *config, struct netcfg **ret_n, struct diag *d);
/* Frees; undoes nothing and writes nothing: what is applied stays until someone recovers. NULL does nothing. */
void netcfg_close(struct netcfg *n);

/* Undoes what the journal has and no session owns: a dead process's, or what couldn't be undone before. The number that still
 * couldn't is netcfg_leftovers. r may be NULL here and below; else netcfg_report_init comes first. ERR_NOMEM; failures of
 * single objects are in the report only. */
int netcfg_recover(struct netcfg *n, struct netcfg_report *r);

/* This is the session's plan now (copied; session is not 0). The first call makes the session: sessions are as old as that.
 * On failure everything is as it was before, d says why: ERR_EXISTS (another session has something else at the same key, or the
 * host has), ERR_LIMIT, ERR_UNSUPPORTED, ERR_IO or ERR_PERM (the journal can't be written: disk full, read-only), or what the operation
 * said. What of the session's old plan couldn't be put back is FAILED in the report, and is tried again by netcfg_repair. What
 * couldn't be removed is FAILED too, but no failure of the call. A WAITS line for each object of an exclusive kind that waits for
 * another session's end. */
int netcfg_apply(struct netcfg *n, uint32_t session, const struct plan *plan,
                 struct netcfg_report *r, struct diag *d);

/* The session is over: what only it owned is undone, also when the journal can't be written. Unknown session: nothing.
 * ERR_NOMEM: nothing has happened, call again. */
int netcfg_end(struct netcfg *n, uint32_t session, struct netcfg_report *r);

/* Looks at all that is applied; what is missing is applied again, once (REPAIRED or FAILED), what is someone else's is LEFT.
 * One LEFT line per change of hands, not one per call. `may_repair` decides before each repair (NULL: always yes): the caller
 * knows how often it has been done. */
int netcfg_repair(struct netcfg *n, bool (*may_repair)(void *arg, const struct object *o),
                  void *arg, struct netcfg_report *r);

/* As if each session ended, the youngest first. */
int netcfg_end_all(struct netcfg *n, struct netcfg_report *r);

/* What is applied of this kind, the oldest; NULL. Borrowed until the next call that changes anything. */
const struct object *netcfg_applied_object(const struct netcfg *n, enum object_kind kind);

size_t netcfg_leftovers(const struct netcfg *n); /* entries of the journal that no session owns */
size_t netcfg_applied(const struct netcfg *n); /* objects that sessions own and that are applied */

#endif
