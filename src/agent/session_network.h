/* The network of a session in system mode: its ranges, chosen once so that they collide with nothing on the host, its IPv6
 * prefix, its zones. What the broker is asked for, and what the engine is told.
 *
 * The ranges stay for the life of the session, whatever the clusters or the host's routes do later: names keep their addresses. An
 * app whose cluster wants another range gets an address of the first one.
 */
#ifndef STILE_AGENT_SESSION_NETWORK_H
#define STILE_AGENT_SESSION_NETWORK_H

#include "agent/directory.h"
#include "broker/messages.h"
#include "netcfg/conflict.h"
#include "platform/channel.h"

#define SESSION_NETWORK_TEXT_SIZE 640

struct session_network_wish {
    struct prefix
        forced[BROKER_RANGES_MAX]; /* these and no others, collisions or not; none: choose */
    size_t forced_count;
    uint32_t uids[BROKER_UIDS_MAX]; /* who else may use the addresses */
    size_t uid_count;
    uint32_t flags; /* BROKER_NO_IPV4, BROKER_NO_IPV6, BROKER_DEBUG */
    uint32_t mtu;
};

/* ERR_INVAL with the remedy: not a range that can be virtual. */
int session_network_parse_range(const char *text, struct prefix *ret, struct diag *d);

/* Whether the host was told by hand to ask a DNS server of ours (the broker's back-end "none"), which is no resolver in the way:
 * the .2 of a range that may be taken. */
bool session_network_is_own_dns(const struct ip_addr *a, const struct name_list *ranges,
                                const struct broker_welcome *welcome);

/* Wanted are the clusters' ranges, then what the broker offers (welcome). ret has no zones yet. ret_why tells the person what was
 * in the way, and is empty when nothing was. ERR_EXISTS: everything is taken, d names the remedy. */
int session_network_choose(const struct session_network_wish *wish, const struct name_list *ranges,
                           const struct broker_welcome *welcome, const struct conflict_query *query,
                           struct broker_network *ret, char ret_why[SESSION_NETWORK_TEXT_SIZE],
                           struct diag *d);

/* Whether a directory's zone is among the plan's. */
bool session_network_has_zone(const struct broker_network *n, const char *zone);
/* Takes out of n the zones that `of` hasn't. */
void session_network_keep_zones(struct broker_network *n, const struct broker_network *of);
bool session_network_same_zones(const struct broker_network *a, const struct broker_network *b);

/* Returns how many don't fit. */
size_t session_network_set_zones(struct broker_network *n, const struct name_list *zones);

/* flags: of STARTED. Resolvers within the ranges, which would be asking ourselves, are left out. */
void session_network_setup(const struct broker_network *n, uint32_t flags,
                           const struct broker_resolvers *resolvers, struct channel_setup *ret);
void session_network_resolvers(const struct broker_network *n,
                               const struct broker_resolvers *resolvers,
                               struct channel_resolvers *ret);

#endif
