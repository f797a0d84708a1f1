/* What the parts of rtnl share: the socket, requests and their replies. */
#ifndef STILE_NETCFG_RTNL_INTERNAL_H
#define STILE_NETCFG_RTNL_INTERNAL_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>

#include "netcfg/rtnl.h"

enum {
    RTNL_REQUEST_SIZE = 1024,
    RTNL_REPLY_SIZE = 32768, /* what the kernel fills at most in one datagram of a dump */
};

struct rtnl {
    struct mnl_socket *socket;
    uint32_t port;
    uint32_t sequence;
    bool strict; /* the kernel filters dumps by what stands in the request */
    bool no_address_protocol;
    bool interrupted; /* the list changed while the last dump was read */
    char why[128];    /* what the kernel said to its last refusal; may be empty */
    alignas(8) char reply[RTNL_REPLY_SIZE];
};

/* In memory of RTNL_REQUEST_SIZE. */
struct nlmsghdr *rtnl_request(struct rtnl *r, char *memory, uint16_t type, uint16_t flags);

/* Sends, gives each message of the reply to `each` (may be NULL) until that returns anything but 0, reads the reply to its
 * end. 0 or a negative errno; what `each` returned goes to *ret_stop (NULL: nobody cares). */
int rtnl_ask(struct rtnl *r, const struct nlmsghdr *request,
             int (*each)(void *arg, const struct nlmsghdr *message), void *arg, int *ret_stop);

/* ": " and the kernel's words, or the text of the code (a negative errno). */
const char *rtnl_why(const struct rtnl *r, int code);

uint8_t rtnl_family_of(const struct ip_addr *a);
/* An address in an attribute. ERR_FORMAT if its length isn't the family's. */
int rtnl_addr_of(uint8_t family, const struct nlattr *attr, struct ip_addr *ret);
/* Attributes by their type, the last of each; those from max on are left out. */
void rtnl_attrs_in(const void *start, size_t len, const struct nlattr **ret, uint16_t max);
void rtnl_attrs(const struct nlmsghdr *h, size_t header_size, const struct nlattr **ret,
                uint16_t max);

/* What an RTM_NEWADDR or RTM_DELADDR is about. ERR_FORMAT: neither IPv4 nor IPv6, or damaged. */
int rtnl_address_of(const struct nlmsghdr *h, struct rtnl_address *ret);

#endif
