#include "rig.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "platform/namespaces.h"
#include "platform/tun.h"

#define NAME "tcptest0"

int rig_enter(void)
{
    struct diag d = {0};
    int r = namespaces_enter(&d);
    if (r < 0)
        fprintf(stderr, "# %s\n", d.text);
    return r;
}

static void request_named(struct ifreq *ifr)
{
    memset(ifr, 0, sizeof *ifr);
    memcpy(ifr->ifr_name, NAME, sizeof NAME);
}

static int set_v4(int fd)
{
    struct ifreq ifr;
    request_named(&ifr);
    struct sockaddr_in sin = {.sin_family = AF_INET};
    inet_pton(AF_INET, RIG_V4_KERNEL, &sin.sin_addr);
    memcpy(&ifr.ifr_addr, &sin, sizeof sin);
    if (ioctl(fd, SIOCSIFADDR, &ifr) < 0)
        return -1;
    inet_pton(AF_INET, "255.255.255.0", &sin.sin_addr);
    memcpy(&ifr.ifr_netmask, &sin, sizeof sin);
    return ioctl(fd, SIOCSIFNETMASK, &ifr);
}

static int set_v6(int fd)
{
    struct in6_ifreq request = {.ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex(NAME)};
    inet_pton(AF_INET6, RIG_V6_KERNEL, &request.ifr6_addr);
    return ioctl(fd, SIOCSIFADDR, &request);
}

static int set_up(int fd, uint32_t mtu)
{
    struct ifreq ifr;
    request_named(&ifr);
    ifr.ifr_mtu = (int)mtu;
    if (ioctl(fd, SIOCSIFMTU, &ifr) < 0)
        return -1;
    request_named(&ifr);
    ifr.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &ifr);
}

static int configure(uint32_t mtu)
{
    int v4 = socket(AF_INET, SOCK_DGRAM, 0);
    int v6 = socket(AF_INET6, SOCK_DGRAM, 0);
    int r = set_v4(v4) < 0 || set_up(v4, mtu) < 0 || set_v6(v6) < 0 ? ERR_IO : 0;
    if (r < 0)
        perror("# failed to configure " NAME);
    close(v4);
    close(v6);
    return r;
}

int rig_open(uint32_t mtu, bool offload, struct link **ret_link)
{
    struct tun tun;
    struct diag d = {0};
    int r = tun_open(NAME, 1, &tun, &d);
    if (r < 0) {
        fprintf(stderr, "# %s\n", d.text);
        return r;
    }
    if (!offload)
        (void)ioctl(tun.queues[0], TUNSETOFFLOAD, 0UL);
    r = configure(mtu);
    if (r == 0)
        r = link_tun_new(tun.queues[0], mtu, true, offload, ret_link);
    if (r < 0)
        tun_close(&tun);
    return r;
}
