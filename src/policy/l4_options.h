/* Policies from named values: the options of `stile policy add`, the settings of the library. One
 * table for both. Pure.
 *
 * Names (of hcnproxyctl: port usersid localaddr remoteaddr localports remoteports priority
 * protocol), beyond it: inbound-port outbound-port inbound-port-exceptions
 * inbound-address-exceptions outbound-port-exceptions outbound-address-exceptions uid gid cgroup
 * udp. "port" sets both directions; with inbound-port or outbound-port beside it, those win for
 * theirs. usersid "system" is S-1-5-18. protocol: "tcp", "udp", "tcp,udp", or IANA numbers. uid and
 * gid: numbers or names of this host (Linux).
 *
 * On "port": hcnproxyctl's README says of its library's port that inbound and outbound connections
 * are redirected through it, and of the same option of its command that outbound ones are. Here it
 * is both, always; "outbound-port" alone is the other reading.
 */
#ifndef STILE_POLICY_L4_OPTIONS_H
#define STILE_POLICY_L4_OPTIONS_H

#include "policy/l4_policy.h"

struct l4_setting {
    const char *name, *value;
};

/* ERR_INVAL (no such name; one that isn't a list is given twice), ERR_FORMAT, ERR_LIMIT,
 * ERR_NOTFOUND (user, group): the text begins with the setting's name. Lists may be given in
 * several settings. Whether the policy makes sense is l4_check's question. */
int l4_options_read(const struct l4_setting *settings, size_t count, struct l4_policy *ret,
                    struct diag *d);

#endif
