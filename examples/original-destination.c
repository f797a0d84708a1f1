/* A proxy that learns where a connection was going: for authors of proxies that stand behind `stile policy`.
 *
 *     cc -D_GNU_SOURCE -o original-destination original-destination.c -lpthread
 *     original-destination [-u UID] PORT...
 *
 * On each port, TCP and UDP, IPv4 and IPv6: takes what policies send here, asks the kernel for the original destination, relays
 * there, and prints from whom it came, where to, and from which address the proxy itself went there:
 *
 *     tcp 10.0.0.2:43210 -> 192.0.2.7:80 via 10.0.0.2:51234
 *
 * What no policy sent here is refused: it would be relayed to this proxy itself, without end.
 *
 * -u: becomes this user and group before the first socket is made, and keeps CAP_NET_RAW. A policy's guard goes by the user who
 * MADE a socket, so a proxy that opens sockets as root and then changes its user isn't known by it. Without CAP_NET_RAW (or
 * CAP_NET_ADMIN) no UDP: its sockets have to be transparent.
 *
 * TCP: the kernel has rewritten the destination; getsockopt(SO_ORIGINAL_DST) tells the one before. A thread per direction relays.
 *
 * UDP: nothing is rewritten. A transparent socket receives datagrams for addresses that aren't its own, and a control message of
 * each tells its destination. The answer must come from there. Commonly a second transparent socket is bound to it; but the port
 * may be bound already: inbound it always is, by the program itself, and outbound perhaps, by one that listens on any address. (Both sockets
 * would need SO_REUSEADDR.) A raw socket takes no port from anybody, so that is what answers here.
 *
 * To learn from, not for production: no time-outs for TCP, few UDP flows.
 */
#include <arpa/inet.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    FLOWS_MAX = 128,
    FLOW_SECONDS = 30,
    PORTS_MAX = 8,
    LISTENERS_MAX = 4 * PORTS_MAX,
    DATAGRAM_MAX = 65507
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6; /* its port stands where that of v4 stands */
};

static bool address_eq(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family || a->v4.sin_port != b->v4.sin_port)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
}

static const char *address_text(const union address *a, char text[64])
{
    bool v4 = a->any.sa_family == AF_INET;
    char ip[INET6_ADDRSTRLEN] = "?";

    inet_ntop(a->any.sa_family, v4 ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr, ip,
              sizeof(ip));
    snprintf(text, 64, v4 ? "%s:%u" : "[%s]:%u", ip, ntohs(a->v4.sin_port));
    return text;
}

static void say(const char *what, const union address *from, const union address *to, int onward)
{
    char a[64], b[64], c[64];
    union address own = {0};

    getsockname(onward, &own.any, &(socklen_t){sizeof(own)});
    printf("%s %s -> %s via %s\n", what, address_text(from, a), address_text(to, b),
           address_text(&own, c));
}

