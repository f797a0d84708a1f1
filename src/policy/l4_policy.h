/* A layer-4 proxy policy: which connections of an endpoint go to a proxy that stands beside the
 * program. The model of HNS's L4WFPPROXY setting, with what Linux can do beyond it. Plain memory,
 * pure.
 *
 * Theory of operation. An endpoint (a container's network: a network namespace on Linux, an HNS
 * endpoint on Windows) has a list of policies. They are looked at in the order of their priority,
 * lower numbers first, equal ones in the order in which they were added. For each new connection
 * (for UDP: each flow) the first policy decides that has a proxy port for its direction and whose
 * filter matches:
 *   - it belongs to the proxy itself (loop guard): direct;
 *   - it is an exception: direct;
 *   - else: to the proxy.
 * No policy after it is asked. So a chain of two proxies can't loop, and a policy for DNS with
 * priority 1 stands before one for everything with priority 10.
 *
 * Outbound is what a program of the endpoint opens; inbound is what comes from another machine or
 * namespace to an address of the endpoint. Local is always the endpoint's own side, remote the
 * other one. Exceptions by address are of the remote side, in both directions; exceptions by port
 * are of the port that is called: the remote one outbound, the local one inbound.
 */
#ifndef STILE_POLICY_L4_POLICY_H
#define STILE_POLICY_L4_POLICY_H

#include "policy/port_set.h"
#include "policy/prefix_set.h"

enum l4_protocol { L4_TCP = 1, L4_UDP = 2 }; /* bits */

/* How UDP reaches the proxy (Linux). TCP is always redirected, and the proxy asks
 * SO_ORIGINAL_DST. */
enum l4_udp {
    L4_UDP_TPROXY,   /* to a transparent socket, which is told the original destination
                        (IP_RECVORIGDSTADDR) */
    L4_UDP_REDIRECT, /* by address translation: for a proxy that needn't know, a DNS forwarder say
                      */
};

struct l4_direction {
    uint16_t proxy_port; /* host order; 0: this direction isn't redirected */
    struct port_set port_exceptions;
    struct prefix_set address_exceptions;
};

#define L4_SID_SIZE    185 /* the longest SID as text, with its NUL */
#define L4_CGROUP_SIZE 256

/* How the proxy's own traffic is known. All that are given count: any of them makes it the
 * proxy's. */
struct l4_guard {
    char user_sid[L4_SID_SIZE];  /* Windows; matches as a prefix, so a group's SID covers its users;
                                    "" none */
    bool has_uid, has_gid;       /* Linux; the effective ones of the socket's creator. Supplementary
                                    groups don't count */
    uint32_t uid, gid;           /* in the user namespace that owns the network namespace */
    char cgroup[L4_CGROUP_SIZE]; /* Linux, cgroup v2: path below its root without leading '/';
                                    whoever is in or below it; "" none */
};

bool l4_guard_eq(const struct l4_guard *a, const struct l4_guard *b);

struct l4_policy {
    struct l4_direction inbound, outbound;
    unsigned protocols; /* enum l4_protocol, never 0 */
    enum l4_udp udp;
    uint16_t priority;
    struct port_set local_ports, remote_ports;
    struct prefix_set local_addresses, remote_addresses;
    struct l4_guard guard;
};

void l4_policy_init(struct l4_policy *p); /* TCP, tproxy, nothing else */
bool l4_policy_eq(const struct l4_policy *a, const struct l4_policy *b);
uint64_t l4_policy_hash(const struct l4_policy *p); /* of equal policies equal */
/* One line for a person: "outbound TCP to port 8000, not of uid 1337". */
int l4_policy_format(const struct l4_policy *p, struct buf *ret);

#define L4_POLICIES_MAX 4096

/* A list. Owned array. */
struct l4_policies {
    struct l4_policy *items;
    size_t count, size;
};

void l4_policies_init(struct l4_policies *l);
void l4_policies_release(struct l4_policies *l);
int l4_policies_add(struct l4_policies *l,
                    const struct l4_policy *p); /* copies; ERR_LIMIT, ERR_NOMEM */
int l4_policies_copy(const struct l4_policies *l, struct l4_policies *ret);
void l4_policies_sort(struct l4_policies *l); /* by priority; stable */
/* The same without moving them: indices in the order of evaluation. */
struct l4_order {
    uint16_t at[L4_POLICIES_MAX];
};
void l4_policies_order(const struct l4_policies *l, struct l4_order *ret);
/* The same policies in the same order of evaluation. */
bool l4_policies_eq(const struct l4_policies *a, const struct l4_policies *b);

/* Is told what is wrong with one of a list, each thing. policy: its index. text: for a person,
 * without that number. */
typedef void l4_problem_fn(void *arg, size_t policy, const char *text);

#endif
