/* The peer that plain rows are measured against: a relay between two loopback sockets, epoll and 256 KiB copies, one thread.
 *
 *   relay LISTEN_HOST LISTEN_PORT TO_HOST TO_PORT     until killed; prints "ready"
 *
 * As plain as such a program can be: what it costs is what two sockets cost.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { CHUNK = 256 * 1024, EVENTS = 64 };

struct pair;

struct side {
    struct pair *pair;
    int fd;
    uint8_t *data; /* read from this side, waiting for the other */
    size_t start, end;
    bool ended; /* no more to read */
    uint32_t events;
};

struct pair {
    struct side sides[2];
    bool closed;
    struct pair *next_closed;
};

static struct addrinfo *target;
static int epoll_fd;
static struct pair *closed_pairs;

static NORETURN void die(const char *what)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void tune(int fd)
{
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static struct side *other(struct side *s)
{
    return &s->pair->sides[s == &s->pair->sides[0]];
}

/* Reads while its buffer is empty, writes while the other's isn't. */
static void update(struct side *s)
{
    const struct side *o = other(s);
    uint32_t events = (!s->ended && s->start == s->end ? (uint32_t)EPOLLIN : 0) |
                      (o->start < o->end ? (uint32_t)EPOLLOUT : 0);
    struct epoll_event e = {.events = events, .data.ptr = s};

    if (events == s->events)
        return;
    s->events = events;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &e) < 0)
        die("epoll_ctl");
}

/* Events of this turn may still name it: freed after the turn. */
static void close_pair(struct pair *p)
{
    if (p->closed)
        return;
    p->closed = true;
    (void)close(p->sides[0].fd);
    (void)close(p->sides[1].fd);
    p->next_closed = closed_pairs;
    closed_pairs = p;
}

static void free_closed(void)
{
    while (closed_pairs != NULL) {
        struct pair *p = closed_pairs;
        closed_pairs = p->next_closed;
        mem_free(p->sides[0].data);
        mem_free(p->sides[1].data);
        mem_free(p);
    }
}

/* False: the pair is to be closed. */
static bool flush(struct side *from)
{
    ssize_t n = write(other(from)->fd, from->data + from->start, from->end - from->start);

    if (n < 0)
        return errno == EAGAIN;
    from->start += (size_t)n;
    if (from->start == from->end)
        from->start = from->end = 0;
    return true;
}

static bool fill(struct side *s)
{
    ssize_t n = read(s->fd, s->data, CHUNK);

    if (n < 0)
        return errno == EAGAIN;
    if (n == 0) {
        s->ended = true;
        (void)shutdown(other(s)->fd, SHUT_WR);
        return !other(s)->ended;
    }
    s->end = (size_t)n;
    return flush(s);
}

static void on_event(struct side *s, uint32_t events)
{
    bool alive = (events & EPOLLERR) == 0;

    if (s->pair->closed)
        return;
    if (alive && (events & EPOLLOUT) != 0)
        alive = flush(other(s));
    if (alive && (events & (EPOLLIN | EPOLLHUP)) != 0 && s->start == s->end && !s->ended)
        alive = fill(s);
    if (!alive) {
        close_pair(s->pair);
        return;
    }
    update(s);
    update(other(s));
}

static void add(struct side *s)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

    s->events = EPOLLIN;
    s->data = mem_alloc(CHUNK);
    tune(s->fd);
    if (s->data == NULL || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &e) < 0)
        die("new connection");
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct pair *p = NEW(struct pair);
        int to = socket(target->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (p == NULL || to < 0 ||
            (connect(to, target->ai_addr, target->ai_addrlen) < 0 && errno != EINPROGRESS))
            die("connect");
        p->sides[0] = (struct side){.pair = p, .fd = fd};
        p->sides[1] = (struct side){.pair = p, .fd = to};
        add(&p->sides[0]);
        add(&p->sides[1]);
    }
}

static struct addrinfo *resolve(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;

    if (getaddrinfo(host, port, &hints, &a) != 0)
        die("no such host");
    return a;
}

static int listen_on(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct epoll_event e = {.events = EPOLLIN};

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    tune(fd);
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 4096) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        die("listen");
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc != 5) {
        fputs("usage: relay LISTEN_HOST LISTEN_PORT TO_HOST TO_PORT\n", stderr);
        return 2;
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    target = resolve(argv[3], argv[4]);
    int listener = listen_on(resolve(argv[1], argv[2]));
    puts("ready");
    (void)fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(listener);
            else
                on_event(events[i].data.ptr, events[i].events);
        }
        free_closed();
    }
}
