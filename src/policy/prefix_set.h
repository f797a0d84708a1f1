/* A set of addresses and prefixes, both families, in the order in which they were given, without
 * repetition. Plain memory. Pure.
 */
#ifndef STILE_POLICY_PREFIX_SET_H
#define STILE_POLICY_PREFIX_SET_H

#include "base/buf.h"
#include "base/err.h"
#include "net/prefix.h"

#define PREFIX_SET_MAX 64

struct prefix_set {
    size_t count; /* 0: as a filter every address, as an exception none */
    struct prefix prefixes[PREFIX_SET_MAX];
};

/* "10.0.0.1", "10.0.0.0/8", "fd00::/8". ERR_FORMAT with a text that names it (host bits set: the
 * prefix that was perhaps meant); ERR_LIMIT. The set is unchanged then. */
int prefix_set_add(struct prefix_set *s, const char *prefix, struct diag *d);
int prefix_set_add_list(struct prefix_set *s, const char *list,
                        struct diag *d);                                    /* comma-separated */
bool prefix_set_eq(const struct prefix_set *a, const struct prefix_set *b); /* in any order */
uint64_t prefix_set_hash(const struct prefix_set *s); /* of equal sets equal */
/* A single address is written without its length: "10.0.0.1". */
void prefix_set_format_one(const struct prefix *p, char text[PREFIX_TEXT_SIZE]);

#endif
