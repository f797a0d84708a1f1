#include "diag/dns_question.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "net/dns.h"

#define DNS_PORT        53
#define QUERY_MAX       512
#define REPLY_MAX       2048
#define RECORDS_MAX     64
#define TCP_LENGTH_SIZE 2

/* One question on its way. */
struct asked {
    struct dns_question *q;
    int fd; /* -1: it is over */
    uint16_t id;
    uint8_t query[QUERY_MAX]; /* by TCP with its length before it */
    size_t query_len;
    struct slice question; /* in query */
    size_t sent;           /* by TCP: bytes */
    bool repeated;         /* by UDP */
    uint8_t reply[REPLY_MAX];
    size_t reply_len;
};

/* ---- the reply ---- */

static void skip_name(struct rd *r)
{
    for (unsigned labels = 0; labels < 128; labels++) {
        uint8_t len = rd_u8(r);
        if (r->bad || len == 0)
            return;
        if ((len & 0xc0) == 0xc0) { /* the rest is elsewhere in the message */
            rd_skip(r, 1);
            return;
        }
        rd_skip(r, len);
    }
    r->bad = true;
}

static bool read_record(struct rd *r, uint16_t wanted, struct ip_addr *ret)
{
    skip_name(r);
    uint16_t type = rd_u16(r);
    uint16_t class = rd_u16(r);
    rd_skip(r, 4);
    struct slice data = rd_bytes(r, rd_u16(r));
    size_t len = wanted == DNS_TYPE_A ? 4 : 16;
    if (r->bad || type != wanted || class != DNS_CLASS_IN || data.len != len)
        return false;
    *ret = ip_addr_from(len == 4 ? 4 : 6, data.data);
    return true;
}

enum dns_outcome dns_reply_read(struct slice message, size_t question_len, uint16_t type,
                                struct ip_addr *ret_got)
{
    struct rd r = rd_init(message);
    rd_skip(&r, 6);
    unsigned answers = rd_u16(&r);
    rd_skip(&r, 4 + question_len);
    if (r.bad)
        return DNS_FAILED;
    enum dns_rcode rcode = dns_rcode_of(message);
    if (rcode == DNS_NXDOMAIN)
        return DNS_NO_NAME;
    if (rcode != DNS_NOERROR)
        return DNS_FAILED;
    for (unsigned i = 0; i < MIN(answers, RECORDS_MAX) && !r.bad; i++)
        if (read_record(&r, type, ret_got))
            return DNS_FOREIGN;
    return r.bad ? DNS_FAILED : DNS_NO_NAME;
}

/* ---- sockets ---- */

static void end(struct asked *a, enum dns_outcome outcome)
{
    a->q->outcome = outcome;
    if (a->fd >= 0)
        (void)close(a->fd);
    a->fd = -1;
}

/* "fe80::1%eth0": the scope by its interface. */
static int server_address(const struct dns_question *q, struct sockaddr_storage *ret,
                          socklen_t *ret_len)
{
    struct ip_addr a;
    uint16_t port = htons(q->port != 0 ? q->port : DNS_PORT);
    int err = resolver_address(q->server, &a);
    if (err < 0)
        return err;
    memset(ret, 0, sizeof(*ret));
    if (a.version == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = port;
        memcpy(&in->sin_addr, a.bytes, 4);
        *ret_len = sizeof(*in);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        const char *scope = strchr(q->server, '%');
        in6->sin6_family = AF_INET6;
        in6->sin6_port = port;
        memcpy(&in6->sin6_addr, a.bytes, 16);
        in6->sin6_scope_id = scope != NULL ? if_nametoindex(scope + 1) : 0;
        *ret_len = sizeof(*in6);
    }
    return 0;
}

static int write_query(struct asked *a)
{
    struct wr w = wr_init(a->query, sizeof(a->query));
    struct name n;
    size_t head = a->q->transport == DNS_TCP ? TCP_LENGTH_SIZE : 0;
    if (name_parse(a->q->name, &n) < 0)
        return ERR_FORMAT;
    a->id = (uint16_t)random_u64();
    wr_zeros(&w, head);
    wr_u16(&w, a->id);
    wr_u16(&w, 0x0100); /* recursion desired */
    wr_u16(&w, 1);
    wr_zeros(&w, 6);
    name_write(&w, &n);
    wr_u16(&w, a->q->type);
    wr_u16(&w, DNS_CLASS_IN);
    a->query_len = wr_len(&w);
    if (wr_end(&w) < 0)
        return ERR_TOOBIG;
    if (head > 0) {
        a->query[0] = (uint8_t)((a->query_len - head) >> 8);
        a->query[1] = (uint8_t)(a->query_len - head);
    }
    a->question =
        slice_of(a->query + head + DNS_HEADER_SIZE, a->query_len - head - DNS_HEADER_SIZE);
    return 0;
}

