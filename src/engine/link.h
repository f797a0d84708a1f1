/* One queue of a packet device: what a worker reads IP packets from and writes them to.
 *
 * A packet may be a superpacket: several TCP segments' payload behind one header, with gso_size telling where the far side
 * cuts it, and with the checksum left to whoever has to send it on (partial: the field at csum_start + csum_offset holds the
 * pseudo-header's sum). Offsets count from the first byte of the IP header. Not thread-safe: one worker's own.
 */
#ifndef STILE_ENGINE_LINK_H
#define STILE_ENGINE_LINK_H

#include "base/slice.h"

#define LINK_PACKET_MAX                                                                            \
    (65535 + 40) /* largest superpacket without a jumbo payload: an IPv6 header and 65535 bytes */
#define LINK_HEADROOM    16 /* what an implementation may read before the packet */
#define LINK_BUFFER_SIZE (LINK_PACKET_MAX + LINK_HEADROOM + 5)

struct link;

struct link_meta {
    bool
        csum_partial; /* the transport checksum isn't computed: the packet never left this machine */
    bool csum_valid;  /* or it was checked already */
    uint16_t gso_size; /* 0: one segment */
};

/* To be written. Parts are borrowed during the call: IP and transport header first, then payload. */
struct link_frame {
    struct slice parts[3];
    size_t part_count;
    uint8_t version;      /* 4 or 6 */
    uint16_t gso_size;    /* 0: one segment */
    uint16_t header_len;  /* IP and TCP header, for gso */
    uint16_t csum_start;  /* where the transport header starts; 0: the checksum is complete */
    uint16_t csum_offset; /* of the field, from csum_start */
};

struct link_ops {
    /* One packet into buffer (LINK_BUFFER_SIZE bytes); ret_packet points into it. ERR_AGAIN: none is waiting. Other errors:
     * the device is gone. */
    int (*read)(struct link *l, uint8_t *buffer, struct link_meta *ret_meta,
                struct slice *ret_packet);
    /* ERR_AGAIN: the device is full and will be writable (poll) later. ERR_IO: refused, as good as lost. */
    int (*write)(struct link *l, const struct link_frame *frame);
    void (*free)(struct link *l); /* closes the device */
};

/* First member of every implementation. */
struct link {
    const struct link_ops *ops;
    int fd;       /* to poll for reading and writing; owned */
    uint32_t mtu; /* bytes of an IP packet on the wire */
    bool offload; /* gso_size and csum_start may be used in frames */
};

static inline int link_read(struct link *l, uint8_t *buffer, struct link_meta *ret_meta,
                            struct slice *ret_packet)
{
    return l->ops->read(l, buffer, ret_meta, ret_packet);
}

static inline int link_write(struct link *l, const struct link_frame *frame)
{
    return l->ops->write(l, frame);
}

/* NULL is allowed. */
void link_free(struct link *l);

/* A TUN queue (IFF_NO_PI, non-blocking): fd is taken on success. vnet_hdr: the device was opened with IFF_VNET_HDR. */
int link_tun_new(int fd, uint32_t mtu, bool vnet_hdr, bool offload, struct link **ret);

#endif
