#include "platform/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

#define DEVICE "/dev/net/tun"

/* Newer than Debian 12's headers (Linux 6.2). */
enum { OFFLOAD_USO = 0x20 | 0x40 };

static int explain_open(struct diag *d, int code)
{
    if (code == ENOENT || code == ENODEV || code == ENXIO)
        return diag_set(d, ERR_NOTFOUND, code,
                        "There is no " DEVICE
                        ": load the module (modprobe tun), or give this container the device");
    if (code == EACCES || code == EPERM)
        return diag_set(d, ERR_PERM, code,
                        "Not permitted to open " DEVICE ": as root, allow it (chmod 0666 " DEVICE
                        ", as distributions do)");
    return diag_set(d, err_from_errno(code), code, "Failed to open " DEVICE ": %s", strerror(code));
}

/* The first queue makes the device: one that is there already is another's, and its packets would come to us. */
static int open_queue(const char *name, bool first, int *ret_fd, struct diag *d)
{
    const int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    struct ifreq request = {.ifr_flags = (short)(first ? flags | IFF_TUN_EXCL : flags)};
    int header = sizeof(struct virtio_net_hdr);
    int little_endian = 1;
    int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return explain_open(d, errno);
    if (str_copy(request.ifr_name, sizeof(request.ifr_name), name) < 0 ||
        ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
        ioctl(fd, TUNSETVNETLE, &little_endian) < 0) {
        int code = errno;
        (void)close(fd);
        if (first && code == EBUSY)
            return diag_set(d, ERR_EXISTS, code, "There is a network interface %s already", name);
        return diag_set(d, err_from_errno(code), code, "Failed to create network interface %s: %s",
                        name, strerror(code));
    }
    *ret_fd = fd;
    return 0;
}

/* Offload belongs to the device, so one queue is enough. Older kernels lack the later ones. */
static void set_offload(struct tun *tun)
{
    const unsigned long tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

    tun->uso = ioctl(tun->queues[0], TUNSETOFFLOAD, tcp | OFFLOAD_USO) == 0;
    tun->tso = tun->uso || ioctl(tun->queues[0], TUNSETOFFLOAD, tcp) == 0;
}

int tun_open(const char *name, size_t queue_count, struct tun *ret, struct diag *d)
{
    struct tun tun = {.vnet_hdr = true};
    int err = str_copy(tun.name, sizeof(tun.name), name);

    if (err < 0 || queue_count == 0 || queue_count > TUN_QUEUES_MAX)
        return diag_set(d, ERR_INVAL, 0,
                        "Failed to create network interface %s: bad name or queue count", name);
    while (tun.queue_count < queue_count) {
        err = open_queue(name, tun.queue_count == 0, &tun.queues[tun.queue_count], d);
        if (err < 0) {
            tun_close(&tun);
            return err;
        }
        tun.queue_count++;
    }
    set_offload(&tun);
    *ret = tun;
    return 0;
}

void tun_close(struct tun *tun)
{
    while (tun->queue_count > 0)
        (void)close(tun->queues[--tun->queue_count]);
}
