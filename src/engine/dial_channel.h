/* Connected sockets for an engine that may not connect: the agent dials as the user (his firewall rules, his resolver, his
 * proxy) and hands them over on the dial channel.
 *
 * Lives on the control thread; callbacks come later, never during the call. A dial that isn't answered within DIAL_CHANNEL_TIMEOUT_MS ends
 * with ERR_TIMEOUT.
 */
#ifndef STILE_ENGINE_DIAL_CHANNEL_H
#define STILE_ENGINE_DIAL_CHANNEL_H

#include "loop/loop.h"
#include "platform/channel.h"

#define DIAL_CHANNEL_TIMEOUT_MS  30000
#define DIAL_CHANNEL_PENDING_MAX 4096

struct dial_channel;

/* err 0: fd is the callee's, connected and non-blocking. Else fd is -1 and reason a sentence for people, lent. */
typedef void dial_channel_done(void *arg, int err, int fd, const char *reason);

struct dial_channel_events {
    void (*on_setup)(void *arg, const struct channel_setup *setup); /* once */
    /* Later, any number of times: these take the place of the setup's. */
    void (*on_resolvers)(void *arg, const struct channel_resolvers *resolvers);
    void (*on_closed)(void *arg, int err); /* once: the agent is gone, or broke the rules */
};

/* fd: the dial channel, taken on success. */
int dial_channel_new(struct loop *loop, int fd, const struct dial_channel_events *events, void *arg,
                     struct dial_channel **ret);
/* Pending dials end with ERR_CANCELED before this returns. */
void dial_channel_free(struct dial_channel *d);

/* 0 or ERR_CLOSED, ERR_LIMIT, ERR_TOOBIG (profile). ret_id (may be NULL) is for dial_channel_cancel. */
int dial_channel_gateway(struct dial_channel *d, const char *profile, dial_channel_done *done,
                         void *arg, uint32_t *ret_id);
/* index: into the resolvers; a UDP socket comes connected too. */
int dial_channel_resolver(struct dial_channel *d, uint32_t index, enum channel_transport transport,
                          dial_channel_done *done, void *arg, uint32_t *ret_id);
/* No callback will come; a socket that arrives later is closed. */
void dial_channel_cancel(struct dial_channel *d, uint32_t id);

#endif
