/* Connected sockets for an engine that may not connect: the agent dials as the user (his firewall rules, his resolver, his
 * proxy) and hands them over on the dial channel.
 *
 * Lives on the control thread; callbacks come later, never during the call. A dial that isn't answered within DIALER_TIMEOUT_MS ends
 * with ERR_TIMEOUT.
 */
#ifndef STILE_ENGINE_DIALER_H
#define STILE_ENGINE_DIALER_H

#include "engine/channel.h"
#include "loop/loop.h"

#define DIALER_TIMEOUT_MS  30000
#define DIALER_PENDING_MAX 4096

struct dialer;

/* err 0: fd is the callee's, connected and non-blocking. Else fd is -1 and reason a sentence for people, lent. */
typedef void dialer_done(void *arg, int err, int fd, const char *reason);

struct dialer_events {
    void (*on_setup)(void *arg, const struct channel_setup *setup); /* once */
    void (*on_closed)(void *arg, int err); /* once: the agent is gone, or broke the rules */
};

/* fd: the dial channel, taken on success. */
int dialer_new(struct loop *loop, int fd, const struct dialer_events *events, void *arg,
               struct dialer **ret);
/* Pending dials end with ERR_CANCELED before this returns. */
void dialer_free(struct dialer *d);

/* 0 or ERR_CLOSED, ERR_LIMIT, ERR_TOOBIG (profile). ret_id (may be NULL) is for dialer_cancel. */
int dialer_gateway(struct dialer *d, const char *profile, dialer_done *done, void *arg,
                   uint32_t *ret_id);
/* index: into the setup's resolvers; a UDP socket comes connected too. */
int dialer_resolver(struct dialer *d, uint32_t index, enum channel_transport transport,
                    dialer_done *done, void *arg, uint32_t *ret_id);
/* No callback will come; a socket that arrives later is closed. */
void dialer_cancel(struct dialer *d, uint32_t id);

#endif
