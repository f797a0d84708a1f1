#include "policy/endpoint_state.h"

#include "policy/l4_index.h"
#include "policy/nft_compare.h"
#include "policy/nft_program.h"
#include "policy/nft_read.h"
#include "policy/nft_rules.h"

void endpoint_state_init(struct endpoint_state *s)
{
    *s = (struct endpoint_state){0};
    buf_init(&s->listing, NFT_LISTING_MAX);
    buf_init(&s->block, NFT_LISTING_MAX);
    l4_policies_init(&s->policies);
}

void endpoint_state_release(struct endpoint_state *s)
{
    buf_release(&s->listing);
    buf_release(&s->block);
    l4_policies_release(&s->policies);
}

/* Whoever rules the namespace may have filled our table so that it can't be listed: it is there,
 * and damaged. */
static int list(int netns_fd, const char *table, struct buf *listing, bool *ret_present,
                struct diag *damage, struct diag *d)
{
    struct diag why = {0};

    int err = nft_list(netns_fd, table, listing, &why);
    *ret_present = err < 0 || buf_len(listing) > 0;
    if (err == ERR_TOOBIG || err == ERR_TIMEOUT) {
        (void)diag_set(damage, ERR_FORMAT, 0,
                       "The nftables table inet %s can't be read: %.250s. Write it anew with apply "
                       "and a file, or remove it with clear",
                       table, why.text);
        return 0;
    }
    return err < 0 ? diag_set(d, err, why.os_code, "%s", why.text) : 0;
}

int endpoint_state_read_block(struct endpoint_state *s, int netns_fd, struct diag *d)
{
    return list(netns_fd, NFT_BLOCK_TABLE, &s->block, &s->blocked, &s->block_damage, d);
}

int endpoint_state_read_policies(struct endpoint_state *s, int netns_fd, struct diag *d)
{
    int err = list(netns_fd, NFT_TABLE, &s->listing, &s->present, &s->damage, d);
    if (err < 0 || !s->present || s->damage.err != 0)
        return err;
    err = nft_read_policies(buf_slice(&s->listing), &s->policies, &s->damage);
    if (err == ERR_FORMAT) {
        l4_policies_release(&s->policies);
        l4_policies_init(&s->policies);
        return 0;
    }
    if (err < 0)
        return diag_set(d, err, 0, "%s", s->damage.text);
    s->damage = (struct diag){0};
    l4_policies_sort(&s->policies);
    return 0;
}

int endpoint_state_check(const struct endpoint_state *s, struct diag *d)
{
    if (s->damage.err == 0)
        return 0;
    return diag_set(d, ERR_FORMAT, 0, "%s", s->damage.text);
}

static int note(struct endpoint_change *c, const char *text, struct diag *d)
{
    int err = buf_printf(&c->notes, "%s\n", text);

    return err < 0 ? diag_no_memory(d) : 0;
}

static void count(const struct l4_policies *now, const struct l4_policies *wanted,
                  struct endpoint_change *c)
{
    struct l4_index index;
    size_t at;

    l4_index_init(&index, now);
    l4_index_extend(&index, now->count);
    c->unchanged = 0;
    for (size_t i = 0; i < wanted->count; i++)
        c->unchanged += l4_index_find(&index, &wanted->items[i], &at);
    c->added = wanted->count - c->unchanged;
    c->removed = now->count - c->unchanged;
}

/* Whether the rules are other than what is remembered asks for. That matters to nobody when they
 * go. */
static int look_for_drift(const struct endpoint_state *s, bool they_stay, struct endpoint_change *c,
                          bool *ret_drifted, struct diag *d)
{
    *ret_drifted = false;
    if (!s->present || (s->damage.err == 0 && !they_stay))
        return 0;
    if (s->damage.err == 0)
        return nft_compare(buf_slice(&s->listing), &s->policies, &c->notes, ret_drifted, d);
    *ret_drifted = true;
    return note(c, s->damage.text, d);
}

int endpoint_state_plan(const struct endpoint_state *s, const struct l4_policies *wanted,
                        struct endpoint_change *c, struct diag *d)
{
    bool drifted;

    count(&s->policies, wanted, c);
    int err = look_for_drift(s, wanted->count > 0, c, &drifted, d);
    if (err < 0)
        return err;
    c->drifted = drifted;
    if (s->blocked &&
        (err = note(c, c->dry_run ? "would lift the block" : "lifts the block", d)) < 0)
        return err;
    if (wanted->count == 0)
        return s->present || s->blocked ? nft_rules_remove(&c->sent, d) : 0;
    if (s->present && !s->blocked && !drifted && l4_policies_eq(&s->policies, wanted))
        return 0;
    return nft_rules_replace(wanted, &c->sent, d);
}

int endpoint_state_plan_block(const struct endpoint_state *s, struct endpoint_change *c,
                              struct diag *d)
{
    bool drifted = true;

    count(&s->policies, &s->policies, c);
    int err = s->block_damage.err != 0
                  ? note(c, s->block_damage.text, d)
                  : nft_compare_block(buf_slice(&s->block), &c->notes, &drifted, d);
    if (err == 0)
        err = note(c,
                   "the endpoint is blocked, and stays so until policies are applied or it is "
                   "cleared",
                   d);
    if (err < 0)
        return err;
    c->drifted = drifted;
    return drifted ? nft_rules_block(&c->sent, d) : 0;
}
