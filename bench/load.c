/* The load of the benchmarks: a server and its clients, both plain TCP, cubic on every socket.
 *
 *   load serve HOST PORT                       until killed; prints "ready"
 *   load up|down HOST PORT STREAMS SECONDS     bulk one way
 *   load rtt HOST PORT STREAMS SECONDS         64 bytes there and back, one at a time on each stream
 *   load conn HOST PORT INFLIGHT SECONDS       connect, one byte there and back, the server closes
 *
 * A client's first byte tells the server what to do: U (sink), D (source), E (echo), C (echo once and close: so that
 * the client's ports don't fill with TIME_WAIT, in which the kernel then searches longer than anything else takes). Clients print one JSON object: bytes,
 * count, seconds. Everything is one thread and one epoll, so that what is measured is what stands between the two.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    CHUNK = 256 * 1024,
    MESSAGE = 64, /* of a small round trip */
    EVENTS = 64,
    STREAMS_MAX = 4096,
};

enum mode { MODE_UP = 'U', MODE_DOWN = 'D', MODE_ECHO = 'E', MODE_CLOSE = 'C', MODE_UNKNOWN = 0 };

static uint8_t chunk[CHUNK];

static NORETURN void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void tune(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static struct addrinfo *resolve(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;

    if (getaddrinfo(host, port, &hints, &a) != 0)
        die("no such host");
    return a;
}

static void watch(int epoll, int op, int fd, uint32_t events, void *arg)
{
    struct epoll_event e = {.events = events, .data.ptr = arg};

    if (epoll_ctl(epoll, op, fd, &e) < 0)
        die("epoll_ctl");
}

/* ---- the server ---- */

struct served {
    int fd;
    enum mode mode;
    size_t owed; /* bytes to echo */
};

static void served_close(struct served *s)
{
    (void)close(s->fd);
    mem_free(s);
}

/* False: the connection has ended. */
static bool served_read(int epoll, struct served *s)
{
    ssize_t n = read(s->fd, chunk, s->mode == MODE_UNKNOWN ? 1 : sizeof(chunk));

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (s->mode == MODE_UNKNOWN) {
        s->mode = (enum mode)chunk[0];
        if (s->mode == MODE_DOWN)
            watch(epoll, EPOLL_CTL_MOD, s->fd, EPOLLIN | EPOLLOUT, s);
        return true;
    }
    if (s->mode == MODE_ECHO)
        return write(s->fd, chunk, (size_t)n) == n;
    if (s->mode == MODE_CLOSE)
        return write(s->fd, chunk, (size_t)n) != n;
    return true;
}

static void serve_event(int epoll, const struct epoll_event *e)
{
    struct served *s = e->data.ptr;
    bool alive = true;

    if ((e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        alive = served_read(epoll, s);
    if (alive && (e->events & EPOLLOUT) != 0)
        alive = write(s->fd, chunk, sizeof(chunk)) > 0 || errno == EAGAIN;
    if (!alive)
        served_close(s);
}

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct served *s = NEW(struct served);
        if (s == NULL)
            die("memory");
        s->fd = fd;
        tune(fd);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, s);
    }
}

static int serve(const char *host, const char *port)
{
    struct addrinfo *a = resolve(host, port);
    int listener = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];

    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    tune(listener);
    if (bind(listener, a->ai_addr, a->ai_addrlen) < 0 || listen(listener, STREAMS_MAX) < 0)
        die("listen");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    puts("ready");
    (void)fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(epoll, listener);
            else
                serve_event(epoll, &events[i]);
        }
    }
}

/* ---- the clients ---- */

struct client {
    int fd;
    bool connected;
    size_t got; /* of the answer that is awaited */
};

struct run {
    const struct addrinfo *to;
    char mode; /* 'u', 'd', 'r' (round trips), 'c' (connections) */
    int epoll;
    uint64_t end_ns;
    uint64_t bytes;
    uint64_t count;
    uint64_t failed;
};

