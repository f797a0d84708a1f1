/* A program of a container, for tests of policies: static, so that an image needs nothing else.
 *
 *     talk [-u UID[:GID[,GID...]]] [-w MS] tcp/ADDRESS/PORT|udp/ADDRESS/PORT...
 *     talk -l PORT...
 *
 * Says hello to each target, one after the other, and prints a line for each: the target and the answer's first line, or "error" and
 * what was wrong. -u: as this user, group, and supplementary groups. -w: how long it waits for an answer (default 10000).
 * -l: serves TCP and UDP of both families; the answer is "app", and the address and port that it came from.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS_MAX = 8, GROUPS_MAX = 8 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6; /* its port stands where that of v4 stands */
};

static int wait_ms = 10000;

/* ---- asking ---- */

static int connect_in_time(int fd, const union address *to)
{
    struct timeval time = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};

    /* connect() obeys the limit for sending, and says EINPROGRESS. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
    return connect(fd, &to->any, sizeof(*to)) == 0 ? 0 : errno;
}

static int exchange(int type, const union address *to, char *answer, size_t size)
{
    int fd = socket(to->any.sa_family, type, 0), error = connect_in_time(fd, to);
    ssize_t n = -1;

    if (error == 0 &&
        (send(fd, "hello\n", 6, MSG_NOSIGNAL) != 6 || (n = recv(fd, answer, size - 1, 0)) < 0))
        error = errno;
    if (n >= 0)
        answer[n] = '\0';
    answer[n < 0 ? 0 : strcspn(answer, "\n")] = '\0';
    close(fd);
    return error;
}

static const char *error_text(int error)
{
    return error == EINPROGRESS || error == EAGAIN ? "timeout" : strerrorname_np(error);
}

static bool parse(const char *target, int *ret_type, union address *ret)
{
    const char *slash = strrchr(target, '/');
    char ip[INET6_ADDRSTRLEN] = "";
    size_t length = slash > target + 4 ? (size_t)(slash - target - 4) : 0;

    if (length == 0 || length >= sizeof(ip))
        return false;
    memcpy(ip, target + 4, length);
    *ret_type = strncmp(target, "tcp/", 4) == 0 ? SOCK_STREAM : SOCK_DGRAM;
    ret->v4.sin_port = htons((uint16_t)strtoul(slash + 1, NULL, 10));
    ret->any.sa_family = strchr(ip, ':') ? AF_INET6 : AF_INET;
    return inet_pton(ret->any.sa_family, ip,
                     ret->any.sa_family == AF_INET6 ? (void *)&ret->v6.sin6_addr
                                                    : &ret->v4.sin_addr) == 1;
}

static int ask(const char *target)
{
    union address to = {0};
    char answer[256];
    int type, error;

    if (!parse(target, &type, &to)) {
        fprintf(stderr, "talk: this is no target: %s\n", target);
        return 2;
    }
    error = exchange(type, &to, answer, sizeof(answer));
    if (error != 0)
        printf("%s error %s\n", target, error_text(error));
    else
        printf("%s %s\n", target, answer);
    return 0;
}

/* ---- serving ---- */

static int listen_on(int family, int type, uint16_t port)
{
    union address any = {.v6 = {.sin6_family = (sa_family_t)family, .sin6_port = htons(port)}};
    int fd = socket(family, type, 0), on = 1;

    if (family == AF_INET6)
        setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (type == SOCK_STREAM) /* and not for UDP: a port of a program that shares it with nobody */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &any.any, sizeof(any)) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0)) {
        perror("talk: a port");
        exit(1);
    }
    return fd;
}

static int answer_to(const union address *from, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "?";

    inet_ntop(from->any.sa_family,
              from->any.sa_family == AF_INET ? (const void *)&from->v4.sin_addr
                                             : &from->v6.sin6_addr,
              ip, sizeof(ip));
    return snprintf(text, size, "app %s %u\n", ip, ntohs(from->v4.sin_port));
}

static void answer_one(int listener, bool tcp)
{
    union address from = {0};
    socklen_t size = sizeof(from);
    char text[256];
    int fd = tcp ? accept(listener, &from.any, &size) : listener;

    if (!tcp && recvfrom(fd, text, sizeof(text), 0, &from.any, &size) < 0)
        return;
    size_t length = (size_t)answer_to(&from, text, sizeof(text));
    if (tcp) {
        send(fd, text, length, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        recv(fd, text, sizeof(text),
             0); /* else what the client has sent would reset the connection */
        close(fd);
    } else {
        sendto(fd, text, length, 0, &from.any, size);
    }
}

static void serve(char **ports, int count)
{
    struct pollfd fds[PORTS_MAX * 4];
    nfds_t n = 0;

    for (int i = 0; i < count && i < PORTS_MAX; i++)
        for (int k = 0; k < 4; k++)
            fds[n++] = (struct pollfd){.events = POLLIN,
                                       .fd = listen_on(k < 2 ? AF_INET : AF_INET6,
                                                       k % 2 == 0 ? SOCK_STREAM : SOCK_DGRAM,
                                                       (uint16_t)strtoul(ports[i], NULL, 10))};
    puts("ready");
    fflush(stdout);
    for (;;) {
        poll(fds, n, -1);
        for (nfds_t i = 0; i < n; i++)
            if (fds[i].revents)
                answer_one(fds[i].fd, i % 2 == 0);
    }
}

/* ---- both ---- */

static bool become(char *text)
{
    gid_t groups[GROUPS_MAX];
    size_t count = 0;
    uid_t uid = (uid_t)strtoul(text, &text, 10);
    gid_t gid = *text == ':' ? (gid_t)strtoul(text + 1, &text, 10) : (gid_t)uid;

    while (*text == ',' && count < GROUPS_MAX)
        groups[count++] = (gid_t)strtoul(text + 1, &text, 10);
    return setgroups(count, groups) == 0 && setresgid(gid, gid, gid) == 0 &&
           setresuid(uid, uid, uid) == 0;
}

int main(int argc, char **argv)
{
    int option, result = 0;
    bool server = false;

    while ((option = getopt(argc, argv, "u:w:l")) != -1) {
        if (option == 'u' && !become(optarg))
            return perror("talk: becoming the user"), 1;
        if (option == 'w')
            wait_ms = (int)strtol(optarg, NULL, 10);
        server = server || option == 'l';
        if (option == '?')
            return 2;
    }
    if (server)
        serve(argv + optind, argc - optind);
    for (int i = optind; i < argc && result == 0; i++)
        result = ask(argv[i]);
    return result;
}