static void send_query(struct asked *a)
{
    ssize_t n = send(a->fd, a->query + a->sent, a->query_len - a->sent, MSG_NOSIGNAL);
    if (n > 0 && a->q->transport == DNS_TCP)
        a->sent += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        end(a, DNS_FAILED);
}

static void start(struct asked *a, struct dns_question *q)
{
    struct sockaddr_storage to;
    socklen_t len = 0;
    bool tcp = q->transport == DNS_TCP;
    *a = (struct asked){.q = q, .fd = -1};
    q->outcome = DNS_FAILED;
    if (server_address(q, &to, &len) < 0 || write_query(a) < 0)
        return;
    a->fd =
        socket(to.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (a->fd < 0)
        return;
    if (connect(a->fd, (struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS)
        end(a, DNS_FAILED);
    else if (!tcp)
        send_query(a);
}

/* The whole message, without the length that stands before it by TCP; empty while it isn't complete. */
static struct slice whole_reply(const struct asked *a)
{
    struct slice bytes = slice_of(a->reply, a->reply_len);
    if (a->q->transport == DNS_UDP)
        return bytes;
    struct rd r = rd_init(bytes);
    return rd_bytes(&r, rd_u16(&r));
}

static void read_reply(struct asked *a)
{
    bool tcp = a->q->transport == DNS_TCP;
    size_t at = tcp ? a->reply_len : 0;
    ssize_t n = recv(a->fd, a->reply + at, sizeof(a->reply) - at, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0 || (tcp && n == 0)) {
        end(a, DNS_FAILED);
        return;
    }
    a->reply_len = at + (size_t)n;
    struct slice message = whole_reply(a);
    if (message.len == 0 && a->reply_len < sizeof(a->reply))
        return;
    if (dns_is_answer(message, a->id, a->question))
        end(a, dns_reply_read(message, a->question.len, a->q->type, &a->q->got));
    else if (tcp)
        end(a, DNS_FAILED);
}

static void on_events(struct asked *a, short events)
{
    if ((events & POLLOUT) != 0 && a->sent < a->query_len)
        send_query(a);
    if (a->fd >= 0 && (events & (POLLIN | POLLERR | POLLHUP)) != 0)
        read_reply(a);
}

static short wanted_events(const struct asked *a)
{
    bool sending = a->q->transport == DNS_TCP && a->sent < a->query_len;
    return sending ? POLLIN | POLLOUT : POLLIN;
}

/* ---- all of them ---- */

static size_t fill_polls(struct asked *all, size_t count, struct pollfd *polls)
{
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = all[i].fd};
        if (all[i].fd < 0)
            continue;
        polls[i].events = wanted_events(&all[i]);
        open++;
    }
    return open;
}

static void repeat_datagrams(struct asked *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].fd < 0 || all[i].q->transport != DNS_UDP || all[i].repeated)
            continue;
        all[i].repeated = true;
        send_query(&all[i]);
    }
}

static void run(struct asked *all, size_t count, struct pollfd *polls, unsigned timeout_ms)
{
    uint64_t began = clock_mono_ns();
    uint64_t half = began + timeout_ms * NS_PER_MS / 2;
    uint64_t last = began + timeout_ms * NS_PER_MS;
    while (fill_polls(all, count, polls) > 0) {
        uint64_t now = clock_mono_ns();
        if (now >= last)
            break;
        if (now >= half)
            repeat_datagrams(all, count);
        uint64_t until = now < half ? half : last;
        if (poll(polls, count, (int)((until - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
            break;
        for (size_t i = 0; i < count; i++)
            if (all[i].fd >= 0 && polls[i].revents != 0)
                on_events(&all[i], polls[i].revents);
    }
    for (size_t i = 0; i < count; i++)
        if (all[i].fd >= 0)
            end(&all[i], DNS_SILENT);
}

void dns_questions_ask(struct dns_question *questions, size_t count, unsigned timeout_ms)
{
    CLEANUP(mem_freep) struct asked *all = mem_array(count, sizeof(*all));
    CLEANUP(mem_freep) struct pollfd *polls = mem_array(count, sizeof(*polls));
    for (size_t i = 0; i < count; i++)
        questions[i].outcome = DNS_FAILED;
    if (all == NULL || polls == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        start(&all[i], &questions[i]);
    run(all, count, polls, timeout_ms);
}
