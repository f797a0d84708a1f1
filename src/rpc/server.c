#include "rpc/server.h"

#include "base/mem.h"
#include "rpc/call.h"

#define CALLS_MAX_DEFAULT  1024u
#define REQUEST_MS_DEFAULT 60000u

struct rpc_server_conn {
    struct rpc_transport transport;
    struct rpc_server_config config;
};

static struct rpc_exchange *on_open(void *owner)
{
    struct rpc_server_conn *conn = owner;
    if (conn->transport.count >= conn->config.calls_max)
        return NULL;
    struct rpc_call *call = NEW(struct rpc_call);
    if (call == NULL)
        return NULL;
    rpc_exchange_init(&call->x, &conn->transport);
    call->conn = conn;
    rpc_exchange_set_deadline(&call->x, clock_mono_ns() + conn->config.request_ms * NS_PER_MS);
    return &call->x;
}

static void disconnect_calls(struct rpc_server_conn *conn)
{
    struct list *node;
    while ((node = list_pop_front(&conn->transport.exchanges)) != NULL)
        rpc_call_disconnect(
            CONTAINER_OF(LIST_ENTRY(node, struct rpc_exchange, node), struct rpc_call, x));
}

static void on_lost(void *owner, int err, const struct diag *diag)
{
    struct rpc_server_conn *conn = owner;
    disconnect_calls(conn);
    if (conn->transport.closed)
        return; /* by a handler that was told of a call's end */
    if (conn->config.on_closed != NULL)
        conn->config.on_closed(conn->config.service_arg, err, diag);
    else
        rpc_server_conn_close(conn);
}

static void on_freed(void *owner)
{
    mem_free(owner);
}

static const struct rpc_transport_ops ops = {
    .open = on_open,
    .header = rpc_call_header,
    .trailers = rpc_call_trailers,
    .ready = rpc_call_ready,
    .lost = on_lost,
    .freed = on_freed,
};

static struct rpc_server_config with_defaults(const struct rpc_server_config *config)
{
    struct rpc_server_config c = *config;
    if (c.message_max == 0 || c.message_max > RPC_MESSAGE_MAX)
        c.message_max = RPC_MESSAGE_MAX;
    if (c.calls_max == 0)
        c.calls_max = CALLS_MAX_DEFAULT;
    if (c.request_ms == 0)
        c.request_ms = REQUEST_MS_DEFAULT;
    return c;
}

int rpc_server_conn_new(struct stream *stream, struct loop *loop,
                        const struct rpc_server_config *config, struct rpc_server_conn **ret_conn)
{
    CLEANUP(mem_freep) struct rpc_server_conn *conn = NEW(struct rpc_server_conn);
    if (conn == NULL)
        return ERR_NOMEM;
    conn->config = with_defaults(config);
    struct rpc_transport_config t = {
        .ops = &ops,
        .owner = conn,
        .server = true,
        .calls_max = conn->config.calls_max,
        .message_max = conn->config.message_max,
        .idle_ms = conn->config.idle_ms,
    };
    int r = rpc_transport_init(&conn->transport, stream, loop, &t);
    if (r < 0)
        return r;
    rpc_transport_set_keepalive(&conn->transport, config->keepalive_ms);
    *ret_conn = STEAL(conn);
    return 0;
}

void rpc_server_conn_close(struct rpc_server_conn *conn)
{
    if (conn == NULL || conn->transport.closed)
        return;
    rpc_transport_close(&conn->transport);
    disconnect_calls(conn);
}

void rpc_server_conn_shutdown(struct rpc_server_conn *conn)
{
    rpc_transport_goaway(&conn->transport, NGHTTP2_NO_ERROR);
}

size_t rpc_server_conn_calls(const struct rpc_server_conn *conn)
{
    return conn->transport.count;
}

const struct rpc_handler *rpc_server_conn_find(const struct rpc_server_conn *conn,
                                               struct slice path)
{
    for (size_t i = 0; i < conn->config.handler_count; i++) {
        if (slice_eq_str(path, conn->config.handlers[i].method->path))
            return &conn->config.handlers[i];
    }
    return NULL;
}

void *rpc_server_conn_arg(const struct rpc_server_conn *conn)
{
    return conn->config.service_arg;
}

uint64_t rpc_server_conn_patience(const struct rpc_server_conn *conn)
{
    return clock_mono_ns() + conn->config.request_ms * NS_PER_MS;
}

size_t rpc_server_conn_message_max(const struct rpc_server_conn *conn)
{
    return conn->config.message_max;
}
