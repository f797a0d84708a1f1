#include "agent/proxy.h"

#include <unistd.h>

#include "agent/app_text.h"
#include "agent/certs.h"
#include "agent/connection_log.h"
#include "agent/gateway_directory.h"
#include "agent/notices.h"
#include "agent/splice.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/listener.h"
#include "loop/socket.h"
#include "platform/secrets.h"
#include "rpc/services.h"
#include "tls/context.h"
#include "tls/dial.h"

#define CONNECT_MS 10000

struct proxy {
    struct loop *loop;
    struct home home;
    struct clusters *clusters;
    struct directory directory;
    struct certs *certs;
    struct connection_log *log;
    struct notices notices;
    struct listener *listener;
    char profile[PROFILE_NAME_SIZE];
    const char *profiles[2]; /* that one, ended by NULL */
    char app[PROFILE_NAME_SIZE];
    char public_name[PROFILE_HOST_SIZE];
    uint16_t app_port;
    struct list conns;
    size_t conn_count;
    uint64_t next_id;
};

/* One connection: certificate → socket → TLS and the gateway's answer → splice. */
struct conn {
    struct list node;
    struct proxy *proxy;
    uint64_t id;
    int64_t started_us;
    struct stream *client; /* until the splice has it */
    X509 *cert;
    EVP_PKEY *key;
    bool certifying; /* certs_get will call back */
    bool dropped;    /* the proxy is being freed */
    struct socket_connect *connecting;
    struct dial *dialing;
    struct splice *splice;
};

static app_key key_of(struct proxy *p)
{
    app_key key = STILE__VNET__V1__APP_KEY__INIT;
    key.profile = p->profile;
    key.name = p->app;
    return key;
}

static Stile__Vnet__V1__Verdict verdict_of(int err, const struct target_status *status)
{
    if (err == 0)
        return STILE__VNET__V1__VERDICT__VERDICT_CLOSED;
    if (err == ERR_DENIED)
        return STILE__VNET__V1__VERDICT__VERDICT_DENIED;
    if (status != NULL && err == ERR_REFUSED)
        return STILE__VNET__V1__VERDICT__VERDICT_APP_REFUSED;
    if (status != NULL && err == ERR_UNREACHABLE)
        return STILE__VNET__V1__VERDICT__VERDICT_APP_UNREACHABLE;
    if (err == ERR_EXPIRED || err == ERR_AUTH)
        return STILE__VNET__V1__VERDICT__VERDICT_LOGIN_REQUIRED;
    if (err == ERR_REFUSED || err == ERR_UNREACHABLE || err == ERR_TIMEOUT || err == ERR_NOTFOUND)
        return STILE__VNET__V1__VERDICT__VERDICT_GATEWAY_UNREACHABLE;
    if (err == ERR_TLS)
        return STILE__VNET__V1__VERDICT__VERDICT_TLS_FAILED;
    if (err == ERR_CLOSED)
        return STILE__VNET__V1__VERDICT__VERDICT_RESET;
    return STILE__VNET__V1__VERDICT__VERDICT_FAILED;
}

static void report(struct conn *c, Stile__Vnet__V1__Verdict verdict, const char *reason,
                   const struct splice_result *bytes)
{
    Stile__Vnet__V1__ConnectionReport r = STILE__VNET__V1__CONNECTION_REPORT__INIT;
    app_key key = key_of(c->proxy);
    r.connection_id = c->id;
    r.app_key = &key;
    r.fqdn = c->proxy->public_name;
    r.port = c->proxy->app_port;
    r.verdict = verdict;
    r.reason = (char *)(uintptr_t)reason; /* only read */
    r.bytes_up = bytes != NULL ? bytes->bytes_up : 0;
    r.bytes_down = bytes != NULL ? bytes->bytes_down : 0;
    r.started_us = c->started_us;
    if (verdict != STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED)
        r.ended_us = clock_wall_us();
    connection_log_report(c->proxy->log, &r);
}

static void conn_free(struct conn *c)
{
    list_remove(&c->node);
    c->proxy->conn_count--;
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
    mem_free(c);
}

