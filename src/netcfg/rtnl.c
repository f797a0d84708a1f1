#include "netcfg/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "base/mem.h"

#define CONGESTION_CONTROL "cubic"

enum { MESSAGE_SIZE = 4096 };

struct rtnl {
    struct mnl_socket *socket;
    unsigned port;
    unsigned sequence;
};

int rtnl_open(struct rtnl **ret, struct diag *d)
{
    struct rtnl *r = NEW(struct rtnl);

    if (r == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open rtnetlink: out of memory");
    r->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (r->socket == NULL || mnl_socket_bind(r->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int code = errno;
        rtnl_close(r);
        return diag_set(d, err_from_errno(code), code, "Failed to open rtnetlink");
    }
    r->port = mnl_socket_get_portid(r->socket);
    *ret = r;
    return 0;
}

void rtnl_close(struct rtnl *r)
{
    if (r == NULL)
        return;
    if (r->socket != NULL)
        mnl_socket_close(r->socket);
    mem_free(r);
}

int rtnl_link_index(const char *name, unsigned *ret_index, struct diag *d)
{
    unsigned index = if_nametoindex(name);

    if (index == 0)
        return diag_set(d, ERR_NOTFOUND, errno, "There is no network interface \"%s\"", name);
    *ret_index = index;
    return 0;
}

static struct nlmsghdr *request(struct rtnl *r, char *memory, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(memory);

    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    h->nlmsg_seq = ++r->sequence;
    return h;
}

/* Sends and waits for the acknowledgement. */
static int transact(struct rtnl *r, const struct nlmsghdr *h)
{
    char reply[MESSAGE_SIZE];

    if (mnl_socket_sendto(r->socket, h, h->nlmsg_len) < 0)
        return -errno;
    ssize_t n = mnl_socket_recvfrom(r->socket, reply, sizeof(reply));
    if (n < 0)
        return -errno;
    if (mnl_cb_run(reply, (size_t)n, r->sequence, r->port, NULL, NULL) < 0)
        return -errno;
    return 0;
}

int rtnl_link_up(struct rtnl *r, unsigned index, uint32_t mtu, uint32_t queue_len, struct diag *d)
{
    char memory[MESSAGE_SIZE];
    struct nlmsghdr *h = request(r, memory, RTM_NEWLINK, 0);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_family = AF_UNSPEC;
    m->ifi_index = (int)index;
    m->ifi_change = IFF_UP;
    m->ifi_flags = IFF_UP;
    if (mtu > 0)
        mnl_attr_put_u32(h, IFLA_MTU, mtu);
    if (queue_len > 0)
        mnl_attr_put_u32(h, IFLA_TXQLEN, queue_len);
    int code = transact(r, h);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code, "Failed to bring up network interface %u",
                        index);
    return 0;
}

static uint8_t family_of(const struct ip_addr *a)
{
    return a->version == 4 ? AF_INET : AF_INET6;
}

int rtnl_add_address(struct rtnl *r, unsigned index, const struct ip_addr *addr, struct diag *d)
{
    char memory[MESSAGE_SIZE];
    char text[IP_ADDR_TEXT_SIZE];
    struct nlmsghdr *h = request(r, memory, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifa_family = family_of(addr);
    m->ifa_prefixlen = (uint8_t)(ip_addr_len(addr) * 8);
    m->ifa_flags = addr->version == 6 ? IFA_F_NODAD : 0;
    m->ifa_scope = RT_SCOPE_UNIVERSE;
    m->ifa_index = index;
    mnl_attr_put(h, IFA_LOCAL, ip_addr_len(addr), addr->bytes);
    mnl_attr_put(h, IFA_ADDRESS, ip_addr_len(addr), addr->bytes);
    int code = transact(r, h);
    if (code == 0)
        return 0;
    ip_addr_format(addr, text);
    if (code == -EACCES || code == -EOPNOTSUPP || code == -EAFNOSUPPORT)
        return diag_set(d, ERR_UNSUPPORTED, -code,
                        "Failed to add address %s: IPv%u is switched off", text, addr->version);
    return diag_set(d, err_from_errno(-code), -code, "Failed to add address %s", text);
}

int rtnl_add_route(struct rtnl *r, unsigned index, const struct prefix *dst,
                   const struct ip_addr *source, struct diag *d)
{
    char memory[MESSAGE_SIZE];
    char text[PREFIX_TEXT_SIZE];
    struct nlmsghdr *h = request(r, memory, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->rtm_family = family_of(&dst->addr);
    m->rtm_dst_len = dst->bits;
    m->rtm_protocol = RTPROT_STATIC;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_type = RTN_UNICAST;
    m->rtm_scope = dst->addr.version == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    mnl_attr_put(h, RTA_DST, ip_addr_len(&dst->addr), dst->addr.bytes);
    mnl_attr_put_u32(h, RTA_OIF, index);
    mnl_attr_put(h, RTA_PREFSRC, ip_addr_len(source), source->bytes);
    struct nlattr *metrics = mnl_attr_nest_start(h, RTA_METRICS);
    mnl_attr_put_strz(h, RTAX_CC_ALGO, CONGESTION_CONTROL);
    mnl_attr_nest_end(h, metrics);
    int code = transact(r, h);
    if (code == 0)
        return 0;
    prefix_format(dst, text);
    return diag_set(d, err_from_errno(-code), -code, "Failed to add the route to %s", text);
}
