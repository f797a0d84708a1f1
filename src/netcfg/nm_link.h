/* A link's DNS settings in NetworkManager: those of the connection that is applied to the device, not those of a profile on the
 * disk. They are changed with Device.Reapply and go with the link. Blocks as bus.h says.
 *
 * A TUN that others made is a device "connected (externally)" as soon as it has an address. With the flag to preserve external
 * addresses (NetworkManager 1.42) a Reapply leaves its IPv4 alone, but still takes its IPv6 off for a moment when the method
 * changes: the method is "ignore" from our first Reapply on, and what was ours is added again (link_contents.h).
 */
#ifndef STILE_NETCFG_NM_LINK_H
#define STILE_NETCFG_NM_LINK_H

#include "netcfg/bus.h"
#include "netcfg/object.h"

#define NM_SERVICE  "org.freedesktop.NetworkManager"
#define NM_PATH     "/org/freedesktop/NetworkManager"
#define NM_DNS_PATH NM_PATH "/DnsManager"

extern const struct bus_object nm_manager, nm_dns_manager;

#define NM_DEVICE_PATH_SIZE 128

struct nm_link {
    struct buf servers; /* IPv4, 4 bytes each */
    struct buf search;  /* of each: length (u16), text */
    int32_t priority;   /* 0: NetworkManager's default */
};

void nm_link_init(struct nm_link *l);
void nm_link_release(struct nm_link *l);
bool nm_link_eq(const struct nm_link *a, const struct nm_link *b);
bool nm_link_same_servers(const struct nm_link *a, const struct nm_link *b);
bool nm_link_has_servers(const struct nm_link *l);

int nm_link_encode(const struct nm_link *l, struct buf *out);
int nm_link_decode(struct slice bytes, struct nm_link *ret); /* ERR_FORMAT */

/* One device and its applied connection as read. */
struct nm_device {
    char path[NM_DEVICE_PATH_SIZE];
    uint32_t index;
    struct bus_message *connection; /* GetAppliedConnection's answer */
    uint64_t version;
    bool ipv4;         /* is on, so that it may have DNS settings */
    bool ipv6_ignored; /* by NetworkManager, from our first Reapply on */
    struct nm_link link;
};

void nm_device_init(struct nm_device *device);
void nm_device_release(struct nm_device *device);

/* wait: up to 2 s for NetworkManager to take the link, which it does once the link is up and has an address. ERR_NOTFOUND:
 * NetworkManager isn't running, or the link is gone; ERR_UNSUPPORTED: it leaves this link alone (as yet). */
int nm_device_read(struct bus *b, const char *link, uint32_t index, bool wait,
                   struct nm_device *ret, struct diag *d);

/* What an object wants. exclusive: before everyone else's, else for the zones only. */
int nm_link_want(const struct object *o, bool exclusive, struct nm_link *ret, struct diag *d);

/* Reapply, unless it is so already. What was ours on the link is there again afterwards. ERR_AGAIN: the applied connection has
 * changed since it was read. ERR_UNSUPPORTED: the link has no IPv4. (NetworkManager takes IPv6 servers only where it manages the
 * IPv6 addresses.) */
int nm_device_write(struct bus *b, struct nm_device *device, const struct nm_link *want,
                    struct diag *d);

#endif
