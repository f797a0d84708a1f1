/* `stile up`, from the user's side: one session of the broker's, kept alive for as long as it is wanted.
 *
 *     CONNECTING ─ WELCOME ─► WAITING ─ someone is logged in ─► PREPARING ─ range chosen ─► STARTING ─ STARTED ─► UP
 *     UP ─ zones change ─► UP (CONFIGURE)
 *     UP ─ broker or engine ends ─► LOSING ─ the engine's channels are closed ─► RESTING ─ back-off ─► CONNECTING or STARTING
 *     any ─ system_session_stop ─► STOPPING ─► OVER
 *
 * Before it was up once, any failure is final (on_failed): a person is there to read it. Afterwards the session starts again by
 * itself, except for refusals that trying again can't help. Network, ranges and prefix are chosen once and kept.
 *
 * Owns the agent. One loop, one thread; nothing blocks but the read of the host's routes, once (netcfg/host_view.h).
 */
#ifndef STILE_AGENT_SYSTEM_SESSION_H
#define STILE_AGENT_SYSTEM_SESSION_H

#include "agent/agent.h"
#include "agent/session_network.h"

struct system_session;

struct system_session_config {
    const char *home;            /* NULL: the default */
    const char *const *profiles; /* ended by NULL; NULL: all. Borrowed */
    const char *socket;          /* of the broker; NULL: the default */
    bool
        patient; /* nobody is there: the first start, too, is tried again and again (a broker that isn't up yet) */
    struct session_network_wish network;
};

/* What there is to tell of a session that is up; borrowed. */
struct system_session_info {
    const struct broker_network *network;
    const char *interface_name;
    const char *dns_backend;
    uint32_t flags;         /* BROKER_NO_*: families that are off */
    const char *why;        /* of the ranges; empty: the ones that were wanted */
    const char *notice;     /* of the broker; empty: none */
    const char *again_from; /* NULL: for the first time; else why it had to start again */
};

struct system_session_events {
    void (*on_up)(void *arg, const struct system_session_info *info);
    /* Log-ins or zones have changed; the host follows, if the session is up. */
    void (*on_change)(void *arg);
    void (*on_connection)(void *arg, const struct connection *c);
    /* For the person, one line. */
    void (*on_notice)(void *arg, const char *text);
    /* Nobody is logged in: it waits. The text says how to log in. */
    void (*on_waiting)(void *arg, const char *text);
    /* The host's network is another now: time to look whether everything is as it should be. May be NULL. */
    void (*on_network)(void *arg);
    /* The last event, once: stopped (d NULL), or it can't be (d says why and what to do). */
    void (*on_over)(void *arg, const struct diag *d);
};

/* Begins at once; the outcome comes as an event, never from within the call. */
int system_session_new(struct loop *loop, const struct system_session_config *config,
                       const struct system_session_events *events, void *arg,
                       struct system_session **ret, struct diag *d);
/* The host is put back, then on_over. Again: nothing. */
void system_session_stop(struct system_session *s);
/* No event any more. What is still up ends all the same: the broker sees the socket close. NULL is fine. */
void system_session_free(struct system_session *s);

struct agent *system_session_agent(struct system_session *s);
bool system_session_is_up(const struct system_session *s);

#endif
