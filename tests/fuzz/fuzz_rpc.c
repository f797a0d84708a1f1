/* A gRPC server, or a client with two calls open, fed by a peer that says anything.
 *
 * First byte: bit 0 client; bit 1 the connection preface and empty SETTINGS come first by themselves; the rest is the size of
 * the pieces that the bytes arrive in (0: all at once).
 */
#include "base/mem.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "stile/vnet/v1/client_application.pb-c.h"

#include "loop/stream.h"

#define KEPT_MAX 16

static struct rpc_call *kept[KEPT_MAX];
static size_t kept_count;
static struct rpc_server_conn *conn;
static struct rpc_client *client;

/* A stream that takes everything and says nothing by itself. */
static int fake_read_start(UNUSED struct stream *s)
{
    return 0;
}

static void fake_nothing(UNUSED struct stream *s)
{
}

static int fake_write(UNUSED struct stream *s, UNUSED const struct slice *parts, UNUSED size_t n)
{
    return 0;
}

static size_t fake_queued(UNUSED const struct stream *s)
{
    return 0;
}

static void fake_close(struct stream *s, UNUSED bool reset)
{
    s->events = (struct stream_events){0};
}

static const struct stream_ops fake_ops = {fake_read_start, fake_nothing, fake_write,
                                           fake_queued,     fake_nothing, fake_nothing,
                                           fake_read_start, fake_close};

static void on_ping(struct rpc_call *call, const ProtobufCMessage *request, UNUSED void *arg)
{
    Stile__Vnet__V1__PingResponse response = STILE__VNET__V1__PING_RESPONSE__INIT;
    response.version = ((const Stile__Vnet__V1__PingRequest *)request)->version;
    rpc_call_reply(call, &response.base);
}

static void on_sign(struct rpc_call *call, UNUSED const ProtobufCMessage *request, UNUSED void *arg)
{
    if (kept_count == KEPT_MAX)
        rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "full");
    else
        kept[kept_count++] = call;
}

static void on_watch(struct rpc_call *call, UNUSED const ProtobufCMessage *request,
                     UNUSED void *arg)
{
    Stile__Vnet__V1__TargetConfiguration message = STILE__VNET__V1__TARGET_CONFIGURATION__INIT;
    for (int i = 0; i < 3; i++) {
        if (rpc_call_send(call, &message.base) < 0)
            break;
    }
    rpc_call_finish(call);
}

static const struct rpc_handler handlers[] = {
    {&client_application_ping, on_ping},
    {&client_application_sign_for_app, on_sign},
    {&client_application_watch_target_configuration, on_watch},
};

static void on_server_closed(UNUSED void *arg, UNUSED int err, UNUSED const struct diag *d)
{
    rpc_server_conn_close(STEAL(conn));
}

static void on_client_closed(UNUSED void *arg, UNUSED int err, UNUSED const struct diag *d)
{
    rpc_client_close(STEAL(client));
}

static void on_reply(UNUSED void *arg, UNUSED enum rpc_status status, UNUSED const char *message,
                     UNUSED const ProtobufCMessage *reply)
{
}

static void start_server(struct stream *s, struct loop *loop)
{
    const struct rpc_server_config config = {
        .handlers = handlers,
        .handler_count = ARRAY_LEN(handlers),
        .on_closed = on_server_closed,
        .calls_max = 8,
    };
    if (rpc_server_conn_new(s, loop, &config, &conn) < 0)
        __builtin_trap();
}

static void start_client(struct stream *s, struct loop *loop)
{
    Stile__Vnet__V1__PingRequest ping = STILE__VNET__V1__PING_REQUEST__INIT;
    Stile__Vnet__V1__WatchTargetConfigurationRequest watch =
        STILE__VNET__V1__WATCH_TARGET_CONFIGURATION_REQUEST__INIT;
    if (rpc_client_new(s, loop, NULL, on_client_closed, NULL, &client) < 0 ||
        rpc_client_call(client, &client_application_ping, &ping.base, 0, on_reply, NULL, NULL) <
            0 ||
        rpc_client_call(client, &client_application_watch_target_configuration, &watch.base, 0,
                        on_reply, NULL, NULL) < 0)
        __builtin_trap();
}

static void feed(struct stream *s, struct slice bytes, size_t piece)
{
    while (bytes.len > 0 && s->events.on_data != NULL) {
        struct slice part = slice_first(bytes, piece == 0 ? bytes.len : piece);
        bytes = slice_from(bytes, part.len);
        s->events.on_data(s->arg, part);
    }
}

static void end(struct stream *s, struct loop *loop)
{
    if (s->events.on_end != NULL)
        s->events.on_end(s->arg);
    rpc_server_conn_close(STEAL(conn));
    rpc_client_close(STEAL(client));
    while (kept_count > 0)
        rpc_call_fail(kept[--kept_count], RPC_ABORTED, "too late");
    for (int i = 0; i < 3; i++)
        loop_turn(loop, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct loop loop;
    static bool ready;
    struct stream s = {.ops = &fake_ops};
    if (!ready && loop_init(&loop) < 0)
        __builtin_trap();
    ready = true;
    if (size == 0)
        return 0;

    bool as_client = (data[0] & 1) != 0;
    if (as_client)
        start_client(&s, &loop);
    else
        start_server(&s, &loop);
    loop_turn(&loop, false);
    if ((data[0] & 2) != 0 && !as_client)
        feed(&s, SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0);
    if ((data[0] & 2) != 0)
        feed(&s, SLICE_LIT("\0\0\0\4\0\0\0\0\0"), 0);
    feed(&s, slice_of(data + 1, size - 1), data[0] >> 2);
    end(&s, &loop);
    return 0;
}
