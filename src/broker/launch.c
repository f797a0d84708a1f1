#include "broker/launch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "platform/channel.h"
#include "platform/child.h"
#include "platform/local_pair.h"

enum { QUEUES_MAX = 4, NAMES_MAX = 100 };

int launch_open(struct launch *l, struct diag *d)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t queues = processors > 1 ? MIN((size_t)processors, (size_t)QUEUES_MAX) : 1;
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        (void)str_format(l->name, sizeof(l->name), "stile%u", i);
        int r = tun_open(l->name, queues, &l->tun, d);
        if (r != ERR_EXISTS)
            return r;
    }
    return diag_set(
        d, ERR_LIMIT, 0,
        "Every name from stile0 to stile%d is taken by a network interface; remove those "
        "that nobody needs (`stile cleanup`)",
        NAMES_MAX - 1);
}

static bool is_among(uint32_t uid, const uint32_t *uids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (uids[i] == uid)
            return true;
    return false;
}

int launch_choose_uid(const struct policy *p, const uint32_t *used, size_t used_count,
                      uint32_t *ret_uid, struct diag *d)
{
    for (size_t i = 0; i < p->engine_uid_count; i++) {
        uint32_t uid = p->engine_uids[i];
        if (is_among(uid, used, used_count) || child_uid_is_used(uid))
            continue;
        *ret_uid = uid;
        return 0;
    }
    return diag_set(d, ERR_LIMIT, 0,
                    "No uid is free for another engine; ask the administrator to widen engine_uids "
                    "in " POLICY_PATH);
}

static int open_sock_diag(int *ret_fd, struct diag *d)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open sock_diag: %s",
                        strerror(errno));
    *ret_fd = fd;
    return 0;
}

/* The caller, and whom he named. */
static void fill_uids(struct channel_device *device, const struct launch_config *c)
{
    device->uids[device->uid_count++] = c->user_uid;
    for (uint32_t i = 0; i < c->network->uid_count && device->uid_count < CHANNEL_UIDS_MAX; i++)
        if (!is_among(c->network->uids[i], device->uids, device->uid_count))
            device->uids[device->uid_count++] = c->network->uids[i];
}

static int send_device(struct launch *l, int sock, const struct launch_config *c, struct diag *d)
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    int r = open_sock_diag(&fds[0], d);
    if (r < 0)
        return r;
    channel_init(&m, CHANNEL_DEVICE);
    m.device.queue_count = (uint32_t)l->tun.queue_count;
    m.device.mtu = c->network->mtu;
    m.device.flags = CHANNEL_DEVICE_VNET_HDR | (l->tun.tso ? CHANNEL_DEVICE_TSO : 0) |
                     (l->tun.uso ? CHANNEL_DEVICE_USO : 0);
    fill_uids(&m.device, c);
    (void)str_format(m.device.interface_name, sizeof(m.device.interface_name), "%s", l->name);
    memcpy(fds + 1, l->tun.queues, l->tun.queue_count * sizeof(*fds));
    r = channel_send(sock, &m, fds, l->tun.queue_count + 1);
    (void)close(fds[0]);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to give the engine its network interface: %s",
                        err_text(r));
    return 0;
}

static int start_engine(struct launch *l, uint32_t uid, int device, const struct launch_config *c,
                        struct diag *d)
{
    char parent[16];
    (void)str_format(parent, sizeof(parent), "%d", (int)getpid());
    const char *argv[] = {"stile",
                          "engine",
                          "--rpc-fd",
                          "3",
                          "--dial-fd",
                          "4",
                          "--device-fd",
                          "5",
                          "--parent",
                          parent,
                          "--log-format",
                          "json", /* to the agent, which reads it */
                          c->debug ? "--verbose" : NULL,
                          NULL};
    /* What threads would keep for themselves lies scattered after a burst and holds more pages than it is worth. */
    static const char *const env[] = {"GLIBC_TUNABLES=glibc.malloc.tcache_count=0", NULL};
    const int fds[] = {c->fds[0], c->fds[1], device};
    const struct child_config config = {.role = "engine",
                                        .uid = uid,
                                        .argv = argv,
                                        .env = env,
                                        .stderr_fd = c->fds[2],
                                        .fds = fds,
                                        .fd_count = ARRAY_LEN(fds)};
    return child_start(&config, &l->pid, d);
}

int launch_start(struct launch *l, uint32_t uid, const struct launch_config *config, struct diag *d)
{
    int device[2];
    int r = local_pair_messages(device, d);
    if (r < 0)
        return r;
    r = start_engine(l, uid, device[1], config, d);
    if (r == 0) {
        l->uid = uid;
        r = send_device(l, device[0], config, d);
    }
    (void)close(device[0]);
    (void)close(device[1]);
    if (r == 0)
        tun_close(&l->tun);
    else
        launch_kill(l);
    return r;
}

bool launch_ended(struct launch *l, int *ret_status)
{
    if (l->pid == 0 || !child_ended(l->pid, ret_status))
        return false;
    l->pid = 0;
    return true;
}

void launch_kill(struct launch *l)
{
    tun_close(&l->tun);
    if (l->pid != 0)
        child_kill(l->pid, SIGKILL);
}
