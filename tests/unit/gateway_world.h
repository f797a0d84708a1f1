/* A gateway in this process, on loopback, with a cluster of its own, two users, a target, and clients that talk to it: for
 * the tests of gateway/. */
#ifndef STILE_TESTS_GATEWAY_WORLD_H
#define STILE_TESTS_GATEWAY_WORLD_H

#include "testing.h"

#include <signal.h>
#include <string.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/ca.h"
#include "gateway/password.h"
#include "gateway/server.h"
#include "loop/listener.h"
#include "loop/socket.h"
#include "rpc/client.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"
#include "temp_dir.h"
#include "tls/dial.h"
#include "tls_helpers.h"

#define PASSWORD "correct horse"

/* What a target does with a connection. */
enum target_mode { TARGET_ECHO, TARGET_RESET, TARGET_SINK };

struct world {
    char dir[TEMP_DIR_SIZE];
    struct loop loop;
    struct server *server;
    uint16_t port;
    struct buf ca_pem;
    SSL_CTX *ctx;
    struct listener *target;
    uint16_t target_port;
    enum target_mode mode;
    unsigned target_connections;
    struct list target_conns; /* struct target_conn */
    bool stopped;
    struct session_cache *sessions; /* NULL: clients don't resume */
};

/* A key and what was certified for it. */
struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static inline void identity_release(struct identity *id)
{
    key_freep(&id->key);
    cert_freep(&id->cert);
}

/* ---- the target ---- */

struct target_conn {
    struct list node;
    struct world *world;
    struct stream *stream;
};

static inline void target_free(struct target_conn *c, bool reset)
{
    list_remove(&c->node);
    if (reset)
        stream_reset(c->stream);
    else
        stream_close(c->stream);
    mem_free(c);
}

static inline void target_data(void *arg, struct slice bytes)
{
    struct target_conn *c = arg;
    bool failed = c->world->mode == TARGET_ECHO && stream_write(c->stream, &bytes, 1) < 0;
    if (failed || c->world->mode == TARGET_RESET)
        target_free(c, true);
}

static inline void target_end(void *arg)
{
    struct target_conn *c = arg;
    assert_int_equal(stream_end(c->stream), 0);
}

static inline void target_error(void *arg, int err, const struct diag *d)
{
    struct target_conn *c = arg;
    (void)err;
    (void)d;
    target_free(c, false);
}

static inline void target_accept(void *arg, uv_os_sock_t fd)
{
    static const struct stream_events events = {
        .on_data = target_data, .on_end = target_end, .on_error = target_error};
    struct world *w = arg;
    struct target_conn *c = NEW(struct target_conn);
    /* In tests that let memory run out it may be this one's turn. */
    if (c == NULL || socket_stream_new(&w->loop, fd, &c->stream) < 0) {
        socket_close(fd);
        mem_free(c);
        return;
    }
    c->world = w;
    list_push_back(&w->target_conns, &c->node);
    w->target_connections++;
    stream_set_events(c->stream, &events, c);
    if (stream_read_start(c->stream) < 0)
        target_free(c, true);
}

/* ---- the gateway ---- */

static inline void world_done(void *arg, int err)
{
    *(int *)arg = err == 0 ? 1 : err;
}

static inline void world_add_user(struct world *w, struct state *s, const char *name,
                                  const char *group, const char *hash)
{
    char *items[] = {(char *)(uintptr_t)group};
    struct texts groups = {items, 1};
    int done = 0;
    assert_int_equal(state_add_user(s, name, hash, &groups, world_done, &done), 0);
    while (done == 0)
        loop_turn(&w->loop, true);
    assert_int_equal(done, 1);
}

static inline struct state *world_state(struct world *w)
{
    char path[128];
    struct state *s = NULL;
    assert_int_equal(str_format(path, sizeof(path), "%s/state.db", w->dir), 0);
    assert_int_equal(state_open(&w->loop, path, &s, NULL), 0);
    return s;
}

/* apps: YAML list items; "@" stands for the target's port. limits: YAML mapping. */
static inline struct gateway_config *world_config(struct world *w, const char *apps,
                                                  const char *limits)
{
    CLEANUP(buf_release) struct buf text;
    struct gateway_config *config = NULL;
    struct diag d = {0};
    char path[128];
    buf_init(&text, 65536);
    assert_int_equal(str_format(path, sizeof(path), "%s/gateway.yaml", w->dir), 0);
    assert_int_equal(
        buf_printf(&text,
                   "cluster: demo\nlisten: 127.0.0.1:7443\npublic_addr: 127.0.0.1:7443\n"
                   "state: state.db\ndns_zones: [demo.test]\nlimits: %s\napps:\n",
                   limits),
        0);
    for (const char *at = apps; *at != '\0'; at++)
        assert_int_equal(*at == '@' ? buf_printf(&text, "%u", w->target_port)
                                    : buf_put_u8(&text, (uint8_t)*at),
                         0);
    if (gateway_config_parse(path, buf_slice(&text), NULL, NULL, &config, &d) < 0)
        fail_msg("%s", d.text);
    return config;
}

