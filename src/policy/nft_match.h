/* What a packet must be for a rule to apply to it: addresses and ports as nft's matches. Pure.
 *
 * Short lists become a rule for each member (of several lists: for each combination), long ones a
 * set, so that look-up does not grow with them. Not always sets: the kernel, and nft too, search
 * the list of all sets for each set, so with thousands of them a change would take minutes.
 * Everything is written as nft prints it: overlapping and adjacent prefixes as one, in ascending
 * order, those that are no prefix any more as ranges.
 */
#ifndef STILE_POLICY_NFT_MATCH_H
#define STILE_POLICY_NFT_MATCH_H

#include "policy/l4_policy.h"
#include "policy/nft_text.h"

#define NFT_RULES_PER_MATCH 8 /* with more the longest list is a set */

/* Empty lists: all; of addresses: all of both families. */
struct nft_match {
    unsigned protocols; /* enum l4_protocol; both: nothing else comes here */
    const struct port_set *source_ports, *destination_ports;
    const struct prefix_set *source_addresses, *destination_addresses;
    /* Of the destinations only those that lie in loopback (127.0.0.0/8, ::1). */
    bool loopback;
};

/* "ip daddr 10.0.0.0/8 tcp dport 80 ACTION", for each family that can match. */
void nft_match_rules(struct nft_text *t, const struct nft_match *m, const char *action);

/* Whether a member of the set lies in loopback. */
bool nft_names_loopback(const struct prefix_set *s);

/* Rules "th dport … ACTION". */
void nft_port_rules(struct nft_text *t, const struct port_set *s, const char *action);
/* Rules "ip daddr … ACTION", "ip6 daddr … ACTION" for the families that the set has. field:
 * "saddr", "daddr". */
void nft_address_rules(struct nft_text *t, const char *field, const struct prefix_set *s,
                       const char *action);

#endif
