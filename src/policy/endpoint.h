/* An endpoint: the network of a container, whose policies are listed and changed. One
 * implementation per system (linux: a network namespace and nftables; windows: an HNS endpoint),
 * chosen by the build.
 *
 * The policies are kept by the kernel (on Windows by HNS), never in a file of ours. Every change is
 * all or nothing. Calls block for as long as the system takes (Linux: `nft` is run once to open and
 * to list, up to three times to change, each time for NFT_PROCESS_TIMEOUT_S and a little at most;
 * another writer of the same endpoint is waited for before, at most ENDPOINT_TIMEOUT_MS). One
 * thread at a time per endpoint; different endpoints in different threads don't disturb each other,
 * nor the caller's own namespaces.
 */
#ifndef STILE_POLICY_ENDPOINT_H
#define STILE_POLICY_ENDPOINT_H

#include "policy/l4_policy.h"

#define ENDPOINT_TIMEOUT_MS 30000
#define ENDPOINT_NAME_SIZE  512

struct endpoint;

enum endpoint_flags {
    ENDPOINT_HOST = 1, /* the host's own network is meant: without this it is refused */
};

/* What the policies of this system stand on: "nft 1.0.6", "HNS 13.2", whether or not that is new
 * enough. ERR_NOTFOUND: there is none. */
#define ENDPOINT_SYSTEM_SIZE 64
int endpoint_system(char ret[ENDPOINT_SYSTEM_SIZE], struct diag *d);

/* Linux names: a path ("/run/netns/blue"); "blue" for /run/netns/blue; "pid:1234" or
 * "pid:1234@START" for the network of a process (START: its start time in clock ticks, field 22 of
 * /proc/PID/stat: another process with this number is refused). Windows: a GUID, with or without
 * braces. The namespace is held from here to endpoint_close. ERR_NOTFOUND, ERR_PERM, ERR_DENIED
 * (the host's own), ERR_EXPIRED (the process has ended, or is another one), ERR_INVAL (not a
 * network namespace), ERR_VERSION (HNS or nft too old, with the one found), ERR_UNSUPPORTED. */
int endpoint_open(const char *name, unsigned flags, struct endpoint **ret, struct diag *d);
void endpoint_close(struct endpoint *e); /* NULL does nothing */
void endpoint_closep(struct endpoint **e);
const char *endpoint_name(const struct endpoint *e);

/* Told once, from within a change, when another writer of the endpoint has kept it waiting for this
 * long: for a person who looks at it. */
#define ENDPOINT_PATIENCE_MS 2000
struct endpoint_waiting {
    void (*tell)(void *arg, const char *text); /* NULL: nobody wants to know */
    void *arg;
};

/* How a change is made, and what became of it. Each change begins with emptying what is marked as
 * out. */
struct endpoint_change {
    bool dry_run;                    /* in: nothing is changed; `sent` is what would be sent */
    struct endpoint_waiting waiting; /* in */
    struct buf sent;  /* out: Linux: the commands for `nft -f -`; Windows: the settings of
                       * HcnModifyEndpoint, one per line.  Empty: nothing need be changed */
    struct buf notes; /* out: for people, a line each: what else is done (routes for UDP), what had
                         drifted */
    size_t added, removed,
        unchanged; /* out: policies; unchanged: all that were there and stay, given or not */
    bool drifted;  /* out, reconcile: something was not as it should be */
    bool blocked;  /* out: nothing enters or leaves it afterwards either (endpoint_block) */
};

void endpoint_change_init(struct endpoint_change *c);
void endpoint_change_release(struct endpoint_change *c);
void endpoint_change_begin(struct endpoint_change *c); /* for the implementations */

/* In the order of evaluation. No policies: an empty list, no error. */
int endpoint_list(struct endpoint *e, struct l4_policies *ret, struct diag *d);

/* Policies that are there already stay (unchanged). The result as a whole must pass l4_check.
 * ERR_BLOCKED: it would be open then. ERR_EXISTS, here and below: something of somebody else's is
 * in the place of ours. */
int endpoint_add(struct endpoint *e, const struct l4_policies *more, struct endpoint_change *c,
                 struct diag *d);
/* Exactly these. ERR_NOTFOUND if one isn't there: then nothing is removed. ERR_BLOCKED, as
 * above. */
int endpoint_remove(struct endpoint *e, const struct l4_policies *those, struct endpoint_change *c,
                    struct diag *d);
/* Afterwards exactly these policies are there, and what carries them is as it should be. When all
 * is so already, nothing is written. */
int endpoint_apply(struct endpoint *e, const struct l4_policies *wanted, struct endpoint_change *c,
                   struct diag *d);
/* Repairs what somebody changed by hand: `wanted`, or NULL for what the kernel remembers: the block
 * if there is one, else the policies. notes say what. ERR_NOTFOUND: it remembers neither, so there
 * is nothing to compare with; the text says so if policies were here once. */
int endpoint_reconcile(struct endpoint *e, const struct l4_policies *wanted,
                       struct endpoint_change *c, struct diag *d);
/* No trace is left, a block neither. */
int endpoint_clear(struct endpoint *e, struct endpoint_change *c, struct diag *d);

/* The same on Linux where nft is gone: no trace is left, of policies that can't be read, and
 * nothing is told of them. By name, as endpoint_open refuses then. ERR_UNSUPPORTED on Windows. */
int endpoint_wipe(const char *name, struct diag *d);

/* Linux: nothing enters or leaves but over loopback: for a container whose policies can't be
 * applied. A state of its own, beside whatever policies are there: a whole set of policies (apply,
 * reconcile with `wanted`) or clear ends it, and nothing else does. It is written anew without a
 * look at what is there; counts are 0. ERR_UNSUPPORTED on Windows. */
int endpoint_block(struct endpoint *e, struct endpoint_change *c, struct diag *d);
/* Whether that is so. Windows: never. */
int endpoint_is_blocked(struct endpoint *e, bool *ret, struct diag *d);

#endif
