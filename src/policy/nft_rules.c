#include "policy/nft_rules.h"

#include <assert.h>

#include "base/str.h"
#include "policy/nft_ports.h"
#include "policy/nft_record.h"
#include "policy/nft_text.h"
#include "policy/nft_view.h"

#define DOCUMENT_MAX ((size_t)64 * 1024 * 1024)

/* The bit of ours: packets (and, for what conntrack remembers, flows) on their way to a proxy. */
#define MARKED   "mark & 0x00100000 == 0x00100000"
#define UNMARKED "mark & 0x00100000 == 0x00000000"
#define SET      "mark | 0x00100000"
#define CLEAR    "meta mark set meta mark & 0xffefffff"

/* The other one, of flows alone: inbound ones of UDP that a proxy has been given. */
#define TAKEN     "mark & 0x00200000 == 0x00200000"
#define NOT_TAKEN "mark & 0x00200000 == 0x00000000"
#define TAKE      "ct mark set ct mark | 0x00200000"
#define LEAVE     "ct mark set ct mark & 0xffdfffff"
#define FORGET    "ct mark set ct mark & 0xffefffff"

static_assert(POLICY_MARK == 0x00100000u && POLICY_MARK_MASK == POLICY_MARK, "as written above");
static_assert(POLICY_TAKEN_MARK == 0x00200000u, "as written above");

static const struct nft_view outbound_redirect = {false, NFT_REDIRECT, false};
static const struct nft_view outbound_tproxy = {false, NFT_TPROXY, false};
static const struct nft_view loopback_redirect = {false, NFT_REDIRECT, true};
static const struct nft_view loopback_tproxy = {false, NFT_TPROXY, true};
static const struct nft_view inbound_redirect = {true, NFT_REDIRECT, false};
static const struct nft_view inbound_tproxy = {true, NFT_TPROXY, false};

/* What makers of chains work on. */
struct draft {
    const struct l4_policies *policies;
    struct nft_text *text;
};

static bool has(const struct draft *d, struct nft_view v)
{
    return nft_view_protocols(d->policies, v) != 0;
}

/* Asks the view's policies; those that say "direct" let the packet pass the chain. */
static void ask(const struct draft *d, struct nft_view v)
{
    /* Whoever may set marks (CAP_NET_ADMIN, CAP_NET_RAW) doesn't decide by it. */
    nft_rule(d->text, CLEAR);
    nft_rule(d->text, "jump %s", nft_view_decides(v));
}

/* The end of a nat chain for new connections of a view. */
static void redirect(const struct draft *d, struct nft_view v)
{
    ask(d, v);
    nft_rule(d->text, "meta " UNMARKED " accept");
    nft_rule(d->text, CLEAR);
    nft_rule(d->text, "goto %s", nft_view_hands_over(v));
}

static bool has_outbound(const struct draft *d)
{
    return has(d, outbound_redirect) || has(d, outbound_tproxy);
}

static void skip_other_protocols(const struct draft *d, struct nft_view v)
{
    bool udp = (nft_view_protocols(d->policies, v) & L4_UDP) != 0;

    nft_rule(d->text, "meta l4proto != %s accept", udp ? "{ tcp, udp }" : "tcp");
}

/* Packets to loopback go to another chain, or are left alone if no policy names loopback. */
static void part_loopback(const struct draft *d, bool any, const char *chain)
{
    nft_rule(d->text, "ip daddr 127.0.0.0/8 %s%s", any ? "goto " : "accept", any ? chain : "");
    nft_rule(d->text, "ip6 daddr ::1 %s%s", any ? "goto " : "accept", any ? chain : "");
}

/* ---- Outbound ---- */

/* New connections that a program of the endpoint opens. Before the usual place of address
 * translation, so that a policy which names a resolver that somebody else translates (Docker's
 * 127.0.0.11) is asked first. */
