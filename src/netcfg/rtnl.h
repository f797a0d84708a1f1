/* Links, addresses, routes and routing rules of a network namespace, through rtnetlink (RFC 3549, rtnetlink(7)).
 *
 * Every call is one request and its acknowledgement, or one dump; it blocks for as long as the kernel takes. One thread.
 *
 * What stile makes is tagged: its routes carry the number RTNL_PROTOCOL as rtm_protocol, its addresses as IFA_PROTO (Linux
 * 5.18). The number is free in iproute2's list and not one of a routing daemon, so nobody takes our routes for theirs and we
 * take nobody's for ours; `ip route show proto 115` lists them. A kernel without IFA_PROTO stores no tag: there an address is
 * ours when link and address are exactly right.
 *
 * Changing anything needs CAP_NET_ADMIN in the namespace; looking doesn't.
 */
#ifndef STILE_NETCFG_RTNL_H
#define STILE_NETCFG_RTNL_H

#include "base/err.h"
#include "net/prefix.h"

#define RTNL_PROTOCOL   115
#define RTNL_NAME_SIZE  16 /* IFNAMSIZ */
#define RTNL_KIND_SIZE  16
#define RTNL_TABLE_MAIN 254

struct rtnl;

/* Of the calling process's namespace. */
int rtnl_open(struct rtnl **ret, struct diag *d);
/* Of the namespace in which this NETLINK_ROUTE socket was made; it is r's from here on, and closed if this fails. */
int rtnl_open_on(int fd, struct rtnl **ret, struct diag *d);
void rtnl_close(struct rtnl *r); /* NULL does nothing */
/* The netlink port: notifications of what was changed through r carry it as nlmsg_pid. */
uint32_t rtnl_port(const struct rtnl *r);
/* For tests: from now on as on a kernel without IFA_PROTO. */
void rtnl_forget_address_protocol(struct rtnl *r);

/* ---- Links ---- */

struct rtnl_link {
    uint32_t index;
    char name[RTNL_NAME_SIZE];
    char kind
        [RTNL_KIND_SIZE]; /* "tun", "wireguard", "bridge", "veth", …; empty: hardware or loopback */
    uint32_t mtu;
    uint32_t queue_len;
    uint16_t hardware; /* ARPHRD_*: 65534 (none) is a TUN, 1 a TAP or Ethernet */
    bool up;
    bool loopback;
    bool
        ipv6; /* addresses of IPv6 may be added: not off for the host, nor by sysctl for this link, and the MTU ≥ 1280 */
};

/* ERR_NOTFOUND if there is no such link. */
int rtnl_link_index(const char *name, unsigned *ret_index, struct diag *d);
int rtnl_link_by_name(struct rtnl *r, const char *name, struct rtnl_link *ret, struct diag *d);
int rtnl_link_by_index(struct rtnl *r, uint32_t index, struct rtnl_link *ret, struct diag *d);

/* mtu and queue_len (packets) of 0 stay as they are. */
int rtnl_link_up(struct rtnl *r, unsigned index, uint32_t mtu, uint32_t queue_len, struct diag *d);
int rtnl_link_set(struct rtnl *r, uint32_t index, uint32_t mtu, uint32_t queue_len, bool up,
                  struct diag *d);

/* Before it comes up: the kernel gives it no link-local address, and so asks no one there for routers. Without IPv6, nothing. */
void rtnl_link_no_own_address(struct rtnl *r, uint32_t index);

/* What comes from it has an IPv4 source that is routed to it, else it is dropped (rp_filter 1): whoever has the link's other end
 * can't pass for anyone else. */
void rtnl_link_own_sources(struct rtnl *r, uint32_t index);

/* Before it comes up: whoever has the link's other end can't become the host's router, which IPv6 lets anyone on a link offer
 * to be. Without IPv6, nothing. By sysctl, as netlink has no word for it. */
int rtnl_link_no_routers(const char *name, struct diag *d);

/* ERR_NOTFOUND: there is none of this index. ERR_UNSUPPORTED: of a kind that can't be removed. */
int rtnl_delete_link(struct rtnl *r, uint32_t index, struct diag *d);

/* Whether a plan for this link may have IPv6 in it. NULL, or a link that isn't there: what a new link would get. */
bool rtnl_ipv6_available(struct rtnl *r, const char *link);

/* ---- Addresses ---- */

struct rtnl_address {
    uint32_t link_index;
    struct ip_addr addr;
    uint8_t bits;
    uint8_t protocol; /* IFA_PROTO; 0: untagged, or a kernel without tags */
};

/* The address alone, without a route to its neighbours; IPv6 without duplicate detection; tagged. ERR_EXISTS, ERR_UNSUPPORTED
 * (the family is switched off), ERR_NOTFOUND (no such link). */