static int socket_to(int type, const union address *to)
{
    int fd = socket(to->any.sa_family, type, 0);

    if (fd >= 0 && connect(fd, &to->any, sizeof(*to)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool make_transparent(int fd, int family)
{
    return family == AF_INET ? set(fd, SOL_IP, IP_TRANSPARENT, 1)
                             : set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
}

/* ---- TCP ---- */

/* False: no policy sent it here. */
static bool original_destination(int fd, union address *ret)
{
    union address here = {0};
    socklen_t size = sizeof(*ret);

    getsockname(fd, &here.any, &(socklen_t){sizeof(here)});
    if (here.any.sa_family == AF_INET)
        return getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, ret, &size) == 0 && !address_eq(ret, &here);
    return getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, ret, &size) == 0 &&
           !address_eq(ret, &here);
}

struct connection {
    int near, far;
};

static void pump(int from, int to)
{
    char data[16384];
    ssize_t n;

    while ((n = recv(from, data, sizeof(data), 0)) > 0 &&
           send(to, data, (size_t)n, MSG_NOSIGNAL) == n) /* blocks until all is sent */
        ;
    shutdown(to, SHUT_WR); /* the other direction goes on */
    if (n != 0)
        shutdown(from, SHUT_RD);
}

static void *pump_back(void *arg)
{
    struct connection *c = arg;

    pump(c->far, c->near);
    return NULL;
}

static void *serve_tcp(void *arg)
{
    struct connection c = {.near = (int)(intptr_t)arg, .far = -1};
    union address from = {0}, to = {0};
    pthread_t back;

    getpeername(c.near, &from.any, &(socklen_t){sizeof(from)});
    if (original_destination(c.near, &to) && (c.far = socket_to(SOCK_STREAM, &to)) >= 0) {
        say("tcp", &from, &to, c.far);
        if (pthread_create(&back, NULL, pump_back, &c) == 0) {
            pump(c.near, c.far);
            pthread_join(back, NULL);
        }
    }
    close(c.near);
    close(c.far);
    return NULL;
}

static void accept_tcp(int listener)
{
    pthread_t thread;
    int fd = accept(listener, NULL, NULL);

    if (fd >= 0 && pthread_create(&thread, NULL, serve_tcp, (void *)(intptr_t)fd) == 0)
        pthread_detach(thread);
    else
        close(fd);
}

/* ---- UDP ---- */

static struct flow {
    union address from, to;
    int onward; /* connected to `to` */
    int answer; /* raw, bound to the address of `to` */
    time_t last;
} flows[FLOWS_MAX];
static size_t flow_count;

/* Sends as if from this address, which may be foreign, or some program's. It would hear all UDP of it: the filter lets nothing in. */
static int answer_socket(const union address *from)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog filter = {.len = 1, .filter = &nothing};
    union address own = *from;
    int fd = socket(from->any.sa_family, SOCK_RAW, IPPROTO_UDP);

    own.v4.sin_port = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 &&
        (own.any.sa_family == AF_INET || set(fd, SOL_IPV6, IPV6_CHECKSUM, 6)) &&
        make_transparent(fd, own.any.sa_family) && bind(fd, &own.any, sizeof(own)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void flow_close(struct flow *f)
{
    close(f->onward);
    close(f->answer);
    *f = flows[--flow_count];
}

static struct flow *oldest_flow(void)
{
    struct flow *oldest = flows;

    for (size_t i = 1; i < flow_count; i++)
        if (flows[i].last < oldest->last)
            oldest = &flows[i];
    return oldest;
}

/* The flow between these, perhaps a new one; NULL if it can't be. */
static struct flow *flow_of(const union address *from, const union address *to)
{
    struct flow *f;

    for (size_t i = 0; i < flow_count; i++)
        if (address_eq(&flows[i].from, from) && address_eq(&flows[i].to, to))
            return &flows[i];
    if (flow_count == FLOWS_MAX)
        flow_close(oldest_flow());
    f = &flows[flow_count];
    *f = (struct flow){.from = *from, .to = *to, .onward = socket_to(SOCK_DGRAM, to)};
    f->answer = answer_socket(to);
    if (f->onward >= 0 && f->answer >= 0) {
        say("udp", from, to, f->onward);
        flow_count++;
        return f;
    }
    perror("a UDP flow");
    close(f->onward);
    close(f->answer);
    return NULL;
}

static void receive_udp(int listener)
{
    static char data[DATAGRAM_MAX];
    char control[256];
    union address from = {0}, to = {0}, here = {0};
    struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof(from),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(listener, &message, 0);
    struct flow *f;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); n >= 0 && c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR)
            memcpy(&to, CMSG_DATA(c), sizeof(to.v4));
        if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR)
            memcpy(&to, CMSG_DATA(c), sizeof(to.v6));
    }
    getsockname(listener, &here.any, &(socklen_t){sizeof(here)});
    if (to.v4.sin_port == 0 || to.v4.sin_port == here.v4.sin_port || !(f = flow_of(&from, &to)))
        return; /* sent to the proxy itself, or no flow can be */
    f->last = time(NULL);
    send(f->onward, data, (size_t)n, 0);
}

