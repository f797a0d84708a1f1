#include "agent/application_server.h"

#include <string.h>

#include "agent/app_text.h"
#include "agent/signer.h"
#include "agent/versions.h"
#include "agent/watchers.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/stream.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "tls/certs.h"

#define CERT_CAP      ((size_t)64 * 1024)
#define SIGNATURE_CAP ((size_t)4096)

struct application_server {
    struct application_server_config config;
    struct rpc_server_conn *conn; /* NULL once it is closed */
    struct watchers *watchers;
    bool refused; /* the engine is of another version */
};

static void fail(struct rpc_call *call, const struct diag *d)
{
    rpc_call_fail(call, rpc_status_from_err(d->err), "%s", d->text);
}

static void fail_text(struct rpc_call *call, int err, const char *text)
{
    rpc_call_fail(call, rpc_status_from_err(err), "%s", text);
}

/* Tells the person too, when he can do something about it. */
static void fail_and_tell(struct notices *notices, struct rpc_call *call, const struct diag *d)
{
    if (d->err == ERR_EXPIRED || d->err == ERR_AUTH || d->err == ERR_TLS ||
        d->err == ERR_UNREACHABLE || d->err == ERR_TIMEOUT)
        notices_tell(notices, "%s", d->text);
    fail(call, d);
}

/* False, and the call is answered, if the versions differ. */
static bool check_version(struct application_server *s, struct rpc_call *call, const char *version)
{
    struct diag d = {0};
    if (versions_check("engine", version, &d) == 0)
        return true;
    s->refused = true;
    notices_tell(s->config.notices, "%s", d.text);
    fail(call, &d);
    return false;
}

/* After another version was seen nothing is answered any more. */
static bool refuse(struct application_server *s, struct rpc_call *call)
{
    if (s->refused)
        fail_text(call, ERR_VERSION, "The versions of engine and agent differ");
    return s->refused;
}

static void authenticate_process(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    const Stile__Vnet__V1__AuthenticateProcessRequest *q =
        (const Stile__Vnet__V1__AuthenticateProcessRequest *)message;
    Stile__Vnet__V1__AuthenticateProcessResponse reply =
        STILE__VNET__V1__AUTHENTICATE_PROCESS_RESPONSE__INIT;
    char version[] = STILE_VERSION;
    if (!check_version(arg, call, q->version))
        return;
    if (q->pipe_path[0] != '\0') {
        fail_text(call, ERR_UNSUPPORTED, "This channel was inherited: there is no pipe to dial");
        return;
    }
    reply.version = version;
    rpc_call_reply(call, &reply.base);
}

static void ping(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    const Stile__Vnet__V1__PingRequest *q = (const Stile__Vnet__V1__PingRequest *)message;
    Stile__Vnet__V1__PingResponse reply = STILE__VNET__V1__PING_RESPONSE__INIT;
    char version[] = STILE_VERSION;
    if (!check_version(arg, call, q->version))
        return;
    reply.version = version;
    rpc_call_reply(call, &reply.base);
}

/* What an answer that comes later needs. The server may have gone by then: the call hasn't, nor have the notices. */
struct question {
    struct rpc_call *call;
    struct notices *notices;
};

/* NULL, and the call is answered, when memory runs out. */
static struct question *question_new(struct application_server *s, struct rpc_call *call)
{
    struct question *q = NEW(struct question);
    if (q == NULL) {
        fail_text(call, ERR_NOMEM, "Out of memory");
        return NULL;
    }
    q->call = call;
    q->notices = s->config.notices;
    return q;
}

static void on_resolved(void *arg, int err, const app_info *info, const struct diag *d)
{
    CLEANUP(mem_freep) struct question *q = arg;
    if (err < 0) {
        fail_and_tell(q->notices, q->call, d);
        return;
    }
    Stile__Vnet__V1__ResolveAppInfoResponse reply =
        STILE__VNET__V1__RESOLVE_APP_INFO_RESPONSE__INIT;
    reply.app_info = (app_info *)(uintptr_t)info; /* only read */
    rpc_call_reply(q->call, &reply.base);
}

