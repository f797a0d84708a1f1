#include "gateway/router.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"
#include "gateway/bridge.h"
#include "gateway/peer.h"
#include "loop/socket.h"
#include "loop/timer.h"
#include "tls/target_status.h"

/* How long a refused client has to read its answer. */
#define LINGER_MS 2000
/* More refused clients than this at once aren't waited for. */
#define LINGERING_MAX 512

struct router {
    struct loop *loop;
    struct state *state;
    struct list connections; /* struct connection */
    size_t count;
    size_t user_connections; /* of known users: what the limit is about */
    size_t lingering;
    struct table users; /* struct user_count by name */
    void (*idle)(void *arg);
    void *idle_arg;
};

/* Connections of one user; there is one while there are any. */
struct user_count {
    char name[STATE_NAME_SIZE];
    uint32_t connections;
};

/* AUTHORISING → CONNECTING → BRIDGED, or from any of them to LINGERING after an answer that isn't "ok". */
enum phase { AUTHORISING, CONNECTING, BRIDGED, LINGERING };

struct connection {
    struct list node;
    struct router *router;
    struct directory *directory; /* counted */
    enum phase phase;
    struct stream *client;          /* owned until it is the bridge's */
    struct socket_connect *connect; /* CONNECTING */
    struct bridge *bridge;          /* BRIDGED */
    struct user_count *user;        /* counted there, or NULL */
    struct timer timer;             /* LINGERING */
    bool aborted;                   /* while the state is being asked */
    struct claims claims;
    struct state_connection record;
};

/* ---- the end ---- */

static void log_connection(const struct state_connection *r)
{
    const struct log_field fields[] = {
        {"user", r->user, 0},
        {"app", r->app, 0},
        {"port", NULL, r->port},
        {"client", r->addr, 0},
        {"verdict", r->verdict, 0},
        {"bytes_up", NULL, r->bytes_up},
        {"bytes_down", NULL, r->bytes_down},
        {"ms", NULL, (uint64_t)MAX((r->end_us - r->start_us) / 1000, 0)},
        {"reason", r->reason, 0},
    };
    size_t count = ARRAY_LEN(fields) - (r->reason[0] == '\0' ? 1 : 0);
    log_event(str_eq(r->verdict, "ok") ? LOG_INFO : LOG_WARN, "connection", fields, count);
}

static void leave_user(struct connection *c)
{
    struct user_count *u = c->user;
    c->user = NULL;
    if (u == NULL)
        return;
    c->router->user_connections--;
    if (--u->connections > 0)
        return;
    (void)table_remove(&c->router->users, slice_str(u->name));
    mem_free(u);
}

static void connection_free(void *arg)
{
    struct connection *c = arg;
    struct router *r = c->router;
    list_remove(&c->node);
    r->count--;
    directory_unref(c->directory);
    mem_free(c);
    if (r->count == 0 && r->idle != NULL) {
        void (*idle)(void *) = r->idle;
        r->idle = NULL;
        idle(r->idle_arg);
    }
}

/* Writes it down and lets go of everything. */
static void finish(struct connection *c)
{
    c->router->lingering -= c->phase == LINGERING;
    c->record.end_us = clock_wall_us();
    log_connection(&c->record);
    state_log_connection(c->router->state, &c->record);
    leave_user(c);
    stream_close(STEAL(c->client));
    timer_close(&c->timer, connection_free);
}

/* ---- answers that aren't "ok" ---- */

static void on_linger_end(void *arg)
{
    finish(arg);
}

static void on_linger_error(void *arg, int err, const struct diag *d)
{
    (void)err;
    (void)d;
    finish(arg);
}

/* What a client still sends is read and dropped, so that closing doesn't reset the answer away. */
static const struct stream_events linger_events = {
    .on_end = on_linger_end,
    .on_error = on_linger_error,
};

static int send_status(struct connection *c, enum target_code code, const char *text)
{
    struct target_status status;
    uint8_t message[TARGET_STATUS_LEN];
    target_status_set(&status, code, text);
    target_status_encode(&status, message);
    struct slice bytes = slice_of(message, sizeof(message));
    return stream_write(c->client, &bytes, 1);
}