/* The client sees a reset: nothing was promised to it that could be taken for an answer. */
static void conn_fail(struct conn *c, int err, const struct target_status *status,
                      const struct diag *d)
{
    notices_tell(&c->proxy->notices, "%s", d->text);
    report(c, verdict_of(err, status), d->text, NULL);
    stream_reset(c->client);
    conn_free(c);
}

static void on_spliced(void *arg, const struct splice_result *result)
{
    struct conn *c = arg;
    const char *reason = result->diag.text[0] != '\0' || result->err == 0 ? result->diag.text
                                                                          : err_text(result->err);
    report(c, verdict_of(result->err, NULL), reason, result);
    conn_free(c);
}

static void on_dialed(void *arg, int err, const struct target_status *status, struct stream *stream,
                      const struct diag *d)
{
    struct conn *c = arg;
    struct diag own = {0};
    c->dialing = NULL;
    if (err < 0) {
        conn_fail(c, err, status, d);
        return;
    }
    report(c, STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED, "", NULL);
    err = splice_new(c->client, stream, on_spliced, c, &c->splice);
    if (err < 0) {
        stream_close(stream);
        diag_set(&own, err, 0, "Failed to start relaying: %s", err_text(err));
        conn_fail(c, err, NULL, &own);
        return;
    }
    c->client = NULL;
}

static int start_dial(struct conn *c, const struct profile *profile, uv_os_sock_t fd,
                      struct diag *d)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    struct stream *socket = NULL;
    int r = tls_client_context(buf_slice(&profile->ca_pem), &ctx, d);
    if (r == 0)
        r = socket_stream_new(c->proxy->loop, fd, &socket);
    if (r < 0) {
        socket_close(fd);
        return r;
    }
    const struct dial_config config = {
        .tls = {.ctx = ctx, .server_name = profile->gateway_name, .cert = c->cert, .key = c->key}};
    r = dial_start(c->proxy->loop, socket, &config, on_dialed, c, &c->dialing);
    if (r < 0)
        stream_close(socket);
    return r;
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *cause)
{
    struct conn *c = arg;
    struct diag d = {0};
    struct member *m = clusters_find(c->proxy->clusters, c->proxy->profile);
    c->connecting = NULL;
    if (err < 0) {
        d = *cause;
        diag_prefix(&d, "The gateway can't be reached: ");
        conn_fail(c, err, NULL, &d);
        return;
    }
    if (m == NULL) {
        socket_close(fd);
        diag_set(&d, ERR_AUTH, 0, "You have logged out of %s", c->proxy->profile);
        conn_fail(c, d.err, NULL, &d);
        return;
    }
    err = start_dial(c, m->profile, fd, &d);
    if (err < 0) {
        diag_set(&d, err, 0, "Failed to dial the gateway: %s", err_text(err));
        conn_fail(c, err, NULL, &d);
    }
}

static void on_cert(void *arg, int err, X509 *cert, EVP_PKEY *key, const struct diag *cause)
{
    struct conn *c = arg;
    struct diag d = {0};
    char host[PROFILE_HOST_SIZE];
    uint16_t port = 0;
    c->certifying = false;
    if (c->dropped) {
        mem_free(c);
        return;
    }
    if (err < 0) {
        conn_fail(c, err, NULL, cause);
        return;
    }
    X509_up_ref(cert);
    EVP_PKEY_up_ref(key);
    c->cert = cert;
    c->key = key;
    struct member *m = clusters_find(c->proxy->clusters, c->proxy->profile);
    if (m == NULL)
        err = diag_set(&d, ERR_AUTH, 0, "You have logged out of %s", c->proxy->profile);
    else
        err = profile_split_addr(m->profile->gateway, host, &port, &d);
    if (err == 0)
        err = socket_connect_start(c->proxy->loop, host, port, CONNECT_MS, on_connected, c,
                                   &c->connecting);
    if (err < 0) {
        if (d.err == 0)
            diag_set(&d, err, 0, "Failed to dial the gateway: %s", err_text(err));
        conn_fail(c, err, NULL, &d);
    }
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    struct proxy *p = arg;
    struct stream *client = NULL;
    struct conn *c = p->conn_count < PROXY_CONNECTIONS_MAX ? NEW(struct conn) : NULL;
    if (c == NULL || socket_stream_new(p->loop, fd, &client) < 0) {
        mem_free(c);
        socket_close(fd);
        return;
    }
    c->proxy = p;
    c->id = ++p->next_id;
    c->started_us = clock_wall_us();
    c->client = client;
    c->certifying = true;
    list_push_back(&p->conns, &c->node);
    p->conn_count++;
    app_key key = key_of(p);
    certs_get(p->certs, &key, p->app_port, on_cert, c);
}