static void output_nat(const struct draft *d)
{
    if (!has(d, outbound_redirect))
        return;
    nft_chain_begin(d->text, "output_nat", "type nat hook output priority -110");
    skip_other_protocols(d, outbound_redirect);
    if (has(d, outbound_tproxy)) /* it is on its way already */
        nft_rule(d->text, "meta l4proto udp meta " MARKED " accept");
    part_loopback(d, has(d, loopback_redirect), "output_nat_loopback");
    redirect(d, outbound_redirect);
    nft_chain_end(d->text);
    if (!has(d, loopback_redirect))
        return;
    nft_chain_begin(d->text, "output_nat_loopback", NULL);
    redirect(d, loopback_redirect);
    nft_chain_end(d->text);
}

/* Anybody may send from somebody else's address (IPV6_FREEBIND), and so begin a flow of which his
 * own packets are the replies, or whose replies leave. A proxy's answer from the address of the
 * server (tproxy) is a reply itself; when its flow has been forgotten meanwhile it is dropped, as
 * any address translation does, else it would be the beginning of a flow whose other direction,
 * which is the program's, goes direct. Who has no address yet may ask for one. */
static void drop_foreign(const struct draft *d)
{
    unsigned protocols = nft_view_protocols(d->policies, outbound_redirect) |
                         nft_view_protocols(d->policies, outbound_tproxy);
    const char *of = protocols == (L4_TCP | L4_UDP) ? "{ tcp, udp }"
                     : protocols == L4_TCP          ? "tcp"
                                                    : "udp";

    nft_rule(d->text, "ct state new meta l4proto %s fib saddr type != { local, broadcast } drop",
             of);
}

/* Drops what a policy of this direction would send to a proxy in any way. */
static void decide(const struct draft *d, bool inbound)
{
    const struct nft_view views[] = {{inbound, NFT_REDIRECT, false}, {inbound, NFT_TPROXY, false}};

    nft_rule(d->text, CLEAR);
    for (size_t i = 0; i < ARRAY_LEN(views); i++)
        if (has(d, views[i]))
            nft_rule(d->text, "jump %s", nft_view_decides(views[i]));
    nft_rule(d->text, "meta " MARKED " drop");
}

/* A flow that was direct when it began, the proxy's own or one that is older than the policies,
 * could be anybody's now who has bound its port: one of UDP has no end, and of TCP conntrack
 * remembers the tries that failed and the connections that the server broke off. It never comes to
 * output_nat again. What output_nat has sent to loopback stays there; what only somebody else has
 * translated is no more than direct. */
static void output_lasting(const struct draft *d)
{
    nft_chain_begin(d->text, "output_lasting", NULL);
    nft_rule(d->text, "ct reply ip saddr 127.0.0.0/8 accept");
    nft_rule(d->text, "ct reply ip6 saddr ::1 accept");
    part_loopback(d, false, "");
    ask(d, outbound_redirect);
    nft_rule(d->text, "meta " MARKED " drop");
    nft_chain_end(d->text);
}

/* Of TCP only what begins, or it would cost each packet. SYN alone or with ACK: two may call each
 * other at once. */
static void go_to_lasting(const struct draft *d, const char *what)
{
    nft_rule(d->text, "%s ct direction original ct status confirmed goto output_lasting", what);
}

static bool takes_inbound_udp(const struct draft *d)
{
    unsigned protocols = nft_view_protocols(d->policies, inbound_redirect) |
                         nft_view_protocols(d->policies, inbound_tproxy);

    return (protocols & L4_UDP) != 0;
}

/* UDP that answers a flow which was given to an inbound proxy: the proxy's, whom a guard knows, or
 * another's, who may take part in it by the same ports (SO_REUSEADDR lets anybody share that of a
 * redirecting proxy). What could go direct if it began a flow itself may be an answer, too. */
static void output_answers(const struct draft *d)
{
    nft_chain_begin(d->text, "output_answers", NULL);
    nft_view_guards(d->text, d->policies, inbound_tproxy, L4_UDP);
    nft_view_guards(d->text, d->policies, inbound_redirect, L4_UDP);
    part_loopback(d, false, "");
    decide(d, false);
    nft_chain_end(d->text);
}

