#include "policy/nft_view.h"

#include "base/str.h"
#include "policy/nft_match.h"
#include "policy/nft_ports.h"
#include "policy/nft_rules.h"

enum { ACTION_SIZE = 64 };

static const char *const names[2][2][2] = {
    /* decides, hands over */
    [NFT_REDIRECT] = {{"outbound_redirect", "outbound_redirect_to"},
                      {"inbound_redirect", "inbound_redirect_to"}},
    [NFT_TPROXY] = {{"outbound_tproxy", "outbound_tproxy_to"},
                    {"inbound_tproxy", "inbound_tproxy_to"}},
};
static const char *const loopback_names[2][2] = {
    [NFT_REDIRECT] = {"loopback_redirect", "loopback_redirect_to"},
    [NFT_TPROXY] = {"loopback_tproxy", "loopback_tproxy_to"},
};

const char *nft_view_decides(struct nft_view v)
{
    return v.loopback ? loopback_names[v.way][0] : names[v.way][v.inbound][0];
}

const char *nft_view_hands_over(struct nft_view v)
{
    return v.loopback ? loopback_names[v.way][1] : names[v.way][v.inbound][1];
}

static const struct l4_direction *direction(const struct l4_policy *p, struct nft_view v)
{
    return v.inbound ? &p->inbound : &p->outbound;
}

/* Which of the policy's protocols reach its proxy in the way of this view. */
static unsigned protocols_of(const struct l4_policy *p, struct nft_view v)
{
    const unsigned redirected = p->udp == L4_UDP_REDIRECT ? L4_TCP | L4_UDP : L4_TCP;

    if (direction(p, v)->proxy_port == 0 ||
        (v.loopback && !nft_names_loopback(&p->remote_addresses)))
        return 0;
    return p->protocols & (v.way == NFT_REDIRECT ? redirected : ~redirected);
}

unsigned nft_view_protocols(const struct l4_policies *l, struct nft_view v)
{
    unsigned protocols = 0;

    for (size_t i = 0; i < l->count; i++)
        protocols |= protocols_of(&l->items[i], v);
    return protocols;
}

static void filter_rules(struct nft_text *t, const struct l4_policy *p, struct nft_view v,
                         unsigned protocols, const char *action)
{
    const struct nft_match outbound = {protocols,           &p->local_ports,      &p->remote_ports,
                                       &p->local_addresses, &p->remote_addresses, v.loopback};
    const struct nft_match inbound = {protocols,           &p->remote_ports,
                                      &p->local_ports,     &p->remote_addresses,
                                      &p->local_addresses, false};

    nft_match_rules(t, v.inbound ? &inbound : &outbound, action);
}

static bool has_chain(const struct l4_policy *p, bool inbound)
{
    const struct l4_direction *d = inbound ? &p->inbound : &p->outbound;

    /* The guard is of outbound connections: an inbound one has no socket yet. */
    return d->proxy_port != 0 &&
           (!inbound || d->port_exceptions.count > 0 || d->address_exceptions.count > 0);
}

static void policy_chain_name(char name[NFT_CHAIN_SIZE], size_t i, bool inbound)
{
    (void)str_format(name, NFT_CHAIN_SIZE, "%s_policy_%zu", inbound ? "inbound" : "outbound",
                     i + 1);
}

static void decision(char action[ACTION_SIZE], const struct l4_policy *p, size_t i,
                     struct nft_view v)
{
    char name[NFT_CHAIN_SIZE];

    policy_chain_name(name, i, v.inbound);
    if (has_chain(p, v.inbound))
        (void)str_format(action, ACTION_SIZE, "goto %s", name);
    else
        (void)str_format(action, ACTION_SIZE, "meta mark set meta mark | 0x%08x return",
                         POLICY_MARK);
}

static void handover(char action[ACTION_SIZE], const struct l4_policy *p, struct nft_view v)
{
    (void)str_format(action, ACTION_SIZE,
                     v.way == NFT_REDIRECT ? "redirect to :%u" : "goto tproxy_%u",
                     (unsigned)direction(p, v)->proxy_port);
}

/* A policy that takes UDP in the other way decides for UDP, too: no policy after it is asked. */
static unsigned taken_elsewhere(const struct l4_policy *p, struct nft_view v, unsigned all)
{
    const struct nft_view other = {v.inbound, v.way == NFT_REDIRECT ? NFT_TPROXY : NFT_REDIRECT,
                                   v.loopback};

    return protocols_of(p, other) & all & L4_UDP;
}

