/* What a packet must be for a rule to apply to it: addresses and ports as nft's matches. Pure.
 *
 * A list becomes one set, so that look-up does not grow with it. Sets are written as nft prints them: overlapping and adjacent prefixes as
 * one, in ascending order, those that are no prefix any more as ranges; a single member without braces.
 */
#ifndef STILE_POLICY_NFT_MATCH_H
#define STILE_POLICY_NFT_MATCH_H

#include "policy/l4_policy.h"
#include "policy/nft_text.h"

struct nft_match {
    unsigned protocols;                                      /* enum l4_protocol */
    const struct port_set *source_ports, *destination_ports; /* empty: all */
    const struct prefix_set *source_addresses,
        *destination_addresses; /* empty: all of both families */
    bool
        loopback; /* of the destinations only those that lie in loopback (127.0.0.0/8, ::1); none: no rule */
};

/* One rule, or one for each family that can match: "ip daddr 10.0.0.0/8 tcp dport { 80, 443 } ACTION". */
void nft_match_rules(struct nft_text *t, const struct nft_match *m, const char *action);

/* Whether a member of the set lies in loopback. */
bool nft_names_loopback(const struct prefix_set *s);

/* "{ 80, 443, 8000-8100 }", "80". Not for empty sets. */
void nft_put_ports(struct nft_text *t, const struct port_set *s);
/* Rules "ip daddr {…} ACTION", "ip6 daddr {…} ACTION" for the families that the set has. field: "saddr", "daddr". */
void nft_address_rules(struct nft_text *t, const char *field, const struct prefix_set *s,
                       const char *action);

#endif
