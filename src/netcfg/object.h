/* One piece of the operating system's network configuration that stile may set: what it is and what it should be.
 *
 * Two objects with the same key are the same thing of the host (an interface's settings, one route); if all else is equal too
 * they want the same of it. The bytes of an object are what the journal keeps: big-endian, one exact length, read by a bounded
 * reader. A new kind is a row in object.c, one in each ops_*.c, and a number here that is never used again for another.
 *
 * An object owns its zones (object_release); everything else is plain memory, unused bytes zero. Pure; nothing blocks.
 */
#ifndef STILE_NETCFG_OBJECT_H
#define STILE_NETCFG_OBJECT_H

#include "base/buf.h"
#include "base/err.h"
#include "net/prefix.h"

/* In the order in which they are applied; taken back in the reverse order. The numbers are in journals. */
enum object_kind {
    OBJECT_LINK = 1, /* key: the link */
    OBJECT_ADDRESS,  /* key: the link, the address and its length */
    OBJECT_ROUTE,    /* key: destination, metric and table: what a kernel tells routes apart by */
    OBJECT_DNS,      /* key: the link */
    OBJECT_KIND_COUNT,
};

#define OBJECT_LINK_NAME_SIZE 16
#define OBJECT_SERVERS_MAX    2
#define OBJECT_ZONES_MAX      160 /* a session's, and those of its addresses' names */
#define OBJECT_ZONE_SIZE      256 /* with the NUL */

#define OBJECT_DNS_SEARCH        1u /* the zones are search domains too */
#define OBJECT_DNS_DEFAULT_ROUTE 2u /* these servers are asked for all other names too */
#define OBJECT_DNS_FLAGS         3u

struct object_link {
    uint32_t mtu;       /* bytes; 0 stays as it is */
    uint32_t queue_len; /* packets; 0 stays as it is */
    bool up;            /* bring it up; false: stays as it is */
};

struct object_address {
    struct ip_addr addr;
    uint8_t bits; /* of the on-link prefix: 32 or 128 for the address alone */
};

struct object_route {
    struct prefix dst;
    struct ip_addr source; /* preferred source; version 0: none */
    struct ip_addr via;    /* next hop; version 0: the link itself */
    uint32_t metric;       /* 0: the system's default */
    uint32_t table;        /* 0: the main table */
};

struct object_dns {
    struct ip_addr servers[OBJECT_SERVERS_MAX];
    size_t server_count;
    uint32_t flags;                  /* OBJECT_DNS_* */
    char (*zones)[OBJECT_ZONE_SIZE]; /* owned; lower case, no last dot */
    size_t zone_count;
};

struct object {
    enum object_kind kind;
    char link[OBJECT_LINK_NAME_SIZE]; /* the interface's name, never empty */
    uint32_t link_index;              /* and its index: both must fit for it to be this link */
    union {
        struct object_link settings; /* OBJECT_LINK */
        struct object_address address;
        struct object_route route;
        struct object_dns dns;
    };
};

/* Longest bytes of any object. */
#define OBJECT_BYTES_MAX ((size_t)44 * 1024)

void object_release(struct object *o);                                    /* all zero afterwards */
MUST_CHECK int object_copy(const struct object *o, struct object *ret_o); /* ERR_NOMEM */

/* The rules above: known kind, counts and lengths under their caps, texts printable, one address family in a route.
 * ERR_INVAL. */
int object_check(const struct object *o);

/* What tells this object from others: a few bytes, equal for equal keys only. */
#define OBJECT_KEY_SIZE 64
struct object_key {
    uint8_t bytes[OBJECT_KEY_SIZE];
    size_t len;
};
void object_key(const struct object *o, struct object_key *ret_key);
bool object_eq(const struct object *a, const struct object *b); /* key and content */

/* "route 100.64.0.0/10 on stile0" */
#define OBJECT_TEXT_SIZE 160
void object_text(const struct object *o, char text[OBJECT_TEXT_SIZE]);
const char *object_kind_name(enum object_kind kind); /* "link", "address", "route", "DNS"; "?" */

/* ERR_INVAL (object_check), ERR_TOOBIG and ERR_NOMEM (the buffer's). */
int object_encode(const struct object *o, struct buf *out);
/* The bytes of one object and no more. ERR_FORMAT, ERR_TRUNCATED, ERR_UNSUPPORTED (a kind that this version doesn't know),
 * ERR_NOMEM. */
int object_decode(struct slice bytes, struct object *ret_o);

#endif
