#include "netcfg/watch.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/rtnl_internal.h"

#define OWN_PREFIX "stile"

enum {
    OWN_LINKS_MAX = 256,
    KNOWN_MAX = 4096,         /* addresses; more are told of each time they are renewed */
    BATCH = 256,              /* datagrams for one wake-up; more come with the next */
    ROOM = 1024 * 1024,       /* of the kernel, for events that we haven't read; it may give less */
    LINK_CREATED = -1,        /* ifi_change of a new link: all bits */
    FAR_FUTURE_YEARS = 10000, /* the timer's time, which is never reached */
};

struct watch {
    void (*on_event)(void *arg, uint32_t reasons);
    void *arg;
    struct mnl_socket *socket;
    int timer;
    uv_poll_t socket_poll;
    uv_poll_t timer_poll;
    int open_handles;
    uint32_t own_port; /* 0: nobody's */
    uint32_t own_links[OWN_LINKS_MAX];
    size_t own_link_count;
    struct rtnl_address *known; /* owned; the host's addresses */
    size_t known_count;
    size_t known_room;
    alignas(8) char buffer[RTNL_REPLY_SIZE];
};

/* ---- Our links, and the addresses that were there before ---- */

/* "stile" and a number */
static bool is_own_name(const char *name)
{
    size_t prefix = strlen(OWN_PREFIX);

    return str_starts(name, OWN_PREFIX) && name[prefix] != '\0' &&
           name[prefix + strspn(name + prefix, "0123456789")] == '\0';
}

static size_t find_own(const struct watch *w, uint32_t index)
{
    size_t i = 0;

    while (i < w->own_link_count && w->own_links[i] != index)
        i++;
    return i;
}

static bool is_own(const struct watch *w, uint32_t index)
{
    return index != 0 && find_own(w, index) < w->own_link_count;
}

static void learn_own(struct watch *w, uint32_t index)
{
    if (!is_own(w, index) && w->own_link_count < OWN_LINKS_MAX)
        w->own_links[w->own_link_count++] = index;
}

static void forget_own(struct watch *w, uint32_t index)
{
    size_t i = find_own(w, index);

    if (i < w->own_link_count)
        w->own_links[i] = w->own_links[--w->own_link_count];
}

static size_t find_known(const struct watch *w, const struct rtnl_address *a)
{
    size_t i = 0;

    while (i < w->known_count &&
           (w->known[i].link_index != a->link_index || w->known[i].bits != a->bits ||
            !ip_addr_eq(&w->known[i].addr, &a->addr)))
        i++;
    return i;
}

/* Whether it is new. Without room or memory every renewal counts as new: an event too many. */
static bool learn_address(struct watch *w, const struct rtnl_address *a)
{
    if (find_known(w, a) < w->known_count)
        return false;
    if (w->known_count == w->known_room && w->known_room < KNOWN_MAX) {
        size_t room = w->known_room == 0 ? 16 : w->known_room * 2;
        struct rtnl_address *more = mem_resize(w->known, room, sizeof(*more));
        if (more == NULL)
            return true;
        w->known = more;
        w->known_room = room;
    }
    if (w->known_count < w->known_room)
        w->known[w->known_count++] = *a;
    return true;
}

static void forget_address(struct watch *w, const struct rtnl_address *a)
{
    size_t i = find_known(w, a);

    if (i < w->known_count)
        w->known[i] = w->known[--w->known_count];
}

/* ---- What a message means ---- */

/* The creation of a link of ours is no harm; renaming it is, and it stays ours to undo. */
static uint32_t own_link_event(struct watch *w, const struct nlmsghdr *h, const struct ifinfomsg *m)
{
    uint32_t index = (uint32_t)m->ifi_index;

    if (h->nlmsg_type == RTM_DELLINK)
        forget_own(w, index);
    else
        learn_own(w, index);
    return (int)m->ifi_change == LINK_CREATED && h->nlmsg_type == RTM_NEWLINK ? 0 : WATCH_OURS;
}

