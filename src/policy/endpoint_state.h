/* What nftables has of our policies in a namespace, and what is to become of it. Linux.
 */
#ifndef STILE_POLICY_ENDPOINT_STATE_H
#define STILE_POLICY_ENDPOINT_STATE_H

#include "policy/endpoint.h"

struct endpoint_state {
    struct buf listing;          /* of our table, as nft prints it */
    bool present;                /* the table is there */
    struct buf block;            /* the same of the one of endpoint_block */
    bool blocked;                /* which is there */
    struct diag block_damage;    /* .err: it is there, but can't be listed */
    struct l4_policies policies; /* that the table remembers, in the order of evaluation */
    struct diag damage; /* .err: what it remembers can't be understood; policies is empty then */
};

void endpoint_state_init(struct endpoint_state *s);
void endpoint_state_release(struct endpoint_state *s);
/* Each asks nft once; whoever changes something needs both. */
int endpoint_state_read_block(struct endpoint_state *s, int netns_fd, struct diag *d);
int endpoint_state_read_policies(struct endpoint_state *s, int netns_fd, struct diag *d);
/* For those who build on what is remembered: ERR_FORMAT with the remedy if it is damaged. */
int endpoint_state_check(const struct endpoint_state *s, struct diag *d);

/* What nft is to be sent (into c->sent; empty: nothing) so that `wanted` is there; counts, notes
 * and c->drifted, too. */
int endpoint_state_plan(const struct endpoint_state *s, const struct l4_policies *wanted,
                        struct endpoint_change *c, struct diag *d);
/* The same, so that the block that is there is as it should be, and stays. */
int endpoint_state_plan_block(const struct endpoint_state *s, struct endpoint_change *c,
                              struct diag *d);

#endif