static void resolve_app_info(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    const Stile__Vnet__V1__ResolveAppInfoRequest *q =
        (const Stile__Vnet__V1__ResolveAppInfoRequest *)message;
    struct question *later = refuse(s, call) ? NULL : question_new(s, call);
    if (later != NULL)
        lookups_resolve(s->config.lookups, q->fqdn, on_resolved, later);
}

static bool lists_port(const Stile__Vnet__V1__App *app, uint32_t port)
{
    for (size_t i = 0; i < app->n_ports; i++)
        if (port >= app->ports[i]->first && port <= app->ports[i]->last)
            return true;
    return app->n_ports == 0;
}

static int check_reissue(struct application_server *s,
                         const Stile__Vnet__V1__ReissueAppCertRequest *q, struct diag *d)
{
    const app_info *info = q->app_info;
    if (info == NULL || info->app_key == NULL || info->app == NULL ||
        !lookups_gave(s->config.lookups, info))
        return diag_set(d, ERR_DENIED, 0,
                        "This description of an app is not one that ResolveAppInfo returned");
    if (q->target_port == 0 || q->target_port > UINT16_MAX || info->app->web ||
        !lists_port(info->app, q->target_port))
        return diag_set(d, ERR_INVAL, 0, "%s has no port %u", info->app->name, q->target_port);
    return 0;
}

static void on_cert(void *arg, int err, X509 *cert, EVP_PKEY *key UNUSED, const struct diag *d)
{
    CLEANUP(mem_freep) struct question *q = arg;
    CLEANUP(buf_release) struct buf der;
    buf_init(&der, CERT_CAP);
    if (err < 0) {
        fail_and_tell(q->notices, q->call, d);
        return;
    }
    if (cert_to_der(cert, &der) < 0) {
        fail_text(q->call, ERR_NOMEM, "Out of memory");
        return;
    }
    Stile__Vnet__V1__ReissueAppCertResponse reply =
        STILE__VNET__V1__REISSUE_APP_CERT_RESPONSE__INIT;
    reply.cert = (ProtobufCBinaryData){.len = buf_len(&der), .data = der.data + der.start};
    rpc_call_reply(q->call, &reply.base);
}

static void reissue_app_cert(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    const Stile__Vnet__V1__ReissueAppCertRequest *q =
        (const Stile__Vnet__V1__ReissueAppCertRequest *)message;
    struct diag d = {0};
    if (refuse(s, call))
        return;
    if (check_reissue(s, q, &d) < 0) {
        fail(call, &d);
        return;
    }
    struct question *later = question_new(s, call);
    if (later != NULL)
        certs_get(s->config.certs, q->app_info->app_key, (uint16_t)q->target_port, on_cert, later);
}

static void sign_for_app(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    Stile__Vnet__V1__SignForAppResponse reply = STILE__VNET__V1__SIGN_FOR_APP_RESPONSE__INIT;
    CLEANUP(buf_release) struct buf signature;
    struct diag d = {0};
    if (refuse(s, call))
        return;
    buf_init(&signature, SIGNATURE_CAP);
    if (signer_sign(s->config.certs, (const Stile__Vnet__V1__SignForAppRequest *)message,
                    &signature, &d) < 0) {
        log_debug("signature refused: %s", d.text);
        fail(call, &d);
        return;
    }
    reply.signature =
        (ProtobufCBinaryData){.len = buf_len(&signature), .data = signature.data + signature.start};
    rpc_call_reply(call, &reply.base);
}

static void report_network_stack(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    Stile__Vnet__V1__ReportNetworkStackResponse reply =
        STILE__VNET__V1__REPORT_NETWORK_STACK_RESPONSE__INIT;
    if (refuse(s, call))
        return;
    if (s->config.on_network_stack != NULL)
        s->config.on_network_stack(s->config.arg,
                                   (const Stile__Vnet__V1__ReportNetworkStackRequest *)message);
    rpc_call_reply(call, &reply.base);
}

