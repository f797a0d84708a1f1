#include "agent/control_server.h"

#include <unistd.h>

#include "agent/agents.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/listener.h"
#include "loop/socket.h"
#include "platform/local_socket.h"
#include "rpc/server.h"
#include "rpc/services.h"

struct control_server {
    struct control_server_config config;
    char name[32]; /* of the socket */
    struct listener *listener;
    struct list conns;
    size_t conn_count;
};

struct conn {
    struct list node;
    struct control_server *server;
    struct rpc_server_conn *rpc;
};

static void conn_end(struct conn *c)
{
    rpc_server_conn_close(c->rpc);
    list_remove(&c->node);
    c->server->conn_count--;
    mem_free(c);
}

static void on_closed(void *arg, int err UNUSED, const struct diag *d UNUSED)
{
    conn_end(arg);
}

static void reply_status(void *arg, const Stile__Agent__V1__GetStatusResponse *s)
{
    rpc_call_reply(arg, &s->base);
}

static void get_status(struct rpc_call *call, const ProtobufCMessage *message UNUSED, void *arg)
{
    struct conn *c = arg;
    c->server->config.status(c->server->config.arg, reply_status, call);
}

/* An answer being put together. */
struct listing {
    Stile__Agent__V1__Connection *items;
    Stile__Agent__V1__Connection **pointers;
    size_t count;
    size_t size;
};

static void count_one(void *arg, const struct connection *c UNUSED)
{
    ((struct listing *)arg)->size++;
}

/* Texts are borrowed: the message's fields aren't const, but are only read. */
static char *lend(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void add_one(void *arg, const struct connection *c)
{
    struct listing *l = arg;
    Stile__Agent__V1__Connection *m = &l->items[l->count];
    stile__agent__v1__connection__init(m);
    m->profile = lend(c->profile);
    m->name = lend(c->name);
    m->app = lend(c->app);
    m->port = c->port;
    m->program = lend(c->program.path);
    m->program_pid = c->program.pid;
    m->verdict = lend(connection_verdict_name(c->verdict));
    m->reason = lend(c->reason);
    m->bytes_up = c->bytes_up;
    m->bytes_down = c->bytes_down;
    m->started_us = c->started_us;
    m->ended_us = c->ended_us;
    l->pointers[l->count++] = m;
}

static void list_connections(struct rpc_call *call, const ProtobufCMessage *message UNUSED,
                             void *arg)
{
    struct conn *c = arg;
    const struct connection_log *log = c->server->config.connections;
    struct listing l = {0};
    Stile__Agent__V1__ListConnectionsResponse reply =
        STILE__AGENT__V1__LIST_CONNECTIONS_RESPONSE__INIT;
    connection_log_each(log, count_one, &l);
    l.items = mem_array(l.size, sizeof(*l.items));
    l.pointers = mem_array(l.size, sizeof(Stile__Agent__V1__Connection *));
    if (l.items == NULL || l.pointers == NULL) {
        rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
    } else {
        connection_log_each(log, add_one, &l);
        reply.n_connections = l.count;
        reply.connections = l.pointers;
        rpc_call_reply(call, &reply.base);
    }
    mem_free(l.items);
    mem_free((void *)l.pointers);
}

static void stop(struct rpc_call *call, const ProtobufCMessage *message UNUSED, void *arg)
{
    struct conn *c = arg;
    const struct control_server_config *config = &c->server->config;
    Stile__Agent__V1__StopResponse reply = STILE__AGENT__V1__STOP_RESPONSE__INIT;
    if (config->stop == NULL) {
        rpc_call_fail(call, RPC_FAILED_PRECONDITION, "This session ends with its program");
        return;
    }
    rpc_call_reply(call, &reply.base);
    config->stop(config->arg);
}

static void get_log(struct rpc_call *call, const ProtobufCMessage *message UNUSED, void *arg UNUSED)
{
    Stile__Agent__V1__GetLogResponse reply = STILE__AGENT__V1__GET_LOG_RESPONSE__INIT;
    CLEANUP(buf_release) struct buf lines;
    buf_init(&lines, LOG_KEPT_SIZE);
    if (log_kept(&lines) < 0) {
        rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "Out of memory");
        return;
    }
    reply.lines.data = lines.data + lines.start;
    reply.lines.len = buf_len(&lines);
    rpc_call_reply(call, &reply.base);
}

static const struct rpc_handler handlers[] = {
    {&control_get_status, get_status},
    {&control_list_connections, list_connections},
    {&control_stop, stop},
    {&control_get_log, get_log},
};

static int conn_new(struct control_server *s, int fd)
{
    struct stream *stream = NULL;
    int r = socket_stream_new(s->config.loop, fd, &stream);
    if (r < 0) {
        close(fd);
        return r;
    }
    struct conn *c = NEW(struct conn);
    if (c == NULL) {
        stream_close(stream);
        return ERR_NOMEM;
    }
    const struct rpc_server_config rpc = {.handlers = handlers,
                                          .handler_count = ARRAY_LEN(handlers),
                                          .service_arg = c,
                                          .on_closed = on_closed,
                                          .idle_ms = 60000};
    c->server = s;
    r = rpc_server_conn_new(stream, s->config.loop, &rpc, &c->rpc);
    if (r < 0) {
        stream_close(stream);
        mem_free(c);
        return r;
    }
    list_push_back(&s->conns, &c->node);
    s->conn_count++;
    return 0;
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    struct control_server *s = arg;
    if (s->conn_count >= CONTROL_CONNECTIONS_MAX || !local_socket_peer_allowed(fd)) {
        close(fd);
        return;
    }
    int r = conn_new(s, fd);
    if (r < 0)
        log_debug("control connection refused: %s", err_text(r));
}

int control_server_new(const struct control_server_config *config, struct control_server **ret,
                       struct diag *d)
{
    struct control_server *s = NEW(struct control_server);
    int fd = -1;
    if (s == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    s->config = *config;
    list_init(&s->conns);
    agents_remove_stale(config->home);
    agents_socket_name((uint32_t)getpid(), s->name);
    int r = local_socket_listen(&config->home->agents, s->name, &fd, d);
    if (r == 0) {
        r = listener_new(config->loop, fd, on_accept, s, &s->listener);
        if (r < 0) {
            close(fd);
            diag_set(d, r, 0, "Failed to open the control socket: %s", err_text(r));
            (void)private_dir_remove(&config->home->agents, s->name, NULL);
        }
    }
    if (r < 0) {
        mem_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void control_server_free(struct control_server *s)
{
    if (s == NULL)
        return;
    (void)private_dir_remove(&s->config.home->agents, s->name, NULL);
    listener_close(s->listener);
    LIST_FOR_EACH (n, &s->conns)
        conn_end(LIST_ENTRY(n, struct conn, node));
    mem_free(s);
}
