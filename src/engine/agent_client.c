#include "engine/agent_client.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/agent_reports.h"
#include "engine/flight.h"
#include "loop/socket.h"
#include "loop/timer.h"
#include "rpc/client.h"
#include "rpc/services.h"

/* Theory of operation: one gRPC connection. At the start the versions are settled (AuthenticateProcess), then zones are watched; a
 * ping each second shows the agent that we live, and us that it isn't stuck. The connection's end is the agent's end. A
 * certificate that several want at once is asked for once. While agent_client_free runs, `rpc` is NULL and answers have
 * nobody to go to.
 */

#define PORTS_TELLING_MAX         16
#define APP_INFO_MAX              ((size_t)64 * 1024) /* packed */
#define PING_MS                   1000
#define PING_TIMEOUT_MS           5000
#define RESOLVE_TIMEOUT_MS        10000
#define CERT_TIMEOUT_MS           30000
#define SIGN_TIMEOUT_MS           30000
#define NEW_CONNECTION_TIMEOUT_MS 60000 /* a person may be asked */

struct agent_client {
    struct loop *loop;
    struct rpc_client *rpc; /* NULL while being freed */
    const struct agent_client_events *events;
    void *arg;
    struct timer ping;
    bool ping_missed;
    unsigned ports_telling; /* OnInvalidLocalPort calls under way */
    bool ready;
    bool closed;
    struct flights issuing;
    struct agent_reports *reports;
    struct defer closing; /* tells on_closed outside of any call */
    struct diag why;
};

/* A question on its way, for one caller or for a flight of them. */
struct question {
    struct agent_client *client;
    struct flight *flight;
    void (*done)(void);
    void *arg;
};

static int ask(struct agent_client *c, const struct rpc_method *method, const void *request,
               unsigned timeout_ms, rpc_on_reply *on_reply, void *arg)
{
    if (c->rpc == NULL || c->closed)
        return ERR_CLOSED;
    return rpc_client_call(c->rpc, method, request, timeout_ms, on_reply, arg, NULL);
}

/* As ask, with a question that on_reply frees. */
static int ask_question(struct agent_client *c, const struct question *question,
                        const struct rpc_method *method, const void *request, unsigned timeout_ms,
                        rpc_on_reply *on_reply)
{
    struct question *q = mem_dup(question, sizeof(*question));
    if (q == NULL)
        return ERR_NOMEM;
    int r = ask(c, method, request, timeout_ms, on_reply, q);
    if (r < 0)
        mem_free(q);
    return r;
}

/* The server's text, or what the code says. */
static const char *words(const char *message, int err)
{
    return str_is_empty(message) ? err_text(err) : message;
}

/* ---- the connection ---- */