int rtnl_new_address(struct rtnl *r, const struct rtnl_address *a, struct diag *d);
/* The same with all bits as its prefix length. */
int rtnl_add_address(struct rtnl *r, unsigned index, const struct ip_addr *addr, struct diag *d);
/* Exactly this one, with bits as its prefix length. ERR_NOTFOUND: it, or the link, is gone. */
int rtnl_delete_address(struct rtnl *r, const struct rtnl_address *a, struct diag *d);
/* The address with this value and length on this link. ERR_NOTFOUND. */
int rtnl_find_address(struct rtnl *r, uint32_t link_index, const struct ip_addr *addr, uint8_t bits,
                      struct rtnl_address *ret, struct diag *d);
/* Whether it carries our tag, or can't carry any. */
bool rtnl_address_is_ours(const struct rtnl *r, const struct rtnl_address *a);

/* ---- Routes ---- */

struct rtnl_route {
    struct prefix dst;
    uint32_t table;
    uint32_t metric;       /* IPv6: 0 asks for the default, and the kernel stores 1024 */
    uint32_t link_index;   /* 0: none (unreachable, blackhole) */
    struct ip_addr via;    /* version 0: none */
    struct ip_addr source; /* preferred; version 0: none */
    uint8_t protocol;      /* rtm_protocol */
    uint8_t type;          /* RTN_*; 0 is taken for RTN_UNICAST when adding */
};

/* A route in the main table to dst on this link, with source as the preferred source address and connections over it
 * controlled by cubic (programs keep the host's default elsewhere; BBR without fq halves the speed of a TUN). Tagged. */
int rtnl_add_route(struct rtnl *r, unsigned index, const struct prefix *dst,
                   const struct ip_addr *source, struct diag *d);
/* The same with everything chosen but the tag. ERR_EXISTS: a route with this dst, table and metric is there, whoever owns it
 * (IPv4), or this very one (IPv6). ERR_NOTFOUND: no such link; ERR_UNREACHABLE: the link is down. */
int rtnl_new_route(struct rtnl *r, const struct rtnl_route *route, struct diag *d);
/* The same, in place of the route with this dst, table and metric: look at what is there first. */
int rtnl_replace_route(struct rtnl *r, const struct rtnl_route *route, struct diag *d);
/* Exactly this one: dst, table, metric, link, next hop and protocol are all compared by the kernel. ERR_NOTFOUND. */
int rtnl_delete_route(struct rtnl *r, const struct rtnl_route *route, struct diag *d);

/* What stands at the dst, table and metric of `route`: the one of ours on its link if that is there, else another. ERR_NOTFOUND. */
int rtnl_find_route(struct rtnl *r, const struct rtnl_route *route, struct rtnl_route *ret,
                    struct diag *d);

/* ---- Routing rules: packets with a mark look into a table ---- */

struct rtnl_rule {
    uint8_t version; /* 4 or 6 */
    uint32_t table, priority;
    uint32_t mark, mask;
    uint8_t protocol; /* FRA_PROTOCOL; 0: untagged */
    bool local;       /* only for what is sent here, not for what is forwarded: "iif lo" */
    bool is_plain;    /* as it was read: it looks into a table, and has no condition but these */
};

/* ERR_EXISTS, ERR_UNSUPPORTED (no such family, or no rules). */
int rtnl_new_rule(struct rtnl *r, const struct rtnl_rule *rule, struct diag *d);
/* One with all of these values. ERR_NOTFOUND. */
int rtnl_delete_rule(struct rtnl *r, const struct rtnl_rule *rule, struct diag *d);
/* Those of one family; see below. */
int rtnl_each_rule(struct rtnl *r, uint8_t version,
                   int (*each)(void *arg, const struct rtnl_rule *rule), void *arg, struct diag *d);

/* ---- Dumps: of the whole namespace, all tables, both families ----
 *
 * `each` returns 0 to go on; anything else ends the dump and is its result. It must not call into r. When the kernel says that
 * the list changed while it was read, the dump is not repeated: what is missing comes as an event (watch.h). */
int rtnl_each_link(struct rtnl *r, int (*each)(void *arg, const struct rtnl_link *link), void *arg,
                   struct diag *d);
int rtnl_each_address(struct rtnl *r, int (*each)(void *arg, const struct rtnl_address *address),
                      void *arg, struct diag *d);
/* A route with several next hops comes once for each. Cached entries don't come. */
int rtnl_each_route(struct rtnl *r, int (*each)(void *arg, const struct rtnl_route *route),
                    void *arg, struct diag *d);

#endif
