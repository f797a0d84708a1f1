#include "engine/app_handler.h"

#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/control.h"
#include "engine/flow_relay.h"
#include "engine/http_guard.h"
#include "loop/socket.h"
#include "tls/certs.h"
#include "tls/dial.h"

typedef Stile__Vnet__V1__Verdict verdict_t;
#define PROGRESS_MAX  128 /* reports in one tick */
#define VERDICT(name) STILE__VNET__V1__VERDICT__VERDICT_##name

enum conn_state { CONN_CHECKING, CONN_DIALING, CONN_GUARDED, CONN_OPEN };

struct conn {
    struct flow_handler handler; /* until the relay takes the flow */
    struct worker *worker;
    struct list node; /* in worker.conns */
    enum conn_state state;
    struct tcp_flow *flow; /* NULL once gone or the relay's */
    struct names_app *app; /* a reference */
    struct agent_connection facts;
    struct ip_endpoint server;
    struct attempt *attempt; /* CHECKING: away; its conn is this */
    struct dial *dial;       /* DIALING */
    bool in_attempts;        /* counted in shared.attempts */
    bool ends_attempt;       /* the control thread waits for our word */
    int64_t started_us;
    uint64_t told;           /* bytes_of when the agent was last told */
    struct stream *stream;   /* GUARDED: to the app, not used yet */
    struct http_guard guard; /* GUARDED, of http apps */
    uint64_t guarded;        /* bytes that the guard had when it let the connection pass */
    struct flow_relay relay;
    struct slice session_key;
    uint8_t session_memory[768];
};

/* ---- what is told ---- */

static const char *const verdict_names[] = {
    "unspecified",     "established",     "closed",
    "port-not-listed", "owner-refused",   "denied",
    "app-refused",     "app-unreachable", "gateway-unreachable",
    "login-required",  "tls-failed",      "client-gone",
    "limit",           "reset",           "failed",
};
static_assert(ARRAY_LEN(verdict_names) == VERDICT(FAILED) + 1, "one text per verdict");

static void log_connection(const struct agent_report *r)
{
    char client[IP_ENDPOINT_TEXT_SIZE];
    if (!log_enabled(LOG_DEBUG))
        return;
    ip_endpoint_format(&r->conn.client, client);
    log_write(
        LOG_DEBUG,
        "connection: id=%llu name=%s port=%u client=%s uid=%u verdict=%s up=%llu down=%llu %s",
        (unsigned long long)r->conn.id, r->conn.fqdn, r->conn.port, client, r->conn.owner.uid,
        verdict_names[r->verdict], (unsigned long long)r->bytes_up,
        (unsigned long long)r->bytes_down, r->reason == NULL ? "" : r->reason);
}

static uint64_t bytes_of(const struct conn *c)
{
    return c->guarded + c->relay.up + c->relay.down;
}

static struct agent_report report_of(const struct conn *c, verdict_t verdict, const char *reason)
{
    return (struct agent_report){
        .conn = c->facts,
        .verdict = verdict,
        .reason = reason,
        .bytes_up = c->guarded + c->relay.up,
        .bytes_down = c->relay.down,
        .started_us = c->started_us,
        .ended_us = verdict != VERDICT(ESTABLISHED) ? clock_wall_us() : 0,
    };
}

static void tell(struct conn *c, verdict_t verdict, const char *reason)
{
    const struct agent_report report = report_of(c, verdict, reason);
    log_connection(&report);
    control_tell(c->worker->shared, c->app, &report, verdict == VERDICT(PORT_NOT_LISTED),
                 c->ends_attempt);
    c->ends_attempt = false;
}

/* How many bytes open connections have moved since: a bounded number each time, those told last at the end of the queue. */
static void tell_progress(struct worker *w)
{
    struct list told;
    unsigned count = 0;
    list_init(&told);
    LIST_FOR_EACH (node, &w->conns) {
        struct conn *c = LIST_ENTRY(node, struct conn, node);
        if (c->state != CONN_OPEN || c->told == bytes_of(c))
            continue;
        const struct agent_report report = report_of(c, VERDICT(ESTABLISHED), NULL);
        control_tell(w->shared, c->app, &report, false, false);
        c->told = bytes_of(c);
        list_remove(&c->node);
        list_push_back(&told, &c->node);
        if (++count == PROGRESS_MAX)
            break;
    }
    struct list *node;
    while ((node = list_pop_front(&told)) != NULL)
        list_push_back(&w->conns, node);
}

/* ---- life ---- */

