/* The two local channels of an engine: SOCK_SEQPACKET pairs made before it starts.
 *
 *   dial channel    engine ⇄ agent     the session's setup, connected sockets to gateways and resolvers, changed resolvers
 *   device channel  launcher → engine  the TUN's queues and the sock_diag socket; one message, then it is closed. In system
 *                                      mode the broker is the launcher
 *
 * Every message is one fixed struct of one exact size: version and type first, integers in host
 * order, no pointers, unused bytes zero, texts NUL-terminated. Both ends are the same executable,
 * so the version is a guard and nothing negotiates. A message that breaks a rule is ERR_PROTOCOL,
 * its descriptors are closed, and the channel is to be closed by the reader.
 */
#ifndef STILE_PLATFORM_CHANNEL_H
#define STILE_PLATFORM_CHANNEL_H

#include "base/slice.h"

#define CHANNEL_VERSION       1
#define CHANNEL_PROFILE_SIZE  64
#define CHANNEL_REASON_SIZE   120
#define CHANNEL_RANGES_MAX    8
#define CHANNEL_RESOLVERS_MAX 8
#define CHANNEL_RESOLVER_SIZE 64
#define CHANNEL_QUEUES_MAX    16
#define CHANNEL_UIDS_MAX      8
#define CHANNEL_FDS_MAX       (1 + CHANNEL_QUEUES_MAX)

enum channel_type {
    CHANNEL_DIAL_GATEWAY = 1,  /* engine → agent */
    CHANNEL_DIAL_RESOLVER = 2, /* engine → agent */
    CHANNEL_DIALED = 3, /* agent → engine: the answer to either, with the id of the question; one fd
                           if err is 0 */
    CHANNEL_SETUP = 4,     /* agent → engine: once, first */
    CHANNEL_DEVICE = 5,    /* launcher → engine: sock_diag fd, then queue_count queue fds */
    CHANNEL_RESOLVERS = 6, /* agent → engine: any time after SETUP */
};

struct channel_header {
    uint32_t version;
    uint32_t type; /* enum channel_type */
};

struct channel_dial_gateway {
    struct channel_header header;
    uint32_t id; /* the engine's, to match the answer */
    char profile[CHANNEL_PROFILE_SIZE];
};

enum channel_transport { CHANNEL_UDP = 0, CHANNEL_TCP = 1 };

struct channel_dial_resolver {
    struct channel_header header;
    uint32_t id;
    uint32_t index;     /* into the resolvers of SETUP or of the last RESOLVERS */
    uint32_t transport; /* enum channel_transport */
};

/* With a connected, non-blocking stream (or UDP) socket when err is 0. */
struct channel_dialed {
    struct channel_header header;
    uint32_t id;
    int32_t err;                      /* 0 or ERR_* */
    char reason[CHANNEL_REASON_SIZE]; /* one sentence for people when err is not 0 */
};

struct channel_range {
    uint8_t addr[4]; /* network order; host bits zero */
    uint32_t bits;   /* 8–30 */
};

#define CHANNEL_SETUP_NO_IPV4 1u /* no addresses of this family are handed out */
#define CHANNEL_SETUP_NO_IPV6 2u

struct channel_setup {
    struct channel_header header;
    uint32_t flags;         /* CHANNEL_SETUP_* */
    uint8_t ipv6_prefix[6]; /* the session's /48 */
    uint8_t zero[2];
    uint32_t range_count; /* at least 1; the first holds the TUN's .1 and the DNS server's .2 */
    struct channel_range ranges[CHANNEL_RANGES_MAX];
    uint32_t resolver_count;
    char resolvers[CHANNEL_RESOLVERS_MAX]
                  [CHANNEL_RESOLVER_SIZE]; /* "10.0.0.1", for the log: the agent dials them */
};

/* Replaces the setup's list: sockets that are asked for from now on are of these. */
struct channel_resolvers {
    struct channel_header header;
    uint32_t resolver_count;
    char resolvers[CHANNEL_RESOLVERS_MAX][CHANNEL_RESOLVER_SIZE];
};

#define CHANNEL_DEVICE_VNET_HDR                                                                    \
    1u /* 10-byte virtio_net_hdr before each packet, little-endian; checksums may be partial */
#define CHANNEL_DEVICE_TSO 2u /* the kernel may send us TSO superpackets and takes ours */
#define CHANNEL_DEVICE_USO 4u

struct channel_device {
    struct channel_header header;
    uint32_t queue_count; /* 1–CHANNEL_QUEUES_MAX */
    uint32_t mtu;
    uint32_t flags;     /* CHANNEL_DEVICE_* */
    uint32_t uid_count; /* at least 1: whose sockets may use the addresses, as the sock_diag fd
                           reports them */
    uint32_t uids[CHANNEL_UIDS_MAX];
    char interface_name[16];
};

union channel_message {
    struct channel_header header;
    struct channel_dial_gateway dial_gateway;
    struct channel_dial_resolver dial_resolver;
    struct channel_dialed dialed;
    struct channel_setup setup;
    struct channel_device device;
    struct channel_resolvers resolvers;
};

/* All zero, with version and type. */
void channel_init(union channel_message *m, enum channel_type type);

/* The rules above for a message of these bytes that came with so many descriptors: 0 or
 * ERR_PROTOCOL. */
int channel_check(struct slice bytes, size_t fd_count);

/* Sends the exact size of its type. ERR_AGAIN, ERR_CLOSED; ERR_INVAL for a message that
 * channel_check would refuse. */
int channel_send(int sock, const union channel_message *m, const int *fds, size_t fd_count);

/* One message. fds has room for CHANNEL_FDS_MAX and is the caller's on success. ERR_AGAIN,
 * ERR_CLOSED, ERR_PROTOCOL. */
int channel_recv(int sock, union channel_message *ret_m, int fds[CHANNEL_FDS_MAX],
                 size_t *ret_fd_count);

#endif
