/* Whether a range of virtual addresses can be used on this host, and which of several can.
 *
 * A range is taken when something of the host lies in it or around it: an address, a route, a next hop, or an address that the
 * session needs itself (resolvers, gateways). Default routes don't count, nor their halves (0.0.0.0/1, ::/1), nor unreachable
 * routes around the range: nobody is reached there that wouldn't be by a longer prefix. Routes of other stile sessions do
 * count. Pure.
 */
#ifndef STILE_NETCFG_CONFLICT_H
#define STILE_NETCFG_CONFLICT_H

#include "netcfg/host_view.h"

#define CONFLICT_TEXT_SIZE 256

enum conflict_kind { CONFLICT_ROUTE, CONFLICT_ADDRESS, CONFLICT_NEXT_HOP, CONFLICT_NEEDED };

/* An address that the session must reach past the tunnel. */
struct conflict_needed {
    struct ip_addr addr;
    const char *what; /* "the resolver", "the gateway gw.example.com" */
};

struct conflict {
    enum conflict_kind kind;
    struct prefix prefix; /* what is in the way; an address has all bits */
    char
        interface[HOST_NAME_SIZE]; /* whose it is; empty: nobody's (unreachable, blackhole; a needed address) */
    char text[CONFLICT_TEXT_SIZE]; /* "the route 100.64.0.0/10 on tailscale0 (tun, Tailscale)" */
};

struct conflict_query {
    const struct host_view *view;
    const char *own_link; /* whatever is on it doesn't count; NULL: none */
    const struct conflict_needed *needed;
    size_t needed_count;
};

/* Whether there is any: then *ret is the one to tell about, the most specific of the host, else a needed address. ret may be
 * NULL. */
bool conflict_find(const struct conflict_query *q, const struct prefix *wanted,
                   struct conflict *ret);

#define RANGE_CHOICE_TEXT_SIZE 512

/* The first candidate without a conflict. ret_text says in a sentence for people why others before it were skipped, and is
 * empty when it is the first: "100.64.0.0/10 is taken by the route 100.64.0.0/10 on tailscale0 (tun, Tailscale); using
 * 198.18.0.0/15". ERR_EXISTS: all are taken; ret_text says by what and names the remedy. */
int range_choose(const struct conflict_query *q, const struct prefix *candidates, size_t count,
                 size_t *ret_index, char ret_text[RANGE_CHOICE_TEXT_SIZE]);

#endif
