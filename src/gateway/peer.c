#include "gateway/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "net/ip.h"

#define FIRST_INHERITED 3

void peer_keep_alive(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
}

static bool to_endpoint(const struct sockaddr_storage *sa, struct ip_endpoint *ret)
{
    if (sa->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        ret->addr = ip_addr_from(4, (const uint8_t *)&in.sin_addr);
        ret->port = ntohs(in.sin_port);
        return true;
    }
    if (sa->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        ret->addr = ip_addr_from(6, in6.sin6_addr.s6_addr);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
            ret->addr = ip_addr_from(4, in6.sin6_addr.s6_addr + 12);
        ret->port = ntohs(in6.sin6_port);
        return true;
    }
    return false;
}

void peer_prepare(int fd, char addr[STATE_ADDR_SIZE], char host[STATE_ADDR_SIZE])
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(sa);
    struct ip_endpoint e;
    peer_keep_alive(fd);
    memcpy(addr, "-", 2);
    memcpy(host, "-", 2);
    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0 || !to_endpoint(&sa, &e))
        return;
    char endpoint[IP_ENDPOINT_TEXT_SIZE];
    char ip[IP_ADDR_TEXT_SIZE];
    ip_endpoint_format(&e, endpoint);
    if (e.addr.version == 6)
        memset(e.addr.bytes + 8, 0, 8);
    ip_addr_format(&e.addr, ip);
    (void)str_format(addr, STATE_ADDR_SIZE, "%s", endpoint);
    (void)str_format(host, STATE_ADDR_SIZE, "%s%s", ip, e.addr.version == 6 ? "/64" : "");
}

uint16_t peer_local_port(int fd)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(sa);
    struct ip_endpoint e;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 || !to_endpoint(&sa, &e))
        return 0;
    return e.port;
}

static bool is_listener(int fd)
{
    int listening = 0;
    int type = 0;
    socklen_t len = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
        return false;
    len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && listening == 1 &&
           type == SOCK_STREAM;
}

static int read_count(uint64_t *ret_count)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    uint64_t for_pid = 0;
    *ret_count = 0;
    if (pid == NULL || count == NULL || str_to_u64(pid, INT32_MAX, &for_pid) < 0 ||
        for_pid != (uint64_t)getpid())
        return 0; /* meant for somebody else */
    return str_to_u64(count, INT32_MAX - FIRST_INHERITED, ret_count);
}

int peer_inherited_listeners(int *fds, size_t cap, size_t *ret_count, struct diag *d)
{
    uint64_t count = 0;
    if (read_count(&count) < 0)
        return diag_set(d, ERR_INVAL, 0, "LISTEN_FDS is no number; see sd_listen_fds(3)");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (count > cap)
        return diag_set(d, ERR_LIMIT, 0, "LISTEN_FDS passes %llu sockets; at most %zu are served",
                        (unsigned long long)count, cap);
    for (uint64_t i = 0; i < count; i++) {
        int fd = FIRST_INHERITED + (int)i;
        if (!is_listener(fd))
            return diag_set(d, ERR_INVAL, 0,
                            "Inherited descriptor %d is no listening stream socket; use "
                            "ListenStream= in the socket unit",
                            fd);
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return diag_set(d, err_from_errno(errno), errno,
                            "Failed to use inherited descriptor %d", fd);
        fds[i] = fd;
    }
    *ret_count = (size_t)count;
    return 0;
}