static bool is_called(const Stile__Access__V1__App *app, const char *name)
{
    return str_eq_nocase(app->name, name) || str_eq_nocase(app->public_name, name);
}

static bool has_port(const Stile__Access__V1__App *app, uint16_t port)
{
    for (size_t i = 0; i < app->n_ports; i++)
        if (port >= app->ports[i]->first && port <= app->ports[i]->last)
            return true;
    return app->n_ports == 0 && port != 0;
}

static int choose_port(struct proxy *p, const Stile__Access__V1__App *app,
                       const struct proxy_config *config, struct diag *d)
{
    char ports[APP_TEXT_SIZE];
    app_text_ports(app, ports);
    if (config->app_port != 0 && !has_port(app, config->app_port))
        return diag_set(d, ERR_INVAL, 0, "%s has no port %u; use %s", app->name,
                        (unsigned)config->app_port, ports);
    if (config->app_port != 0)
        p->app_port = config->app_port;
    else if (has_port(app, config->port))
        p->app_port = config->port;
    else if (app->n_ports > 0)
        p->app_port = (uint16_t)app->ports[0]->first;
    else
        return diag_set(d, ERR_INVAL, 0, "%s takes any port; say which with --app-port N",
                        app->name);
    return 0;
}

static int take_app(struct proxy *p, const Stile__Access__V1__ListAppsResponse *list,
                    const struct proxy_config *config, struct diag *d)
{
    for (size_t i = 0; i < list->n_apps; i++) {
        const Stile__Access__V1__App *app = list->apps[i];
        if (!is_called(app, config->app))
            continue;
        if (app->web)
            return diag_set(d, ERR_UNSUPPORTED, 0, "%s is a web app; open https://%s in a browser",
                            app->name, app->public_name);
        if (str_copy(p->app, sizeof(p->app), app->name) < 0 ||
            str_copy(p->public_name, sizeof(p->public_name), app->public_name) < 0)
            return diag_set(d, ERR_TOOBIG, 0, "The name of the app is too long");
        return choose_port(p, app, config, d);
    }
    return diag_set(d, ERR_NOTFOUND, 0,
                    "There is no app %s that you may use; `stile apps` lists those that there are",
                    config->app);
}

