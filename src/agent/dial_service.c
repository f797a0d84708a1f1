#include "agent/dial_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/resolvers.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/socket.h"

#define CONNECT_MS  10000
#define DNS_PORT    53
#define DIALS_MAX   2048
#define ANSWERS_MAX 4096 /* that wait because the channel is full */

struct dial_service {
    struct dial_service_config config;
    int fd;
    uv_poll_t *poll; /* freed by itself when it is closed */
    struct list dials;
    size_t dial_count;
    struct list answers; /* not sent yet */
    size_t answer_count;
};

/* A connection being made. */
struct dial {
    struct list node;
    struct dial_service *owner;
    uint32_t id;
    struct socket_connect *connecting;
};

struct answer {
    struct list node;
    union channel_message message;
    int fd; /* -1: none */
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void end(struct dial_service *d, const char *reason)
{
    uv_poll_stop(d->poll);
    d->config.on_closed(d->config.arg, reason);
}

static void watch(struct dial_service *d)
{
    int events = UV_READABLE | (list_empty(&d->answers) ? 0 : UV_WRITABLE);
    uv_poll_start(d->poll, events, on_poll);
}

/* Sends what waits, in order, until the channel is full. Errors show when it is read. */
static void send_answers(struct dial_service *d)
{
    while (!list_empty(&d->answers)) {
        struct answer *a = LIST_ENTRY(d->answers.next, struct answer, node);
        int r = channel_send(d->fd, &a->message, &a->fd, a->fd >= 0 ? 1 : 0);
        if (r == ERR_AGAIN)
            break;
        if (r < 0)
            log_debug("answer to the engine not sent: %s", err_text(r));
        list_remove(&a->node);
        fd_closep(&a->fd);
        mem_free(a);
        d->answer_count--;
    }
    watch(d);
}

static void queue(struct dial_service *d, const union channel_message *message, int fd)
{
    struct answer *a = d->answer_count < ANSWERS_MAX ? NEW(struct answer) : NULL;
    if (a == NULL) {
        fd_closep(&fd);
        return;
    }
    a->message = *message;
    a->fd = fd;
    d->answer_count++;
    list_push_back(&d->answers, &a->node);
    send_answers(d);
}

static void answer(struct dial_service *d, uint32_t id, int err, const char *reason, int fd)
{
    union channel_message m;
    channel_init(&m, CHANNEL_DIALED);
    m.dialed.id = id;
    m.dialed.err = err;
    if (err != 0)
        (void)str_format(m.dialed.reason, sizeof(m.dialed.reason), "%s", reason);
    queue(d, &m, fd);
}

static void dial_free(struct dial *dial)
{
    list_remove(&dial->node);
    dial->owner->dial_count--;
    mem_free(dial);
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *cause)
{
    struct dial *dial = arg;
    log_debug("dial %u: %s", dial->id, err == 0 ? "connected" : cause->text);
    answer(dial->owner, dial->id, err, err == 0 ? "" : cause->text, err == 0 ? fd : -1);
    dial_free(dial);
}

static void dial_start_to(struct dial_service *d, uint32_t id, const char *host, uint16_t port)
{
    struct dial *dial = d->dial_count < DIALS_MAX ? NEW(struct dial) : NULL;
    if (dial == NULL) {
        answer(d, id, ERR_LIMIT, "Too many connections are being made at once", -1);
        return;
    }
    dial->owner = d;
    dial->id = id;
    list_push_back(&d->dials, &dial->node);
    d->dial_count++;
    int r = socket_connect_start(d->config.loop, host, port, CONNECT_MS, on_connected, dial,
                                 &dial->connecting);
    if (r < 0) {
        answer(d, id, r, err_text(r), -1);
        dial_free(dial);
    }
}

static void dial_gateway(struct dial_service *d, const struct channel_dial_gateway *q)
{
    char host[PROFILE_HOST_SIZE];
    uint16_t port = 0;
    struct diag diag = {0};
    struct member *m = clusters_find(d->config.clusters, q->profile);
    if (m == NULL) {
        answer(d, q->id, ERR_AUTH, "You are not logged in there any more; see `stile login`", -1);
        return;
    }
    int r = profile_split_addr(m->profile->gateway, host, &port, &diag);
    if (r < 0)
        answer(d, q->id, r, diag.text, -1);
    else
        dial_start_to(d, q->id, host, port);
}

static int v6_address(const char *text, struct sockaddr_in6 *ret)
{
    char plain[RESOLVER_TEXT];
    int r = str_copy(plain, sizeof(plain), text);
    char *zone = strchr(plain, '%');
    if (r < 0)
        return r;
    *ret = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT)};
    if (zone != NULL) {
        *zone = '\0';
        ret->sin6_scope_id = if_nametoindex(zone + 1);
    }
    return inet_pton(AF_INET6, plain, &ret->sin6_addr) == 1 ? 0 : ERR_INVAL;
}