static void receive_answer(struct flow *f)
{
    static char datagram[sizeof(struct udphdr) + DATAGRAM_MAX];
    struct udphdr *header = (struct udphdr *)(void *)datagram;
    union address to = f->from;
    ssize_t n = recv(f->onward, header + 1, DATAGRAM_MAX, 0);

    f->last = time(NULL);
    /* The kernel adds the checksum where one must be (IPv6). */
    *header = (struct udphdr){.source = f->to.v4.sin_port,
                              .dest = to.v4.sin_port,
                              .len = htons((uint16_t)(sizeof(*header) + (size_t)n))};
    to.v4.sin_port = 0;
    if (n >= 0)
        sendto(f->answer, datagram, sizeof(*header) + (size_t)n, 0, &to.any, sizeof(to));
}

/* ---- all of it ---- */

static int listen_on(int family, int type, uint16_t port)
{
    union address any = {.v6 = {.sin6_family = (sa_family_t)family, .sin6_port = htons(port)}};
    bool udp = type == SOCK_DGRAM, v4 = family == AF_INET;
    int fd = socket(family, type, 0);

    /* Not for UDP: whoever has it too may bind the same port beside us, and is sent what is ours. */
    if ((udp || set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) &&
        (v4 || set(fd, SOL_IPV6, IPV6_V6ONLY, 1)) && (!udp || make_transparent(fd, family)) &&
        (!udp || (v4 ? set(fd, SOL_IP, IP_RECVORIGDSTADDR, 1)
                     : set(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1))) &&
        bind(fd, &any.any, sizeof(any)) == 0 && (udp || listen(fd, 128) == 0))
        return fd;
    perror(udp ? "a UDP port" : "a TCP port");
    close(fd);
    return -1; /* the others go on */
}

static bool become(uid_t uid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};

    caps[0].effective = caps[0].permitted = 1u << CAP_NET_RAW;
    (void)setgroups(0, NULL); /* a user namespace may not allow it */
    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresgid(uid, uid, uid) < 0 ||
        setresuid(uid, uid, uid) < 0)
        return false;
    if (syscall(SYS_capset, &header, caps) < 0)
        perror("no CAP_NET_RAW, so no UDP");
    return true;
}

/* listeners: TCP and UDP in turn. */
static void serve(const int *listeners, size_t count)
{
    struct pollfd fds[LISTENERS_MAX + FLOWS_MAX];

    for (;;) {
        size_t n = flow_count;
        for (size_t i = 0; i < count + n; i++)
            fds[i] = (struct pollfd){.fd = i < count ? listeners[i] : flows[i - count].onward,
                                     .events = POLLIN};
        poll(fds, count + n, 1000);
        while (n-- > 0) {
            if (fds[count + n].revents)
                receive_answer(&flows[n]);
            if (time(NULL) - flows[n].last > FLOW_SECONDS)
                flow_close(&flows[n]);
        }
        for (size_t i = 0; i < count; i++)
            if (fds[i].revents)
                (i % 2 == 0 ? accept_tcp : receive_udp)(listeners[i]);
    }
}

static bool read_number(const char *text, unsigned long max, unsigned long *ret)
{
    char *end;

    *ret = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && *ret <= max;
}

int main(int argc, char **argv)
{
    bool user = argc > 2 && strcmp(argv[1], "-u") == 0;
    int first = user ? 3 : 1;
    unsigned long uid = 0, ports[PORTS_MAX];
    int listeners[LISTENERS_MAX];
    size_t count = 0;
    bool good = argc > first && argc - first <= PORTS_MAX &&
                (!user || read_number(argv[2], UINT32_MAX - 1, &uid));

    for (int i = first; good && i < argc; i++)
        good = read_number(argv[i], UINT16_MAX, &ports[i - first]) && ports[i - first] > 0;
    if (!good)
        return fprintf(stderr, "usage: %s [-u UID] PORT... (numbers; at most %d ports)\n", argv[0],
                       PORTS_MAX),
               2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (user && !become((uid_t)uid))
        return perror("becoming the user"), 1;
    for (int i = 0; i < argc - first; i++)
        for (int k = 0; k < 4; k++)
            listeners[count++] =
                listen_on(k < 2 ? AF_INET : AF_INET6, k % 2 == 0 ? SOCK_STREAM : SOCK_DGRAM,
                          (uint16_t)ports[i]);
    puts("ready");
    serve(listeners, count);
}
