/* A view: the policies of one direction that reach their proxy in one way, in the order of
 * evaluation. Pure.
 *
 * Theory of operation. A view has two chains. The first decides: the first policy whose filter
 * matches goes on in a chain of its own, in which its guard and its exceptions return; who comes to
 * that chain's end gets POLICY_MARK and belongs to the proxy. The second chain, which only marked
 * packets are sent to, finds the same policy by its filter alone and hands over to its port; its
 * end drops, so that a packet which belongs to a proxy is never passed on. The first chain says
 * nothing about how, so what can't be redirected can ask it, too.
 *
 * Policies that stand together and differ in the called ports alone, and share none, are looked up
 * in one map when they are many: what a packet costs doesn't grow with them. All others are asked
 * one after the other.
 *
 * Destinations in loopback have views of their own, with the policies that name loopback, for these
 * destinations alone.
 */
#ifndef STILE_POLICY_NFT_VIEW_H
#define STILE_POLICY_NFT_VIEW_H

#include "policy/l4_policy.h"
#include "policy/nft_text.h"

enum nft_way { NFT_REDIRECT, NFT_TPROXY };

struct nft_view {
    bool inbound;
    enum nft_way way;
    bool loopback; /* outbound only */
};

/* What the packets of a view can be: enum l4_protocol; 0: there is no such view. */
unsigned nft_view_protocols(const struct l4_policies *l, struct nft_view v);
/* Static strings: the chain that decides and the one that hands over. */
const char *nft_view_decides(struct nft_view v);
const char *nft_view_hands_over(struct nft_view v);
/* Both chains; nothing if there is no such view. */
void nft_view_chains(struct nft_text *t, const struct l4_policies *l, struct nft_view v);
/* Of all the view's policies that take one of the protocols (enum l4_protocol): whom one of them
 * knows returns. */
void nft_view_guards(struct nft_text *t, const struct l4_policies *l, struct nft_view v,
                     unsigned protocols);
/* The chain of each policy that a view goes on to, and those of the ports that tproxy hands over
 * to. */
void nft_policy_chains(struct nft_text *t, const struct l4_policies *l);
void nft_tproxy_chains(struct nft_text *t, const struct l4_policies *l);

#endif
