/* What crosses the border between a user's commands and the broker: fixed messages on a SOCK_SEQPACKET socket, /run/stile/broker.sock.
 *
 *   client                                     broker
 *   HELLO                              →
 *                                      ←       WELCOME, or REFUSED and the end
 *   START (network; fds rpc, dial, log) →      the plan is applied, the engine is running
 *                                      ←       STARTED, or REFUSED
 *   CONFIGURE (network)                →       another plan for the session
 *                                      ←       CONFIGURED, or REFUSED (the old plan stays)
 *   STOP                               →
 *                                      ←       STOPPED
 *   STATUS, CLEANUP, GET_LOG           →
 *                                      ←       STATUS_REPLY, CLEANED, LOG (one fd), or REFUSED
 *                                      ←       EVENT, at any time after STARTED
 *
 * Closing the socket ends the session. Every message is one struct of one exact size; integers are in host order, texts
 * NUL-terminated and printable, unused bytes zero. `id` is the client's and comes back in the answer; one request at a time
 * for a connection. What breaks a rule is ERR_PROTOCOL: its descriptors are closed and so is the connection.
 *
 * Both ends are the same executable: the broker checks that, and the caller's uid, before it reads past HELLO.
 */
#ifndef STILE_BROKER_MESSAGES_H
#define STILE_BROKER_MESSAGES_H

#include "base/slice.h"
#include "platform/fdpass.h"

#define BROKER_PROTOCOL       1
#define BROKER_VERSION_SIZE   32
#define BROKER_RANGES_MAX     8
#define BROKER_ZONES_MAX      64
#define BROKER_ZONE_SIZE      256
#define BROKER_UIDS_MAX       8
#define BROKER_RESOLVERS_MAX  8
#define BROKER_RESOLVER_SIZE  64
#define BROKER_TEXT_SIZE      512
#define BROKER_BACKEND_SIZE   16
#define BROKER_INTERFACE_SIZE 16
#define BROKER_SESSIONS_MAX   16
#define BROKER_CLEANED_MAX    64
#define BROKER_START_FDS      3 /* rpc, dial, log */

#define BROKER_SOCKET_PATH "/run/stile/broker.sock"

enum broker_type {
    BROKER_HELLO = 1,
    BROKER_WELCOME,
    BROKER_REFUSED,
    BROKER_START,
    BROKER_STARTED,
    BROKER_CONFIGURE,
    BROKER_CONFIGURED,
    BROKER_STOP,
    BROKER_STOPPED,
    BROKER_STATUS,
    BROKER_STATUS_REPLY,
    BROKER_CLEANUP,
    BROKER_CLEANED,
    BROKER_GET_LOG,
    BROKER_LOG,
    BROKER_EVENT,
};

struct broker_header {
    uint32_t protocol; /* BROKER_PROTOCOL */
    uint32_t type;     /* enum broker_type */
    uint32_t id;
    uint32_t zero;
};

/* STOP, STOPPED, STATUS, CLEANUP, GET_LOG, LOG (with one readable fd: text) are the header alone. */

struct broker_hello {
    struct broker_header header;
    char version[BROKER_VERSION_SIZE];
};

struct broker_range {
    uint8_t addr[4]; /* network order; host bits zero */
    uint32_t bits;   /* 8–30 */
};

struct broker_welcome {
    struct broker_header header;
    char version[BROKER_VERSION_SIZE];
    char dns_backend[BROKER_BACKEND_SIZE]; /* "resolved", "file", "none", … */
    uint32_t range_count;                  /* where a range may be chosen, in order */
    struct broker_range ranges[BROKER_RANGES_MAX];
};

struct broker_refused {
    struct broker_header header;
    int32_t err; /* ERR_* */
    uint32_t zero;
    char text[BROKER_TEXT_SIZE]; /* what is wrong, and the remedy */
};

#define BROKER_NO_IPV4 1u
#define BROKER_NO_IPV6 2u
#define BROKER_DEBUG   4u /* START: the engine and the broker log at debug for this session */

/* The plan of a session. */
struct broker_network {
    uint32_t flags;         /* BROKER_* */
    uint32_t mtu;           /* 1280–65535 */
    uint8_t ipv6_prefix[6]; /* of a /48 in fd00::/8 */
    uint8_t zero[2];
    uint32_t
        range_count; /* at least 1 unless NO_IPV4; the first holds the TUN's .1 and the DNS server's .2 */
    struct broker_range ranges[BROKER_RANGES_MAX];
    uint32_t uid_count; /* who else may use the addresses; the caller always may */
    uint32_t uids[BROKER_UIDS_MAX];
    uint32_t zone_count;                            /* may be 0: nobody is logged in yet */
    char zones[BROKER_ZONES_MAX][BROKER_ZONE_SIZE]; /* lower case, without the last dot */
};

