#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "pattern.h"
#include "rig.h"
#include "server.h"

#define TIME_LIMIT_S 60  /* for one socket call */
#define MANY_MAX     900 /* below the usual limit of descriptors */
#define READ_SIZE    (256 * 1024)

/* What is the default here may want a pacing queue that isn't there. */
static const char *congestion = "cubic";

void client_use_congestion(const char *name)
{
    congestion = name;
}

static int complain(const char *what)
{
    fprintf(stderr, "# %s: %s\n", what, errno != 0 ? strerror(errno) : "wrong bytes");
    return ERR_IO;
}

static int new_socket(int version)
{
    int fd = socket(version == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = TIME_LIMIT_S};
    (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, (socklen_t)strlen(congestion));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static int connect_fd(int fd, int version, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET, RIG_V4_SERVER, &v4.sin_addr);
    inet_pton(AF_INET6, RIG_V6_SERVER, &v6.sin6_addr);
    if (version == 4)
        return connect(fd, (const struct sockaddr *)&v4, sizeof v4);
    return connect(fd, (const struct sockaddr *)&v6, sizeof v6);
}

int client_connect(int version, uint16_t port)
{
    int fd = new_socket(version);
    if (connect_fd(fd, version, port) == 0)
        return fd;
    int code = errno;
    close(fd);
    return -code;
}

int client_connect_later(int version, uint16_t port)
{
    int fd = new_socket(version);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect_fd(fd, version, port) < 0 && errno == EINPROGRESS)
        return fd;
    close(fd);
    return complain("connect");
}

static int send_pattern(int fd, uint64_t bytes)
{
    for (uint64_t sent = 0; sent < bytes;) {
        struct slice s = pattern_at(sent, MIN(bytes - sent, (uint64_t)PATTERN_RUN));
        ssize_t n = send(fd, s.data, s.len, MSG_NOSIGNAL);
        if (n <= 0)
            return complain("send");
        sent += (uint64_t)n;
    }
    return 0;
}

static int expect_pattern(int fd, uint64_t bytes, size_t read_size, useconds_t pause)
{
    static _Thread_local uint8_t buffer[READ_SIZE];
    uint64_t got = 0;
    ssize_t n;
    while ((n = recv(fd, buffer, read_size, 0)) > 0) {
        errno = 0;
        if (!pattern_matches(got, slice_of(buffer, (size_t)n)))
            return complain("recv");
        got += (uint64_t)n;
        if (pause > 0)
            usleep(pause);
    }
    if (n == 0 && got == bytes)
        return 0;
    fprintf(stderr, "# %llu of %llu bytes\n", (unsigned long long)got, (unsigned long long)bytes);
    return complain("recv");
}

static int expect_report(int fd, uint64_t bytes)
{
    struct sink_report r = {0};
    char extra;
    ssize_t n = recv(fd, &r, sizeof r, MSG_WAITALL);
    if (n != sizeof r || recv(fd, &extra, 1, 0) != 0)
        return complain("report");
    errno = 0;
    return r.bytes == bytes && r.good == 1 ? 0 : complain("report");
}

int client_upload(int version, uint16_t port, uint64_t bytes)
{
    int fd = client_connect(version, port);
    if (fd < 0)
        return complain("connect");
    int r = send_pattern(fd, bytes);
    if (r == 0 && shutdown(fd, SHUT_WR) < 0)
        r = complain("shutdown");
    if (r == 0)
        r = expect_report(fd, bytes);
    close(fd);
    return r;
}

static int ask(int fd, uint64_t bytes)
{
    uint8_t question[8];
    struct wr w = wr_init(question, sizeof question);
    wr_u64(&w, bytes);
    return send(fd, question, sizeof question, MSG_NOSIGNAL) == 8 ? 0 : complain("send");
}

int client_download(int version, uint64_t bytes)
{
    int fd = client_connect(version, PORT_SOURCE);
    if (fd < 0)
        return complain("connect");
    int r = ask(fd, bytes);
    if (r == 0)
        r = expect_pattern(fd, bytes, READ_SIZE, 0);
    close(fd);
    return r;
}

int client_slow_download(int version, uint64_t bytes)
{
    int fd = new_socket(version);
    int small = 16384;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect_fd(fd, version, PORT_SOURCE) < 0) {
        close(fd);
        return complain("connect");
    }
    int r = ask(fd, bytes);
    usleep(700000); /* long enough for window probes */
    if (r == 0)
        r = expect_pattern(fd, bytes, 7001, 2000);
    close(fd);
    return r;
}

int client_many(int version, unsigned count)
{
    int fds[MANY_MAX];
    int r = 0;
    count = MIN(count, (unsigned)MANY_MAX);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = client_connect(version, PORT_ECHO);
        if (fds[i] < 0)
            r = complain("connect");
    }
    for (unsigned i = 0; r == 0 && i < count; i++)
        r = send_pattern(fds[i], 500);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        if (shutdown(fds[i], SHUT_WR) < 0)
            r = complain("shutdown");
        else
            r = expect_pattern(fds[i], 500, READ_SIZE, 0);
    }
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return r;
}

struct transfer {
    pthread_t thread;
    int version;
    bool up, started;
    uint64_t bytes;
    int result;
};

static void *run_transfer(void *arg)
{
    struct transfer *t = arg;
    t->result = t->up ? client_upload(t->version, PORT_SINK, t->bytes)
                      : client_download(t->version, t->bytes);
    return NULL;
}

int client_parallel(int version, uint64_t bytes)
{
    struct transfer transfers[8];
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(transfers); i++) {
        struct transfer *t = &transfers[i];
        *t = (struct transfer){
            .version = version, .up = i % 2 == 0, .bytes = bytes, .result = ERR_INTERNAL};
        t->started = pthread_create(&t->thread, NULL, run_transfer, t) == 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(transfers); i++) {
        if (transfers[i].started)
            pthread_join(transfers[i].thread, NULL);
        r = transfers[i].result < 0 ? transfers[i].result : r;
    }
    return r;
}

struct sender {
    int fd;
    uint64_t bytes;
    int result;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    s->result = send_pattern(s->fd, s->bytes);
    if (s->result == 0 && shutdown(s->fd, SHUT_WR) < 0)
        s->result = complain("shutdown");
    return NULL;
}

int client_echo(int version, uint16_t port, uint64_t bytes)
{
    struct sender s = {.fd = client_connect(version, port), .bytes = bytes};
    pthread_t thread;
    if (s.fd < 0 || pthread_create(&thread, NULL, send_all, &s) != 0)
        return complain("connect");
    int r = expect_pattern(s.fd, bytes, READ_SIZE, 0);
    if (r < 0)
        (void)shutdown(s.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(s.fd);
    return r < 0 ? r : s.result;
}