static uint32_t link_event(struct watch *w, const struct nlmsghdr *h)
{
    const uint32_t told = IFF_UP | IFF_RUNNING;
    const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attrs[IFLA_IFNAME + 1];
    const char *name = "";

    if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) || m->ifi_family != AF_UNSPEC)
        return 0;
    rtnl_attrs(h, sizeof(*m), attrs, ARRAY_LEN(attrs));
    if (attrs[IFLA_IFNAME] != NULL &&
        mnl_attr_validate(attrs[IFLA_IFNAME], MNL_TYPE_NUL_STRING) >= 0)
        name = mnl_attr_get_str(attrs[IFLA_IFNAME]);
    if (is_own(w, (uint32_t)m->ifi_index) || is_own_name(name))
        return own_link_event(w, h, m);
    return h->nlmsg_type == RTM_DELLINK || (m->ifi_change & told) != 0 ? WATCH_LINK : 0;
}

/* Addresses are renewed all the time (router advertisements, DHCP): that is no change. */
static uint32_t address_event(struct watch *w, const struct nlmsghdr *h)
{
    struct rtnl_address a;

    if (rtnl_address_of(h, &a) < 0)
        return 0;
    if (is_own(w, a.link_index))
        return WATCH_OURS;
    if (h->nlmsg_type == RTM_NEWADDR)
        return learn_address(w, &a) ? WATCH_ADDRESS : 0;
    forget_address(w, &a);
    return WATCH_ADDRESS;
}

/* The kernel's own routes follow from addresses, of which there is an event. */
static uint32_t route_event(const struct watch *w, const struct nlmsghdr *h)
{
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    const struct nlattr *attrs[RTA_OIF + 1];
    uint32_t oif = 0;

    if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) || (m->rtm_flags & RTM_F_CLONED) != 0)
        return 0;
    if (m->rtm_family != AF_INET && m->rtm_family != AF_INET6)
        return 0;
    rtnl_attrs(h, sizeof(*m), attrs, ARRAY_LEN(attrs));
    if (attrs[RTA_OIF] != NULL && mnl_attr_get_payload_len(attrs[RTA_OIF]) == sizeof(oif))
        oif = mnl_attr_get_u32(attrs[RTA_OIF]);
    if (m->rtm_protocol == RTNL_PROTOCOL)
        return WATCH_OURS;
    if (m->rtm_protocol == RTPROT_KERNEL && (is_own(w, oif) || m->rtm_table == RT_TABLE_LOCAL))
        return 0;
    return is_own(w, oif) ? WATCH_OURS : WATCH_ROUTE;
}

static uint32_t event_of(struct watch *w, const struct nlmsghdr *h)
{
    uint32_t reasons = 0;

    if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
        reasons = link_event(w, h);
    else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR)
        reasons = address_event(w, h);
    else if (h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE)
        reasons = route_event(w, h);
    return w->own_port != 0 && h->nlmsg_pid == w->own_port ? 0 : reasons;
}

/* ---- Reading ---- */

/* One datagram: false when there was none. */
static bool read_events(struct watch *w, uint32_t *reasons)
{
    struct sockaddr_nl from = {0};
    struct iovec part = {w->buffer, sizeof(w->buffer)};
    struct msghdr m = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &part, .msg_iovlen = 1};
    ssize_t n = recvmsg(mnl_socket_get_fd(w->socket), &m, MSG_DONTWAIT);

    if (n < 0 && errno == ENOBUFS)
        *reasons |= WATCH_OVERRUN;
    if (n < 0)
        return errno == ENOBUFS || errno == EINTR;
    if ((m.msg_flags & MSG_TRUNC) != 0)
        *reasons |= WATCH_OVERRUN;
    if (from.nl_pid != 0)
        return true; /* not the kernel */
    int left = (int)n;
    const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)w->buffer;
    for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
        *reasons |= event_of(w, h);
    return true;
}

static void on_socket(uv_poll_t *poll, int status, int events UNUSED);

/* libuv stops a handle whose descriptor has an error, which is how lost events show. */
static void restart(struct watch *w)
{
    (void)uv_poll_start(&w->socket_poll, UV_READABLE, on_socket);
}

static void on_socket(uv_poll_t *poll, int status, int events UNUSED)
{
    struct watch *w = poll->data;
    uint32_t reasons = 0;

    for (int i = 0; i < BATCH && read_events(w, &reasons); i++)
        ;
    if (status < 0)
        restart(w);
    if (reasons != 0)
        w->on_event(w->arg, reasons);
}

/* ---- The clock ---- */

