#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "netcfg/rtnl_internal.h"

#define LINK_ACCEPT_RA     "/proc/sys/net/ipv6/conf/%s/accept_ra"
#define NEW_LINKS_IPV6_OFF "/proc/sys/net/ipv6/conf/default/disable_ipv6"

enum { NESTED_MAX = 32 };

static const struct nlattr *nested(const struct nlattr *parent, uint16_t type)
{
    const struct nlattr *attrs[NESTED_MAX];

    if (parent == NULL)
        return NULL;
    rtnl_attrs_in(mnl_attr_get_payload(parent), mnl_attr_get_payload_len(parent), attrs,
                  NESTED_MAX);
    return attrs[type];
}

static void copy_text(char *dst, size_t size, const struct nlattr *attr)
{
    dst[0] = '\0';
    if (attr != NULL && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
        (void)str_format(dst, size, "%s", mnl_attr_get_str(attr));
}

static uint32_t number_of(const struct nlattr *attr)
{
    return attr != NULL && mnl_attr_get_payload_len(attr) == sizeof(uint32_t)
               ? mnl_attr_get_u32(attr)
               : 0;
}

/* The kernel keeps no IPv6 part at all for a link when the family or the MTU is too small for it. */
static bool has_ipv6(const struct nlattr *af_spec)
{
    const struct nlattr *conf = nested(nested(af_spec, AF_INET6), IFLA_INET6_CONF);
    int32_t values[DEVCONF_DISABLE_IPV6 + 1];

    if (conf == NULL || mnl_attr_get_payload_len(conf) < sizeof(values))
        return false;
    memcpy(values, mnl_attr_get_payload(conf), sizeof(values));
    return values[DEVCONF_DISABLE_IPV6] == 0;
}

static void link_of(const struct nlmsghdr *h, struct rtnl_link *ret)
{
    const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attrs[IFLA_AF_SPEC + 1];

    rtnl_attrs(h, sizeof(*m), attrs, ARRAY_LEN(attrs));
    *ret = (struct rtnl_link){
        .index = (uint32_t)m->ifi_index,
        .mtu = number_of(attrs[IFLA_MTU]),
        .queue_len = number_of(attrs[IFLA_TXQLEN]),
        .hardware = m->ifi_type,
        .up = (m->ifi_flags & IFF_UP) != 0,
        .loopback = (m->ifi_flags & IFF_LOOPBACK) != 0,
        .ipv6 = has_ipv6(attrs[IFLA_AF_SPEC]),
    };
    copy_text(ret->name, sizeof(ret->name), attrs[IFLA_IFNAME]);
    copy_text(ret->kind, sizeof(ret->kind), nested(attrs[IFLA_LINKINFO], IFLA_INFO_KIND));
}

static bool is_link(const struct nlmsghdr *h)
{
    return h->nlmsg_type == RTM_NEWLINK && mnl_nlmsg_get_payload_len(h) >= sizeof(struct ifinfomsg);
}

static int keep_link(void *arg, const struct nlmsghdr *h)
{
    if (is_link(h))
        link_of(h, arg);
    return 0;
}

int rtnl_link_index(const char *name, unsigned *ret_index, struct diag *d)
{
    unsigned index = if_nametoindex(name);

    if (index == 0)
        return diag_set(d, ERR_NOTFOUND, errno, "There is no network interface \"%s\"", name);
    *ret_index = index;
    return 0;
}

/* By index, or by name if that is 0. */
static int get_link(struct rtnl *r, uint32_t index, const char *name, struct rtnl_link *ret)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_GETLINK, 0);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
    struct rtnl_link link = {0};

    m->ifi_family = AF_UNSPEC;
    m->ifi_index = (int)index;
    if (index == 0)
        mnl_attr_put_strz(h, IFLA_IFNAME, name);
    int code = rtnl_ask(r, h, keep_link, &link, NULL);
    if (code == 0 && link.index == 0)
        code = -ENODEV;
    if (code == 0)
        *ret = link;
    return code;
}

int rtnl_link_by_name(struct rtnl *r, const char *name, struct rtnl_link *ret, struct diag *d)
{
    int code =
        str_is_empty(name) || strlen(name) >= RTNL_NAME_SIZE ? -ENODEV : get_link(r, 0, name, ret);

    if (code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code, "There is no network interface \"%s\"", name);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code,
                        "Failed to look at network interface %s: %s", name, rtnl_why(r, code));
    return 0;
}

int rtnl_link_by_index(struct rtnl *r, uint32_t index, struct rtnl_link *ret, struct diag *d)
{
    int code = index == 0 ? -ENODEV : get_link(r, index, NULL, ret);

    if (code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code, "There is no network interface %u", index);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code,
                        "Failed to look at network interface %u: %s", index, rtnl_why(r, code));
    return 0;
}

