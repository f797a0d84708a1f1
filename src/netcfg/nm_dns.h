/* NetworkManager's DNS settings of all links together (DnsManager.Configuration): where it asks, in its order. */
#ifndef STILE_NETCFG_NM_DNS_H
#define STILE_NETCFG_NM_DNS_H

#include "net/resolv_conf.h"
#include "netcfg/nm_link.h"

#define NM_DNS_ENTRIES_MAX 32 /* the first ones; more aren't looked at */

struct nm_dns_entry {
    char interface[OBJECT_LINK_NAME_SIZE]; /* empty: for the host */
    int32_t priority;
    bool own_domains_only; /* it answers for its domains, not for all names */
    struct resolvers servers;
};

struct nm_dns {
    size_t count;
    struct nm_dns_entry entries[NM_DNS_ENTRIES_MAX];
};

/* ERR_PROTOCOL, and what bus_property has. */
int nm_dns_read(struct bus *b, struct nm_dns *ret, struct diag *d);

/* The servers that would be asked for any name if it weren't for the interfaces that are ours: by NetworkManager's rules, those
 * with a negative priority alone, if there are any; those for their own domains only if there are no others. */
void nm_dns_upstreams(const struct nm_dns *dns, bool (*is_ours)(void *arg, const char *interface),
                      void *arg, struct resolvers *ret);

/* Whether the interface's entry has these servers. */
bool nm_dns_has(const struct nm_dns *dns, const char *interface, const struct nm_link *settings);

#endif
