/* What the parts of netcfg (netcfg.c, transaction.c, recovery.c) share. For nobody else. */
#ifndef STILE_NETCFG_NETCFG_INTERNAL_H
#define STILE_NETCFG_NETCFG_INTERNAL_H

#include "netcfg/journal.h"
#include "netcfg/netcfg.h"
#include "netcfg/state.h"

struct netcfg_session {
    uint32_t id;
    struct plan plan; /* owned */
};

struct netcfg {
    struct ops ops;
    uint8_t boot_id[16];
    uint64_t namespace_id;
    struct journal journal;
    struct netcfg_session sessions[NETCFG_SESSIONS_MAX]; /* oldest first */
    size_t session_count;
};

/* The plans of all sessions, where `plan` (NULL: none) takes the place of this session's. */
int netcfg_wanted(const struct netcfg *n, uint32_t session, const struct plan *plan,
                  struct state *ret_s, struct diag *d);
/* What is applied, with its journal entry as tag. */
int netcfg_present(const struct netcfg *n, struct state *ret_s);
/* For state_diff: entries whose object may not be there as it should be. */
bool netcfg_unsure(const struct state_item *item);

/* ERR_UNSUPPORTED if there is no such row. */
int netcfg_kind(const struct netcfg *n, const struct object *o, const struct object_ops **ret_kind,
                struct diag *d);

/* Undoes whatever of the entry's objects is there. The entry stays. */
int netcfg_undo(struct netcfg *n, const struct journal_entry *e, enum object_undone *ret_undone,
                struct diag *d);
enum netcfg_what netcfg_undone_line(enum object_undone undone);

/* transaction.c: all of these steps or none; see there. */
int transaction_run(struct netcfg *n, const struct step *steps, size_t count,
                    struct netcfg_report *report, struct diag *d);
/* As many of them as can be done: removals first. What can't is FAILED in the report. ERR_NOMEM: nothing was done. */
int transaction_run_each(struct netcfg *n, const struct steps *steps, struct netcfg_report *report);

#endif
