#include "policy/nft_view.h"

#include "base/str.h"
#include "policy/nft_dispatch.h"
#include "policy/nft_match.h"
#include "policy/nft_ports.h"
#include "policy/nft_rules.h"

enum { ACTION_SIZE = 64 };

/* Runs with more port ranges are looked up in one map. Not shorter ones: thousands of sets make a
 * change slow. */
enum { RANGES_WALKED = 32 };

static const char *const protocol_names[] = {
    [L4_TCP] = "tcp", [L4_UDP] = "udp", [L4_TCP | L4_UDP] = "th"};

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

/* Of one policy: in the chain that decides, or in the one that hands over, which has to name the
 * protocol. */
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

/* ---- Runs of policies that differ by port alone ---- */

static const struct port_set *called_ports(const struct l4_policy *p, struct nft_view v)
{
    return v.inbound ? &p->local_ports : &p->remote_ports;
}

static bool has_rule(const struct view_draft *d, const struct l4_policy *p)
{
    return protocols_of(p, d->view) != 0 || taken_elsewhere(p, d->view, d->protocols) != 0;
}

/* Whether the ports that are called are all that its filter asks for. */
static bool goes_by_port(const struct view_draft *d, const struct l4_policy *p)
{
    const struct port_set *others = d->view.inbound ? &p->remote_ports : &p->local_ports;

    return !d->view.loopback && taken_elsewhere(p, d->view, d->protocols) == 0 &&
           called_ports(p, d->view)->count > 0 && others->count == 0 &&
           p->local_addresses.count == 0 && p->remote_addresses.count == 0;
}

static bool same_kind(const struct view_draft *d, const struct l4_policy *a,
                      const struct l4_policy *b)
{
    return protocols_of(a, d->view) == protocols_of(b, d->view) &&
           has_chain(a, d->view.inbound) == has_chain(b, d->view.inbound);
}

/* The policy after the run that begins here. Those without a rule in this view are no hindrance. */
static size_t end_of_run(const struct view_draft *d, struct nft_dispatch *x, size_t first)
{
    const struct l4_policy *one = &d->policies->items[first];
    size_t end = first;

    nft_dispatch_begin(x, first);
    for (; end < d->policies->count; end++) {
        const struct l4_policy *p = &d->policies->items[end];
        if (!has_rule(d, p))
            continue;
        if (x->ranges == 0)
            one = p;
        if (!goes_by_port(d, p) || !same_kind(d, one, p) ||
            !nft_dispatch_add(x, called_ports(p, d->view), end))
            break;
    }
    return MAX(end, first + 1);
}

/* What a run is written from. */
struct look_up {
    const struct view_draft *draft;
    const struct nft_dispatch *ports;
    bool hands_over;
};

/* Neighbours with the same one are written as one range. */
static size_t value_of(const struct look_up *u, size_t policy)
{
    const struct l4_policy *p = &u->draft->policies->items[policy];
    struct nft_view v = u->draft->view;

    if (u->hands_over)
        return direction(p, v)->proxy_port;
    return has_chain(p, v.inbound) ? policy : 0;
}

/* The first range after `after`; false: no more. */
static bool next_range(const struct look_up *u, uint32_t after, struct port_range *ret,
                       size_t *ret_policy)
{
    uint32_t first = after + 1;
    size_t other;

    while (first <= UINT16_MAX && !nft_dispatch_find(u->ports, first, ret_policy))
        first++;
    if (first > UINT16_MAX)
        return false;
    uint32_t last = first;
    while (last < UINT16_MAX && nft_dispatch_find(u->ports, last + 1, &other) &&
           value_of(u, other) == value_of(u, *ret_policy))
        last++;
    *ret = (struct port_range){(uint16_t)first, (uint16_t)last};
    return true;
}

static void put_value(const struct look_up *u, size_t policy)
{
    const struct l4_policy *p = &u->draft->policies->items[policy];
    struct nft_view v = u->draft->view;
    char action[ACTION_SIZE];

    if (u->hands_over && v.way == NFT_REDIRECT) {
        nft_put(u->draft->text, " : %u", (unsigned)direction(p, v)->proxy_port);
        return;
    }
    if (!u->hands_over && !has_chain(p, v.inbound))
        return; /* a set, no map */
    if (u->hands_over)
        handover(action, p, v);
    else
        decision(action, p, policy, v);
    nft_put(u->draft->text, " : %s", action);
}