/* What conntrack can't follow is never translated: it would leave by the way it was sent. It is
 * dropped if it should have gone to a proxy. */
static void output_stray(const struct draft *d)
{
    unsigned redirected = nft_view_protocols(d->policies, outbound_redirect);

    if (!has_outbound(d))
        return;
    nft_chain_begin(d->text, "output_stray", "type filter hook output priority -170");
    /* What was turned to loopback would go on from there by the next segment. It takes no
     * privilege, and no program of today needs it. */
    nft_rule(d->text, "meta l4proto { tcp, udp } exthdr rt exists drop");
    drop_foreign(d);
    if ((redirected & L4_TCP) != 0)
        go_to_lasting(d, "tcp flags syn");
    if ((redirected & L4_UDP) != 0)
        go_to_lasting(d, "meta l4proto udp");
    if (takes_inbound_udp(d))
        nft_rule(d->text, "meta l4proto udp ct direction reply ct " TAKEN " goto output_answers");
    nft_rule(d->text, "ct state established,related,new accept");
    nft_rule(d->text, "meta l4proto != { tcp, udp } accept");
    part_loopback(d, false, "");
    decide(d, false);
    nft_chain_end(d->text);
    if (redirected != 0)
        output_lasting(d);
    if (takes_inbound_udp(d))
        output_answers(d);
}

/* Marks a datagram that belongs to a proxy, and remembers that of its flow, until one of it
 * doesn't. */
static void mark(const struct draft *d, struct nft_view v)
{
    ask(d, v);
    nft_rule(d->text, "meta " UNMARKED " ct " MARKED " " FORGET);
    nft_rule(d->text, "meta " MARKED " ct " UNMARKED " ct mark set ct " SET);
}

/* Outbound UDP, datagram by datagram: what is marked here is routed again, over lo. An ICMP error
 * about such a flow takes the same way: it is for the proxy, and the server that it names has never
 * heard of the flow. An answer of a proxy (from the address of the server) comes by here too, as a
 * reply. */
static void output_udp(const struct draft *d)
{
    if (!has(d, outbound_tproxy))
        return;
    nft_chain_begin(d->text, "output_udp", "type route hook output priority mangle");
    nft_rule(d->text, "meta l4proto tcp accept");
    nft_rule(d->text, "meta l4proto { icmp, ipv6-icmp } ct state related ct " MARKED
                      " meta mark set meta " SET " accept");
    nft_rule(d->text, "meta l4proto != udp accept");
    nft_rule(d->text, "ct direction reply accept");
    part_loopback(d, has(d, loopback_tproxy), "output_udp_loopback");
    mark(d, outbound_tproxy);
    nft_chain_end(d->text);
    if (!has(d, loopback_tproxy))
        return;
    nft_chain_begin(d->text, "output_udp_loopback", NULL);
    mark(d, loopback_tproxy);
    nft_chain_end(d->text);
}

/* A change is one transaction, but the chains of a hook run one after the other: a packet may meet
 * the old rules in one and the new ones in the next, and be taken by neither (UDP whose mode
 * changes). So what begins and would go direct is asked about once more in the end. */
static void output_end(const struct draft *d)
{
    if (!has_outbound(d))
        return;
    nft_chain_begin(d->text, "output_end", "type filter hook output priority -90");
    nft_rule(d->text, "ct state != new accept");
    nft_rule(d->text, "meta l4proto != { tcp, udp } accept");
    nft_rule(d->text, "ct status dnat accept");
    if (has(d, outbound_tproxy))
        nft_rule(d->text, "meta l4proto udp meta " MARKED " accept");
    part_loopback(d, false, "");
    decide(d, false);
    nft_chain_end(d->text);
}

