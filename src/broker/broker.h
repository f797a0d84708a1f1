/* The broker: the one process with privileges. Recovery first; then sessions, until it is told to stop; then everything is put
 * back.
 *
 * One loop that never waits for the host: netcfg works in its own thread (broker/host.h).
 */
#ifndef STILE_BROKER_BROKER_H
#define STILE_BROKER_BROKER_H

#include "broker/policy.h"
#include "platform/peer.h"

#define BROKER_STATE_DIR "/var/lib/stile"

struct broker_config {
    const struct policy *policy; /* borrowed */
    const char *dns;             /* NULL: what the policy says */
    const char *socket_path;
    const char *state_dir;
    enum peer_hold peer_hold;
    bool only_recover; /* put back what an earlier broker left, and end */
};

/* Until SIGTERM, SIGINT or SIGHUP: 0. Else why it couldn't start. */
int broker_run(const struct broker_config *config, struct diag *d);

#endif
