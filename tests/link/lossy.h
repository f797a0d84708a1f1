/* A link that behaves badly, in both directions: it loses, doubles, delays and reorders packets, and cuts superpackets
 * into smaller ones at segment borders first, so that each piece meets its own fate. */
#ifndef STILE_TESTS_LINK_LOSSY_H
#define STILE_TESTS_LINK_LOSSY_H

#include "engine/link.h"

struct lossy_config { /* each out of 1000 */
    unsigned lose, duplicate, reorder, cut;
    uint64_t delay_ns;   /* of every packet */
    uint64_t reorder_ns; /* more, of those reordered: up to this */
    uint64_t seed;
};

struct lossy_stats {
    uint64_t packets, lost, duplicated, reordered, cuts;
};

/* lower is taken. */
int lossy_new(struct link *lower, const struct lossy_config *config, struct link **ret_link);
/* Writes what is due to the lower link. When something will be due next (ns, UINT64_MAX: nothing is waiting). */
uint64_t lossy_pump(struct link *link);
void lossy_get_stats(const struct link *link, struct lossy_stats *ret_stats);

#endif
