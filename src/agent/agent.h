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

#include "base/err.h"
#include "platform/channel.h"

struct agent;
struct loop;
struct stream;

struct agent_config {
    const char *home;    /* directory of profiles; NULL: $HOME/.config/stile */
    const char *mode;    /* "run" or "up": what `stile status` shows. Borrowed, static */
    const char *command; /* of `stile run`, as typed; NULL: none. Copied */
    const char *profile; /* only this one; NULL: all */
    bool no_ipv4;        /* no addresses of this family are handed out; not both */
    bool no_ipv6;
};

struct agent_events {
    /* The engine's channel has closed: it has ended, or was killed, or broke the protocol. Called at most once per
     * agent_serve_engine, never from within it. The reason is a sentence for people. */
    void (*on_engine_gone)(void *arg, const char *reason);
};

/* Reads the profiles and chooses the session's network. ERR_NOTFOUND if nobody has logged in: the text says how. Profiles whose
 * certificate has expired are served too: their connections ask the user to log in again. */
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

/* The stream is taken on success: gRPC, the agent serves. ERR_BUSY if an engine is being served. */
int agent_serve_engine(struct agent *agent, struct stream *stream);

/* A SOCK_SEQPACKET end of the dial channel, taken on success. Sends SETUP at once. */
int agent_serve_dial(struct agent *agent, int fd);

#endif