static int arm_timer(int fd)
{
    const struct itimerspec never = {.it_value.tv_sec = (time_t)FAR_FUTURE_YEARS * 365 * 24 * 3600};

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
}

static void on_timer(uv_poll_t *poll, int status UNUSED, int events UNUSED)
{
    struct watch *w = poll->data;
    uint64_t expirations;
    bool was_set = read(w->timer, &expirations, sizeof(expirations)) < 0 && errno == ECANCELED;

    if (arm_timer(w->timer) < 0)
        (void)uv_poll_stop(poll);
    if (was_set)
        w->on_event(w->arg, WATCH_CLOCK);
}

/* ---- Opening and closing ---- */

static int open_socket(struct watch *w)
{
    const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                          RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
    int room = ROOM;

    w->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (w->socket == NULL || mnl_socket_bind(w->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        int group = groups[i];
        if (mnl_socket_setsockopt(w->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
            return -errno;
    }
    (void)setsockopt(mnl_socket_get_fd(w->socket), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    return 0;
}

static int open_timer(struct watch *w)
{
    w->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return w->timer < 0 || arm_timer(w->timer) < 0 ? -errno : 0;
}

static int learn_link_now(void *arg, const struct rtnl_link *link)
{
    if (is_own_name(link->name))
        learn_own(arg, link->index);
    return 0;
}

static int learn_address_now(void *arg, const struct rtnl_address *a)
{
    struct watch *w = arg;

    if (!is_own(w, a->link_index))
        (void)learn_address(w, a);
    return 0;
}

/* After the groups are joined: nothing is missed between. */
static int learn_host(struct watch *w, struct diag *d)
{
    struct rtnl *r = NULL;
    int err = rtnl_open(&r, d);

    if (err == 0)
        err = rtnl_each_link(r, learn_link_now, w, d);
    if (err == 0)
        err = rtnl_each_address(r, learn_address_now, w, d);
    rtnl_close(r);
    return err;
}

static void release(struct watch *w)
{
    if (w->socket != NULL)
        (void)mnl_socket_close(w->socket);
    if (w->timer >= 0)
        (void)close(w->timer);
    mem_free(w->known);
    mem_free(w);
}

static void on_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;

    if (--w->open_handles == 0)
        release(w);
}

static int start_poll(struct watch *w, struct loop *loop, uv_poll_t *poll, int fd,
                      uv_poll_cb callback)
{
    int err = uv_poll_init(&loop->uv, poll, fd);

    if (err < 0)
        return loop_err(err);
    poll->data = w;
    w->open_handles++;
    return loop_err(uv_poll_start(poll, UV_READABLE, callback));
}

static int start(struct watch *w, struct loop *loop, struct diag *d)
{
    int code = open_socket(w);

    if (code == 0)
        code = open_timer(w);
    if (code < 0)
        return diag_set(d, err_from_errno(-code), -code, "Failed to watch the network: %s",
                        strerror(-code));
    int err = learn_host(w, d);
    if (err < 0)
        return err;
    err = start_poll(w, loop, &w->timer_poll, w->timer, on_timer);
    if (err == 0)
        err = start_poll(w, loop, &w->socket_poll, mnl_socket_get_fd(w->socket), on_socket);
    return err < 0 ? diag_set(d, err, 0, "Failed to watch the network: %s", err_text(err)) : 0;
}

int watch_new(struct loop *loop, const struct rtnl *own,
              void (*on_event)(void *arg, uint32_t reasons), void *arg, struct watch **ret,
              struct diag *d)
{
    struct watch *w = NEW(struct watch);

    if (w == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to watch the network: out of memory");
    w->on_event = on_event;
    w->arg = arg;
    w->timer = -1;
    w->own_port = own != NULL ? rtnl_port(own) : 0;
    int err = start(w, loop, d);
    if (err < 0) {
        watch_free(w);
        return err;
    }
    *ret = w;
    return 0;
}

/* The handles are opened in this order: the timer's, then the socket's. */
void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    int open = w->open_handles;
    if (open == 0)
        release(w);
    if (open > 0)
        uv_close((uv_handle_t *)&w->timer_poll, on_closed);
    if (open > 1)
        uv_close((uv_handle_t *)&w->socket_poll, on_closed);
}
