/* `stile cleanup`: what stile left on the host and no session owns is removed, as the journal says; and also what no journal
 * knows of, because it was lost or removed: network interfaces with our names, addresses and routes with our tag.
 *
 * Everything here blocks for as long as the kernel and the disk take.
 */
#ifndef STILE_BROKER_CLEANUP_H
#define STILE_BROKER_CLEANUP_H

#include "broker/messages.h"
#include "netcfg/report.h"

struct cleanup_report {
    size_t failed; /* what couldn't be removed */
    size_t total;
    size_t count; /* of lines */
    char lines[BROKER_CLEANED_MAX][NETCFG_LINE_SIZE];
};

void cleanup_add(struct cleanup_report *r, const struct netcfg_report *of_netcfg);

/* A TUN with the name "stile" and a number that isn't among these interfaces is removed; so is what carries our tag on any
 * other interface than these. ERR_PERM…: the host couldn't be looked at. */
int cleanup_orphans(const char (*owned)[BROKER_INTERFACE_SIZE], size_t owned_count,
                    struct cleanup_report *r, struct diag *d);

/* What the journal says, without a broker, under its lock. Errors as below. */
int cleanup_journal(const char *state_dir, struct cleanup_report *r, struct diag *d);

/* All of it without a broker, under the journal's lock. ERR_BUSY: a broker runs. ERR_VERSION, ERR_PERM, ERR_IO. */
int cleanup_by_hand(const char *state_dir, struct cleanup_report *r, struct diag *d);

#endif
