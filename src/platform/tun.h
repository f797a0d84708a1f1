/* A TUN device in the calling process's network namespace: an interface whose packets are read and written as bytes.
 *
 * Linux: several queues, each with a virtio_net_hdr before every packet (10 bytes, little-endian), segmentation offload both
 * ways, checksums left out where the kernel allows. The device lives as long as any queue is open.
 */
#ifndef STILE_PLATFORM_TUN_H
#define STILE_PLATFORM_TUN_H

#include "base/err.h"

#define TUN_QUEUES_MAX 16
#define TUN_NAME_SIZE  16

struct tun {
    char name[TUN_NAME_SIZE];
    int queues[TUN_QUEUES_MAX]; /* owned; non-blocking, close-on-exec */
    size_t queue_count;
    bool vnet_hdr; /* always, so far */
    bool tso;      /* superpackets of TCP, both families */
    bool uso;      /* and of UDP */
};

/* A new one of this name ("stile0"). ERR_EXISTS: there is one. ERR_NOTFOUND (no /dev/net/tun), ERR_PERM: the text names the
 * remedy. */
int tun_open(const char *name, size_t queue_count, struct tun *ret, struct diag *d);
void tun_close(struct tun *tun);

#endif
