#include "policy/l4_options.h"

#include <string.h>

#include "base/str.h"
#include "policy/l4_value.h"
#include "policy/shown.h"
#include "policy/user_id.h"

/* The policy as it grows, and the port for directions that get none of their own. */
struct draft {
    struct l4_policy policy;
    uint16_t port;
};

typedef int read_fn(const char *value, struct draft *draft, struct diag *d);

static int read_port(const char *value, struct draft *draft, struct diag *d)
{
    return port_parse(value, &draft->port, d);
}

static int read_inbound_port(const char *value, struct draft *draft, struct diag *d)
{
    return port_parse(value, &draft->policy.inbound.proxy_port, d);
}

static int read_outbound_port(const char *value, struct draft *draft, struct diag *d)
{
    return port_parse(value, &draft->policy.outbound.proxy_port, d);
}

static int read_sid(const char *value, struct draft *draft, struct diag *d)
{
    bool is_system = str_eq_nocase(value, "system");

    return l4_sid_parse(is_system ? L4_SID_SYSTEM : value, draft->policy.guard.user_sid, d);
}

static int read_uid(const char *value, struct draft *draft, struct diag *d)
{
    int r = user_id_of(value, &draft->policy.guard.uid, d);

    draft->policy.guard.has_uid = r == 0;
    return r;
}

static int read_gid(const char *value, struct draft *draft, struct diag *d)
{
    int r = group_id_of(value, &draft->policy.guard.gid, d);

    draft->policy.guard.has_gid = r == 0;
    return r;
}

static int read_cgroup(const char *value, struct draft *draft, struct diag *d)
{
    return l4_cgroup_parse(value, draft->policy.guard.cgroup, d);
}

static int read_protocol(const char *value, struct draft *draft, struct diag *d)
{
    return l4_protocols_parse(value, &draft->policy.protocols, d);
}

static int read_udp(const char *value, struct draft *draft, struct diag *d)
{
    return l4_udp_parse(value, &draft->policy.udp, d);
}

static int read_priority(const char *value, struct draft *draft, struct diag *d)
{
    if (str_to_u16(value, &draft->policy.priority) < 0)
        return diag_set(d, ERR_FORMAT, 0, "\"%s\" is no priority: it is a number from 0 to 65535",
                        shown(value).text);
    return 0;
}

static int read_local_addresses(const char *value, struct draft *draft, struct diag *d)
{
    return prefix_set_add_list(&draft->policy.local_addresses, value, d);
}

static int read_remote_addresses(const char *value, struct draft *draft, struct diag *d)
{
    return prefix_set_add_list(&draft->policy.remote_addresses, value, d);
}

static int read_local_ports(const char *value, struct draft *draft, struct diag *d)
{
    return port_set_add_list(&draft->policy.local_ports, value, d);
}

static int read_remote_ports(const char *value, struct draft *draft, struct diag *d)
{
    return port_set_add_list(&draft->policy.remote_ports, value, d);
}

static int read_inbound_port_exceptions(const char *value, struct draft *draft, struct diag *d)
{
    return port_set_add_list(&draft->policy.inbound.port_exceptions, value, d);
}

static int read_inbound_address_exceptions(const char *value, struct draft *draft, struct diag *d)
{
    return prefix_set_add_list(&draft->policy.inbound.address_exceptions, value, d);
}

static int read_outbound_port_exceptions(const char *value, struct draft *draft, struct diag *d)
{
    return port_set_add_list(&draft->policy.outbound.port_exceptions, value, d);
}

static int read_outbound_address_exceptions(const char *value, struct draft *draft, struct diag *d)
{
    return prefix_set_add_list(&draft->policy.outbound.address_exceptions, value, d);
}

static const struct option {
    const char *name;
    read_fn *read;
    bool is_list; /* may be given several times: then it grows */
} options[] = {
    {"port", read_port, false},
    {"inbound-port", read_inbound_port, false},
    {"outbound-port", read_outbound_port, false},
    {"usersid", read_sid, false},
    {"uid", read_uid, false},
    {"gid", read_gid, false},
    {"cgroup", read_cgroup, false},
    {"protocol", read_protocol, false},
    {"udp", read_udp, false},
    {"priority", read_priority, false},
    {"localaddr", read_local_addresses, true},
    {"remoteaddr", read_remote_addresses, true},
    {"localports", read_local_ports, true},
    {"remoteports", read_remote_ports, true},
    {"inbound-port-exceptions", read_inbound_port_exceptions, true},
    {"inbound-address-exceptions", read_inbound_address_exceptions, true},
    {"outbound-port-exceptions", read_outbound_port_exceptions, true},
    {"outbound-address-exceptions", read_outbound_address_exceptions, true},
};

static bool find_option(const char *name, size_t *ret_index)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (str_eq(options[i].name, name)) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static int read_setting(const struct l4_setting *s, struct draft *draft, uint32_t *seen,
                        struct diag *d)
{
    size_t i;

    if (s->name == NULL || s->value == NULL)
        return diag_set(d, ERR_INVAL, 0, "a setting has a name and a value: one is NULL");
    if (!find_option(s->name, &i))
        return diag_set(d, ERR_INVAL, 0, "there is no setting \"%s\"", shown(s->name).text);
    if ((*seen & (UINT32_C(1) << i)) != 0 && !options[i].is_list)
        return diag_set(d, ERR_INVAL, 0, "%s is given twice", options[i].name);
    *seen |= UINT32_C(1) << i;
    int r = options[i].read(s->value, draft, d);
    if (r < 0)
        (void)diag_prefix(d, "%s: ", options[i].name);
    return r;
}

int l4_options_read(const struct l4_setting *settings, size_t count, struct l4_policy *ret,
                    struct diag *d)
{
    struct draft draft = {0};
    uint32_t seen = 0;

    l4_policy_init(&draft.policy);
    for (size_t i = 0; i < count; i++) {
        int r = read_setting(&settings[i], &draft, &seen, d);
        if (r < 0)
            return r;
    }
    if (draft.policy.inbound.proxy_port == 0)
        draft.policy.inbound.proxy_port = draft.port;
    if (draft.policy.outbound.proxy_port == 0)
        draft.policy.outbound.proxy_port = draft.port;
    *ret = draft.policy;
    return 0;
}