/* Packets of a socket that is bound to an interface leave by it, though their address is
 * loopback's: that of the program, or ours after redirection. And without the routes of
 * udp_routes.h (somebody has removed them) marked packets would leave. */
static void postrouting(const struct draft *d)
{
    if (!has_outbound(d))
        return;
    nft_chain_begin(d->text, "postrouting", "type filter hook postrouting priority mangle");
    nft_rule(d->text, "oif \"lo\" accept");
    nft_rule(d->text, "ip daddr 127.0.0.0/8 drop");
    nft_rule(d->text, "ip6 daddr ::1 drop");
    if (has(d, outbound_tproxy))
        nft_rule(d->text,
                 "meta " MARKED " meta l4proto { icmp, udp, ipv6-icmp } fib saddr type local drop");
    nft_chain_end(d->text);
}

/* ---- Inbound, and outbound UDP that has come back ---- */

/* Only on lo: a mark that a packet has from elsewhere is somebody else's. What the proxy answers
 * comes over lo, too: from elsewhere comes who has seen or guessed the ports, or an error that is
 * none of the app's. */
static void returned(const struct draft *d)
{
    nft_rule(d->text, "iif \"lo\" meta l4proto udp meta " MARKED " goto returned_udp");
    nft_rule(d->text, "iif != \"lo\" ct direction reply ct " MARKED " drop");
}

static void returned_chain(const struct draft *d)
{
    if (!has(d, outbound_tproxy))
        return;
    nft_chain_begin(d->text, "returned_udp", NULL);
    if (has(d, loopback_tproxy))
        part_loopback(d, true, nft_view_hands_over(loopback_tproxy));
    nft_rule(d->text, "goto %s", nft_view_hands_over(outbound_tproxy));
    nft_chain_end(d->text);
}

/* The end of a chain for what comes from elsewhere. What is sent to many (an app takes that, too)
 * can't be given to a proxy, which would have to answer from that address: it is dropped if a
 * policy takes it. */
static void redirect_local(const struct draft *d, struct nft_view v)
{
    nft_rule(d->text, "fib daddr type != { local, broadcast, anycast, multicast } accept");
    ask(d, v);
    if (v.way == NFT_TPROXY) /* redirected flows stay with their proxy */
        nft_rule(d->text, "meta " UNMARKED " ct " TAKEN " " LEAVE);
    nft_rule(d->text, "meta " UNMARKED " accept");
    nft_rule(d->text, CLEAR);
    nft_rule(d->text, "fib daddr type != local drop");
    if ((nft_view_protocols(d->policies, v) & L4_UDP) != 0)
        nft_rule(d->text, "meta l4proto udp ct " NOT_TAKEN " " TAKE);
    nft_rule(d->text, "goto %s", nft_view_hands_over(v));
}

/* Flows that began here are left alone, what is forwarded too. */
static void inbound_udp(const struct draft *d)
{
    nft_rule(d->text, "meta l4proto != udp accept");
    nft_rule(d->text, "iif \"lo\" accept");
    nft_rule(d->text, "ct direction reply accept");
    redirect_local(d, inbound_tproxy);
}

static void prerouting_udp(const struct draft *d)
{
    if (!has(d, outbound_tproxy) && !has(d, inbound_tproxy))
        return;
    nft_chain_begin(d->text, "prerouting_udp", "type filter hook prerouting priority mangle");
    nft_rule(d->text, "meta l4proto tcp accept");
    if (has(d, outbound_tproxy))
        returned(d);
    if (has(d, inbound_tproxy))
        inbound_udp(d);
    nft_chain_end(d->text);
    returned_chain(d);
}

/* New connections from elsewhere to an address of the endpoint. After the usual place: what
 * somebody translates to go on to another host (a published port of a container, say) is forwarded,
 * not inbound. */