int rtnl_link_set(struct rtnl *r, uint32_t index, uint32_t mtu, uint32_t queue_len, bool up,
                  struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_NEWLINK, 0);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_family = AF_UNSPEC;
    m->ifi_index = (int)index;
    m->ifi_change = IFF_UP;
    m->ifi_flags = up ? IFF_UP : 0;
    if (mtu > 0)
        mnl_attr_put_u32(h, IFLA_MTU, mtu);
    if (queue_len > 0)
        mnl_attr_put_u32(h, IFLA_TXQLEN, queue_len);
    int code = rtnl_ask(r, h, NULL, NULL, NULL);
    if (code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code, "There is no network interface %u", index);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code,
                        "Failed to bring network interface %u %s: %s", index, up ? "up" : "down",
                        rtnl_why(r, code));
    return 0;
}

void rtnl_link_no_own_address(struct rtnl *r, uint32_t index)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_NEWLINK, 0);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_family = AF_UNSPEC;
    m->ifi_index = (int)index;
    struct nlattr *families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *ipv6 = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, ipv6);
    mnl_attr_nest_end(h, families);
    (void)rtnl_ask(r, h, NULL, NULL, NULL);
}

void rtnl_link_own_sources(struct rtnl *r, uint32_t index)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_NEWLINK, 0);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_family = AF_UNSPEC;
    m->ifi_index = (int)index;
    struct nlattr *families = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *ipv4 = mnl_attr_nest_start(h, AF_INET);
    struct nlattr *conf = mnl_attr_nest_start(h, IFLA_INET_CONF);
    mnl_attr_put_u32(h, IPV4_DEVCONF_RP_FILTER, 1);
    mnl_attr_nest_end(h, conf);
    mnl_attr_nest_end(h, ipv4);
    mnl_attr_nest_end(h, families);
    (void)rtnl_ask(r, h, NULL, NULL, NULL);
}

int rtnl_link_no_routers(const char *name, struct diag *d)
{
    char path[sizeof(LINK_ACCEPT_RA) + IF_NAMESIZE];
    int r = strchr(name, '/') != NULL ? ERR_INVAL
                                      : str_format(path, sizeof(path), LINK_ACCEPT_RA, name);
    if (r < 0)
        return diag_set(d, r, 0, "%s is no name of a network interface", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int code = fd < 0 || write(fd, "0", 1) != 1 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return code == 0 ? 0
                     : diag_set(d, err_from_errno(code), code,
                                "Failed to switch off router advertisements on %s (%s): %s", name,
                                path, strerror(code));
}

int rtnl_link_up(struct rtnl *r, unsigned index, uint32_t mtu, uint32_t queue_len, struct diag *d)
{
    return rtnl_link_set(r, index, mtu, queue_len, true, d);
}

int rtnl_delete_link(struct rtnl *r, uint32_t index, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_DELLINK, 0);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifi_family = AF_UNSPEC;
    m->ifi_index = (int)index;
    int code = index == 0 ? -ENODEV : rtnl_ask(r, h, NULL, NULL, NULL);
    if (code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code, "There is no network interface %u", index);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code,
                        "Failed to remove network interface %u: %s", index, rtnl_why(r, code));
    return 0;
}

/* What a link made now would get. No such file: there is no IPv6 at all. */
static bool new_links_have_ipv6(void)
{
    char value = '1';
    int fd = open(NEW_LINKS_IPV6_OFF, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    if (read(fd, &value, 1) != 1)
        value = '1';
    (void)close(fd);
    return value == '0';
}

bool rtnl_ipv6_available(struct rtnl *r, const char *link)
{
    struct rtnl_link found = {0};

    if (link != NULL && rtnl_link_by_name(r, link, &found, NULL) == 0)
        return found.ipv6;
    return new_links_have_ipv6();
}

struct each_link {
    int (*each)(void *arg, const struct rtnl_link *link);
    void *arg;
};

static int pass_link(void *arg, const struct nlmsghdr *h)
{
    struct each_link *e = arg;
    struct rtnl_link link;

    if (!is_link(h))
        return 0;
    link_of(h, &link);
    return e->each(e->arg, &link);
}

int rtnl_each_link(struct rtnl *r, int (*each)(void *arg, const struct rtnl_link *link), void *arg,
                   struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_GETLINK, NLM_F_DUMP);
    struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
    struct each_link e = {each, arg};
    int stop = 0;

    m->ifi_family = AF_UNSPEC;
    int code = rtnl_ask(r, h, pass_link, &e, &stop);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code,
                        "Failed to list the network interfaces: %s", rtnl_why(r, code));
    return stop;
}
