/* The engine's side of the agent: typed calls of ClientApplicationService over the inherited channel, and nothing kept beyond them.
 *
 * Lives on the control thread; nothing blocks; callbacks come later, on the control thread, never during the call that asked
 * (a call that fails at once returns the error and has no callback). What a callback is lent is valid until it returns.
 * Messages are sentences for people. Errors: ERR_NOTFOUND, ERR_EXPIRED (log in again), ERR_DENIED, ERR_TIMEOUT, ERR_CLOSED (the agent is
 * gone), others as rpc_status_to_err maps them.
 */
#ifndef STILE_ENGINE_AGENT_CLIENT_H
#define STILE_ENGINE_AGENT_CLIENT_H

#include "base/err.h"
#include "engine/owner.h"
#include "loop/loop.h"
#include "stile/vnet/v1/client_application.pb-c.h"

struct agent_client;

struct agent_client_events {
    /* Both sides have the same version: the agent may be asked. */
    void (*on_ready)(void *arg);
    /* The present zones and ranges, and again at each change. */
    void (*on_zones)(void *arg, const Stile__Vnet__V1__TargetConfiguration *configuration);
    /* Once; the agent is gone, or has another version. Only agent_client_free may be called after it. */
    void (*on_closed)(void *arg, int err, const struct diag *d);
};

/* fd: a connected stream socket, taken on success. */
int agent_client_new(struct loop *loop, int fd, const struct agent_client_events *events, void *arg,
                     struct agent_client **ret);
/* Pending calls end with ERR_CANCELED before this returns. */
void agent_client_free(struct agent_client *c);

/* What is this name? ERR_NOTFOUND: nothing in any logged-in cluster. info is the callee's (free_unpacked), with its app_key and
 * app; NULL unless err is 0. */
typedef void agent_resolved(void *arg, int err, const char *message,
                            Stile__Vnet__V1__AppInfo *info);
int agent_client_resolve(struct agent_client *c, const char *fqdn, agent_resolved *done, void *arg);

/* A certificate (DER) for app and port. One question per (app, port) is on its way at a time. */
typedef void agent_cert(void *arg, int err, const char *message, struct slice der);
int agent_client_cert(struct agent_client *c, const Stile__Vnet__V1__AppInfo *info, uint16_t port,
                      agent_cert *done, void *arg);

struct agent_sign {
    const Stile__Vnet__V1__AppKey *app_key;
    uint16_t port;
    struct slice digest;
    Stile__Vnet__V1__Hash hash;
    bool pss;
    uint32_t pss_salt_len;
};
typedef void agent_signed(void *arg, int err, const char *message, struct slice signature);
int agent_client_sign(struct agent_client *c, const struct agent_sign *sign, agent_signed *done,
                      void *arg);

/* A connection as the agent is told of it. Borrowed. */
struct agent_connection {
    uint64_t id;
    const Stile__Vnet__V1__AppInfo *info; /* NULL: not known */
    const char *fqdn;
    uint16_t port;
    struct ip_endpoint client;
    struct owner owner;
};

/* May it proceed? */
typedef void agent_answered(void *arg, int err, const char *message);
int agent_client_new_connection(struct agent_client *c, const struct agent_connection *conn,
                                agent_answered *done, void *arg);
/* Tells; no answer. */
void agent_client_invalid_port(struct agent_client *c, const struct agent_connection *conn);
void agent_client_network_stack(struct agent_client *c,
                                const Stile__Vnet__V1__ReportNetworkStackRequest *request);

struct agent_report {
    struct agent_connection conn;
    Stile__Vnet__V1__Verdict verdict;
    const char *reason; /* may be NULL */
    uint64_t bytes_up;
    uint64_t bytes_down;
    int64_t started_us; /* wall time */
    int64_t ended_us;   /* 0: it goes on */
};
/* Copied, and sent in the loop's next turn, or with others when the agent has taken those before. */
void agent_client_report(struct agent_client *c, const struct agent_report *report);

#endif
