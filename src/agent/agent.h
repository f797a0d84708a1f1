/* The user's own process: everything that holds credentials, put together.
 *
 * An agent serves one engine at a time. It answers the engine's questions (what is this name? a certificate, a signature,
 * may this connection proceed?) on a byte stream, connects sockets for it on the dial channel, and answers the user's own
 * commands on a control socket in the home directory. Everything happens in the caller's loop; nothing here blocks it.
 *
 * Order of a start: agent_new; make the two channels; start the engine; agent_serve_engine and agent_serve_dial. The
 * launcher that makes the TUN needs addresses before that: agent_setup has them from the start.
 */
#ifndef STILE_AGENT_AGENT_H
#define STILE_AGENT_AGENT_H

#include "agent/clusters.h"
#include "agent/connection_log.h"
#include "agent/directory.h"
#include "base/err.h"
#include "platform/channel.h"

struct agent;
struct stream;

enum agent_mode {
    AGENT_RUN, /* for one program, in a network that nobody else sees */
    AGENT_UP, /* for the host: the network comes from agent_set_network; having no log-in is no error */
};

struct agent_config {
    const char *home; /* directory of profiles; NULL: $HOME/.config/stile */
    enum agent_mode mode;
    const char *command; /* of `stile run`, as typed; NULL: none. Copied */
    const char *const
        *profiles; /* only these, ended by NULL; NULL: all. Borrowed, for the agent's life */
    bool no_ipv4;  /* no addresses of this family are handed out; not both */
    bool no_ipv6;
};

struct agent_events {
    /* The engine's channel has closed: it has ended, or was killed, or broke the protocol. Called at most once per
     * agent_serve_engine, never from within it. The reason is a sentence for people. */
    void (*on_engine_gone)(void *arg, const char *reason);
    /* The rest may be NULL. */
    /* The engine has locked itself in and answers from now on. At most once for an honest engine. */
    void (*on_engine_serves)(void *arg);
    /* Whether the engine is to answer for this zone. NULL: for all of them. */
    bool (*serves_zone)(void *arg, const char *zone);
    /* Log-ins, zones or ranges may be others. */
    void (*on_change)(void *arg);
    /* A connection was established or has ended: see connection_log_watch. */
    void (*on_connection)(void *arg, const struct connection *c);
    /* For the person: a line without a line break. NULL: standard error. */
    void (*on_notice)(void *arg, const char *text);
    /* `stile down`: the session is to end. */
    void (*on_stop)(void *arg);
};

/* What `stile status` shows of a session in system mode. */
struct agent_state {
    const char *name; /* "up", "starting", …; static */
    char detail[256];
    char dns_backend[16];
};

/* Reads the profiles and, for AGENT_RUN, chooses the session's network: ERR_NOTFOUND if nobody has logged in; the text says
 * how. Profiles whose certificate has expired are served too: their connections ask the user to log in again. */
int agent_new(struct loop *loop, const struct agent_config *config,
              const struct agent_events *events, void *arg, struct agent **ret, struct diag *d);

/* Closes channels and the control socket, wipes keys. Events don't come any more. The loop may have to run once more to
 * release its handles; the agent's own memory is gone when it has. NULL is fine. */
void agent_free(struct agent *agent);

/* The session is over: the engine is told to end its connections, to report them, and to go. on_engine_gone says that it
 * has. */
void agent_end_engine(struct agent *agent);

/* The ranges, the IPv6 prefix and the resolvers of this session; valid as long as the agent. */
const struct channel_setup *agent_setup(const struct agent *agent);

/* AGENT_UP, before an engine is served: addresses, families and resolvers of the session. */
void agent_set_network(struct agent *agent, const struct channel_setup *setup,
                       const char *interface_name);
/* What serves_zone says is another. */
void agent_zones_changed(struct agent *agent);
/* AGENT_UP, at any time: other resolvers; the engine hears of them. */
void agent_set_resolvers(struct agent *agent, const struct channel_resolvers *resolvers);
void agent_set_state(struct agent *agent, const struct agent_state *state);

/* The log-ins and what they serve, and all zones together; valid until the next turn of the loop. */
struct clusters *agent_clusters(struct agent *agent);
void agent_zones(struct agent *agent, struct directory_zones *ret);
/* Tells the person, through on_notice, unless he was told the same a moment ago. */
PRINTF_LIKE(2, 3) void agent_notice(struct agent *agent, const char *fmt, ...);
const struct home *agent_home(const struct agent *agent);

/* The stream is taken on success: gRPC, the agent serves. ERR_BUSY if an engine is being served. */
int agent_serve_engine(struct agent *agent, struct stream *stream);

/* A SOCK_SEQPACKET end of the dial channel, taken on success. Sends SETUP at once. */
int agent_serve_dial(struct agent *agent, int fd);

#endif