static void note(struct connection *c, const char *verdict, const char *reason)
{
    (void)str_format(c->record.verdict, sizeof(c->record.verdict), "%s", verdict);
    (void)str_format(c->record.reason, sizeof(c->record.reason), "%s", reason);
}

static void refuse(struct connection *c, enum target_code code, const char *reason)
{
    note(c, target_code_name(code), reason);
    c->phase = LINGERING;
    c->router->lingering++;
    leave_user(c);
    stream_set_events(c->client, &linger_events, c);
    int r = send_status(c, code, reason);
    if (r == 0)
        r = stream_end(c->client);
    if (r == 0)
        r = stream_read_start(c->client);
    if (r < 0 || c->router->lingering > LINGERING_MAX)
        finish(c);
    else
        timer_start(&c->timer, LINGER_MS);
}

static void on_linger_timeout(void *arg)
{
    finish(arg);
}

/* ---- bridged ---- */

static void on_bridge_ended(void *arg, const struct bridge_result *result)
{
    struct connection *c = arg;
    c->bridge = NULL;
    c->record.bytes_up = result->bytes_up;
    c->record.bytes_down = result->bytes_down;
    if (result->err < 0)
        (void)str_format(c->record.reason, sizeof(c->record.reason), "%s: %s", result->where,
                         result->text);
    finish(c);
}

static void begin_bridge(struct connection *c, uv_os_sock_t fd)
{
    struct stream *target = NULL;
    peer_keep_alive(fd);
    int r = socket_stream_new(c->router->loop, fd, &target);
    if (r < 0) {
        socket_close(fd);
        refuse(c, TARGET_FAILED, "The gateway has run out of memory or descriptors");
        return;
    }
    r = send_status(c, TARGET_OK, "");
    if (r == 0)
        r = bridge_start(c->client, target, on_bridge_ended, c, &c->bridge);
    if (r < 0) {
        stream_reset(target);
        note(c, "failed", err_text(r));
        finish(c);
        return;
    }
    c->client = NULL;
    c->phase = BRIDGED;
    note(c, "ok", "");
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    struct connection *c = arg;
    c->connect = NULL;
    if (err == 0)
        begin_bridge(c, fd);
    else
        refuse(c, target_code_from_err(err), d->text);
}

/* ---- authorisation ---- */

static int join_user(struct connection *c)
{
    struct table *users = &c->router->users;
    struct user_count *u = table_get(users, slice_str(c->claims.user));
    if (u == NULL) {
        u = NEW(struct user_count);
        if (u == NULL)
            return ERR_NOMEM;
        int r = str_copy(u->name, sizeof(u->name), c->claims.user);
        if (r == 0)
            r = table_put(users, slice_str(u->name), u);
        if (r < 0) {
            mem_free(u);
            return r;
        }
    }
    u->connections++;
    c->user = u;
    c->router->user_connections++;
    return 0;
}

/* This connection is counted already. NULL: it is within the limits. */
static const char *limit_reached(const struct connection *c)
{
    const struct gateway_config *config = directory_config(c->directory);
    if (c->user->connections > config->connections_per_user)
        return "Too many connections of this user at once";
    if (c->router->user_connections > config->connections_max)
        return "The gateway has too many connections at once; try again later";
    return NULL;
}

static void begin_connect(struct connection *c, const struct config_app *app)
{
    uint16_t port = app->target_port != 0 ? app->target_port : c->claims.port;
    c->phase = CONNECTING;
    int r = socket_connect_start(c->router->loop, app->target_host, port,
                                 directory_config(c->directory)->connect_timeout_ms, on_connected,
                                 c, &c->connect);
    if (r < 0)
        refuse(c, TARGET_FAILED, "The gateway has run out of memory or descriptors");
}

static void route(struct connection *c, const struct state_user *user)
{
    char text[TARGET_STATUS_TEXT_SIZE];
    char ports[64];
    const struct claims *claims = &c->claims;
    const struct config_app *app = directory_find(c->directory, claims->app);
    if (app == NULL || !directory_may_use(app, user->name, &user->groups)) {
        (void)str_format(text, sizeof(text), "User %s may not use app %s", claims->user,
                         claims->app);
        refuse(c, TARGET_DENIED, text);
    } else if (!directory_has_port(app, claims->port)) {
        directory_ports_text(app, ports, sizeof(ports));
        (void)str_format(text, sizeof(text), "App %s has no port %u; it has %s", app->name,
                         claims->port, app->web ? "none" : ports);
        refuse(c, TARGET_DENIED, text);
    } else {
        begin_connect(c, app);
    }
}