static void client_open(struct run *r, struct client *c)
{
    c->fd = socket(r->to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    c->connected = false;
    c->got = 0;
    if (c->fd < 0)
        die("socket");
    tune(c->fd);
    if (connect(c->fd, r->to->ai_addr, r->to->ai_addrlen) < 0 && errno != EINPROGRESS)
        die("connect");
    watch(r->epoll, EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
}

static void send_message(struct run *r, struct client *c)
{
    size_t len = r->mode == 'c' ? 1 : MESSAGE;

    c->got = 0;
    if (write(c->fd, chunk, len) != (ssize_t)len)
        r->failed++;
}

static void on_connected(struct run *r, struct client *c)
{
    static const char tells[] = {['u'] = 'U', ['d'] = 'D', ['r'] = 'E', ['c'] = 'C'};
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
        errno = error;
        die("connect");
    }
    c->connected = true;
    if (write(c->fd, &tells[(unsigned char)r->mode], 1) != 1)
        die("write");
    watch(r->epoll, EPOLL_CTL_MOD, c->fd, r->mode == 'u' ? EPOLLOUT : EPOLLIN, c);
    if (r->mode == 'r' || r->mode == 'c')
        send_message(r, c);
}

static void on_answer(struct run *r, struct client *c, size_t n)
{
    c->got += n;
    if (r->mode == 'c' || c->got < MESSAGE)
        return;
    r->count++;
    send_message(r, c);
}

/* The server has closed after its answer. */
static void on_closed(struct run *r, struct client *c)
{
    r->count++;
    (void)close(c->fd);
    client_open(r, c);
}

static void client_event(struct run *r, struct client *c)
{
    ssize_t n;

    if (!c->connected) {
        on_connected(r, c);
        return;
    }
    n = r->mode == 'u' ? write(c->fd, chunk, sizeof(chunk)) : read(c->fd, chunk, sizeof(chunk));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n == 0 && r->mode == 'c' && c->got == 1) {
        on_closed(r, c);
        return;
    }
    if (n <= 0)
        die("connection lost");
    r->bytes += (uint64_t)n;
    if (r->mode == 'r' || r->mode == 'c')
        on_answer(r, c, (size_t)n);
}

static int run_clients(struct run *r, struct client *clients, uint64_t streams, uint64_t seconds)
{
    struct epoll_event events[EVENTS];

    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint64_t i = 0; i < streams; i++)
        client_open(r, &clients[i]);
    uint64_t start = clock_mono_ns();
    r->end_ns = start + seconds * NS_PER_S;
    while (clock_mono_ns() < r->end_ns) {
        int n = epoll_wait(r->epoll, events, EVENTS, 100);
        for (int i = 0; i < n; i++)
            client_event(r, events[i].data.ptr);
    }
    printf("{\"bytes\": %llu, \"count\": %llu, \"seconds\": %.6f}\n", (unsigned long long)r->bytes,
           (unsigned long long)r->count, (double)(clock_mono_ns() - start) / (double)NS_PER_S);
    return r->failed > 0;
}

static int usage(void)
{
    fputs("usage: load serve HOST PORT | load up|down|rtt|conn HOST PORT STREAMS SECONDS\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t streams;
    uint64_t seconds;

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && str_eq(argv[1], "serve"))
        return serve(argv[2], argv[3]);
    if (argc != 6 || str_to_u64(argv[4], STREAMS_MAX, &streams) < 0 ||
        str_to_u64(argv[5], 3600, &seconds) < 0 || streams == 0)
        return usage();
    struct run r = {.to = resolve(argv[2], argv[3]), .mode = argv[1][0]};
    struct client *clients = mem_array(streams, sizeof(*clients));
    if (clients == NULL || strchr("udrc", r.mode) == NULL)
        return usage();
    return run_clients(&r, clients, streams, seconds);
}