static void leave_attempts(struct conn *c)
{
    if (c->in_attempts)
        shared_give(&c->worker->shared->attempts);
    c->in_attempts = false;
}

static void conn_free(struct conn *c)
{
    leave_attempts(c);
    shared_give(&c->worker->shared->connections);
    if (c->attempt != NULL) {
        c->attempt->conn = NULL;
        atomic_store_explicit(&c->attempt->canceled, true, memory_order_relaxed);
    }
    if (c->dial != NULL)
        dial_cancel(c->dial);
    if (c->stream != NULL)
        stream_close(c->stream);
    http_guard_release(&c->guard);
    list_remove(&c->node);
    names_app_unref(c->app);
    mem_free(c);
}

static void refuse(struct conn *c, verdict_t verdict, const char *reason)
{
    if (c->flow != NULL)
        tcp_refuse(STEAL(c->flow), clock_mono_ns());
    tell(c, verdict, reason);
    conn_free(c);
}

/* The program gave up while nothing had been promised. */
static void pending_closed(struct flow_handler *h, enum tcp_end why)
{
    (void)why;
    struct conn *c = CONTAINER_OF(h, struct conn, handler);
    c->flow = NULL;
    tell(c, VERDICT(CLIENT_GONE), "the program gave up before the app had answered");
    conn_free(c);
}

/* ---- OPEN ---- */

static void on_relay_done(void *arg, enum flow_relay_end end, const struct diag *d)
{
    struct conn *c = arg;
    if (end == FLOW_RELAY_DONE)
        tell(c, VERDICT(CLOSED), NULL);
    else if (end == FLOW_RELAY_CLIENT_RESET)
        tell(c, VERDICT(RESET), "the program reset the connection");
    else
        tell(c, VERDICT(RESET), d == NULL ? "the connection to the app failed" : d->text);
    conn_free(c);
}

static void open_conn(struct conn *c, struct tcp_flow *flow, struct stream *stream)
{
    c->state = CONN_OPEN;
    flow_relay_start(&c->relay, flow, stream, true, &c->worker->relays, on_relay_done, c);
}

/* ---- GUARDED ---- */

/* The request's head goes first; the relay takes what follows. */
static void on_allowed(void *arg, struct slice head)
{
    struct conn *c = arg;
    struct tcp_flow *flow = STEAL(c->flow);
    struct stream *stream = STEAL(c->stream);
    int err = stream_write(stream, &head, 1);

    if (err < 0) {
        stream_close(stream);
        tcp_abort(flow, clock_mono_ns());
        tell(c, VERDICT(RESET), err_text(err));
        conn_free(c);
        return;
    }
    c->guarded = head.len;
    open_conn(c, flow, stream);
}

static void on_foreign(void *arg, const char *reason)
{
    struct conn *c = arg;

    stream_close(STEAL(c->stream));
    tell(c, VERDICT(DENIED), reason);
}

static void on_guard_closed(void *arg, enum tcp_end why)
{
    struct conn *c = arg;

    if (!c->guard.refused)
        tell(c, why == TCP_END_DONE ? VERDICT(CLOSED) : VERDICT(RESET),
             "the program ended before its request");
    conn_free(c);
}

static const struct http_guard_events guard_events = {
    .on_allowed = on_allowed,
    .on_refused = on_foreign,
    .on_closed = on_guard_closed,
};

/* The far end has answered: the program gets its connection. */
static void accept_conn(struct conn *c, struct stream *stream)
{
    const Stile__Vnet__V1__App *app = c->app->info->app;

    leave_attempts(c);
    tell(c, VERDICT(ESTABLISHED), NULL);
    if (app->n_http_hosts > 0) {
        c->state = CONN_GUARDED;
        c->stream = stream;
        http_guard_start(&c->guard, c->flow, app->http_hosts, app->n_http_hosts, &guard_events, c);
        return;
    }
    struct tcp_flow *flow = STEAL(c->flow);
    tcp_accept(flow, clock_mono_ns());
    open_conn(c, flow, stream);
}

/* ---- DIALING ---- */

static verdict_t verdict_of_dial(int err, const struct target_status *status)
{
    if (status != NULL) {
        switch (status->code) {
        case TARGET_DENIED:
            return VERDICT(DENIED);
        case TARGET_REFUSED:
            return VERDICT(APP_REFUSED);
        case TARGET_UNREACHABLE:
            return VERDICT(APP_UNREACHABLE);
        default:
            return VERDICT(FAILED);
        }
    }
    if (err == ERR_EXPIRED)
        return VERDICT(LOGIN_REQUIRED);
    if (err == ERR_DENIED)
        return VERDICT(DENIED);
    return err == ERR_TIMEOUT || err == ERR_CLOSED || err == ERR_TRUNCATED
               ? VERDICT(GATEWAY_UNREACHABLE)
               : VERDICT(TLS_FAILED);
}

