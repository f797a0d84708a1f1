/* The broker's socket: who may speak, how many, how long, and what to whom.
 *
 *   accepted ──(HELLO within 5 s, of the same executable, from a user of the policy)──► greeted ──► … ──► closed
 *
 * What a connection may cost before that is fixed: one struct and one descriptor, a few for a uid and some more in all; with no
 * descriptors left, accepting pauses. A message that breaks a rule, a caller that doesn't read what it is told, and the end of
 * a session's connection all close it; its session is then ended. The loop's thread only.
 */
#ifndef STILE_BROKER_CALLERS_H
#define STILE_BROKER_CALLERS_H

#include "broker/host.h"
#include "broker/policy.h"
#include "broker/sessions.h"
#include "platform/peer.h"

struct callers;

struct callers_config {
    int fd; /* listening, non-blocking; taken on success */
    const struct policy *policy;
    struct host *host;
    struct sessions *sessions;
    enum peer_hold peer_hold; /* PEER_BY_SOCKET, but in tests */
};

int callers_new(struct loop *loop, const struct callers_config *config, struct callers **ret,
                struct diag *d);

/* No new connections; no requests but those that end a session. */
void callers_stop(struct callers *s);
/* Closes all connections; closed(arg) once the loop has let go. */
void callers_free(struct callers *s, void (*closed)(void *arg), void *arg);

#endif