PRINTF_LIKE(3, 4)
static void close_because(struct agent_client *c, int err, const char *fmt, ...)
{
    if (c->closed || c->rpc == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    char text[sizeof(c->why.text)];
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->closed = true;
    diag_set(&c->why, err, 0, "%s", text);
    timer_stop(&c->ping);
    defer_start(c->loop, &c->closing);
}

static void tell_closed(void *arg)
{
    struct agent_client *c = arg;
    c->events->on_closed(c->arg, c->why.err, &c->why);
}

static void on_rpc_closed(void *arg, int err, const struct diag *d)
{
    struct agent_client *c = arg;
    bool orderly = err == 0 || err == ERR_CLOSED;
    close_because(c, ERR_CLOSED, "The agent is gone%s%s", orderly ? "" : ": ",
                  orderly ? "" : words(d->text, err));
}

static void on_configuration(void *arg, enum rpc_status status, const char *message,
                             const ProtobufCMessage *reply)
{
    struct agent_client *c = arg;
    if (c->rpc == NULL || c->closed)
        return;
    if (reply != NULL)
        c->events->on_zones(c->arg, (const Stile__Vnet__V1__TargetConfiguration *)reply);
    else
        close_because(c, ERR_CLOSED, "The agent ended the stream of zones: %s",
                      words(message, rpc_status_to_err(status)));
}

static int watch(struct agent_client *c)
{
    Stile__Vnet__V1__WatchTargetConfigurationRequest request =
        STILE__VNET__V1__WATCH_TARGET_CONFIGURATION_REQUEST__INIT;
    return ask(c, &client_application_watch_target_configuration, &request, 0, on_configuration, c);
}

static void on_pong(void *arg, enum rpc_status status, const char *message,
                    const ProtobufCMessage *reply)
{
    (void)reply;
    struct agent_client *c = arg;
    if (c->rpc == NULL || c->closed)
        return;
    bool missed = status != RPC_OK;
    if (missed && !c->ping_missed)
        log_warn("The agent doesn't answer (%s)", words(message, rpc_status_to_err(status)));
    c->ping_missed = missed;
    timer_start(&c->ping, PING_MS);
}

static void ping(void *arg)
{
    struct agent_client *c = arg;
    Stile__Vnet__V1__PingRequest request = STILE__VNET__V1__PING_REQUEST__INIT;
    request.version = (char *)(uintptr_t)STILE_VERSION;
    if (ask(c, &client_application_ping, &request, PING_TIMEOUT_MS, on_pong, c) < 0)
        timer_start(&c->ping, PING_MS);
}

static void on_authenticated(void *arg, enum rpc_status status, const char *message,
                             const ProtobufCMessage *reply)
{
    struct agent_client *c = arg;
    if (c->rpc == NULL || c->closed)
        return;
    const Stile__Vnet__V1__AuthenticateProcessResponse *response =
        (const Stile__Vnet__V1__AuthenticateProcessResponse *)reply;
    if (reply == NULL) {
        int err = rpc_status_to_err(status);
        close_because(c, err, "The agent refused this engine: %s", words(message, err));
    } else if (!str_eq(response->version, STILE_VERSION)) {
        close_because(c, ERR_VERSION,
                      "The agent is version %s and the engine " STILE_VERSION
                      ": update the older of the two",
                      response->version);
    } else {
        c->ready = true;
        if (watch(c) < 0)
            close_because(c, ERR_CLOSED, "The agent is gone");
        timer_start(&c->ping, PING_MS);
        c->events->on_ready(c->arg);
    }
}

static int authenticate(struct agent_client *c)
{
    Stile__Vnet__V1__AuthenticateProcessRequest request =
        STILE__VNET__V1__AUTHENTICATE_PROCESS_REQUEST__INIT;
    request.version = (char *)(uintptr_t)STILE_VERSION;
    return ask(c, &client_application_authenticate_process, &request, PING_TIMEOUT_MS,
               on_authenticated, c);
}

static int connect_rpc(struct agent_client *c, int fd)
{
    struct stream *stream = NULL;
    int r = socket_stream_new(c->loop, fd, &stream);
    if (r < 0)
        return r;
    r = rpc_client_new(stream, c->loop, NULL, on_rpc_closed, c, &c->rpc);
    if (r < 0)
        stream_close(stream);
    return r < 0 ? r : authenticate(c);
}

static void on_timer_closed(void *arg)
{
    mem_free(arg);
}

int agent_client_new(struct loop *loop, int fd, const struct agent_client_events *events, void *arg,
                     struct agent_client **ret)
{
    struct agent_client *c = NEW(struct agent_client);
    if (c == NULL)
        return ERR_NOMEM;
    c->loop = loop;
    c->events = events;
    c->arg = arg;
    flights_init(&c->issuing);
    defer_init(&c->closing, tell_closed, c);
    int r = timer_init(&c->ping, loop, ping, c);
    if (r < 0) {
        mem_free(c);
        return r;
    }
    r = agent_reports_new(loop, &c->reports);
    if (r == 0)
        r = connect_rpc(c, fd);
    if (r < 0) {
        agent_client_free(c);
        return r;
    }
    agent_reports_set_client(c->reports, c->rpc);
    *ret = c;
    return 0;
}

void agent_client_free(struct agent_client *c)
{
    if (c == NULL)
        return;
    agent_reports_free(c->reports);
    struct rpc_client *rpc = STEAL(c->rpc);
    if (rpc != NULL)
        rpc_client_close(rpc);
    flights_release(&c->issuing);
    defer_stop(&c->closing);
    timer_close(&c->ping, on_timer_closed);
}

/* ---- names ---- */

/* A message of its own for the asker: the reply is borrowed. */
static int copy_info(const Stile__Vnet__V1__AppInfo *info, Stile__Vnet__V1__AppInfo **ret)
{
    if (info == NULL || info->app_key == NULL || info->app == NULL)
        return ERR_FORMAT;
    size_t size = stile__vnet__v1__app_info__get_packed_size(info);
    if (size > APP_INFO_MAX)
        return ERR_TOOBIG;
    CLEANUP(mem_freep) uint8_t *bytes = mem_alloc(size);
    if (bytes == NULL)
        return ERR_NOMEM;
    stile__vnet__v1__app_info__pack(info, bytes);
    *ret = stile__vnet__v1__app_info__unpack(NULL, size, bytes);
    return *ret == NULL ? ERR_NOMEM : 0;
}

static void on_resolved(void *arg, enum rpc_status status, const char *message,
                        const ProtobufCMessage *reply)
{
    struct question q = *(struct question *)arg;
    mem_free(arg);
    const Stile__Vnet__V1__ResolveAppInfoResponse *response =
        (const Stile__Vnet__V1__ResolveAppInfoResponse *)reply;
    Stile__Vnet__V1__AppInfo *info = NULL;
    int err = rpc_status_to_err(status);
    if (response != NULL)
        err = copy_info(response->app_info, &info);
    ((agent_resolved *)q.done)(q.arg, err, words(message, err), info);
}

int agent_client_resolve(struct agent_client *c, const char *fqdn, agent_resolved *done, void *arg)
{
    Stile__Vnet__V1__ResolveAppInfoRequest request =
        STILE__VNET__V1__RESOLVE_APP_INFO_REQUEST__INIT;
    request.fqdn = (char *)(uintptr_t)fqdn;
    const struct question q = {.client = c, .done = (void (*)(void))done, .arg = arg};
    return ask_question(c, &q, &client_application_resolve_app_info, &request, RESOLVE_TIMEOUT_MS,
                        on_resolved);
}

/* ---- certificates ---- */

static void land_cert(struct flight *flight, int err, const char *message, struct slice der)
{
    struct waiter *w;
    while ((w = flight_next(flight)) != NULL) {
        ((agent_cert *)w->done)(w->arg, err, message, der);
        mem_free(w);
    }
    flight_free(flight);
}

static void on_issued(void *arg, enum rpc_status status, const char *message,
                      const ProtobufCMessage *reply)
{
    struct question q = *(struct question *)arg;
    mem_free(arg);
    const Stile__Vnet__V1__ReissueAppCertResponse *response =
        (const Stile__Vnet__V1__ReissueAppCertResponse *)reply;
    int err = rpc_status_to_err(status);
    struct slice der = {0};
    if (response != NULL)
        der = slice_of(response->cert.data, response->cert.len);
    flight_land(&q.client->issuing, q.flight);
    land_cert(q.flight, err, words(message, err), der);
}

static void put_text(struct wr *w, const char *text)
{
    wr_bytes(w, slice_str(text));
    wr_u8(w, 0);
}

int agent_client_cert(struct agent_client *c, const Stile__Vnet__V1__AppInfo *info, uint16_t port,
                      agent_cert *done, void *arg)
{
    uint8_t memory[1024];
    struct wr key = wr_init(memory, sizeof(memory));
    put_text(&key, info->app_key->profile);
    put_text(&key, info->app_key->leaf_cluster);
    put_text(&key, info->app_key->name);
    wr_u16(&key, port);
    int r = wr_end(&key);
    if (r < 0)
        return r;
    struct flight *flight = NULL;
    bool first = false;
    r = flight_join(&c->issuing, slice_of(memory, wr_len(&key)), (void (*)(void))done, arg, &flight,
                    &first);
    if (r < 0 || !first)
        return r;
    Stile__Vnet__V1__ReissueAppCertRequest request =
        STILE__VNET__V1__REISSUE_APP_CERT_REQUEST__INIT;
    request.app_info = (Stile__Vnet__V1__AppInfo *)(uintptr_t)info;
    request.target_port = port;
    const struct question q = {.client = c, .flight = flight};
    r = ask_question(c, &q, &client_application_reissue_app_cert, &request, CERT_TIMEOUT_MS,
                     on_issued);
    if (r < 0) {
        flight_land(&c->issuing, flight);
        flight_free(flight);
    }
    return r;
}

/* ---- signatures ---- */

static void on_signed(void *arg, enum rpc_status status, const char *message,
                      const ProtobufCMessage *reply)
{
    struct question q = *(struct question *)arg;
    mem_free(arg);
    int err = rpc_status_to_err(status);
    struct slice signature = {0};
    const Stile__Vnet__V1__SignForAppResponse *response =
        (const Stile__Vnet__V1__SignForAppResponse *)reply;
    if (response != NULL)
        signature = slice_of(response->signature.data, response->signature.len);
    ((agent_signed *)q.done)(q.arg, err, words(message, err), signature);
}

int agent_client_sign(struct agent_client *c, const struct agent_sign *sign, agent_signed *done,
                      void *arg)
{
    Stile__Vnet__V1__SignForAppRequest request = STILE__VNET__V1__SIGN_FOR_APP_REQUEST__INIT;
    request.app_key = (Stile__Vnet__V1__AppKey *)(uintptr_t)sign->app_key;
    request.target_port = sign->port;
    request.digest.data = (uint8_t *)(uintptr_t)sign->digest.data;
    request.digest.len = sign->digest.len;
    request.hash = sign->hash;
    if (sign->pss) {
        request.pss_case = STILE__VNET__V1__SIGN_FOR_APP_REQUEST__PSS_PSS_SALT_LENGTH;
        request.pss_salt_length = sign->pss_salt_len;
    }
    const struct question q = {.client = c, .done = (void (*)(void))done, .arg = arg};
    return ask_question(c, &q, &client_application_sign_for_app, &request, SIGN_TIMEOUT_MS,
                        on_signed);
}

/* ---- connections ---- */

static void on_answered(void *arg, enum rpc_status status, const char *message,
                        const ProtobufCMessage *reply)
{
    (void)reply;
    struct question q = *(struct question *)arg;
    mem_free(arg);
    int err = rpc_status_to_err(status);
    if (q.done != NULL)
        ((agent_answered *)q.done)(q.arg, err, words(message, err));
}

int agent_client_new_connection(struct agent_client *c, const struct agent_connection *conn,
                                agent_answered *done, void *arg)
{
    Stile__Vnet__V1__OnNewConnectionRequest request =
        STILE__VNET__V1__ON_NEW_CONNECTION_REQUEST__INIT;
    Stile__Vnet__V1__Client client;
    char address[IP_ADDR_TEXT_SIZE];
    agent_connection_client(conn, &client, address);
    request.connection_id = conn->id;
    request.app_key = conn->info->app_key;
    request.fqdn = (char *)(uintptr_t)conn->fqdn;
    request.port = conn->port;
    request.client = &client;
    const struct question q = {.client = c, .done = (void (*)(void))done, .arg = arg};
    return ask_question(c, &q, &client_application_on_new_connection, &request,
                        NEW_CONNECTION_TIMEOUT_MS, on_answered);
}

static void on_port_told(void *arg, enum rpc_status status, const char *message,
                         const ProtobufCMessage *reply)
{
    struct question q = *(struct question *)arg;
    (void)status;
    (void)message;
    (void)reply;
    mem_free(arg);
    q.client->ports_telling--;
}

/* A program that asks for wrong ports in a loop is told of now and then: other questions need their turn. */
void agent_client_invalid_port(struct agent_client *c, const struct agent_connection *conn)
{
    Stile__Vnet__V1__OnInvalidLocalPortRequest request =
        STILE__VNET__V1__ON_INVALID_LOCAL_PORT_REQUEST__INIT;
    Stile__Vnet__V1__Client client;
    char address[IP_ADDR_TEXT_SIZE];
    if (c->ports_telling >= PORTS_TELLING_MAX)
        return;
    agent_connection_client(conn, &client, address);
    request.app_info = (Stile__Vnet__V1__AppInfo *)(uintptr_t)conn->info;
    request.target_port = conn->port;
    request.connection_id = conn->id;
    request.client = &client;
    const struct question q = {.client = c};
    int r = ask_question(c, &q, &client_application_on_invalid_local_port, &request,
                         RESOLVE_TIMEOUT_MS, on_port_told);
    if (r < 0)
        log_debug("Failed to tell the agent of port %u: %s", conn->port, err_text(r));
    else
        c->ports_telling++;
}

void agent_client_network_stack(struct agent_client *c,
                                const Stile__Vnet__V1__ReportNetworkStackRequest *request)
{
    const struct question q = {.client = c};
    int r = ask_question(c, &q, &client_application_report_network_stack, request,
                         RESOLVE_TIMEOUT_MS, on_answered);
    if (r < 0)
        log_debug("Failed to tell the agent of the network: %s", err_text(r));
}

void agent_client_report(struct agent_client *c, const struct agent_report *report)
{
    if (!c->closed)
        agent_reports_add(c->reports, report);
}