static int find_app(struct proxy *p, const struct proxy_config *config, struct diag *d)
{
    Stile__Access__V1__ListAppsRequest request = STILE__ACCESS__V1__LIST_APPS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct member *m = clusters_find(p->clusters, p->profile);
    if (m == NULL)
        return diag_set(d, ERR_NOTFOUND, 0,
                        "Profile %s can't be used; log in again with: "
                        "stile login --profile %s",
                        p->profile, p->profile);
    if (profile_expired(m->profile))
        return profile_log_in_again(m->profile, d);
    int r = access_ask(m->access, &access_list_apps, &request.base, &reply, d);
    if (r < 0)
        return r;
    r = take_app(p, (const Stile__Access__V1__ListAppsResponse *)reply, config, d);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

struct first_cert {
    bool done;
    int err;
    struct diag *diag;
};

static void on_first_cert(void *arg, int err, X509 *cert UNUSED, EVP_PKEY *key UNUSED,
                          const struct diag *d)
{
    struct first_cert *f = arg;
    f->done = true;
    f->err = err;
    if (err < 0)
        *f->diag = *d;
}

/* Whether the user may use the app at all is known before the port is opened. */
static int get_first_cert(struct proxy *p, struct diag *d)
{
    struct first_cert f = {.diag = d};
    app_key key = key_of(p);
    certs_get(p->certs, &key, p->app_port, on_first_cert, &f);
    while (!f.done)
        loop_turn(p->loop, true);
    return f.err;
}

static int open_port(struct proxy *p, uint16_t port, uint16_t *ret_port, struct diag *d)
{
    uv_os_sock_t fd;
    int r = listener_open_tcp("127.0.0.1", port, &fd, ret_port, d);
    if (r == ERR_BUSY)
        return diag_set(d, r, 0,
                        "Port %u of 127.0.0.1 is in use; choose another with --port N, or leave it "
                        "out for any free one",
                        (unsigned)port);
    if (r < 0)
        return r;
    r = listener_new(p->loop, fd, on_accept, p, &p->listener);
    if (r < 0) {
        socket_close(fd);
        return diag_set(d, r, 0, "Failed to listen: %s", err_text(r));
    }
    return 0;
}

static void on_profile(void *arg, const char *profile)
{
    struct proxy *p = arg;
    if (p->certs != NULL)
        certs_drop(p->certs, profile);
    notices_forget(&p->notices);
}

static void on_change(void *arg UNUSED)
{
    /* Zones don't matter here. */
}

static int start(struct proxy *p, const struct proxy_config *config, uint16_t *ret_port,
                 struct diag *d)
{
    static const struct clusters_events events = {.on_profile = on_profile, .on_change = on_change};
    int r = home_open(config->home, &p->home, d);
    if (r == 0)
        r = profile_choose(&p->home, config->profile, p->profile, d);
    p->profiles[0] = p->profile;
    if (r == 0)
        r = clusters_new(p->loop, &p->home, p->profiles, &events, p, &p->clusters, d);
    if (r < 0)
        return r;
    p->directory = gateway_directory(p->clusters);
    r = certs_new(p->directory, &p->certs);
    if (r == 0)
        r = connection_log_new(p->loop, &p->home, &p->log);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to start: %s", err_text(r));
    r = find_app(p, config, d);
    if (r == 0)
        r = get_first_cert(p, d);
    return r < 0 ? r : open_port(p, config->port, ret_port, d);
}

int proxy_new(struct loop *loop, const struct proxy_config *config, struct proxy **ret,
              struct proxy_address *ret_address, struct diag *d)
{
    struct proxy *p = NEW(struct proxy);
    uint16_t port = 0;
    secrets_guard_process();
    if (p == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    p->loop = loop;
    p->home = HOME_NONE;
    list_init(&p->conns);
    int r = start(p, config, &port, d);
    if (r < 0) {
        proxy_free(p);
        return r;
    }
    *ret_address = (struct proxy_address){.port = port, .app_port = p->app_port};
    (void)str_format(ret_address->public_name, sizeof(ret_address->public_name), "%s",
                     p->public_name);
    *ret = p;
    return 0;
}

static void conn_drop(struct conn *c)
{
    if (c->connecting != NULL)
        socket_connect_cancel(c->connecting);
    if (c->dialing != NULL)
        dial_cancel(c->dialing);
    if (c->splice != NULL)
        splice_abort(c->splice);
    if (c->client != NULL)
        stream_reset(c->client);
    list_remove(&c->node);
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
    if (c->certifying)
        c->dropped = true; /* freed when its certificate comes, which the clusters' end brings */
    else
        mem_free(c);
}

void proxy_free(struct proxy *p)
{
    if (p == NULL)
        return;
    if (p->listener != NULL)
        listener_close(p->listener);
    LIST_FOR_EACH (n, &p->conns)
        conn_drop(LIST_ENTRY(n, struct conn, node));
    if (p->log != NULL)
        connection_log_end_all(p->log, "the proxy ended");
    clusters_free(p->clusters);
    certs_free(p->certs);
    connection_log_free(p->log);
    home_close(&p->home);
    mem_free(p);
}
