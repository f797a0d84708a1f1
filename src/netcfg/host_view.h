/* What the host's network looks like at one moment: links, addresses and routes of all tables and both families. For finding
 * conflicts and for diagnosis; reading it needs no privilege. Plain memory; the tests fill one by hand.
 */
#ifndef STILE_NETCFG_HOST_VIEW_H
#define STILE_NETCFG_HOST_VIEW_H

#include "base/err.h"
#include "net/prefix.h"

#define HOST_NAME_SIZE 16
#define HOST_KIND_SIZE 16
/* More are not looked at; `cut` says so. */
#define HOST_LINKS_MAX     4096
#define HOST_ADDRESSES_MAX 16384
#define HOST_ROUTES_MAX    65536

struct host_link {
    uint32_t index;
    char name[HOST_NAME_SIZE];
    char kind
        [HOST_KIND_SIZE]; /* as the system calls it: "wireguard", "tun", "bridge"; empty: hardware or loopback */
    uint32_t mtu;
    bool up;
    bool ethernet; /* a "tun" that is Ethernet is a TAP: of a virtual machine, mostly */
    bool ipv6;
};

struct host_address {
    uint32_t link_index;
    struct ip_addr addr;
    uint8_t bits;
};

struct host_route {
    struct prefix dst;
    uint32_t table;
    uint32_t link_index; /* 0: none (unreachable, blackhole) */
    struct ip_addr via;  /* version 0: none */
    bool local;          /* to the host itself, broadcast or multicast */
    bool ours;           /* tagged as made by stile, of any session */
};

struct host_view {
    struct host_link *links; /* all owned */
    struct host_address *addresses;
    struct host_route *routes;
    size_t link_count;
    size_t address_count;
    size_t route_count;
    bool cut;
};

int host_view_load(struct host_view *ret, struct diag *d);
void host_view_release(struct host_view *v);

/* NULL: none. */
const struct host_link *host_view_link(const struct host_view *v, uint32_t index);
const struct host_link *host_view_link_named(const struct host_view *v, const char *name);

/* A link that looks like a VPN's, by its kind or its name. */
struct host_vpn {
    const struct host_link *link; /* in the view */
    const char *product; /* "Tailscale"; or the kind for people: "a WireGuard tunnel". Static. */
};

/* At most `room`; returns how many were written. stile's own links are not among them. */
size_t host_view_vpns(const struct host_view *v, struct host_vpn *ret, size_t room);
/* NULL: not a VPN's. */
const char *host_link_product(const struct host_link *link);

#endif
