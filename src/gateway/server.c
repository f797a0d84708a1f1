#include "gateway/server.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/access.h"
#include "gateway/peer.h"
#include "gateway/router.h"
#include "loop/listener.h"
#include "loop/socket.h"
#include "loop/timer.h"
#include "tls/context.h"
#include "tls/stream.h"
#include "tls/target_status.h"

#define RENEW_MS         ((uint64_t)24 * 3600 * 1000) /* a new server certificate */
#define IDLE_MS          (10u * 60 * 1000)            /* API connections of users */
#define IDLE_STRANGER_MS 30000u

struct server {
    struct loop *loop;
    struct access access; /* state, login and directory are owned through it */
    struct ca ca;
    SSL_CTX *context;
    struct router *router;
    struct listener *listeners[SERVER_LISTENERS_MAX];
    size_t listener_count;
    uint16_t port;
    struct list handshakes; /* struct session, the oldest first */
    struct list strangers;  /* those with ALPN h2 and no certificate */
    struct list users;      /* those with ALPN h2 and one */
    size_t handshake_count;
    size_t stranger_count;
    size_t user_count;
    struct timer renew;
    struct timer grace;
    unsigned open_timers;
    bool stopping;
    bool waited; /* the grace is over */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* A connection up to the end of its handshake, and one of the API until its end. */
struct session {
    struct list node;
    struct server *server;
    size_t *count;                /* of the list it is in */
    struct stream *stream;        /* owned; NULL once it is the API's */
    struct rpc_server_conn *conn; /* ALPN h2 */
    struct access_client client;
};

/* ---- sessions ---- */

static void session_list(struct session *x, struct list *list, size_t *count)
{
    if (x->count != NULL)
        (*x->count)--;
    list_remove(&x->node);
    list_push_back(list, &x->node);
    x->count = count;
    (*count)++;
}

static void stop_if_empty(struct server *s);

static void session_free(struct session *x)
{
    struct server *s = x->server;
    list_remove(&x->node);
    if (x->count != NULL)
        (*x->count)--;
    stream_close(x->stream);
    if (x->conn != NULL)
        rpc_server_conn_close(x->conn);
    mem_free(x);
    stop_if_empty(s);
}

static struct session *oldest(struct list *list)
{
    return LIST_ENTRY(list->next, struct session, node);
}

/* ---- after the handshake ---- */

static void on_api_closed(void *arg, int err, const struct diag *d)
{
    struct access_client *client = arg;
    struct session *x = CONTAINER_OF(client, struct session, client);
    if (err != ERR_CLOSED)
        log_debug("API connection of %s ended: %s", x->client.addr,
                  d != NULL ? d->text : err_text(err));
    session_free(x);
}

static void serve_api(struct session *x)
{
    struct server *s = x->server;
    bool stranger = x->client.err < 0;
    struct rpc_server_config config = {
        .handlers = access_handlers,
        .handler_count = access_handler_count,
        .service_arg = &x->client,
        .on_closed = on_api_closed,
        .message_max = ACCESS_REQUEST_MAX,
        .idle_ms = stranger ? IDLE_STRANGER_MS : IDLE_MS,
    };
    if (!stranger && s->user_count >= SERVER_H2_MAX) {
        log_warn("Refused an API connection of %s: there are %u", x->client.addr, SERVER_H2_MAX);
        session_free(x);
        return;
    }
    if (stranger && s->stranger_count >= SERVER_STRANGERS_MAX)
        session_free(oldest(&s->strangers));
    if (rpc_server_conn_new(x->stream, s->loop, &config, &x->conn) < 0) {
        session_free(x);
        return;
    }
    x->stream = NULL;
    if (stranger)
        session_list(x, &s->strangers, &s->stranger_count);
    else
        session_list(x, &s->users, &s->user_count);
}

static void serve_app(struct session *x)
{
    struct server *s = x->server;
    struct router_client client = {
        .stream = STEAL(x->stream),
        .err = x->client.err,
        .claims = x->client.claims,
    };
    memcpy(client.addr, x->client.addr, sizeof(client.addr));
    memcpy(client.reason, x->client.reason, sizeof(client.reason));
    router_accept(s->router, s->access.directory, &client);
    session_free(x);
}

static void read_claims(struct session *x)
{
    struct diag d = {0};
    struct access_client *c = &x->client;
    const struct gateway_config *config = directory_config(x->server->access.directory);
    c->err =
        claims_read(tls_stream_peer(x->stream), config->cluster, clock_wall_s(), &c->claims, &d);
    if (c->err < 0)
        (void)str_format(c->reason, sizeof(c->reason), "%s", d.text);
}

static void on_ready(void *arg, int err, const struct diag *d)
{
    struct session *x = arg;
    if (err < 0) {
        bool worth_knowing = err == ERR_EXPIRED || err == ERR_AUTH;
        if (worth_knowing)
            log_info("Handshake of %s failed: %s", x->client.addr, d->text);
        else
            log_debug("Handshake of %s failed: %s", x->client.addr, d->text);
        session_free(x);
        return;
    }
    read_claims(x);
    log_debug("Handshake of %s done%s", x->client.addr,
              tls_stream_resumed(x->stream) ? ", resumed" : "");
    if (tls_stream_alpn_is(x->stream, TARGET_ALPN))
        serve_app(x);
    else
        serve_api(x);
}

/* ---- accepting ---- */

static int begin_tls(struct session *x, struct stream *socket)
{
    struct tls_config config = {.ctx = x->server->context, .server = true};
    return tls_stream_new(socket, x->server->loop, &config, on_ready, x, &x->stream);
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    struct server *s = arg;
    struct session *x = NEW(struct session);
    struct stream *socket = NULL;
    if (x == NULL || socket_stream_new(s->loop, fd, &socket) < 0) {
        socket_close(fd);
        mem_free(x);
        return;
    }
    peer_prepare(fd, x->client.addr, x->client.host);
    x->server = s;
    x->client.access = &s->access;
    list_init(&x->node);
    if (begin_tls(x, socket) < 0) {
        stream_close(socket);
        mem_free(x);
        return;
    }
    session_list(x, &s->handshakes, &s->handshake_count);
    if (s->handshake_count > SERVER_HANDSHAKES_MAX) {
        log_debug("Too many handshakes at once: the oldest, of %s, is dropped",
                  oldest(&s->handshakes)->client.addr);
        session_free(oldest(&s->handshakes));
    }
}

static int open_listener(struct server *s, const struct gateway_config *config, struct diag *d)
{
    char host[IP_ADDR_TEXT_SIZE];
    uv_os_sock_t fd;
    ip_addr_format(&config->listen.addr, host);
    int r = listener_open_tcp(host, config->listen.port, &fd, &s->port, d);
    if (r < 0)
        return diag_prefix(d, "%s, listen: ", config->file);
    r = listener_new(s->loop, fd, on_accept, s, &s->listeners[0]);
    if (r < 0) {
        socket_close(fd);
        return diag_set(d, r, 0, "Failed to listen on %s: %s", config->listen_text, err_text(r));
    }
    s->listener_count = 1;
    return 0;
}

static int take_listeners(struct server *s, const int *fds, size_t count, struct diag *d)
{
    if (count > SERVER_LISTENERS_MAX)
        return diag_set(d, ERR_LIMIT, 0, "%zu sockets were passed; at most %d are served", count,
                        SERVER_LISTENERS_MAX);
    for (size_t i = 0; i < count; i++) {
        int r = listener_new(s->loop, fds[i], on_accept, s, &s->listeners[i]);
        if (r < 0)
            return diag_set(d, r, 0, "Failed to listen on the inherited socket %d: %s", fds[i],
                            err_text(r));
        s->listener_count++;
    }
    s->port = peer_local_port(fds[0]);
    return 0;
}

static void close_listeners(struct server *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        listener_close(s->listeners[i]);
    s->listener_count = 0;
}

/* ---- the certificate ---- */

static void on_renew(void *arg)
{
    struct server *s = arg;
    struct diag d = {0};
    SSL_CTX *context = NULL;
    if (ca_server_context(&s->ca, directory_config(s->access.directory), clock_wall_s(), &context,
                          &d) == 0) {
        tls_context_freep(&s->context);
        s->context = context;
    } else {
        log_error("Failed to renew the server's certificate: %s", d.text);
    }
    timer_start(&s->renew, RENEW_MS);
}

/* ---- stop ---- */

static void free_parts(struct server *s)
{
    router_free(s->router);
    login_free(s->access.login);
    directory_unref(s->access.directory);
    tls_context_freep(&s->context);
    ca_release(&s->ca);
}

static void on_state_closed(void *arg)
{
    struct server *s = arg;
    void (*stopped)(void *) = s->stopped;
    void *stopped_arg = s->stopped_arg;
    free_parts(s);
    mem_free(s);
    if (stopped != NULL)
        stopped(stopped_arg);
}

static void on_timer_closed(void *arg)
{
    struct server *s = arg;
    if (--s->open_timers == 0)
        state_close(STEAL(s->access.state), on_state_closed, s);
}

static void close_timers(struct server *s)
{
    s->waited = true;
    timer_close(&s->renew, on_timer_closed);
    timer_close(&s->grace, on_timer_closed);
}

static void stop_if_empty(struct server *s)
{
    bool empty = s->handshake_count + s->stranger_count + s->user_count +
                     router_connections(s->router) + login_count(s->access.login) ==
                 0;
    bool closing = uv_is_closing((uv_handle_t *)&s->renew.uv) != 0;
    if (s->stopping && empty && !closing)
        close_timers(s);
}

static void on_idle(void *arg)
{
    stop_if_empty(arg);
}

static void free_all(struct list *sessions)
{
    LIST_FOR_EACH (node, sessions)
        session_free(LIST_ENTRY(node, struct session, node));
}

static void on_grace_over(void *arg)
{
    struct server *s = arg;
    size_t left = router_connections(s->router);
    if (left > 0)
        log_warn("Cut %zu connections that did not end by themselves", left);
    router_on_idle(s->router, on_idle, s);
    free_all(&s->strangers);
    free_all(&s->users);
    router_abort(s->router);
}

void server_stop(struct server *s, void (*stopped)(void *arg), void *arg)
{
    s->stopped = stopped;
    s->stopped_arg = arg;
    if (s->stopping) {
        on_grace_over(s);
        return;
    }
    s->stopping = true;
    close_listeners(s);
    timer_start(&s->grace, SERVER_GRACE_MS);
    router_on_idle(s->router, on_idle, s);
    login_on_idle(s->access.login, on_idle, s);
    LIST_FOR_EACH (node, &s->users)
        rpc_server_conn_shutdown(LIST_ENTRY(node, struct session, node)->conn);
    LIST_FOR_EACH (node, &s->strangers)
        rpc_server_conn_shutdown(LIST_ENTRY(node, struct session, node)->conn);
    free_all(&s->handshakes);
    stop_if_empty(s);
}

/* ---- start ---- */

static int open_parts(struct server *s, const struct gateway_config *config, struct diag *d)
{
    int r = ca_load(config->ca_dir, clock_wall_s(), &s->ca, d);
    if (r == 0)
        r = ca_server_context(&s->ca, config, clock_wall_s(), &s->context, d);
    if (r == 0)
        r = state_open(s->loop, config->state_path, &s->access.state, d);
    if (r < 0)
        return r;
    r = login_new(s->loop, s->access.state, &s->access.login);
    if (r == 0)
        r = router_new(s->loop, s->access.state, &s->router);
    return r < 0 ? diag_set(d, r, 0, "Out of memory") : 0;
}

static int start_timers(struct server *s)
{
    int r = timer_init(&s->renew, s->loop, on_renew, s);
    if (r == 0)
        r = timer_init(&s->grace, s->loop, on_grace_over, s);
    s->open_timers = 2;
    if (r == 0)
        timer_start(&s->renew, RENEW_MS);
    return r;
}

static struct server *server_alloc(struct loop *loop)
{
    struct server *s = NEW(struct server);
    if (s == NULL)
        return NULL;
    s->loop = loop;
    s->access.loop = loop;
    s->access.ca = &s->ca;
    list_init(&s->handshakes);
    list_init(&s->strangers);
    list_init(&s->users);
    return s;
}

int server_new(struct loop *loop, struct gateway_config *config, const int *fds, size_t fd_count,
               struct server **ret, struct diag *d)
{
    struct server *s = server_alloc(loop);
    if (s == NULL) {
        gateway_config_free(config);
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    }
    int r = open_parts(s, config, d);
    if (r == 0)
        r = fd_count > 0 ? take_listeners(s, fds, fd_count, d) : open_listener(s, config, d);
    if (r == 0 && (r = directory_new(config, &s->access.directory)) < 0)
        diag_set(d, r, 0, "Out of memory");
    if (r == 0 && (r = start_timers(s)) < 0)
        diag_set(d, r, 0, "Failed to start the loop's timers");
    if (r < 0) {
        close_listeners(s);
        if (s->access.directory == NULL)
            gateway_config_free(config);
        state_close(STEAL(s->access.state), NULL, NULL);
        free_parts(s);
        mem_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

static int check_reload(const struct gateway_config *old, const struct gateway_config *new_one,
                        struct diag *d)
{
    const char *key = NULL;
    if (!str_eq(old->cluster, new_one->cluster))
        key = "cluster";
    else if (!str_eq(old->state_path, new_one->state_path))
        key = "state";
    else if (!ip_endpoint_eq(&old->listen, &new_one->listen))
        key = "listen";
    if (key != NULL)
        return diag_set(
            d, ERR_INVAL, 0,
            "%s: a change of \"%s\" needs a restart; the old configuration stays in use",
            new_one->file, key);
    return 0;
}

int server_reload(struct server *s, struct gateway_config *config, struct diag *d)
{
    struct directory *directory = NULL;
    SSL_CTX *context = NULL;
    int r = check_reload(directory_config(s->access.directory), config, d);
    if (r == 0)
        r = ca_server_context(&s->ca, config, clock_wall_s(), &context, d);
    if (r == 0 && (r = directory_new(config, &directory)) < 0)
        diag_set(d, r, 0, "Out of memory");
    if (r < 0) {
        tls_context_freep(&context);
        return r;
    }
    directory_unref(s->access.directory);
    s->access.directory = directory;
    tls_context_freep(&s->context);
    s->context = context;
    return 0;
}
