#include "netcfg/rtnl.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/rtnl_internal.h"

/* IFA_PROTO came with this version of Linux. */
enum { ADDRESS_PROTOCOL_MAJOR = 5, ADDRESS_PROTOCOL_MINOR = 18 };

static unsigned number_at(const char **text)
{
    unsigned n = 0;

    for (; **text >= '0' && **text <= '9' && n < 10000; (*text)++)
        n = n * 10 + (unsigned)(**text - '0');
    if (**text == '.')
        (*text)++;
    return n;
}

static bool kernel_tags_addresses(void)
{
    struct utsname name;

    if (uname(&name) < 0)
        return false;
    const char *text = name.release;
    unsigned major = number_at(&text);
    unsigned minor = number_at(&text);
    return major > ADDRESS_PROTOCOL_MAJOR ||
           (major == ADDRESS_PROTOCOL_MAJOR && minor >= ADDRESS_PROTOCOL_MINOR);
}

static void set_options(struct rtnl *r)
{
    int on = 1;

    r->strict = mnl_socket_setsockopt(r->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) == 0;
    (void)mnl_socket_setsockopt(r->socket, NETLINK_EXT_ACK, &on, sizeof(on));
    (void)mnl_socket_setsockopt(r->socket, NETLINK_CAP_ACK, &on, sizeof(on));
}

/* socket: NULL and errno if there is none. */
static int open_with(struct mnl_socket *socket, struct rtnl **ret, struct diag *d)
{
    struct rtnl *r = NEW(struct rtnl);

    if (r == NULL) {
        if (socket != NULL)
            mnl_socket_close(socket);
        return diag_set(d, ERR_NOMEM, 0, "Failed to open rtnetlink: out of memory");
    }
    r->socket = socket;
    if (r->socket == NULL || mnl_socket_bind(r->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int code = errno;
        rtnl_close(r);
        return diag_set(d, err_from_errno(code), code, "Failed to open rtnetlink: %s",
                        strerror(code));
    }
    r->port = mnl_socket_get_portid(r->socket);
    r->no_address_protocol = !kernel_tags_addresses();
    set_options(r);
    *ret = r;
    return 0;
}

int rtnl_open(struct rtnl **ret, struct diag *d)
{
    return open_with(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC), ret, d);
}

int rtnl_open_on(int fd, struct rtnl **ret, struct diag *d)
{
    struct mnl_socket *socket = mnl_socket_fdopen(fd);

    if (socket == NULL)
        close(fd);
    return open_with(socket, ret, d);
}

void rtnl_close(struct rtnl *r)
{
    if (r == NULL)
        return;
    if (r->socket != NULL)
        mnl_socket_close(r->socket);
    mem_free(r);
}

uint32_t rtnl_port(const struct rtnl *r)
{
    return r->port;
}

void rtnl_forget_address_protocol(struct rtnl *r)
{
    r->no_address_protocol = true;
}

struct nlmsghdr *rtnl_request(struct rtnl *r, char *memory, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(memory);

    h->nlmsg_type = type;
    h->nlmsg_flags =
        (uint16_t)(NLM_F_REQUEST | ((flags & NLM_F_DUMP) == NLM_F_DUMP ? 0 : NLM_F_ACK) | flags);
    h->nlmsg_seq = ++r->sequence;
    return h;
}

/* The kernel's own words about a refusal, which stand behind the copy of the request's header. */
static void keep_why(struct rtnl *r, const struct nlmsghdr *h)
{
    const struct nlattr *attrs[NLMSGERR_ATTR_MSG + 1];

    if ((h->nlmsg_flags & NLM_F_ACK_TLVS) == 0 || (h->nlmsg_flags & NLM_F_CAPPED) == 0)
        return;
    rtnl_attrs(h, sizeof(struct nlmsgerr), attrs, ARRAY_LEN(attrs));
    const struct nlattr *text = attrs[NLMSGERR_ATTR_MSG];
    if (text != NULL && mnl_attr_validate(text, MNL_TYPE_NUL_STRING) >= 0)
        (void)str_format(r->why, sizeof(r->why), "%s", mnl_attr_get_str(text));
}

struct reply {
    int (*each)(void *arg, const struct nlmsghdr *message);
    void *arg;
    int stop;
    int code; /* negative errno of the refusal */
    bool done;
};

static void take_end(struct rtnl *r, struct reply *reply, const struct nlmsghdr *h)
{
    reply->done = true;
    if (mnl_nlmsg_get_payload_len(h) < sizeof(int))
        return;
    reply->code = *(const int *)mnl_nlmsg_get_payload(h);
    if (h->nlmsg_type == NLMSG_ERROR && reply->code != 0)
        keep_why(r, h);
}

static void take_message(struct rtnl *r, struct reply *reply, const struct nlmsghdr *h)
{
    if (h->nlmsg_seq != r->sequence || h->nlmsg_pid != r->port || reply->done)
        return; /* of a request that was given up */
    if ((h->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
        r->interrupted = true;
    if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
        take_end(r, reply, h);
    else if (h->nlmsg_type >= NLMSG_MIN_TYPE && reply->stop == 0 && reply->each != NULL)
        reply->stop = reply->each(reply->arg, h);
}

int rtnl_ask(struct rtnl *r, const struct nlmsghdr *request,
             int (*each)(void *arg, const struct nlmsghdr *message), void *arg, int *ret_stop)
{
    struct reply reply = {.each = each, .arg = arg};

    r->interrupted = false;
    r->why[0] = '\0';
    if (mnl_socket_sendto(r->socket, request, request->nlmsg_len) < 0)
        return -errno;
    while (!reply.done) {
        ssize_t n = mnl_socket_recvfrom(r->socket, r->reply, sizeof(r->reply));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -EPIPE : -errno;
        int left = (int)n;
        const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)r->reply;
        for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
            take_message(r, &reply, h);
    }
    if (ret_stop != NULL)
        *ret_stop = reply.stop;
    return reply.code;
}

const char *rtnl_why(const struct rtnl *r, int code)
{
    return r->why[0] != '\0' ? r->why : strerror(-code);
}

uint8_t rtnl_family_of(const struct ip_addr *a)
{
    return a->version == 4 ? AF_INET : AF_INET6;
}

int rtnl_addr_of(uint8_t family, const struct nlattr *attr, struct ip_addr *ret)
{
    uint8_t version = family == AF_INET ? 4 : 6;

    if (attr == NULL || mnl_attr_get_payload_len(attr) != (version == 4 ? 4 : 16))
        return ERR_FORMAT;
    *ret = ip_addr_from(version, mnl_attr_get_payload(attr));
    return 0;
}

void rtnl_attrs_in(const void *start, size_t len, const struct nlattr **ret, uint16_t max)
{
    const struct nlattr *attr = start;
    const char *end = (const char *)start + len;

    memset(ret, 0, max * sizeof(*ret));
    while (mnl_attr_ok(attr, (int)(end - (const char *)attr))) {
        if (mnl_attr_get_type(attr) < max)
            ret[mnl_attr_get_type(attr)] = attr;
        attr = mnl_attr_next(attr);
    }
}

void rtnl_attrs(const struct nlmsghdr *h, size_t header_size, const struct nlattr **ret,
                uint16_t max)
{
    size_t len = mnl_nlmsg_get_payload_len(h);
    size_t skip =
        MIN(len, (header_size + 3) & ~(size_t)3); /* attributes begin at multiples of four */

    rtnl_attrs_in((const char *)mnl_nlmsg_get_payload(h) + skip, len - skip, ret, max);
}
