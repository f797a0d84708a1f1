/* Policies as JSON, in the form of HNS: {"Type":"L4WFPPROXY","Settings":{…}}. Pure but for memory.
 *
 * Read are: one policy, an array of them, or an object {"Policies":[…]}. Written is the array, with
 * keys in a fixed order; what was written reads back the same on both systems. All values are
 * strings but FilterTuple.Priority (a number; a string of digits is read too). Members beyond
 * HNS's, in Settings: "UserID", "GroupID", "Cgroup" (the loop guard on Linux), "UdpMode" ("tproxy"
 * or "redirect"). FilterTuple.Protocols is "6", "17" or "6,17". Address and port lists are
 * comma-separated strings; exceptions are arrays of strings. "Port", of older hosts, sets both
 * proxy ports; it is read, never written. A member that is null or "" counts as absent. Ranges
 * ("8000-8100") of at most PORT_RANGE_SPELLED ports are written port by port.
 *
 * An unknown member is refused by name, so that a mistyped exception isn't lost.
 */
#ifndef STILE_POLICY_L4_JSON_H
#define STILE_POLICY_L4_JSON_H

#include <jansson.h>

#include "policy/l4_policy.h"

#define L4_JSON_MAX ((size_t)8 * 1024 * 1024)
#define L4_TYPE     "L4WFPPROXY"

/* ret is overwritten, on success alone. A byte order mark in front is skipped. ERR_FORMAT with line
 * and column, or which policy and member: "policy 2, Settings.InboundExceptions.PortExceptions:
 * port 90001 is over 65535", and how many problems more there are. ERR_TOOBIG, ERR_LIMIT,
 * ERR_NOMEM. */
int l4_json_read(struct slice text, struct l4_policies *ret, struct diag *d);
/* The same for `validate`: what is wrong with a policy is told to on_problem, each thing
 * ("Settings.Port: …"), and is no failure. A policy that can't be read stands in ret as one without
 * a protocol (0), so that the others keep their places; such a list is good for l4_check_all, and
 * for nothing else. */
int l4_json_read_all(struct slice text, struct l4_policies *ret, l4_problem_fn *on_problem,
                     void *arg, struct diag *d);
/* One value; `what` begins the text of an error ("policy 2"; NULL: nothing does). */
int l4_json_read_policy(const json_t *value, const char *what, struct l4_policy *ret,
                        struct diag *d);
/* New references; NULL when memory runs out. */
json_t *l4_json_policy(const struct l4_policy *p);
json_t *l4_json_policies(const struct l4_policies *l); /* the array */
/* One line of ASCII without spaces, at the end of ret. ERR_TOOBIG, ERR_NOMEM: ret may have got a
 * part of it then. */
int l4_json_write(const struct l4_policies *l, struct buf *ret);

#endif
