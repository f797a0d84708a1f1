/* What the broker asks of the host's configuration: the network of a session made, changed, taken away. In the broker's words;
 * netcfg does the work in its own thread. Requests are done in their order; each done callback comes from the loop, once.
 */
#ifndef STILE_BROKER_HOST_H
#define STILE_BROKER_HOST_H

#include "base/err.h"
#include "broker/messages.h"
#include "loop/loop.h"

struct host;
struct netcfg_report;

struct host_config {
    const char *state_dir; /* of the journal */
    const char *dns;       /* back-end: "auto" or its name */
};

struct host_outcome {
    int err;                           /* 0: done */
    const struct diag *d;              /* why not; never NULL */
    uint32_t flags;                    /* of apply: BROKER_NO_*, asked for or found */
    struct broker_resolvers resolvers; /* of apply */
    const char *notice;                /* of apply: for the person; may be empty */
    const struct netcfg_report *report;
};

typedef void host_done_fn(void *arg, const struct host_outcome *outcome);

struct host_events {
    /* Once: what an earlier broker left is put back, and sessions may start; or ERR_BUSY (another broker runs), ERR_VERSION,
     * ERR_PERM, ERR_IO, with the remedy. */
    void (*on_ready)(void *arg, int err, const struct diag *d);
    /* Something about a session (0: about all of them). resolvers: of RESOLVERS, else NULL. */
    void (*on_event)(void *arg, uint32_t session, enum broker_event_kind kind, const char *text,
                     const struct broker_resolvers *resolvers);
};

/* The config's texts must live as long as the host. */
int host_new(struct loop *loop, const struct host_config *config, const struct host_events *events,
             void *arg, struct host **ret, struct diag *d);
/* What was asked for is done and answered before; events aren't told any more. closed(arg) once the loop has let go. */
void host_free(struct host *h, void (*closed)(void *arg), void *arg);

const char *host_dns_backend(const struct host *h);
const char *host_last_recovery(const struct host *h); /* "" if nothing was left */
uint32_t host_leftovers(const struct host *h);

/* The network is copied. On failure the host is as it was before. Errors here (done isn't called then): ERR_UNSUPPORTED (no
 * family is left), ERR_NOMEM, ERR_CLOSED. */
int host_apply(struct host *h, uint32_t session, const char *interface_name,
               const struct broker_network *network, host_done_fn *done, void *arg, struct diag *d);
/* ERR_NOMEM, ERR_CLOSED: done isn't called. So for those below. */
int host_end(struct host *h, uint32_t session, host_done_fn *done, void *arg);
/* What the journal has of no session is tried again. */
int host_recover(struct host *h, host_done_fn *done, void *arg);

#endif