static void on_authorised(void *arg, int err, const struct state_user *user)
{
    struct connection *c = arg;
    if (c->aborted) {
        note(c, "failed", "the gateway is stopping");
        finish(c);
    } else if (err == ERR_NOTFOUND) {
        refuse(c, TARGET_DENIED, "The user or this certificate was removed; log in again");
    } else if (err < 0) {
        refuse(c, TARGET_FAILED, "The gateway can't use its state; see its log");
    } else {
        route(c, user);
    }
}

static void authorise(struct connection *c, int err, const char *reason)
{
    if (err == 0 && c->claims.use != CLAIMS_APP) {
        err = ERR_AUTH;
        reason = "A log-in certificate can't be used for an app; an app certificate can";
    }
    if (err < 0) {
        refuse(c, TARGET_DENIED, reason);
        return;
    }
    const char *limit = NULL;
    err = join_user(c);
    if (err == 0)
        limit = limit_reached(c);
    if (limit != NULL)
        refuse(c, TARGET_DENIED, limit);
    else if (err < 0)
        refuse(c, TARGET_FAILED, "The gateway has run out of memory");
    else if (state_authorise(c->router->state, c->claims.user, c->claims.serial, on_authorised, c) <
             0)
        refuse(c, TARGET_FAILED, "The gateway is stopping");
}

static void fill_record(struct connection *c, const struct router_client *client)
{
    struct state_connection *r = &c->record;
    r->start_us = clock_wall_us();
    (void)str_format(r->addr, sizeof(r->addr), "%s", client->addr);
    if (client->err < 0)
        return;
    c->claims = client->claims;
    (void)str_format(r->user, sizeof(r->user), "%s", c->claims.user);
    (void)str_format(r->app, sizeof(r->app), "%s", c->claims.app);
    r->port = c->claims.port;
}

void router_accept(struct router *r, struct directory *directory,
                   const struct router_client *client)
{
    struct connection *c = NEW(struct connection);
    if (c == NULL || timer_init(&c->timer, r->loop, on_linger_timeout, c) < 0) {
        stream_reset(client->stream);
        mem_free(c);
        return;
    }
    c->router = r;
    c->directory = directory_ref(directory);
    c->client = client->stream;
    list_push_back(&r->connections, &c->node);
    r->count++;
    fill_record(c, client);
    authorise(c, client->err, client->reason);
}

/* ---- the router ---- */

int router_new(struct loop *loop, struct state *state, struct router **ret)
{
    uint8_t secret[16];
    struct router *r = NEW(struct router);
    if (r == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    r->loop = loop;
    r->state = state;
    list_init(&r->connections);
    table_init(&r->users, secret);
    *ret = r;
    return 0;
}

size_t router_connections(const struct router *r)
{
    return r->count;
}

void router_on_idle(struct router *r, void (*idle)(void *arg), void *arg)
{
    r->idle = idle;
    r->idle_arg = arg;
}

static void abort_one(struct connection *c)
{
    switch (c->phase) {
    case AUTHORISING:
        c->aborted = true;
        break;
    case CONNECTING:
        socket_connect_cancel(STEAL(c->connect));
        note(c, "failed", "the gateway is stopping");
        finish(c);
        break;
    case BRIDGED:
        bridge_abort(c->bridge);
        break;
    case LINGERING:
        finish(c);
        break;
    }
}

void router_abort(struct router *r)
{
    LIST_FOR_EACH (node, &r->connections) {
        struct connection *c = LIST_ENTRY(node, struct connection, node);
        if (!uv_is_closing((uv_handle_t *)&c->timer.uv))
            abort_one(c);
    }
}

void router_free(struct router *r)
{
    if (r == NULL)
        return;
    table_release(&r->users);
    mem_free(r);
}