static inline void world_make_ca(struct world *w)
{
    char path[128];
    struct ca ca = {0};
    struct diag d = {0};
    assert_int_equal(str_format(path, sizeof(path), "%s/ca", w->dir), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    if (ca_create(path, "demo", clock_wall_s(), &d) < 0)
        fail_msg("%s", d.text);
    assert_int_equal(ca_load(path, clock_wall_s(), &ca, &d), 0);
    buf_init(&w->ca_pem, 65536);
    assert_int_equal(ca_pem(&ca, &w->ca_pem), 0);
    ca_release(&ca);
}

static inline void world_add_users(struct world *w)
{
    static char hash[STATE_HASH_SIZE]; /* made once: it takes a while */
    struct state *s = world_state(w);
    if (hash[0] == '\0')
        assert_int_equal(password_hash(SLICE_LIT(PASSWORD), hash), 0);
    world_add_user(w, s, "alice", "dba", hash);
    world_add_user(w, s, "bob", "ops", hash);
    state_close(s, NULL, NULL);
}

static inline void world_init(struct world *w, const char *apps, const char *limits)
{
    uv_os_sock_t fd;
    struct diag d = {0};
    memset(w, 0, sizeof(*w));
    list_init(&w->target_conns);
    log_setup("gateway", LOG_ERROR, LOG_TEXT);
    (void)signal(SIGPIPE, SIG_IGN); /* as the command does */
    temp_dir_make(w->dir);
    assert_int_equal(loop_init(&w->loop), 0);
    world_make_ca(w);
    world_add_users(w);
    assert_int_equal(listener_open_tcp("127.0.0.1", 0, &fd, &w->target_port, &d), 0);
    assert_int_equal(listener_new(&w->loop, fd, target_accept, w, &w->target), 0);
    assert_int_equal(listener_open_tcp("127.0.0.1", 0, &fd, NULL, &d), 0);
    if (server_new(&w->loop, world_config(w, apps, limits), &fd, 1, &w->server, &d) < 0)
        fail_msg("%s", d.text);
    w->port = server_port(w->server);
    assert_int_equal(tls_client_context(buf_slice(&w->ca_pem), &w->ctx, &d), 0);
}

static inline void world_stopped(void *arg)
{
    ((struct world *)arg)->stopped = true;
}

static inline void world_stop(struct world *w)
{
    server_stop(w->server, world_stopped, w);
    if (!w->stopped)
        server_stop(w->server, world_stopped, w);
    assert_true(turn_until(&w->loop, &w->stopped));
}

/* The server must have let go of everything: the loop has nothing left. */
static inline void world_release(struct world *w)
{
    if (!w->stopped)
        world_stop(w);
    listener_close(w->target);
    LIST_FOR_EACH (node, &w->target_conns)
        target_free(LIST_ENTRY(node, struct target_conn, node), false);
    turn_some(&w->loop, 50);
    assert_int_equal(loop_release(&w->loop), 0);
    session_cache_free(w->sessions);
    tls_context_freep(&w->ctx);
    buf_release(&w->ca_pem);
    temp_dir_remove(w->dir);
}

/* ---- a client of the API ---- */

struct api {
    struct stream *stream; /* until the handshake is over */
    struct rpc_client *rpc;
    bool done;
    int err;
    struct diag diag;
    bool closed;
};

static inline void api_ready(void *arg, int err, const struct diag *d)
{
    struct api *a = arg;
    a->done = true;
    a->err = err;
    if (err < 0)
        a->diag = *d;
}

static inline void api_closed(void *arg, int err, const struct diag *d)
{
    struct api *a = arg;
    (void)err;
    (void)d;
    a->closed = true;
    rpc_client_close(a->rpc);
    a->rpc = NULL;
}

struct connected {
    bool done;
    int err;
    uv_os_sock_t fd;
};

static inline void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    struct connected *c = arg;
    (void)d;
    c->done = true;
    c->err = err;
    c->fd = fd;
}