static void on_dialed(void *arg, int err, const struct target_status *status, struct stream *stream,
                      const struct diag *d)
{
    struct conn *c = arg;
    c->dial = NULL;
    if (err == 0) {
        accept_conn(c, stream);
        return;
    }
    session_cache_drop(c->worker->shared->sessions, c->session_key);
    bool told = status != NULL && status->text[0] != '\0';
    const char *text = told ? status->text : d->text;
    refuse(c, verdict_of_dial(err, status), str_is_empty(text) ? err_text(err) : text);
}

/* Everything that must be equal for a resumption to mean the same as a new handshake. */
static int make_session_key(struct conn *c, const struct attempt *a, const char *server_name)
{
    const Stile__Vnet__V1__AppKey *key = c->app->info->app_key;
    const char *texts[] = {key->profile, key->leaf_cluster, key->name, server_name};
    struct wr w = wr_init(c->session_memory, sizeof(c->session_memory));
    uint8_t fingerprint[CERT_FINGERPRINT_LEN];
    int r = cert_fingerprint(a->cert, fingerprint);
    if (r < 0)
        return r;
    wr_u16(&w, c->facts.port);
    wr_bytes(&w, slice_of(fingerprint, sizeof(fingerprint)));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        wr_bytes(&w, slice_of(texts[i], slice_str(texts[i]).len + 1));
    c->session_key = slice_of(c->session_memory, wr_len(&w));
    return wr_end(&w);
}

/* The name that must be in the gateway's certificate: the given one, or the host of its address. */
static int server_name(const Stile__Vnet__V1__DialOptions *o, char *name, size_t size)
{
    if (o->sni[0] != '\0')
        return str_copy(name, size, o->sni);
    const char *end = NULL;
    for (const char *p = o->web_proxy_addr; *p != '\0'; p++)
        if (*p == ':')
            end = p;
    struct slice host = slice_str(o->web_proxy_addr);
    if (end != NULL)
        host.len = (size_t)(end - o->web_proxy_addr);
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = slice_of(host.data + 1, host.len - 2);
    return str_copy_slice(name, size, host);
}

static int start_tls(struct conn *c, struct attempt *a, struct diag *d)
{
    char name[256];
    int r = server_name(c->app->info->dial_options, name, sizeof(name));
    if (r == 0)
        r = make_session_key(c, a, name);
    if (r < 0)
        return r;
    CLEANUP(key_freep) EVP_PKEY *key = NULL;
    r = signers_key(&c->worker->signers, c->app, c->facts.port, a->cert, &key, d);
    if (r < 0)
        return r;
    struct stream *socket = NULL;
    r = socket_stream_new(&c->worker->loop, a->fd, &socket);
    if (r < 0)
        return r;
    a->fd = -1;
    const struct dial_config config = {
        .tls = {.ctx = a->ctx,
                .server_name = name,
                .cert = a->cert,
                .key = key,
                .sessions = c->worker->shared->sessions,
                .session_key = c->session_key},
    };
    r = dial_start(&c->worker->loop, socket, &config, on_dialed, c, &c->dial);
    if (r < 0)
        stream_close(socket);
    return r;
}

static void on_attempt(struct attempt *a, void *worker)
{
    (void)worker;
    struct conn *c = a->conn;
    if (c == NULL) { /* the program had given up */
        attempt_free(a);
        return;
    }
    c->attempt = NULL;
    if (a->verdict != VERDICT(UNSPECIFIED)) {
        c->ends_attempt = false; /* the control thread knows */
        refuse(c, a->verdict, a->reason);
        attempt_free(a);
        return;
    }
    struct diag d = {0};
    c->state = CONN_DIALING;
    int r = start_tls(c, a, &d);
    if (r < 0)
        refuse(c, VERDICT(FAILED), d.text[0] != '\0' ? d.text : err_text(r));
    attempt_free(a);
}

/* ---- CHECKING ---- */

static int begin(struct conn *c)
{
    struct attempt *a = attempt_new();
    if (a == NULL)
        return ERR_NOMEM;
    a->home = &c->worker->mailbox;
    a->done = on_attempt;
    a->conn = c;
    a->id = c->facts.id;
    a->app = names_app_ref(c->app);
    a->port = c->facts.port;
    a->client = c->facts.client;
    a->server = c->server;
    a->owner = c->facts.owner;
    int r = control_begin(c->worker->shared, a);
    if (r < 0) {
        attempt_free(a);
        return r;
    }
    c->attempt = a;
    c->ends_attempt = true;
    return 0;
}

