#include "netcfg/host_view.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct product {
    const char *name; /* of a kind, or what a link's name begins with */
    const char *product;
};

static const struct product by_name[] = {
    {"tailscale", "Tailscale"},
    {"ts-", "Tailscale"},
    {"zt", "ZeroTier"},
    {"nordlynx", "NordVPN"},
    {"nordtun", "NordVPN"},
    {"proton", "Proton VPN"},
    {"wg-mullvad", "Mullvad VPN"},
    {"CloudflareWARP", "Cloudflare WARP"},
    {"wt", "NetBird"},
    {"nebula", "Nebula"},
    {"cscotun", "Cisco Secure Client"},
    {"gpd", "GlobalProtect"},
    {"vpn", "a VPN"},
    {"ipsec", "an IPsec tunnel"},
};

static const struct product by_kind[] = {
    {"wireguard", "a WireGuard tunnel"},
    {"amneziawg", "an AmneziaWG tunnel"},
    {"ovpn", "an OpenVPN tunnel"},
    {"ovpn-dco", "an OpenVPN tunnel"},
    {"ppp", "a PPP connection"},
    {"xfrm", "an IPsec tunnel"},
    {"vti", "an IPsec tunnel"},
    {"vti6", "an IPsec tunnel"},
    {"tun", "a VPN's TUN"},
};

const struct host_link *host_view_link(const struct host_view *v, uint32_t index)
{
    for (size_t i = 0; i < v->link_count; i++)
        if (v->links[i].index == index)
            return &v->links[i];
    return NULL;
}

const struct host_link *host_view_link_named(const struct host_view *v, const char *name)
{
    for (size_t i = 0; i < v->link_count; i++)
        if (str_eq(v->links[i].name, name))
            return &v->links[i];
    return NULL;
}

/* The beginning, and then a number, a separator or the end: "wt0" is NetBird's, "wtap" is not. */
static bool is_named(const char *name, const char *prefix)
{
    if (!str_starts(name, prefix))
        return false;
    char next = name[strlen(prefix)];
    return next == '\0' || next == '-' || next == '_' || (next >= '0' && next <= '9');
}

static bool names_product(const char *link_name, const struct product *p)
{
    /* ZeroTier's names go on with letters of its own. */
    return str_eq(p->name, "zt") ? str_starts(link_name, "zt") && strlen(link_name) == 10
                                 : is_named(link_name, p->name);
}

const char *host_link_product(const struct host_link *link)
{
    if (is_named(link->name, "stile"))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(by_name); i++)
        if (names_product(link->name, &by_name[i]))
            return by_name[i].product;
    if (str_eq(link->kind, "tun") && link->ethernet)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(by_kind); i++)
        if (str_eq(link->kind, by_kind[i].name))
            return by_kind[i].product;
    return NULL;
}

size_t host_view_vpns(const struct host_view *v, struct host_vpn *ret, size_t room)
{
    size_t count = 0;

    for (size_t i = 0; i < v->link_count && count < room; i++) {
        const char *product = host_link_product(&v->links[i]);
        if (product != NULL)
            ret[count++] = (struct host_vpn){&v->links[i], product};
    }
    return count;
}

void host_view_release(struct host_view *v)
{
    mem_free(v->links);
    mem_free(v->addresses);
    mem_free(v->routes);
    *v = (struct host_view){0};
}
