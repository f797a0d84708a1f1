/* Datagrams there and back, as fast as they are answered.
 *
 *   udp_load serve HOST PORT                until killed: answers each with itself; prints "ready"
 *   udp_load HOST PORT INFLIGHT SECONDS     one socket, INFLIGHT datagrams of 64 bytes under way
 *
 * The client prints a JSON object: bytes, count (answers), seconds. One that is lost is sent anew after LOST_MS.
 */
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { INFLIGHT_MAX = 1024, BATCH = 64, MESSAGE = 64, LOST_MS = 200 };

/* As many datagrams as one call takes, and where they are from. */
struct batch {
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_storage peers[BATCH];
    uint8_t bytes[BATCH][MESSAGE];
};

static NORETURN void die(const char *what)
{
    fprintf(stderr, "udp_load: %s\n", what);
    _exit(1);
}

static int open_socket(const char *host, const char *port,
                       int (*attach)(int, const struct sockaddr *, socklen_t))
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *a;

    if (getaddrinfo(host, port, &hints, &a) != 0)
        die("no such host");
    int fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || attach(fd, a->ai_addr, a->ai_addrlen) < 0)
        die("no socket for this address");
    freeaddrinfo(a);
    return fd;
}

static void prepare(struct batch *b, bool with_peers)
{
    for (unsigned i = 0; i < BATCH; i++) {
        b->parts[i] = (struct iovec){b->bytes[i], MESSAGE};
        b->messages[i].msg_hdr = (struct msghdr){.msg_iov = &b->parts[i], .msg_iovlen = 1};
        if (!with_peers)
            continue;
        b->messages[i].msg_hdr.msg_name = &b->peers[i];
        b->messages[i].msg_hdr.msg_namelen = sizeof(b->peers[i]);
    }
}

static NORETURN void serve(const char *host, const char *port)
{
    static struct batch b;
    int fd = open_socket(host, port, bind);

    puts("ready");
    (void)fflush(stdout);
    for (;;) {
        prepare(&b, true);
        int n = recvmmsg(fd, b.messages, BATCH, MSG_WAITFORONE, NULL);
        if (n > 0)
            (void)sendmmsg(fd, b.messages, (unsigned)n, 0);
    }
}

/* Gives how many are under way then. */
static uint64_t send_more(int fd, struct batch *b, uint64_t under_way, uint64_t limit)
{
    unsigned n = (unsigned)MIN(limit - under_way, (uint64_t)BATCH);
    int sent = n > 0 ? sendmmsg(fd, b->messages, n, MSG_DONTWAIT) : 0;

    return under_way + (sent > 0 ? (uint64_t)sent : 0);
}

static uint64_t run(int fd, uint64_t limit, uint64_t end_ns)
{
    static struct batch out, in;
    uint64_t under_way = 0, count = 0;

    prepare(&out, false);
    prepare(&in, false);
    while (clock_mono_ns() < end_ns) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        under_way = send_more(fd, &out, under_way, limit);
        if (poll(&p, 1, LOST_MS) == 0)
            under_way = 0;
        int n = recvmmsg(fd, in.messages, BATCH, MSG_DONTWAIT, NULL);
        if (n <= 0)
            continue;
        count += (uint64_t)n;
        under_way -= MIN(under_way, (uint64_t)n);
    }
    return count;
}

int main(int argc, char **argv)
{
    uint64_t limit, seconds;

    if (argc == 4 && str_eq(argv[1], "serve"))
        serve(argv[2], argv[3]);
    if (argc != 5 || str_to_u64(argv[3], INFLIGHT_MAX, &limit) < 0 || limit == 0 ||
        str_to_u64(argv[4], 3600, &seconds) < 0)
        die("usage: udp_load serve HOST PORT | udp_load HOST PORT INFLIGHT SECONDS");
    int fd = open_socket(argv[1], argv[2], connect);
    uint64_t start = clock_mono_ns();
    uint64_t count = run(fd, limit, start + seconds * NS_PER_S);
    printf("{\"bytes\": %llu, \"count\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)count * MESSAGE, (unsigned long long)count,
           (double)(clock_mono_ns() - start) / (double)NS_PER_S);
    return 0;
}
