/* ClientApplicationService: what one engine may ask of the user's process.
 *
 * The engine is not trusted with more than it needs: it gets certificates only for apps it was told of, unaltered; signatures only
 * with keys of such certificates; no key. What it reports is shown, never acted upon.
 */
#ifndef STILE_AGENT_APPLICATION_SERVER_H
#define STILE_AGENT_APPLICATION_SERVER_H

#include "agent/certs.h"
#include "agent/connection_log.h"
#include "agent/lookups.h"
#include "agent/notices.h"

struct application_server;
struct stream;

struct application_server_config {
    struct loop *loop;
    struct directory directory;
    struct lookups *lookups;
    struct certs *certs;
    struct connection_log *connections;
    struct notices *notices;
    /* The engine said what it stands on. May be NULL. */
    void (*on_network_stack)(void *arg, const Stile__Vnet__V1__ReportNetworkStackRequest *stack);
    /* Once, when the connection has ended from outside; then free the server (there is fine). */
    void (*on_closed)(void *arg, int err, const struct diag *d);
    void *arg;
};

/* stream: taken on success. Everything in the configuration outlives the server. */
int application_server_new(struct stream *stream, const struct application_server_config *config,
                           struct application_server **ret);
/* Questions that are open are answered to nobody. NULL is fine. */
void application_server_free(struct application_server *s);

/* Zones, ranges or forwarded names may be others: watchers are told if they are. */
void application_server_zones_changed(struct application_server *s);

#endif