/* What the chains of a view are made from. */
struct view_draft {
    struct nft_text *text;
    const struct l4_policies *policies;
    struct nft_view view;
    unsigned protocols; /* of all of them */
};

/* Of one policy: in the chain that decides, or in the one that hands over, which has to name the protocol. */
static void policy_rules(const struct view_draft *d, size_t i, bool hands_over)
{
    const struct l4_policy *p = &d->policies->items[i];
    const unsigned own = protocols_of(p, d->view);
    char action[ACTION_SIZE];

    if (hands_over)
        handover(action, p, d->view);
    else
        decision(action, p, i, d->view);
    if (own == (L4_TCP | L4_UDP) && hands_over) {
        filter_rules(d->text, p, d->view, L4_TCP, action);
        filter_rules(d->text, p, d->view, L4_UDP, action);
    } else if (own != 0) {
        filter_rules(d->text, p, d->view, own, action);
    }
    if (taken_elsewhere(p, d->view, d->protocols) != 0)
        filter_rules(d->text, p, d->view, L4_UDP, hands_over ? "drop" : "return");
}

void nft_view_chains(struct nft_text *t, const struct l4_policies *l, struct nft_view v)
{
    const struct view_draft d = {t, l, v, nft_view_protocols(l, v)};

    if (d.protocols == 0)
        return;
    nft_chain_begin(t, nft_view_decides(v), NULL);
    for (size_t i = 0; i < l->count; i++)
        policy_rules(&d, i, false);
    nft_chain_end(t);
    nft_chain_begin(t, nft_view_hands_over(v), NULL);
    for (size_t i = 0; i < l->count; i++)
        policy_rules(&d, i, true);
    nft_rule(t, "drop");
    nft_chain_end(t);
}

static void guard_rules(struct nft_text *t, const struct l4_guard *g)
{
    unsigned level = 1;

    if (g->has_uid)
        nft_rule(t, "meta skuid %u return", g->uid);
    if (g->has_gid)
        nft_rule(t, "meta skgid %u return", g->gid);
    for (const char *c = g->cgroup; *c != '\0'; c++)
        level += *c == '/';
    if (g->cgroup[0] != '\0')
        nft_rule(t, "socket cgroupv2 level %u \"%s\" return", level, g->cgroup);
}

static void policy_chain(struct nft_text *t, const struct l4_policy *p, size_t i, bool inbound)
{
    const struct l4_direction *d = inbound ? &p->inbound : &p->outbound;
    char name[NFT_CHAIN_SIZE];

    if (!has_chain(p, inbound))
        return;
    policy_chain_name(name, i, inbound);
    nft_chain_begin(t, name, NULL);
    if (!inbound)
        guard_rules(t, &p->guard);
    nft_port_rules(t, &d->port_exceptions, "return");
    nft_address_rules(t, inbound ? "saddr" : "daddr", &d->address_exceptions, "return");
    nft_rule(t, "meta mark set meta mark | 0x%08x", POLICY_MARK);
    nft_chain_end(t);
}

void nft_policy_chains(struct nft_text *t, const struct l4_policies *l)
{
    for (size_t i = 0; i < l->count; i++) {
        policy_chain(t, &l->items[i], i, false);
        policy_chain(t, &l->items[i], i, true);
    }
}

/* Who hears nobody is not passed on: without a socket tproxy lets the rule end. */
void nft_tproxy_chains(struct nft_text *t, const struct l4_policies *l)
{
    struct nft_ports ports = {0};
    char name[NFT_CHAIN_SIZE];

    for (size_t i = 0; i < l->count; i++) {
        const struct l4_policy *p = &l->items[i];
        if ((p->protocols & L4_UDP) == 0 || p->udp != L4_UDP_TPROXY)
            continue;
        nft_ports_add(&ports, p->inbound.proxy_port);
        nft_ports_add(&ports, p->outbound.proxy_port);
    }
    for (uint16_t port = nft_ports_next(&ports, 0); port != 0;
         port = nft_ports_next(&ports, port)) {
        (void)str_format(name, sizeof(name), "tproxy_%u", (unsigned)port);
        nft_chain_begin(t, name, NULL);
        nft_rule(t, "meta l4proto udp tproxy to :%u accept", (unsigned)port);
        nft_rule(t, "drop");
        nft_chain_end(t);
    }
}
