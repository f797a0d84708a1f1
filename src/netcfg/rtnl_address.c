#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

#include "netcfg/rtnl_internal.h"

/* Linux 5.18; older headers lack it. */
enum { ADDRESS_PROTOCOL = 11 };

static struct nlmsghdr *address_request(struct rtnl *r, char *memory, uint16_t type, uint16_t flags,
                                        const struct rtnl_address *a)
{
    struct nlmsghdr *h = rtnl_request(r, memory, type, flags);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
    const struct ip_addr *addr = &a->addr;

    m->ifa_family = rtnl_family_of(addr);
    m->ifa_prefixlen = a->bits;
    m->ifa_flags = addr->version == 6 && type == RTM_NEWADDR ? IFA_F_NODAD : 0;
    m->ifa_scope = RT_SCOPE_UNIVERSE;
    m->ifa_index = a->link_index;
    mnl_attr_put(h, IFA_LOCAL, ip_addr_len(addr), addr->bytes);
    mnl_attr_put(h, IFA_ADDRESS, ip_addr_len(addr), addr->bytes);
    return h;
}

/* Without the route to its network, which isn't asked for: IFA_F_NOPREFIXROUTE stands in the attribute only. */
static void ask_for_address_alone(struct nlmsghdr *h, uint8_t version)
{
    mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NOPREFIXROUTE | (version == 6 ? IFA_F_NODAD : 0u));
}

int rtnl_new_address(struct rtnl *r, const struct rtnl_address *a, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    char text[IP_ADDR_TEXT_SIZE];
    struct nlmsghdr *h = address_request(r, memory, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, a);

    ask_for_address_alone(h, a->addr.version);
    if (!r->no_address_protocol)
        mnl_attr_put_u8(h, ADDRESS_PROTOCOL, RTNL_PROTOCOL);
    int code = rtnl_ask(r, h, NULL, NULL, NULL);
    if (code == 0)
        return 0;
    ip_addr_format(&a->addr, text);
    if (code == -EACCES || code == -EOPNOTSUPP || code == -EAFNOSUPPORT)
        return diag_set(d, ERR_UNSUPPORTED, -code,
                        "Failed to add address %s: IPv%u is switched off", text, a->addr.version);
    if (code == -ENODEV)
        return diag_set(d, ERR_NOTFOUND, -code,
                        "Failed to add address %s: the network interface is gone", text);
    return diag_set(d, err_from_errno(-code), -code, "Failed to add address %s: %s", text,
                    rtnl_why(r, code));
}

int rtnl_add_address(struct rtnl *r, unsigned index, const struct ip_addr *addr, struct diag *d)
{
    const struct rtnl_address a = {
        .link_index = index, .addr = *addr, .bits = (uint8_t)(ip_addr_len(addr) * 8)};

    return rtnl_new_address(r, &a, d);
}

int rtnl_delete_address(struct rtnl *r, const struct rtnl_address *a, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    char text[IP_ADDR_TEXT_SIZE];
    struct nlmsghdr *h = address_request(r, memory, RTM_DELADDR, 0, a);
    int code = rtnl_ask(r, h, NULL, NULL, NULL);

    if (code == 0)
        return 0;
    ip_addr_format(&a->addr, text);
    if (code == -EADDRNOTAVAIL || code == -ENODEV || code == -ENXIO)
        return diag_set(d, ERR_NOTFOUND, -code, "The address %s is gone already", text);
    return diag_set(d, err_from_errno(-code), -code, "Failed to remove address %s: %s", text,
                    rtnl_why(r, code));
}

bool rtnl_address_is_ours(const struct rtnl *r, const struct rtnl_address *a)
{
    return a->protocol == RTNL_PROTOCOL || (a->protocol == 0 && r->no_address_protocol);
}

/* IFA_LOCAL is the host's own; IFA_ADDRESS is it too, or the far end's on a point-to-point link. IPv6 may have the latter alone. */
int rtnl_address_of(const struct nlmsghdr *h, struct rtnl_address *ret)
{
    const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attrs[ADDRESS_PROTOCOL + 1];

    if (mnl_nlmsg_get_payload_len(h) < sizeof(*m))
        return ERR_FORMAT;
    if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
        return ERR_FORMAT;
    rtnl_attrs(h, sizeof(*m), attrs, ARRAY_LEN(attrs));
    *ret = (struct rtnl_address){.link_index = m->ifa_index, .bits = m->ifa_prefixlen};
    const struct nlattr *protocol = attrs[ADDRESS_PROTOCOL];
    if (protocol != NULL && mnl_attr_get_payload_len(protocol) == 1)
        ret->protocol = mnl_attr_get_u8(protocol);
    return rtnl_addr_of(m->ifa_family,
                        attrs[IFA_LOCAL] != NULL ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS],
                        &ret->addr);
}

struct each_address {
    int (*each)(void *arg, const struct rtnl_address *address);
    void *arg;
};

static int pass_address(void *arg, const struct nlmsghdr *h)
{
    struct each_address *e = arg;
    struct rtnl_address address;

    return h->nlmsg_type != RTM_NEWADDR || rtnl_address_of(h, &address) < 0
               ? 0
               : e->each(e->arg, &address);
}

/* Of one family and link; 0: of all. */
static int dump(struct rtnl *r, uint8_t family, uint32_t link_index, struct each_address *e,
                int *ret_stop)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_GETADDR, NLM_F_DUMP);
    struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->ifa_family = family;
    m->ifa_index = r->strict ? link_index : 0;
    return rtnl_ask(r, h, pass_address, e, ret_stop);
}

int rtnl_each_address(struct rtnl *r, int (*each)(void *arg, const struct rtnl_address *address),
                      void *arg, struct diag *d)
{
    struct each_address e = {each, arg};
    int stop = 0;
    int code = dump(r, AF_UNSPEC, 0, &e, &stop);

    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code, "Failed to list the addresses: %s",
                        rtnl_why(r, code));
    return stop;
}

struct search {
    struct rtnl_address wanted;
    struct rtnl_address found;
};

static int compare(void *arg, const struct rtnl_address *a)
{
    struct search *s = arg;

    if (a->link_index != s->wanted.link_index || a->bits != s->wanted.bits ||
        !ip_addr_eq(&a->addr, &s->wanted.addr))
        return 0;
    s->found = *a;
    return 1;
}

int rtnl_find_address(struct rtnl *r, uint32_t link_index, const struct ip_addr *addr, uint8_t bits,
                      struct rtnl_address *ret, struct diag *d)
{
    struct search s = {.wanted = {.link_index = link_index, .addr = *addr, .bits = bits}};
    struct each_address e = {compare, &s};
    char text[IP_ADDR_TEXT_SIZE];
    int stop = 0;
    int code = 0;

    for (int tries = 0; tries < 3 && stop == 0 && (tries == 0 || r->interrupted); tries++)
        code = dump(r, rtnl_family_of(addr), link_index, &e, &stop);
    ip_addr_format(addr, text);
    if (code < 0 && code != -ENODEV)
        return diag_set(d, err_from_errno(-code), -code, "Failed to look for address %s: %s", text,
                        rtnl_why(r, code));
    if (stop == 0)
        return diag_set(d, ERR_NOTFOUND, 0, "There is no address %s", text);
    *ret = s.found;
    return 0;
}
