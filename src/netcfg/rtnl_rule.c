#include <errno.h>
#include <linux/fib_rules.h>
#include <string.h>

#include "base/str.h"
#include "netcfg/rtnl_internal.h"

static struct nlmsghdr *rule_request(struct rtnl *r, char *memory, uint16_t type, uint16_t flags,
                                     const struct rtnl_rule *rule)
{
    struct nlmsghdr *h = rtnl_request(r, memory, type, flags);
    struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->family = rule->version == 4 ? AF_INET : AF_INET6;
    m->action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(h, FRA_TABLE, rule->table);
    mnl_attr_put_u32(h, FRA_PRIORITY, rule->priority);
    mnl_attr_put_u32(h, FRA_FWMARK, rule->mark);
    mnl_attr_put_u32(h, FRA_FWMASK, rule->mask);
    mnl_attr_put_u8(h, FRA_PROTOCOL, rule->protocol);
    if (rule->local)
        mnl_attr_put_strz(h, FRA_IIFNAME, "lo");
    return h;
}

static int explain(struct rtnl *r, const struct rtnl_rule *rule, const char *verb, int code,
                   struct diag *d)
{
    if (code == -EAFNOSUPPORT || code == -EOPNOTSUPP)
        return diag_set(d, ERR_UNSUPPORTED, -code,
                        "Failed to %s a routing rule: this kernel has no policy routing for IPv%u",
                        verb, rule->version);
    if (code == -ENOENT || code == -ESRCH)
        return diag_set(d, ERR_NOTFOUND, -code, "The routing rule of priority %u is gone already",
                        rule->priority);
    return diag_set(d, err_from_errno(-code), -code,
                    "Failed to %s the routing rule of priority %u: %s", verb, rule->priority,
                    rtnl_why(r, code));
}

int rtnl_new_rule(struct rtnl *r, const struct rtnl_rule *rule, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rule_request(r, memory, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
    int code = rtnl_ask(r, h, NULL, NULL, NULL);

    return code == 0 ? 0 : explain(r, rule, "add", code, d);
}

int rtnl_delete_rule(struct rtnl *r, const struct rtnl_rule *rule, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct nlmsghdr *h = rule_request(r, memory, RTM_DELRULE, 0, rule);
    int code = rtnl_ask(r, h, NULL, NULL, NULL);

    return code == 0 ? 0 : explain(r, rule, "remove", code, d);
}

struct each_rule {
    int (*each)(void *arg, const struct rtnl_rule *rule);
    void *arg;
};

static uint32_t number_of(const struct nlattr *attr)
{
    return attr != NULL && mnl_attr_get_payload_len(attr) == sizeof(uint32_t)
               ? mnl_attr_get_u32(attr)
               : 0;
}

static bool is_local(const struct nlattr *iif)
{
    return iif != NULL && mnl_attr_get_payload_len(iif) == sizeof("lo") &&
           memcmp(mnl_attr_get_payload(iif), "lo", sizeof("lo")) == 0;
}

/* Whether it has no condition but the mark and that of being local. */
static bool is_plain(const struct fib_rule_hdr *m, const struct nlattr *const *attrs)
{
    static const uint16_t conditions[] = {FRA_DST,      FRA_SRC,         FRA_OIFNAME,
                                          FRA_GOTO,     FRA_L3MDEV,      FRA_UID_RANGE,
                                          FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE};

    if (m->action != FR_ACT_TO_TBL || m->dst_len != 0 || m->src_len != 0 || m->tos != 0 ||
        (m->flags & FIB_RULE_INVERT) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
        if (attrs[conditions[i]] != NULL)
            return false;
    return attrs[FRA_IIFNAME] == NULL || is_local(attrs[FRA_IIFNAME]);
}

static int pass_rule(void *arg, const struct nlmsghdr *h)
{
    struct each_rule *e = arg;
    const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attrs[FRA_DPORT_RANGE + 1];

    if (h->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
        (m->family != AF_INET && m->family != AF_INET6))
        return 0;
    rtnl_attrs(h, sizeof(*m), attrs, ARRAY_LEN(attrs));
    const struct nlattr *protocol = attrs[FRA_PROTOCOL];
    const struct rtnl_rule rule = {
        .version = m->family == AF_INET ? 4 : 6,
        .table = attrs[FRA_TABLE] != NULL ? number_of(attrs[FRA_TABLE]) : m->table,
        .priority = number_of(attrs[FRA_PRIORITY]),
        .mark = number_of(attrs[FRA_FWMARK]),
        .mask = number_of(attrs[FRA_FWMASK]),
        .protocol = protocol != NULL && mnl_attr_get_payload_len(protocol) == 1
                        ? mnl_attr_get_u8(protocol)
                        : 0,
        .local = is_local(attrs[FRA_IIFNAME]),
        .is_plain = is_plain(m, attrs)};
    return e->each(e->arg, &rule);
}

int rtnl_each_rule(struct rtnl *r, uint8_t version,
                   int (*each)(void *arg, const struct rtnl_rule *rule), void *arg, struct diag *d)
{
    alignas(8) char memory[RTNL_REQUEST_SIZE];
    struct each_rule e = {each, arg};
    int stop = 0;
    struct nlmsghdr *h = rtnl_request(r, memory, RTM_GETRULE, NLM_F_DUMP);
    struct fib_rule_hdr *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    m->family = version == 4 ? AF_INET : AF_INET6;
    int code = rtnl_ask(r, h, pass_rule, &e, &stop);
    if (code == -EAFNOSUPPORT || code == -EOPNOTSUPP)
        return 0; /* a kernel without this family's rules has none */
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code, "Failed to list the routing rules: %s",
                        rtnl_why(r, code));
    return stop;
}
