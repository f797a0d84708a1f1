#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "engine/link.h"

#define VNET_HDR_MAX 12 /* the 10 bytes of virtio_net_hdr, or with num_buffers */

struct link_tun {
    struct link link;
    size_t vnet_len; /* 0, 10 or 12 */
};

static struct link_tun *tun_of(struct link *l)
{
    return CONTAINER_OF(l, struct link_tun, link);
}

static int read_meta(const uint8_t *bytes, struct link_meta *ret)
{
    struct virtio_net_hdr h;
    memcpy(&h, bytes, sizeof(h));
    ret->csum_partial = (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
    ret->csum_valid = (h.flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0;
    uint8_t type = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
    ret->gso_size = type == VIRTIO_NET_HDR_GSO_NONE ? 0 : h.gso_size;
    return 0;
}

static int tun_read(struct link *l, uint8_t *buffer, struct link_meta *ret_meta,
                    struct slice *ret_packet)
{
    const struct link_tun *t = tun_of(l);
    ssize_t n;
    do
        n = read(l->fd, buffer, LINK_BUFFER_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_from_errno(errno);
    if ((size_t)n <= t->vnet_len)
        return ERR_CLOSED;
    struct link_meta meta = {0};
    if (t->vnet_len > 0)
        read_meta(buffer, &meta);
    *ret_meta = meta;
    *ret_packet = slice_of(buffer + t->vnet_len, (size_t)n - t->vnet_len);
    return 0;
}

static void write_meta(const struct link_frame *f, uint8_t bytes[VNET_HDR_MAX])
{
    struct virtio_net_hdr h = {0};
    memset(bytes, 0, VNET_HDR_MAX);
    if (f->csum_start != 0) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = f->csum_start;
        h.csum_offset = f->csum_offset;
    }
    if (f->gso_size != 0) {
        h.gso_type = f->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
        h.gso_size = f->gso_size;
        h.hdr_len = f->header_len;
    }
    memcpy(bytes, &h, sizeof(h));
}

static int tun_write(struct link *l, const struct link_frame *f)
{
    const struct link_tun *t = tun_of(l);
    uint8_t meta[VNET_HDR_MAX];
    struct iovec iov[1 + ARRAY_LEN(f->parts)];
    int count = 0;
    if (t->vnet_len > 0) {
        write_meta(f, meta);
        iov[count++] = (struct iovec){.iov_base = meta, .iov_len = t->vnet_len};
    }
    for (size_t i = 0; i < f->part_count; i++)
        if (f->parts[i].len > 0)
            iov[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)f->parts[i].data,
                                          .iov_len = f->parts[i].len};
    ssize_t n;
    do
        n = writev(l->fd, iov, count);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_IO;
}

static void tun_free(struct link *l)
{
    close(l->fd);
    mem_free(tun_of(l));
}

static const struct link_ops tun_ops = {.read = tun_read, .write = tun_write, .free = tun_free};

void link_free(struct link *l)
{
    if (l != NULL)
        l->ops->free(l);
}

/* The header is 10 bytes unless whoever opened the device asked for another size. */
static int vnet_size(int fd, size_t *ret_size)
{
    int size = (int)sizeof(struct virtio_net_hdr);
    if (ioctl(fd, TUNGETVNETHDRSZ, &size) < 0 && errno != ENOTTY)
        return err_from_errno(errno);
    if (size < (int)sizeof(struct virtio_net_hdr) || size > VNET_HDR_MAX)
        return ERR_UNSUPPORTED;
    *ret_size = (size_t)size;
    return 0;
}

int link_tun_new(int fd, uint32_t mtu, bool vnet_hdr, bool offload, struct link **ret)
{
    size_t vnet_len = 0;
    int r = vnet_hdr ? vnet_size(fd, &vnet_len) : 0;
    if (r < 0)
        return r;
    struct link_tun *t = NEW(struct link_tun);
    if (t == NULL)
        return ERR_NOMEM;
    t->link = (struct link){.ops = &tun_ops, .fd = fd, .mtu = mtu, .offload = vnet_hdr && offload};
    t->vnet_len = vnet_len;
    *ret = &t->link;
    return 0;
}