static void on_new_connection(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    const Stile__Vnet__V1__OnNewConnectionRequest *q =
        (const Stile__Vnet__V1__OnNewConnectionRequest *)message;
    Stile__Vnet__V1__OnNewConnectionResponse reply =
        STILE__VNET__V1__ON_NEW_CONNECTION_RESPONSE__INIT;
    struct diag d = {0};
    if (refuse(s, call))
        return;
    connection_log_begin(s->config.connections, q);
    if (q->app_key == NULL) {
        fail_text(call, ERR_INVAL, "A connection must be for an app");
        return;
    }
    if (s->config.directory.ops->check(s->config.directory.self, q->app_key, &d) < 0) {
        fail_and_tell(s->config.notices, call, &d);
        return;
    }
    rpc_call_reply(call, &reply.base);
}

static void tell_ports(struct application_server *s,
                       const Stile__Vnet__V1__OnInvalidLocalPortRequest *q)
{
    char ports[APP_TEXT_SIZE];
    char text[NOTICE_SIZE];
    app_text_vnet_ports(q->app_info->app, ports);
    (void)str_format(text, sizeof(text), "%s has no port %u; use %s", q->app_info->app->public_name,
                     q->target_port, ports);
    notices_tell(s->config.notices, "%s", text);
    connection_log_explain(s->config.connections, q, text);
}

static void on_invalid_local_port(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    const Stile__Vnet__V1__OnInvalidLocalPortRequest *q =
        (const Stile__Vnet__V1__OnInvalidLocalPortRequest *)message;
    Stile__Vnet__V1__OnInvalidLocalPortResponse reply =
        STILE__VNET__V1__ON_INVALID_LOCAL_PORT_RESPONSE__INIT;
    if (refuse(s, call))
        return;
    if (q->app_info != NULL && q->app_info->app != NULL)
        tell_ports(s, q);
    rpc_call_reply(call, &reply.base);
}

static void report_connections(struct rpc_call *call, const ProtobufCMessage *message, void *arg)
{
    struct application_server *s = arg;
    const Stile__Vnet__V1__ReportConnectionsRequest *q =
        (const Stile__Vnet__V1__ReportConnectionsRequest *)message;
    Stile__Vnet__V1__ReportConnectionsResponse reply =
        STILE__VNET__V1__REPORT_CONNECTIONS_RESPONSE__INIT;
    if (refuse(s, call))
        return;
    for (size_t i = 0; i < q->n_connections; i++)
        connection_log_report(s->config.connections, q->connections[i]);
    rpc_call_reply(call, &reply.base);
}

static void watch_target_configuration(struct rpc_call *call,
                                       const ProtobufCMessage *message UNUSED, void *arg)
{
    struct application_server *s = arg;
    if (!refuse(s, call))
        watchers_add(s->watchers, call);
}

static const struct rpc_handler handlers[] = {
    {&client_application_authenticate_process, authenticate_process},
    {&client_application_resolve_app_info, resolve_app_info},
    {&client_application_reissue_app_cert, reissue_app_cert},
    {&client_application_sign_for_app, sign_for_app},
    {&client_application_ping, ping},
    {&client_application_report_network_stack, report_network_stack},
    {&client_application_on_new_connection, on_new_connection},
    {&client_application_on_invalid_local_port, on_invalid_local_port},
    {&client_application_report_connections, report_connections},
    {&client_application_watch_target_configuration, watch_target_configuration},
};

static void on_closed(void *arg, int err, const struct diag *d)
{
    struct application_server *s = arg;
    rpc_server_conn_close(STEAL(s->conn));
    s->config.on_closed(s->config.arg, err, d);
}

int application_server_new(struct stream *stream, const struct application_server_config *config,
                           struct application_server **ret)
{
    struct application_server *s = NEW(struct application_server);
    if (s == NULL)
        return ERR_NOMEM;
    s->config = *config;
    const struct rpc_server_config rpc = {
        .handlers = handlers,
        .handler_count = ARRAY_LEN(handlers),
        .service_arg = s,
        .on_closed = on_closed,
        .calls_max = 4096,
    };
    int r = watchers_new(config->directory, &s->watchers);
    if (r == 0)
        r = rpc_server_conn_new(stream, config->loop, &rpc, &s->conn);
    if (r < 0) {
        application_server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void application_server_free(struct application_server *s)
{
    if (s == NULL)
        return;
    if (s->conn != NULL)
        rpc_server_conn_close(s->conn);
    watchers_free(s->watchers);
    mem_free(s);
}

void application_server_zones_changed(struct application_server *s)
{
    watchers_changed(s->watchers);
}
