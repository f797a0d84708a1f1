#include "policy/nft_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "policy/namespace.h"

enum { REQUEST_SIZE = 1024, ANSWER_SIZE = 8192, BEGIN = 1, ACT, END };

/* A transaction is a batch of messages between two of these. */
static struct nlmsghdr *put(char *at, uint16_t type, uint32_t sequence, uint8_t family,
                            uint16_t resource)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(at);
    struct nfgenmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST;
    h->nlmsg_seq = sequence;
    *m = (struct nfgenmsg){
        .nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
    return h;
}

/* The message that is acknowledged. */
static size_t put_act(char *at, uint16_t type, const char *name)
{
    struct nlmsghdr *h =
        put(at, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), ACT, NFPROTO_INET, 0);

    h->nlmsg_flags |= NLM_F_ACK;
    mnl_attr_put_strz(h, NFTA_TABLE_NAME, name);
    return h->nlmsg_len;
}

static size_t make_removal(char request[REQUEST_SIZE], const char *name)
{
    size_t len =
        put(request, NFNL_MSG_BATCH_BEGIN, BEGIN, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
    len += put_act(request + len, NFT_MSG_DELTABLE, name);
    return len +
           put(request + len, NFNL_MSG_BATCH_END, END, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
}

/* Negative: -errno of a refusal, of whatever message it is. 1: more is to come. */
static int read_answer(const char *answer, int len)
{
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)answer;

    for (; mnl_nlmsg_ok(h, len); h = mnl_nlmsg_next(h, &len)) {
        if (h->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(h) < sizeof(int))
            continue;
        int code = *(const int *)mnl_nlmsg_get_payload(h);
        if (code != 0 || h->nlmsg_seq == ACT)
            return code;
    }
    return 1;
}

static int ask(int socket, const char *request, size_t len)
{
    _Alignas(struct nlmsghdr) char answer[ANSWER_SIZE];
    int code = 1;

    if (send(socket, request, len, 0) != (ssize_t)len)
        return -errno;
    while (code > 0) {
        ssize_t n = recv(socket, answer, sizeof(answer), 0);
        if (n < 0 && errno == EINTR)
            continue;
        code = n > 0 ? read_answer(answer, (int)n) : n == 0 ? -EPIPE : -errno;
    }
    return code;
}

int nft_table_remove(int netns_fd, const char *name, struct diag *d)
{
    _Alignas(struct nlmsghdr) char request[REQUEST_SIZE] = {0};
    CLEANUP(fd_closep) int socket = -1;

    int err = namespace_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &socket, d);
    if (err < 0)
        return err;
    int code = ask(socket, request, make_removal(request, name));
    /* A kernel without nftables has none of its tables. */
    if (code == 0 || code == -ENOENT || code == -EOPNOTSUPP || code == -EPROTONOSUPPORT)
        return 0;
    return diag_set(d, err_from_errno(-code), -code, "Failed to remove the table %s: %s", name,
                    strerror(-code));
}

bool nft_table_is_missing(int netns_fd, const char *name)
{
    _Alignas(struct nlmsghdr) char request[REQUEST_SIZE] = {0};
    CLEANUP(fd_closep) int socket = -1;

    if (namespace_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &socket, NULL) < 0)
        return false;
    return ask(socket, request, put_act(request, NFT_MSG_GETTABLE, name)) == -ENOENT;
}