/* "{ 53 : goto outbound_policy_1, 80-90 : goto outbound_policy_2 }" */
static void put_ranges(const struct look_up *u, bool in_braces)
{
    struct port_range r = {0};
    const char *before = in_braces ? "{ " : "";
    char text[12];
    size_t policy;

    while (next_range(u, r.last, &r, &policy)) {
        port_range_format(r, text);
        nft_put(u->draft->text, "%s%s", before, text);
        put_value(u, policy);
        before = ", ";
    }
    nft_put(u->draft->text, in_braces ? " }" : "");
}

/* nft writes a set of one without braces, but not a map. */
static bool is_one_range(const struct look_up *u)
{
    struct port_range r = {0};
    size_t policy;

    return next_range(u, 0, &r, &policy) && !next_range(u, r.last, &r, &policy);
}

static void look_up_rule(const struct look_up *u, const struct l4_policy *one, unsigned protocols)
{
    const char *protocol = protocol_names[protocols];
    struct nft_view v = u->draft->view;
    struct nft_text *t = u->draft->text;
    char action[ACTION_SIZE];

    if (u->hands_over && v.way == NFT_REDIRECT)
        nft_put(t, "\t\tmeta l4proto %s redirect to :%s dport map ", protocol, protocol);
    else if (u->hands_over || has_chain(one, v.inbound))
        nft_put(t, "\t\t%s dport vmap ", protocol);
    else
        nft_put(t, "\t\t%s dport ", protocol);
    if (u->hands_over || has_chain(one, v.inbound)) {
        put_ranges(u, true);
    } else {
        decision(action, one, 0, v);
        put_ranges(u, !is_one_range(u));
        nft_put(t, " %s", action);
    }
    nft_put(t, "\n");
}

static void look_up_rules(const struct look_up *u, size_t first)
{
    const struct l4_policies *l = u->draft->policies;

    while (!has_rule(u->draft, &l->items[first]))
        first++;
    const unsigned own = protocols_of(&l->items[first], u->draft->view);
    if (own == (L4_TCP | L4_UDP) && u->hands_over) {
        look_up_rule(u, &l->items[first], L4_TCP);
        look_up_rule(u, &l->items[first], L4_UDP);
    } else {
        look_up_rule(u, &l->items[first], own);
    }
}

/* ---- Both chains ---- */

static int rules_of_all(const struct view_draft *d, bool hands_over)
{
    CLEANUP(nft_dispatch_release) struct nft_dispatch ports;
    const struct look_up u = {d, &ports, hands_over};

    int err = nft_dispatch_init(&ports);
    if (err < 0)
        return err;
    for (size_t i = 0, end; i < d->policies->count; i = end) {
        end = end_of_run(d, &ports, i);
        if (ports.ranges > RANGES_WALKED)
            look_up_rules(&u, i);
        for (size_t k = i; k < end && ports.ranges <= RANGES_WALKED; k++)
            policy_rules(d, k, hands_over);
    }
    return 0;
}

static void put_all(const struct view_draft *d, bool hands_over)
{
    int err = rules_of_all(d, hands_over);

    if (d->text->err == 0)
        d->text->err = err;
}

void nft_view_chains(struct nft_text *t, const struct l4_policies *l, struct nft_view v)
{
    const struct view_draft d = {t, l, v, nft_view_protocols(l, v)};

    if (d.protocols == 0)
        return;
    nft_chain_begin(t, nft_view_decides(v), NULL);
    put_all(&d, false);
    nft_chain_end(t);
    nft_chain_begin(t, nft_view_hands_over(v), NULL);
    put_all(&d, true);
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

void nft_view_guards(struct nft_text *t, const struct l4_policies *l, struct nft_view v,
                     unsigned protocols)
{
    const struct l4_guard *last = NULL;

    for (size_t i = 0; i < l->count; i++) {
        const struct l4_guard *g = &l->items[i].guard;
        if ((protocols_of(&l->items[i], v) & protocols) == 0 ||
            (last != NULL && l4_guard_eq(last, g)))
            continue;
        guard_rules(t, g);
        last = g;
    }
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
