#include "engine/owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

struct owner_table {
    pthread_mutex_t lock; /* over all below: one question at a time */
    int fd;
    uint32_t sequence;
};

struct answer {
    bool found;
    struct owner owner;
};

int owner_table_new(int fd, struct owner_table **ret)
{
    struct owner_table *t = NEW(struct owner_table);
    if (t == NULL)
        return ERR_NOMEM;
    int r = pthread_mutex_init(&t->lock, NULL);
    if (r != 0) {
        mem_free(t);
        return err_from_errno(r);
    }
    t->fd = fd;
    *ret = t;
    return 0;
}

void owner_table_free(struct owner_table *t)
{
    if (t == NULL)
        return;
    close(t->fd);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

static void put_endpoint(const struct ip_endpoint *e, __be32 addr[4], __be16 *port)
{
    memcpy(addr, e->addr.bytes, e->addr.version == 4 ? 4 : 16);
    *port = htons(e->port);
}

/* Without NLM_F_DUMP: the kernel looks this one connection up by its hash. */
static int ask(const struct owner_table *t, const struct ip_endpoint *client,
               const struct ip_endpoint *server)
{
    char memory[256] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *nlh = mnl_nlmsg_put_header(memory);
    nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    nlh->nlmsg_flags = NLM_F_REQUEST;
    nlh->nlmsg_seq = t->sequence;
    struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
    req->sdiag_family = client->addr.version == 4 ? AF_INET : AF_INET6;
    req->sdiag_protocol = IPPROTO_TCP;
    req->idiag_states = UINT32_MAX;
    put_endpoint(client, req->id.idiag_src, &req->id.idiag_sport);
    put_endpoint(server, req->id.idiag_dst, &req->id.idiag_dport);
    req->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    ssize_t n =
        sendto(t->fd, nlh, nlh->nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel));
    return n < 0 ? err_from_errno(errno) : 0;
}

static int on_message(const struct nlmsghdr *nlh, void *arg)
{
    struct answer *answer = arg;
    if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        mnl_nlmsg_get_payload_len(nlh) < sizeof(struct inet_diag_msg))
        return MNL_CB_OK;
    const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
    /* A listener on the same port is what the kernel falls back to: not the connection's socket. */
    if (m->idiag_state == TCP_LISTEN || m->idiag_state == TCP_TIME_WAIT || m->idiag_inode == 0)
        return MNL_CB_OK;
    answer->found = true;
    answer->owner = (struct owner){.uid = m->idiag_uid, .inode = m->idiag_inode};
    return MNL_CB_OK;
}

static int hear(const struct owner_table *t, struct answer *answer)
{
    char memory[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
    ssize_t n;
    do
        n = recv(t->fd, memory, sizeof(memory), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_from_errno(errno);
    int r = mnl_cb_run(memory, (size_t)n, t->sequence, 0, on_message, answer);
    if (r < 0)
        return errno == ENOENT ? ERR_NOTFOUND : err_from_errno(errno);
    return 0;
}

int owner_of_tcp(struct owner_table *t, const struct ip_endpoint *client,
                 const struct ip_endpoint *server, struct owner *ret)
{
    struct answer answer = {0};
    pthread_mutex_lock(&t->lock);
    t->sequence++;
    int r = ask(t, client, server);
    if (r == 0)
        r = hear(t, &answer);
    pthread_mutex_unlock(&t->lock);
    if (r < 0)
        return r;
    if (!answer.found)
        return ERR_NOTFOUND;
    *ret = answer.owner;
    return 0;
}