static void prerouting_nat(const struct draft *d)
{
    if (!has(d, inbound_redirect))
        return;
    nft_chain_begin(d->text, "prerouting_nat", "type nat hook prerouting priority dstnat + 10");
    nft_rule(d->text, "iif \"lo\" accept");
    skip_other_protocols(d, inbound_redirect);
    redirect_local(d, inbound_redirect);
    nft_chain_end(d->text);
}

/* ---- The proxies' ports ---- */

static void closed_chain(const struct draft *d, const char *protocol, const struct nft_ports *ports,
                         const char *action)
{
    nft_put(d->text, "\n\tchain closed_%s {\n", protocol);
    for (uint16_t port = nft_ports_next(ports, 0); port != 0; port = nft_ports_next(ports, port))
        nft_rule(d->text, "meta l4proto %s ct original proto-dst %u %s", protocol, (unsigned)port,
                 action);
    nft_chain_end(d->text);
}

static void port_rule(const struct draft *d, const char *protocol, const struct nft_ports *ports,
                      const char *action)
{
    if (nft_ports_next(ports, 0) == 0)
        return;
    nft_put(d->text, "\t\t%s dport ", protocol);
    nft_ports_put(d->text, ports);
    nft_put(d->text, " %s\n", action);
}

/* What conntrack can't follow: not to a proxy's port, and not past an inbound proxy. */
static void input_stray(const struct draft *d, const struct nft_ports *tcp,
                        const struct nft_ports *udp)
{
    nft_chain_begin(d->text, "input_stray", NULL);
    port_rule(d, "tcp", tcp, "drop");
    port_rule(d, "udp", udp, "drop");
    if (has(d, inbound_redirect)) {
        nft_rule(d->text, "meta l4proto != { tcp, udp } accept");
        ask(d, inbound_redirect);
        nft_rule(d->text, "meta " MARKED " drop");
    }
    nft_chain_end(d->text);
}

/* A flow that was direct when it began, by an exception or before there were policies, never comes
 * to prerouting_nat again: the same as output_lasting, for those outside. */
static void input_lasting(const struct draft *d, const struct nft_ports *tcp,
                          const struct nft_ports *udp)
{
    nft_chain_begin(d->text, "input_lasting", NULL);
    nft_rule(d->text, "iif \"lo\" accept");
    port_rule(d, "tcp", tcp, "goto closed_tcp");
    port_rule(d, "udp", udp, "goto closed_udp");
    ask(d, inbound_redirect);
    nft_rule(d->text, "meta " MARKED " drop");
    nft_chain_end(d->text);
}

/* Of TCP whoever calls: also one that was called at the same time. */
static void go_to_input_lasting(const struct draft *d)
{
    unsigned redirected = nft_view_protocols(d->policies, inbound_redirect);

    if ((redirected & L4_TCP) != 0)
        nft_rule(d->text, "tcp flags syn tcp flags ! ack ct status confirmed goto input_lasting");
    if ((redirected & L4_UDP) != 0)
        nft_rule(d->text,
                 "meta l4proto udp ct direction original ct status confirmed goto input_lasting");
}

/* Closed to other machines is what was sent to a proxy's port; what a policy has sent there was
 * sent elsewhere. */
static void input(const struct draft *d)
{
    struct nft_ports tcp = {0}, udp = {0};

    nft_ports_of(&tcp, d->policies, L4_TCP);
    nft_ports_of(&udp, d->policies, L4_UDP);
    nft_chain_begin(d->text, "input", "type filter hook input priority filter");
    go_to_input_lasting(d);
    nft_rule(d->text, "ct state established,related accept");
    nft_rule(d->text, "iif \"lo\" accept");
    nft_rule(d->text, "ct state invalid,untracked goto input_stray");
    port_rule(d, "tcp", &tcp, "goto closed_tcp");
    port_rule(d, "udp", &udp, "goto closed_udp");
    if (takes_inbound_udp(d)) { /* as output_end */
        nft_rule(d->text, "meta l4proto != udp accept");
        nft_rule(d->text, "ct status dnat accept");
        nft_rule(d->text, "ct " TAKEN " accept");
        decide(d, true);
    }
    nft_chain_end(d->text);
    input_stray(d, &tcp, &udp);
    if (has(d, inbound_redirect))
        input_lasting(d, &tcp, &udp);
    if (nft_ports_next(&tcp, 0) != 0)
        closed_chain(d, "tcp", &tcp, "reject with tcp reset");
    if (nft_ports_next(&udp, 0) != 0)
        closed_chain(d, "udp", &udp, "drop");
}

