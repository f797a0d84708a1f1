/* The host's DNS resolvers, as /etc/resolv.conf names them. */
#ifndef STILE_AGENT_RESOLVERS_H
#define STILE_AGENT_RESOLVERS_H

#include "base/slice.h"

#define RESOLVERS_MAX    8
#define RESOLVER_TEXT    64
#define RESOLV_CONF_PATH "/etc/resolv.conf"
#define RESOLV_CONF_CAP  ((size_t)64 * 1024)

struct resolvers {
    size_t count;
    char addrs[RESOLVERS_MAX][RESOLVER_TEXT]; /* IP addresses as text; IPv6 may have a %zone */
};

/* The nameserver lines (resolv.conf(5)) of the text, without duplicates; what isn't an address is left out. None at all means
 * 127.0.0.1, as for the C library. */
void resolvers_parse(struct slice text, struct resolvers *ret);

/* Reads the file; a file that can't be read counts as empty. */
void resolvers_load(const char *path, struct resolvers *ret);

#endif