static bool uid_allowed(const struct shared *s, uint32_t uid)
{
    for (uint32_t i = 0; i < s->uid_count; i++)
        if (s->uids[i] == uid)
            return true;
    return false;
}

static bool has_port(const Stile__Vnet__V1__App *app, uint16_t port)
{
    for (size_t i = 0; i < app->n_ports; i++)
        if (port >= app->ports[i]->first && port <= app->ports[i]->last)
            return true;
    return app->n_ports == 0;
}

/* What can be said without asking anybody. UNSPECIFIED: nothing against it. */
static verdict_t judge(struct conn *c, const char **ret_reason)
{
    struct shared *s = c->worker->shared;
    if (s->find_owner(s->owners, &c->facts.client, &c->server, &c->facts.owner) < 0) {
        *ret_reason = "no local program has this socket";
        return VERDICT(OWNER_REFUSED);
    }
    if (!uid_allowed(s, c->facts.owner.uid)) {
        *ret_reason = "the program belongs to another user";
        return VERDICT(OWNER_REFUSED);
    }
    if (!has_port(c->app->info->app, c->facts.port)) {
        *ret_reason = "the app doesn't have this port";
        return VERDICT(PORT_NOT_LISTED);
    }
    if (!shared_take(&s->attempts, ATTEMPTS_MAX)) {
        *ret_reason = "too many connections are being made at once";
        return VERDICT(LIMIT);
    }
    c->in_attempts = true;
    return VERDICT(UNSPECIFIED);
}

static struct conn *conn_new(struct worker *w, struct tcp_flow *flow, struct names_app *app)
{
    struct conn *c = NEW(struct conn);
    if (c == NULL)
        return NULL;
    c->handler = (struct flow_handler){.on_closed = pending_closed};
    c->worker = w;
    c->flow = flow;
    c->app = app;
    c->server = *tcp_flow_server(flow);
    c->started_us = clock_wall_us();
    c->facts = (struct agent_connection){
        .id =
            atomic_fetch_add_explicit(&w->shared->last_connection_id, 1, memory_order_relaxed) + 1,
        .info = app->info,
        .fqdn = app->fqdn.text,
        .port = c->server.port,
        .client = *tcp_flow_client(flow),
    };
    list_push_back(&w->conns, &c->node);
    stack_take(flow, &c->handler);
    return c;
}

static void refuse_unknown(struct tcp_flow *flow, const char *why)
{
    char server[IP_ENDPOINT_TEXT_SIZE];
    ip_endpoint_format(tcp_flow_server(flow), server);
    log_debug("connection: to=%s verdict=refused %s", server, why);
    tcp_refuse(flow, clock_mono_ns());
}

static void on_syn(struct worker *w, struct tcp_flow *flow)
{
    struct names_app *app = names_by_addr(w->shared->names, &tcp_flow_server(flow)->addr);
    if (app == NULL) {
        refuse_unknown(flow, "no app has this address");
        return;
    }
    bool room = shared_take(&w->shared->connections, CONNECTIONS_MAX);
    struct conn *c = room ? conn_new(w, flow, app) : NULL;
    if (c == NULL) {
        if (room)
            shared_give(&w->shared->connections);
        names_app_unref(app);
        refuse_unknown(flow, "too many connections");
        return;
    }
    const char *reason = NULL;
    verdict_t verdict = judge(c, &reason);
    if (verdict != VERDICT(UNSPECIFIED)) {
        refuse(c, verdict, reason);
        return;
    }
    int r = begin(c);
    if (r < 0)
        refuse(c, VERDICT(FAILED), err_text(r));
}

static void stop(struct worker *w)
{
    LIST_FOR_EACH (node, &w->conns) {
        struct conn *c = LIST_ENTRY(node, struct conn, node);
        if (c->state == CONN_OPEN)
            flow_relay_abort(&c->relay);
        else if (c->state == CONN_GUARDED)
            http_guard_abort(&c->guard);
        else if (c->flow != NULL)
            tcp_refuse(STEAL(c->flow), clock_mono_ns());
        if (!c->guard.refused)
            tell(c, VERDICT(RESET), "the engine ends");
        conn_free(c);
    }
}

const struct worker_ops app_handler_ops = {.on_syn = on_syn, .tick = tell_progress, .stop = stop};