/* ---- Documents ---- */

static void remove_table(struct nft_text *t, const char *name)
{
    /* The first makes the second possible, be the table there or not. */
    nft_put(t, "add table " NFT_FAMILY " %s\ndelete table " NFT_FAMILY " %s\n", name, name);
}

static void chains(const struct draft *d)
{
    output_nat(d);
    output_stray(d);
    output_udp(d);
    output_end(d);
    postrouting(d);
    prerouting_udp(d);
    prerouting_nat(d);
    input(d);
    nft_view_chains(d->text, d->policies, outbound_redirect);
    nft_view_chains(d->text, d->policies, loopback_redirect);
    nft_view_chains(d->text, d->policies, outbound_tproxy);
    nft_view_chains(d->text, d->policies, loopback_tproxy);
    nft_view_chains(d->text, d->policies, inbound_redirect);
    nft_view_chains(d->text, d->policies, inbound_tproxy);
    nft_policy_chains(d->text, d->policies);
    nft_tproxy_chains(d->text, d->policies);
}

static int finish(const struct nft_text *t, struct diag *d)
{
    if (t->err == ERR_TOOBIG)
        return diag_set(d, ERR_TOOBIG, 0, "The policies make too many rules: more than %zu MiB",
                        DOCUMENT_MAX >> 20);
    return t->err < 0 ? diag_set(d, t->err, 0, "Out of memory") : 0;
}

int nft_rules_replace(const struct l4_policies *l, struct buf *ret, struct diag *d)
{
    CLEANUP(l4_policies_release) struct l4_policies sorted;
    struct nft_text t = {.out = ret};

    l4_policies_init(&sorted);
    int err = l4_policies_copy(l, &sorted);
    if (err < 0)
        return diag_no_memory(d);
    l4_policies_sort(&sorted);
    remove_table(&t, NFT_TABLE);
    remove_table(&t, NFT_BLOCK_TABLE);
    nft_put(&t, "table " NFT_FAMILY " " NFT_TABLE " {");
    err = nft_record_write(l, &t, d);
    if (err < 0)
        return err;
    chains(&(struct draft){&sorted, &t});
    nft_put(&t, "}\n");
    return finish(&t, d);
}

int nft_rules_remove(struct buf *ret, struct diag *d)
{
    struct nft_text t = {.out = ret};

    remove_table(&t, NFT_TABLE);
    remove_table(&t, NFT_BLOCK_TABLE);
    return finish(&t, d);
}

/* Before anything else (conntrack, too) looks at the packet. */
static void block_chain(struct nft_text *t, const char *hook, const char *exempt)
{
    nft_put(t, "\n\tchain %s {\n\t\ttype filter hook %s priority -500; policy drop;\n", hook, hook);
    if (exempt != NULL)
        nft_rule(t, "%s \"lo\" accept", exempt);
    nft_chain_end(t);
}

int nft_rules_block(struct buf *ret, struct diag *d)
{
    struct nft_text t = {.out = ret};

    remove_table(&t, NFT_BLOCK_TABLE);
    nft_put(&t, "table " NFT_FAMILY " " NFT_BLOCK_TABLE " {");
    block_chain(&t, "input", "iif");
    block_chain(&t, "output", "oif");
    block_chain(&t, "forward", NULL);
    nft_put(&t, "}\n");
    return finish(&t, d);
}

bool nft_rules_want_udp_routes(const struct l4_policies *l)
{
    return nft_view_protocols(l, outbound_tproxy) != 0;
}
