/* The engine of one session: its TUN, its uid, its process.
 *
 * opened (launch_open) → started (launch_start: the engine has the TUN, we no longer do) → ended (launch_ended says so) →
 * closed. Starting waits for the program's execution, which is short; nothing else blocks.
 */
#ifndef STILE_BROKER_LAUNCH_H
#define STILE_BROKER_LAUNCH_H

#include "broker/policy.h"
#include "platform/tun.h"

struct launch {
    struct tun tun; /* no queues: closed, or the engine's */
    char name[TUN_NAME_SIZE];
    int pid; /* 0: none */
    uint32_t uid;
};

#define LAUNCH_NONE ((struct launch){.pid = 0})

/* What the engine gets beside the TUN; the descriptors stay the caller's. */
struct launch_config {
    const int *fds; /* rpc, dial, log */
    const struct broker_network *network;
    uint32_t user_uid; /* the session's, who may use the addresses */
    uint32_t flags;    /* BROKER_NO_* that hold */
    bool debug;
};

/* The first interface stileN that is free. ERR_NOTFOUND, ERR_PERM: from tun_open. ERR_LIMIT. */
int launch_open(struct launch *l, struct diag *d);

/* uid: from launch_choose_uid. */
int launch_start(struct launch *l, uint32_t uid, const struct launch_config *config,
                 struct diag *d);

/* Whether its process has ended. status as of platform/child.h. */
bool launch_ended(struct launch *l, int *ret_status);

/* Closes what is open and kills what runs; it is then still to be waited for with launch_ended. */
void launch_kill(struct launch *l);

/* A uid of the policy that no process runs under and that isn't in `used`. ERR_LIMIT. Looks at all of /proc. */
int launch_choose_uid(const struct policy *p, const uint32_t *used, size_t used_count,
                      uint32_t *ret_uid, struct diag *d);

#endif
