/* Policies from named values: the options of `stile policy add`, the settings of the library. One table for both. Pure.
 *
 * Names (of hcnproxyctl: port usersid localaddr remoteaddr localports remoteports priority protocol), beyond it: inbound-port outbound-port
 * inbound-port-exceptions inbound-address-exceptions outbound-port-exceptions outbound-address-exceptions uid gid cgroup udp.
 * "port" sets both directions; with inbound-port or outbound-port beside it, those win for theirs. usersid "system" is S-1-5-18. protocol: "tcp", "udp",
 * "tcp,udp", or IANA numbers. uid and gid: numbers or names of this host.
 */
#ifndef STILE_POLICY_L4_OPTIONS_H
#define STILE_POLICY_L4_OPTIONS_H

#include "policy/l4_policy.h"

struct l4_setting {
    const char *name, *value;
};

/* ERR_INVAL, ERR_FORMAT with the option's name. */
int l4_options_read(const struct l4_setting *settings, size_t count, struct l4_policy *ret,
                    struct diag *d);

#endif
