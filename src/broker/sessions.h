/* The sessions of a machine: each a TUN, the plan that is applied for it, and an engine.
 *
 *   sessions_start → applying ──► running ⇄ configuring
 *                        │            │ stop, abandon, the engine's death
 *                        └──► ending (the host is put back) → quiet (the engine ends, or is killed) → ended, and forgotten
 *
 * A session belongs to the sessions until on_ended; its events go to whoever started it until that or session_abandon.
 * One session for a uid; a new one waits until the last has ended, if that is ending. The loop's thread only; nothing blocks but the start of an engine, which is short.
 */
#ifndef STILE_BROKER_SESSIONS_H
#define STILE_BROKER_SESSIONS_H

#include "base/list.h"
#include "broker/host.h"
#include "broker/policy.h"
#include "broker/registry.h"

#define SESSIONS_MAX 32

struct session;
struct sessions;

struct session_events {
    /* The answer to start and to session_configure: err and d, or what STARTED says. */
    void (*on_answer)(void *arg, int err, const struct diag *d, const struct broker_started *s);
    /* resolvers: of BROKER_EVENT_RESOLVERS, else NULL. */
    void (*on_event)(void *arg, enum broker_event_kind kind, const char *text,
                     const struct broker_resolvers *resolvers);
    /* Everything is put back; the session is gone. After a failed start, too. engine_died: nobody asked for it. */
    void (*on_ended)(void *arg, bool engine_died);
};

struct session_caller {
    uint32_t uid;
    uint32_t pid;
};

int sessions_new(struct loop *loop, const struct policy *policy, struct host *host,
                 struct sessions **ret, struct diag *d);
void sessions_free(struct sessions *all); /* once there are none */

/* fds (rpc, dial, log) are taken in any case. The policy, the claims and the limit of one for a uid are checked at once:
 * ERR_DENIED, ERR_EXISTS, ERR_LIMIT…, no event then. */
int sessions_start(struct sessions *all, const struct session_caller *caller,
                   const struct broker_network *network, const int fds[BROKER_START_FDS],
                   const struct session_events *events, void *arg, struct session **ret,
                   struct diag *d);

/* on_answer comes, unless this fails at once. Interface and MTU stay. ERR_BUSY: not running. */
int session_configure(struct session *s, const struct broker_network *network, struct diag *d);
void session_stop(struct session *s);    /* on_ended comes; again: nothing */
void session_abandon(struct session *s); /* the same without any event */
/* None may start any more. done(arg) when none is left: perhaps within this call. */
void sessions_stop_all(struct sessions *all, void (*done)(void *arg), void *arg);

/* While it is so, no session may start (ERR_BUSY). */
void sessions_pause(struct sessions *all, bool paused);

/* Of the host: to one session (0: all). */
void sessions_tell(struct sessions *all, uint32_t session, enum broker_event_kind kind,
                   const char *text, const struct broker_resolvers *resolvers);

/* Calls for each, oldest first. */
void sessions_each(const struct sessions *all,
                   void (*each)(void *arg, const struct broker_session *session), void *arg);

#endif
