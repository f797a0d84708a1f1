/* The text of a resolv.conf(5): its lines, and the resolvers that it names.
 *
 * Pure. The format is the C library's: a line is a keyword and its value, # and ; begin a comment line, what isn't understood
 * is skipped. Lines and words borrow the text.
 */
#ifndef STILE_NET_RESOLV_CONF_H
#define STILE_NET_RESOLV_CONF_H

#include "net/ip.h"

#define RESOLVERS_MAX    8
#define RESOLVER_TEXT    64
#define RESOLV_CONF_PATH "/etc/resolv.conf"
#define RESOLV_CONF_CAP  ((size_t)64 * 1024) /* longer ones are cut */

struct resolvers {
    size_t count;
    char addrs[RESOLVERS_MAX][RESOLVER_TEXT]; /* IP addresses as text; IPv6 may have a %zone */
};

/* The nameserver lines of the text, without duplicates; what isn't an address is left out. None at all means 127.0.0.1, as for
 * the C library. */
void resolvers_parse(struct slice text, struct resolvers *ret);

/* The same, added to what is there; none at all means none. */
void resolvers_read(struct slice text, struct resolvers *r);

/* One more, unless it is there already or is no address: true if it was added. */
bool resolvers_add(struct resolvers *r, struct slice address);
void resolvers_remove(struct resolvers *r, const struct ip_addr *address); /* with any %zone */
bool resolvers_equal(const struct resolvers *a, const struct resolvers *b);

/* The address of a resolver's text, without its zone. ERR_FORMAT. */
MUST_CHECK int resolver_address(const char *text, struct ip_addr *ret);

struct resolv_line {
    struct slice text;    /* the whole line, without its line break */
    struct slice keyword; /* its first word; empty for an empty line */
    struct slice value;   /* the second word; empty if there is none */
};

/* Takes the next line off the text. False at its end. */
bool resolv_line_next(struct slice *text, struct resolv_line *ret);

/* Takes the next word off a line. False at its end. */
bool resolv_word_next(struct slice *line, struct slice *ret);

#endif