/* A UDP socket connected to the resolver. The kernel chooses its port at random. */
static int udp_socket(const char *text, int *ret_fd)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
    struct sockaddr_in6 v6;
    const struct sockaddr *addr = (const struct sockaddr *)&v4;
    socklen_t len = sizeof(v4);
    if (inet_pton(AF_INET, text, &v4.sin_addr) != 1) {
        int r = v6_address(text, &v6);
        if (r < 0)
            return r;
        addr = (const struct sockaddr *)&v6;
        len = sizeof(v6);
    }
    int fd = socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (connect(fd, addr, len) < 0) {
        int e = errno;
        close(fd);
        return err_from_errno(e);
    }
    *ret_fd = fd;
    return 0;
}

static void dial_resolver(struct dial_service *d, const struct channel_dial_resolver *q)
{
    struct resolvers r;
    int fd = -1;
    if (q->index >= d->config.setup->resolver_count) {
        answer(d, q->id, ERR_NOTFOUND, "There is no such resolver", -1);
        return;
    }
    const char *addr = d->config.setup->resolvers[q->index];
    if (!d->config.resolvers_of_setup) {
        /* The network may be another by now: what the file says counts. */
        resolvers_load(RESOLV_CONF_PATH, &r);
        addr = r.addrs[MIN((size_t)q->index, r.count - 1)];
    }
    if (q->transport == CHANNEL_TCP) {
        dial_start_to(d, q->id, addr, DNS_PORT);
        return;
    }
    int err = udp_socket(addr, &fd);
    answer(d, q->id, err, err < 0 ? err_text(err) : "", fd);
}

/* False: the channel has ended. */
static bool read_one(struct dial_service *d)
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t fd_count = 0;
    int r = channel_recv(d->fd, &m, fds, &fd_count);
    if (r == ERR_AGAIN)
        return false;
    if (r < 0) {
        end(d, r == ERR_CLOSED ? "it has ended" : "it broke the rules of its channel");
        return false;
    }
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    if (m.header.type == CHANNEL_DIAL_GATEWAY) {
        dial_gateway(d, &m.dial_gateway);
    } else if (m.header.type == CHANNEL_DIAL_RESOLVER) {
        dial_resolver(d, &m.dial_resolver);
    } else {
        end(d, "it sent a message that it may not send");
        return false;
    }
    return true;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct dial_service *d = poll->data;
    if (status < 0) {
        end(d, "it has ended");
        return;
    }
    if ((events & UV_WRITABLE) != 0)
        send_answers(d);
    /* A few at a time: others want their turn. */
    for (int i = 0; i < 64 && (events & UV_READABLE) != 0; i++)
        if (!read_one(d))
            return;
}

static void on_poll_freed(uv_handle_t *poll)
{
    mem_free(poll);
}

int dial_service_new(int fd, const struct dial_service_config *config, struct dial_service **ret)
{
    CLEANUP(mem_freep) struct dial_service *d = NEW(struct dial_service);
    CLEANUP(mem_freep) uv_poll_t *poll = NEW(uv_poll_t);
    union channel_message m;
    if (d == NULL || poll == NULL)
        return ERR_NOMEM;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return err_from_errno(errno);
    channel_init(&m, CHANNEL_SETUP);
    m.setup = *config->setup;
    int r = channel_send(fd, &m, NULL, 0);
    if (r < 0)
        return r;
    r = uv_poll_init(&config->loop->uv, poll, fd);
    if (r < 0)
        return loop_err(r);
    d->config = *config;
    d->fd = fd;
    d->poll = STEAL(poll);
    d->poll->data = d;
    list_init(&d->dials);
    list_init(&d->answers);
    watch(d);
    *ret = STEAL(d);
    return 0;
}

void dial_service_resolvers_changed(struct dial_service *d)
{
    const struct channel_setup *setup = d->config.setup;
    union channel_message m;
    channel_init(&m, CHANNEL_RESOLVERS);
    m.resolvers.resolver_count = setup->resolver_count;
    memcpy(m.resolvers.resolvers, setup->resolvers, sizeof(m.resolvers.resolvers));
    queue(d, &m, -1);
}

void dial_service_free(struct dial_service *d)
{
    if (d == NULL)
        return;
    LIST_FOR_EACH (n, &d->dials) {
        struct dial *dial = LIST_ENTRY(n, struct dial, node);
        socket_connect_cancel(dial->connecting);
        dial_free(dial);
    }
    LIST_FOR_EACH (n, &d->answers) {
        struct answer *a = LIST_ENTRY(n, struct answer, node);
        list_remove(&a->node);
        fd_closep(&a->fd);
        mem_free(a);
    }
    uv_close((uv_handle_t *)d->poll, on_poll_freed);
    fd_closep(&d->fd);
    mem_free(d);
}
