/* netcfg in a thread of its own, so that the broker's loop never waits for a kernel, a disk or a daemon.
 *
 * The thread has its own loop: jobs come by mailbox, are done one after the other, and their ends are told in the caller's
 * loop; it also watches the host (netlink, the DNS daemon's bus, clock jumps): 200 ms after the last of several changes it
 * verifies what is applied, repairs once what is missing, and tells the caller. An object that was repaired more than 3 times
 * within 60 s is left alone from then on, and said.
 *
 * All functions and callbacks are for the caller's loop's thread. Callbacks never run inside a call.
 */
#ifndef STILE_NETCFG_SERVICE_H
#define STILE_NETCFG_SERVICE_H

#include "loop/loop.h"
#include "netcfg/netcfg.h"

struct resolvers; /* net/resolv_conf.h */

/* Why the host is looked at again; a mask. */
#define NETCFG_CHANGED_LINK    1u
#define NETCFG_CHANGED_ADDRESS 2u
#define NETCFG_CHANGED_ROUTE   4u
#define NETCFG_CHANGED_OURS                                                                        \
    8u /* someone touched what we set: no change of the host's own network */
#define NETCFG_CHANGED_UNKNOWN   16u  /* events were lost */
#define NETCFG_CHANGED_CLOCK     32u  /* it jumped: set, or the host was suspended */
#define NETCFG_CHANGED_DNS       64u  /* the daemon was restarted, or someone set other servers */
#define NETCFG_CHANGED_UPSTREAMS 128u /* the host's own resolvers */
#define NETCFG_CHANGED_NETWORK                                                                     \
    (NETCFG_CHANGED_LINK | NETCFG_CHANGED_ADDRESS | NETCFG_CHANGED_ROUTE |                         \
     NETCFG_CHANGED_UNKNOWN | NETCFG_CHANGED_CLOCK)

/* The operating system as the thread uses it: all of it is called in the thread only. os_linux.h has the real one. */
struct netcfg_os {
    /* What undoing needs. The ops stay valid, and at their place, until close. */
    int (*open)(const struct netcfg_os *self, const struct ops **ret_ops, struct diag *d);
    /* After recovery, when the host is as it was before us: finds the way to set DNS, and calls changed(arg, mask of
     * NETCFG_CHANGED_*) in this loop from then on. */
    int (*start)(void *os, struct loop *loop, void (*changed)(void *arg, unsigned reasons),
                 void *arg, struct diag *d);
    /* Where names that aren't ours are to be asked; never ourselves. ours: the DNS object that is applied, or NULL. */
    int (*upstreams)(void *os, const struct object *ours, struct resolvers *ret, struct diag *d);
    const char *(*dns_backend)(void *os); /* "resolved", …; "" before start; a static string */
    /* No callback comes after this; handles may still need turns of the loop to go. Frees. */
    void (*close)(void *os);
    const void *options; /* of the implementation; lives as long as the service */
};

enum netcfg_event_kind {
    NETCFG_EVENT_REPAIRED = 1, /* something of the session was missing and is back */
    NETCFG_EVENT_LEFT_ALONE, /* someone else changed something of the session's: it stays theirs */
    NETCFG_EVENT_NETWORK,    /* the host's network has changed; session 0: everyone's */
    NETCFG_EVENT_UPSTREAMS,  /* `upstreams` are other than before; session 0 */
};

struct netcfg_event {
    enum netcfg_event_kind kind;
    uint32_t session;                  /* 0: all */
    unsigned reasons;                  /* NETCFG_CHANGED_*, of NETWORK */
    const struct resolvers *upstreams; /* of UPSTREAMS, else NULL; for the time of the call */
    const char *text;                  /* for a person; for the time of the call */
};

/* How a job ended; for the time of the call. */
struct netcfg_result {
    int err;                     /* 0 or ERR_* */
    struct diag diag;            /* of a failure */
    struct netcfg_report report; /* what was done */
    size_t leftovers;            /* netcfg_leftovers after it */
    const char *dns_backend;     /* a static string; "" before the system was opened */
};
typedef void netcfg_done(void *arg, const struct netcfg_result *result);

struct netcfg_service_config {
    struct netcfg_os os;
    const char *directory; /* of the journal; NETCFG_DIRECTORY */
    uint8_t boot_id[16];
    uint64_t namespace_id;
    void (*on_event)(void *arg, const struct netcfg_event *event);
    void *arg;
};

struct netcfg_service;

/* Starts the thread, which locks and reads the journal, opens the system and undoes what a dead process left: `ready` is told
 * the result. If it is an error (ERR_BUSY: another broker; ERR_VERSION), nothing but netcfg_service_stop may follow. The
 * config's texts and os.options must live until `stopped`. Errors here: ERR_NOMEM, ERR_LIMIT (no thread). */
int netcfg_service_start(struct loop *loop, const struct netcfg_service_config *config,
                         netcfg_done *ready, void *arg, struct netcfg_service **ret_s,
                         struct diag *d);

/* Jobs, done in the order in which they are asked for. done may be NULL for end. Errors: ERR_NOMEM, ERR_CLOSED (stopping):
 * done isn't called then. */
int netcfg_service_apply(struct netcfg_service *s, uint32_t session, const struct plan *plan,
                         netcfg_done *done, void *arg);
int netcfg_service_end(struct netcfg_service *s, uint32_t session, netcfg_done *done, void *arg);
/* Undoes what no session owns: `stile cleanup`. */
int netcfg_service_recover(struct netcfg_service *s, netcfg_done *done, void *arg);
/* As after a change of the host. */
int netcfg_service_repair(struct netcfg_service *s, netcfg_done *done, void *arg);

/* The host's resolvers as last seen: filled in from `ready` on. */
const struct resolvers *netcfg_service_upstreams(const struct netcfg_service *s);

/* Finishes the jobs asked for, ends all sessions, ends the thread, closes; then stopped(arg) and s is freed. Their done
 * callbacks are still called, events aren't. */
void netcfg_service_stop(struct netcfg_service *s, void (*stopped)(void *arg), void *arg);

#endif