struct broker_start { /* START, CONFIGURE */
    struct broker_header header;
    struct broker_network network;
};

struct broker_resolvers {
    uint32_t count;
    uint32_t zero;
    char addrs[BROKER_RESOLVERS_MAX][BROKER_RESOLVER_SIZE]; /* "10.0.0.1", "fe80::1%eth0" */
};

struct broker_started { /* STARTED, CONFIGURED */
    struct broker_header header;
    char interface_name[BROKER_INTERFACE_SIZE];
    char dns_backend[BROKER_BACKEND_SIZE];
    uint32_t flags; /* BROKER_NO_*: families that are off, asked for or found */
    uint32_t zero;
    struct broker_resolvers
        resolvers; /* where names that aren't ours are to be asked: never ourselves */
    char notice
        [BROKER_TEXT_SIZE]; /* empty, or what the person should know ("none": what to configure) */
};

struct broker_session {
    uint32_t uid;
    uint32_t pid; /* of the agent */
    int64_t started_us;
    char interface_name[BROKER_INTERFACE_SIZE];
    uint32_t zone_count;
    uint32_t zero;
};

struct broker_status_reply {
    struct broker_header header;
    char version[BROKER_VERSION_SIZE];
    uint32_t pid;
    uint32_t leftovers; /* entries of the journal that no session owns */
    int64_t started_us;
    char dns_backend[BROKER_BACKEND_SIZE];
    char last_recovery[BROKER_TEXT_SIZE]; /* what the last start put back; empty: nothing */
    uint32_t other_sessions;              /* of others, who aren't shown to an ordinary user */
    uint32_t session_count;
    struct broker_session sessions[BROKER_SESSIONS_MAX];
};

struct broker_cleaned {
    struct broker_header header;
    uint32_t failed; /* what couldn't be removed; among the lines, too */
    uint32_t zero;
    uint32_t total; /* what doesn't fit isn't listed */
    uint32_t count;
    char lines[BROKER_CLEANED_MAX][256]; /* "Removed the route 100.64.0.0/10 on stile0" */
};

enum broker_event_kind {
    BROKER_EVENT_REPAIRED =
        1,                  /* something of the session's configuration was missing and is back */
    BROKER_EVENT_NETWORK,   /* the host's network has changed */
    BROKER_EVENT_RESOLVERS, /* `resolvers` are the ones to ask from now on */
    BROKER_EVENT_ENGINE_ENDED, /* the session is over; it may be started again on this connection */
    BROKER_EVENT_LEFT_ALONE,   /* someone else changed an object of ours: it stays theirs */
    BROKER_EVENT_STOPPING,     /* the broker ends in order */
    /* The session is over and the host is put back, or text says what couldn't be: the engine is to end, which before that would
     * have been the end of the host's names. */
    BROKER_EVENT_RESTORED,
};

struct broker_event {
    struct broker_header header; /* id 0 */
    uint32_t kind;               /* enum broker_event_kind */
    uint32_t zero;
    struct broker_resolvers resolvers; /* of RESOLVERS, else zero */
    char text[BROKER_TEXT_SIZE];       /* for the person */
};

union broker_message {
    struct broker_header header;
    struct broker_hello hello;
    struct broker_welcome welcome;
    struct broker_refused refused;
    struct broker_start start;
    struct broker_started started;
    struct broker_status_reply status_reply;
    struct broker_cleaned cleaned;
    struct broker_event event;
};

/* All zero, with protocol and type. */
void broker_message_init(union broker_message *m, enum broker_type type);

/* Fills a text field: cut to fit, what isn't printable ASCII shown as '?', the rest zero. */
void broker_text_set(char *dst, size_t size, const char *text);

/* The rules above, for bytes that came with so many descriptors: 0 or ERR_PROTOCOL. */
int broker_message_check(struct slice bytes, size_t fd_count);

/* Sends the exact size of its type. ERR_AGAIN, ERR_CLOSED; ERR_INVAL for a message that broker_message_check would refuse. */
int broker_message_send(int sock, const union broker_message *m, const int *fds, size_t fd_count);

/* One message of someone who isn't trusted yet: descriptors that come with it never reach this process. */
int broker_message_recv_bare(int sock, union broker_message *ret_m);

/* One message of a caller, with whatever descriptors came: they are the broker's to close, also those of a message that is
 * refused. */
struct broker_fds {
    int fds[FDPASS_MAX];
    size_t count;
};
int broker_message_take(int sock, union broker_message *ret_m, struct broker_fds *ret_fds);

/* One message. fds has room for BROKER_START_FDS and is the caller's on success. ERR_AGAIN, ERR_CLOSED, ERR_PROTOCOL. */
int broker_message_recv(int sock, union broker_message *ret_m, int fds[BROKER_START_FDS],
                        size_t *ret_fd_count);

#endif
