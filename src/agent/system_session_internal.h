/* What the parts of a system session share: its state (system_session.c), and how it starts and changes (session_start.c). */
#ifndef STILE_AGENT_SYSTEM_SESSION_INTERNAL_H
#define STILE_AGENT_SYSTEM_SESSION_INTERNAL_H

#include "agent/engine_log.h"
#include "agent/login_watch.h"
#include "agent/needed_addresses.h"
#include "agent/system_session.h"
#include "broker/client.h"
#include "loop/timer.h"

#define SESSION_WHY_SIZE 256

enum state { CONNECTING, WAITING, PREPARING, STARTING, UP, LOSING, RESTING, STOPPING, OVER };

enum pair_name { PAIR_RPC, PAIR_DIAL, PAIR_LOG, PAIR_COUNT };

struct system_session {
    struct loop *loop;
    struct system_session_config config;
    struct system_session_events events;
    void *arg;
    enum state state;
    struct agent *agent;
    struct login_watch *log_ins;
    struct broker_client *client; /* NULL: not connected */
    bool welcome;
    struct broker_welcome offer;
    struct needed_addresses *needed; /* in PREPARING */
    bool chosen;                     /* network's ranges are */
    bool offered_only;               /* the clusters' ranges aren't allowed on this host */
    struct broker_network network;   /* as wanted */
    struct broker_network
        asked; /* of the request under way; else as applied. The engine serves these zones */
    struct broker_network
        refused; /* its zones, some of which are another user's; none: no such thing */
    struct broker_network applied; /* as the broker has it */
    bool configuring;
    char why[SESSION_NETWORK_TEXT_SIZE];
    int pairs[PAIR_COUNT][2]; /* ours, the engine's; -1 when closed or given away */
    struct engine_log *engine_log;
    bool serving;       /* an engine, as the agent sees it */
    bool broker_has_it; /* a session, as far as we know */
    struct agent_state shown;
    uint32_t flags; /* of STARTED */
    char interface_name[BROKER_INTERFACE_SIZE];
    char notice[BROKER_TEXT_SIZE]; /* of STARTED */
    bool unannounced;              /* the host is changed, and the engine doesn't serve yet */
    bool was_up;                   /* as far as the user was told */
    uint64_t up_since_ns;
    uint64_t rest_ms;
    char lost_why[SESSION_WHY_SIZE]; /* empty: nothing to tell */
    struct timer timer;              /* of the state */
    struct timer late;               /* a start that takes long is told */
    unsigned timers_open;
    struct defer first;
    struct defer end;
    bool on_host; /* what the broker did for us may still be there: it hasn't said otherwise */
    bool stopped; /* the broker has put the host back, or isn't there */
    struct diag failure; /* err 0: it was stopped */
    struct diag last;    /* why the last start came to nothing */
};

/* ---- system_session.c ---- */

void system_session_show(struct system_session *s); /* its state, to who asks for it */
void system_session_enter(struct system_session *s, enum state state);
void system_session_close_pairs(struct system_session *s,
                                size_t end); /* 0: ours, 1: the engine's */
/* A start that didn't come to its end: it is tried again later, or that was it. */
void system_session_start_failed(struct system_session *s, const struct diag *d);
/* What comes next, connected or not. */
void system_session_begin(struct system_session *s);
void system_session_ask_stop(struct system_session *s);

/* ---- session_start.c ---- */

void system_session_prepare(struct system_session *s); /* chooses the ranges, then begins */
void system_session_start(struct system_session *s);
void system_session_engine_serves(struct system_session *s);
/* Asks for another plan if what is wanted isn't what was asked for last. */
void system_session_configure(struct system_session *s);

#endif