/* A socket to the gateway. */
static inline struct stream *world_connect(struct world *w)
{
    struct connected c = {.done = false};
    struct socket_connect *connect = NULL;
    struct stream *s = NULL;
    assert_int_equal(
        socket_connect_start(&w->loop, "127.0.0.1", w->port, 5000, on_connected, &c, &connect), 0);
    assert_true(turn_until(&w->loop, &c.done));
    assert_int_equal(c.err, 0);
    assert_int_equal(socket_stream_new(&w->loop, c.fd, &s), 0);
    return s;
}

/* id NULL: without a certificate. */
static inline void api_open(struct world *w, const struct identity *id, struct api *a)
{
    struct tls_config config = {.ctx = w->ctx, .server_name = "127.0.0.1", .alpn = "h2"};
    memset(a, 0, sizeof(*a));
    if (id != NULL) {
        config.cert = id->cert;
        config.key = id->key;
    }
    assert_int_equal(tls_stream_new(world_connect(w), &w->loop, &config, api_ready, a, &a->stream),
                     0);
    assert_true(turn_until(&w->loop, &a->done));
    if (a->err < 0)
        return;
    assert_int_equal(rpc_client_new(a->stream, &w->loop, NULL, api_closed, a, &a->rpc), 0);
    a->stream = NULL;
}

static inline void api_close(struct api *a)
{
    if (a->rpc != NULL)
        rpc_client_close(a->rpc);
    stream_close(a->stream);
    a->rpc = NULL;
    a->stream = NULL;
}

/* What a call was answered. */
struct reply {
    bool done;
    enum rpc_status status;
    char text[256];
    X509 *cert;
    int64_t expires_s;
    char apps[256]; /* names, each with a comma */
    char cluster[64];
    size_t ports;
    int64_t server_time_us; /* of ListApps */
};

static inline void reply_cert(struct reply *r, const ProtobufCBinaryData *cert, int64_t expires_s)
{
    assert_int_equal(cert_from_der(slice_of(cert->data, cert->len), &r->cert, NULL), 0);
    r->expires_s = expires_s;
}

static inline void reply_app(struct reply *r, const Stile__Access__V1__App *app)
{
    size_t used = strlen(r->apps);
    assert_int_equal(str_format(r->apps + used, sizeof(r->apps) - used, "%s,", app->name), 0);
    r->ports = app->n_ports;
}

static inline void take_reply(struct reply *r, const ProtobufCMessage *m)
{
    if (m->descriptor == &stile__access__v1__log_in_response__descriptor) {
        const Stile__Access__V1__LogInResponse *p = (const Stile__Access__V1__LogInResponse *)m;
        reply_cert(r, &p->cert, p->expires_s);
        assert_int_equal(str_copy(r->cluster, sizeof(r->cluster), p->cluster->name), 0);
    } else if (m->descriptor == &stile__access__v1__issue_app_cert_response__descriptor) {
        const Stile__Access__V1__IssueAppCertResponse *p =
            (const Stile__Access__V1__IssueAppCertResponse *)m;
        reply_cert(r, &p->cert, p->expires_s);
    } else if (m->descriptor == &stile__access__v1__resolve_app_response__descriptor) {
        reply_app(r, ((const Stile__Access__V1__ResolveAppResponse *)m)->app);
    } else if (m->descriptor == &stile__access__v1__list_apps_response__descriptor) {
        const Stile__Access__V1__ListAppsResponse *p =
            (const Stile__Access__V1__ListAppsResponse *)m;
        r->server_time_us = p->server_time_us;
        for (size_t i = 0; i < p->n_apps; i++)
            reply_app(r, p->apps[i]);
    }
}

static inline void on_reply(void *arg, enum rpc_status status, const char *message,
                            const ProtobufCMessage *m)
{
    struct reply *r = arg;
    r->done = true;
    r->status = status;
    assert_true(str_format(r->text, sizeof(r->text), "%s", message) == 0);
    if (m != NULL)
        take_reply(r, m);
}

static inline enum rpc_status api_call(struct world *w, struct api *a,
                                       const struct rpc_method *method,
                                       const ProtobufCMessage *request, struct reply *r)
{
    memset(r, 0, sizeof(*r));
    assert_non_null(a->rpc);
    assert_int_equal(rpc_client_call(a->rpc, method, request, 20000, on_reply, r, NULL), 0);
    uint64_t deadline = clock_mono_ns() + 20 * NS_PER_S;
    while (!r->done && clock_mono_ns() < deadline)
        loop_turn(&w->loop, true);
    assert_true(r->done);
    return r->status;
}

/* ---- whole steps ---- */

