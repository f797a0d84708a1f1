/* A set of TCP or UDP ports: sorted ranges that neither touch nor overlap. Plain memory. Pure.
 */
#ifndef STILE_POLICY_PORT_SET_H
#define STILE_POLICY_PORT_SET_H

#include "base/buf.h"
#include "base/err.h"

#define PORT_SET_MAX 64 /* ranges */

struct port_range {
    uint16_t first, last; /* host order, both included; first ≤ last; never 0 */
};

struct port_set {
    size_t count; /* 0: as a filter every port, as an exception none */
    struct port_range ranges[PORT_SET_MAX];
};

/* One port, 1 to 65535. ERR_FORMAT with a text that names it and what a port may be. */
int port_parse(const char *text, uint16_t *ret, struct diag *d);

/* "80", "8000-8100". ERR_LIMIT over PORT_SET_MAX; ERR_FORMAT with a text that names the port and
 * what a port may be. The set is unchanged then. */
int port_set_add(struct port_set *s, const char *range, struct diag *d);
/* The same for a comma-separated list; spaces around the commas are allowed. */
int port_set_add_list(struct port_set *s, const char *list, struct diag *d);
bool port_set_contains(const struct port_set *s, uint16_t port);
bool port_set_eq(const struct port_set *a, const struct port_set *b);
uint64_t port_set_hash(const struct port_set *s);           /* of equal sets equal */
void port_range_format(struct port_range r, char text[12]); /* "80" or "8000-8100" */
/* "80,443,8000-8100" */
int port_set_format(const struct port_set *s, struct buf *ret);

/* A range of at most so many ports is also written port by port: two exceptions that are
 * neighbours, 9001 and 9002, aren't a range to a system that has none. */
#define PORT_RANGE_SPELLED 16
bool port_range_is_long(struct port_range r); /* more than that */

#endif
