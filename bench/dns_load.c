/* DNS questions by UDP, as fast as they are answered: dns_load HOST PORT NAME INFLIGHT SECONDS
 *
 * One socket, INFLIGHT questions for A records of NAME under way; prints a JSON object: count, seconds. An answer that doesn't
 * carry exactly one record is an error, so that refusals can't be counted as speed.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/dns.h"

enum { INFLIGHT_MAX = 1024, BATCH = 64, LOST_MS = 200 };

static NORETURN void die(const char *what)
{
    fprintf(stderr, "dns_load: %s\n", what);
    _exit(1);
}

static int open_socket(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *a;

    if (getaddrinfo(host, port, &hints, &a) != 0)
        die("no such host");
    int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        die("connect");
    freeaddrinfo(a);
    return fd;
}

static size_t make_question(uint8_t *memory, size_t cap, const char *text)
{
    struct wr w = wr_init(memory, cap);
    struct name n;

    if (name_parse(text, &n) < 0)
        die("not a domain name");
    wr_u16(&w, 0);
    wr_u16(&w, 0x0100);
    wr_u16(&w, 1);
    wr_zeros(&w, 6);
    name_write(&w, &n);
    wr_u16(&w, DNS_TYPE_A);
    wr_u16(&w, DNS_CLASS_IN);
    return wr_end(&w) < 0 ? 0 : wr_len(&w);
}

struct load {
    int fd;
    uint8_t question[512];
    size_t len;
    uint16_t next_id;
    uint64_t inflight;
    uint64_t count;
};

static void ask(struct load *l, uint64_t limit)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    uint8_t copies[BATCH][512];
    unsigned n = 0;

    for (; n < BATCH && l->inflight + n < limit; n++) {
        memcpy(copies[n], l->question, l->len);
        dns_set_id(copies[n], l->next_id++);
        parts[n] = (struct iovec){copies[n], l->len};
        messages[n].msg_hdr = (struct msghdr){.msg_iov = &parts[n], .msg_iovlen = 1};
    }
    int sent = n > 0 ? sendmmsg(l->fd, messages, n, 0) : 0;
    if (sent > 0)
        l->inflight += (uint64_t)sent;
}

static void take_answers(struct load *l)
{
    struct mmsghdr messages[BATCH] = {0};
    struct iovec parts[BATCH];
    uint8_t answers[BATCH][512];

    for (unsigned i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){answers[i], sizeof(answers[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(l->fd, messages, BATCH, 0, NULL);
    for (int i = 0; i < n; i++) {
        if (messages[i].msg_len < DNS_HEADER_SIZE || answers[i][7] != 1)
            die("an answer without its record");
        l->count++;
        l->inflight -= l->inflight > 0;
    }
}

int main(int argc, char **argv)
{
    uint64_t limit;
    uint64_t seconds;
    struct load l = {0};

    if (argc != 6 || str_to_u64(argv[4], INFLIGHT_MAX, &limit) < 0 ||
        str_to_u64(argv[5], 3600, &seconds) < 0)
        die("usage: dns_load HOST PORT NAME INFLIGHT SECONDS");
    l.fd = open_socket(argv[1], argv[2]);
    l.len = make_question(l.question, sizeof(l.question), argv[3]);
    uint64_t start = clock_mono_ns();
    uint64_t end = start + seconds * NS_PER_S;
    while (clock_mono_ns() < end) {
        struct pollfd p = {.fd = l.fd, .events = POLLIN};
        ask(&l, limit);
        if (poll(&p, 1, LOST_MS) == 0)
            l.inflight = 0; /* lost: ask anew */
        else
            take_answers(&l);
    }
    printf("{\"bytes\": 0, \"count\": %llu, \"seconds\": %.6f}\n", (unsigned long long)l.count,
           (double)(clock_mono_ns() - start) / (double)NS_PER_S);
    return 0;
}