static inline enum rpc_status world_log_in(struct world *w, const char *user, const char *password,
                                           struct identity *ret, struct reply *r)
{
    CLEANUP(buf_release) struct buf spki;
    Stile__Access__V1__LogInRequest request = STILE__ACCESS__V1__LOG_IN_REQUEST__INIT;
    struct api a;
    buf_init(&spki, 4096);
    assert_int_equal(key_new(&ret->key), 0);
    assert_int_equal(key_to_spki(ret->key, &spki), 0);
    request.user = (char *)(uintptr_t)user;
    request.password = (char *)(uintptr_t)password;
    request.public_key = (ProtobufCBinaryData){buf_len(&spki), spki.data + spki.start};
    api_open(w, NULL, &a);
    assert_int_equal(a.err, 0);
    enum rpc_status status = api_call(w, &a, &access_log_in, &request.base, r);
    ret->cert = r->cert;
    api_close(&a);
    return status;
}

static inline struct identity world_user(struct world *w, const char *user)
{
    struct identity id = {0};
    struct reply r;
    if (world_log_in(w, user, PASSWORD, &id, &r) != RPC_OK)
        fail_msg("%s", r.text);
    return id;
}

static inline enum rpc_status world_issue(struct world *w, const struct identity *user,
                                          const char *app, uint32_t port, struct identity *ret,
                                          struct reply *r)
{
    CLEANUP(buf_release) struct buf spki;
    Stile__Access__V1__IssueAppCertRequest request =
        STILE__ACCESS__V1__ISSUE_APP_CERT_REQUEST__INIT;
    struct api a;
    buf_init(&spki, 4096);
    assert_int_equal(key_new(&ret->key), 0);
    assert_int_equal(key_to_spki(ret->key, &spki), 0);
    request.app = (char *)(uintptr_t)app;
    request.port = port;
    request.public_key = (ProtobufCBinaryData){buf_len(&spki), spki.data + spki.start};
    api_open(w, user, &a);
    assert_int_equal(a.err, 0);
    enum rpc_status status = api_call(w, &a, &access_issue_app_cert, &request.base, r);
    ret->cert = r->cert;
    api_close(&a);
    return status;
}

static inline struct identity world_app(struct world *w, const struct identity *user,
                                        const char *app, uint16_t port)
{
    struct identity id = {0};
    struct reply r;
    if (world_issue(w, user, app, port, &id, &r) != RPC_OK)
        fail_msg("%s", r.text);
    return id;
}

/* ---- a client of an app ---- */

struct dialed {
    bool done;
    int err;
    bool has_status;
    struct target_status status;
    struct stream *stream;
    struct diag diag;
    struct buf got;
    bool ended, failed;
};

static inline void on_dialed(void *arg, int err, const struct target_status *status,
                             struct stream *stream, const struct diag *d)
{
    struct dialed *x = arg;
    x->done = true;
    x->err = err;
    x->has_status = status != NULL;
    x->stream = stream;
    if (status != NULL)
        x->status = *status;
    if (err < 0)
        x->diag = *d;
}

static inline void dialed_data(void *arg, struct slice bytes)
{
    assert_int_equal(buf_put(&((struct dialed *)arg)->got, bytes), 0);
}

static inline void dialed_end(void *arg)
{
    ((struct dialed *)arg)->ended = true;
}

static inline void dialed_error(void *arg, int err, const struct diag *d)
{
    struct dialed *x = arg;
    x->failed = true;
    x->err = err;
    x->diag = *d;
}

static inline void world_dial(struct world *w, const struct identity *id, struct dialed *x)
{
    static const struct stream_events events = {
        .on_data = dialed_data, .on_end = dialed_end, .on_error = dialed_error};
    struct dial *dial = NULL;
    struct dial_config config = {.tls = {.ctx = w->ctx, .server_name = "127.0.0.1"}};
    memset(x, 0, sizeof(*x));
    buf_init(&x->got, (size_t)64 * 1024 * 1024);
    if (id != NULL) {
        config.tls.cert = id->cert;
        config.tls.key = id->key;
    }
    if (w->sessions != NULL) {
        config.tls.sessions = w->sessions;
        config.tls.session_key = SLICE_LIT("the only one");
    }
    assert_int_equal(dial_start(&w->loop, world_connect(w), &config, on_dialed, x, &dial), 0);
    assert_true(turn_until(&w->loop, &x->done));
    if (x->stream == NULL)
        return;
    stream_set_events(x->stream, &events, x);
    assert_int_equal(stream_read_start(x->stream), 0);
}

static inline void dialed_release(struct dialed *x)
{
    stream_close(x->stream);
    x->stream = NULL;
    buf_release(&x->got);
}

#endif
