#include "rpc/client.h"

#include "base/mem.h"
#include "base/str.h"
#include "rpc/metadata.h"
#include "rpc/transport.h"

#define AUTHORITY_SIZE 300

struct rpc_client {
    struct rpc_transport transport;
    void (*on_closed)(void *arg, int err, const struct diag *diag);
    void *arg;
    size_t message_max;
    bool local;
    char authority[AUTHORITY_SIZE];
};

struct rpc_pending {
    struct rpc_exchange x; /* first */
    const struct rpc_method *method;
    rpc_on_reply *on_reply;
    void *arg;
    unsigned http_status;
    int grpc_status; /* -1: none came */
    bool content_type_ok;
    bool calling;  /* in on_reply: cancelling may not free */
    bool canceled; /* meanwhile */
    char text[RPC_TEXT_SIZE];
};

static struct rpc_pending *pending_of(struct rpc_exchange *x)
{
    return CONTAINER_OF(x, struct rpc_pending, x);
}

static size_t message_max(const struct rpc_pending *p)
{
    return p->x.transport != NULL ? ((const struct rpc_client *)p->x.transport->owner)->message_max
                                  : RPC_MESSAGE_MAX;
}

static void free_pending(struct rpc_pending *p)
{
    rpc_exchange_release(&p->x, NGHTTP2_CANCEL);
    mem_free(p);
}

/* The response. */

static int parse_number(struct slice value, unsigned max, unsigned *ret_n)
{
    char text[8];
    uint64_t n;
    int r = str_copy_slice(text, sizeof(text), value);
    if (r == 0)
        r = str_to_u64(text, max, &n);
    if (r == 0)
        *ret_n = (unsigned)n;
    return r;
}

static void on_header(struct rpc_exchange *x, struct slice name, struct slice value)
{
    struct rpc_pending *p = pending_of(x);
    if (slice_eq_str(name, ":status")) {
        if (parse_number(value, 999, &p->http_status) < 0)
            p->http_status = 0;
    } else if (slice_eq_str(name, "content-type")) {
        p->content_type_ok = rpc_content_type_ok(value);
    } else if (slice_eq_str(name, "grpc-status")) {
        unsigned n;
        p->grpc_status = parse_number(value, RPC_STATUS_MAX, &n) == 0 ? (int)n : RPC_UNKNOWN;
    } else if (slice_eq_str(name, "grpc-message")) {
        rpc_text_decode(value, p->text);
    }
}

/* Calls back for the last time. Inside deliver(), when the callback closed the client, deliver() frees. */
static void end(struct rpc_pending *p, enum rpc_status status, const char *text,
                const ProtobufCMessage *reply)
{
    bool delivering = p->calling;
    rpc_exchange_release(&p->x, NGHTTP2_CANCEL);
    p->calling = true; /* cancelling from the callback does nothing more */
    p->on_reply(p->arg, status, text, reply);
    if (delivering)
        p->canceled = true;
    else
        mem_free(p);
}

/* False if the call is gone. */
static bool deliver(struct rpc_pending *p, const ProtobufCMessage *reply)
{
    p->calling = true;
    p->on_reply(p->arg, RPC_OK, "", reply);
    p->calling = false;
    if (!p->canceled)
        return true;
    mem_free(p);
    return false;
}

static void end_bad_message(struct rpc_pending *p, int err)
{
    char text[80];
    switch (err) {
    case ERR_TOOBIG:
        (void)str_format(text, sizeof(text), "The response is over the %zu bytes that are taken",
                         message_max(p));
        end(p, RPC_RESOURCE_EXHAUSTED, text, NULL);
        break;
    case ERR_LIMIT:
    case ERR_NOMEM:
        end(p, RPC_RESOURCE_EXHAUSTED, "The response takes more memory than there is for it", NULL);
        break;
    case ERR_UNSUPPORTED:
        end(p, RPC_INTERNAL, "The response is compressed, which wasn't offered", NULL);
        break;
    default:
        end(p, RPC_INTERNAL, "The response isn't a message of the type expected", NULL);
        break;
    }
}

/* The messages of a stream that are whole. False if the call is gone. */
static bool take_messages(struct rpc_pending *p)
{
    struct slice body;
    int r;
    while ((r = rpc_message_next(buf_slice(&p->x.in), message_max(p), &body)) == 0) {
        ProtobufCMessage *reply;
        r = rpc_message_unpack(p->method->response, body, &reply);
        if (r < 0)
            break;
        rpc_exchange_take(&p->x, body.len + RPC_PREFIX_SIZE);
        bool there = deliver(p, reply);
        rpc_message_free(reply);
        if (!there)
            return false;
    }
    if (r == ERR_AGAIN)
        return true;
    end_bad_message(p, r);
    return false;
}

/* The end of a unary call that the server calls a success. */
static void end_unary(struct rpc_pending *p)
{
    struct slice body;
    ProtobufCMessage *reply = NULL;
    int r = rpc_message_next(buf_slice(&p->x.in), message_max(p), &body);
    if (r == 0 && body.len + RPC_PREFIX_SIZE != buf_len(&p->x.in))
        r = ERR_FORMAT;
    if (r == 0)
        r = rpc_message_unpack(p->method->response, body, &reply);
    if (r < 0) {
        end_bad_message(p, r);
        return;
    }
    end(p, RPC_OK, "", reply);
    rpc_message_free(reply);
}

/* The server has said its last word, or the HTTP/2 stream is gone without one. */
static void end_by_server(struct rpc_pending *p)
{
    char text[RPC_TEXT_SIZE];
    if (p->grpc_status < 0 && p->x.closed && p->x.close_code != NGHTTP2_NO_ERROR) {
        (void)str_format(text, sizeof(text), "The server has reset the call (%s)",
                         nghttp2_http2_strerror(p->x.close_code));
        end(p, rpc_status_from_reset(p->x.close_code), text, NULL);
    } else if (p->grpc_status < 0) {
        end(p, RPC_UNKNOWN, "The response has no status", NULL);
    } else if (p->grpc_status > 0) {
        end(p, (enum rpc_status)p->grpc_status, p->text, NULL);
    } else if (!p->method->streaming) {
        end_unary(p);
    } else if (buf_len(&p->x.in) > 0) {
        end_bad_message(p, ERR_FORMAT);
    } else {
        end(p, RPC_OK, "", NULL);
    }
}

/* True if the headers are those of gRPC, or are still to come; else the call is gone. */
static bool accept_headers(struct rpc_pending *p)
{
    char text[RPC_TEXT_SIZE];
    if (!p->x.headers_done || p->http_status < 200)
        return true;
    if (p->http_status == 200 && p->content_type_ok)
        return true;
    if (p->grpc_status > 0) /* a server that says both is believed */
        return true;
    (void)str_format(text, sizeof(text), "The server doesn't speak gRPC (HTTP status %u)",
                     p->http_status);
    end(p, rpc_status_from_http(p->http_status), text, NULL);
    return false;
}

static void on_ready(struct rpc_exchange *x)
{
    struct rpc_pending *p = pending_of(x);
    struct slice body;
    if (!accept_headers(p))
        return;
    if (x->in_err != 0) {
        end_bad_message(p, x->in_err);
        return;
    }
    if (p->method->streaming) {
        if (!take_messages(p))
            return;
    } else {
        int r = rpc_message_next(buf_slice(&x->in), message_max(p), &body);
        if (r < 0 && r != ERR_AGAIN) {
            end_bad_message(p, r);
            return;
        }
    }
    if (x->in_ended || x->closed)
        end_by_server(p);
    else if (x->expired)
        end(p, RPC_DEADLINE_EXCEEDED, "The deadline has passed", NULL);
}

/* The connection. */

static void end_all(struct rpc_client *client, enum rpc_status status, const char *text)
{
    struct list *node;
    while ((node = list_pop_front(&client->transport.exchanges)) != NULL)
        end(pending_of(LIST_ENTRY(node, struct rpc_exchange, node)), status, text, NULL);
}

static void on_lost(void *owner, int err, const struct diag *diag)
{
    struct rpc_client *client = owner;
    end_all(client, RPC_UNAVAILABLE, diag->text);
    if (!client->transport.closed && client->on_closed != NULL)
        client->on_closed(client->arg, err, diag);
}

static void on_freed(void *owner)
{
    mem_free(owner);
}

static const struct rpc_transport_ops ops = {
    .header = on_header,
    .ready = on_ready,
    .lost = on_lost,
    .freed = on_freed,
};

int rpc_client_new(struct stream *stream, struct loop *loop, const char *authority,
                   void (*on_closed)(void *arg, int err, const struct diag *diag), void *arg,
                   struct rpc_client **ret_client)
{
    CLEANUP(mem_freep) struct rpc_client *client = NEW(struct rpc_client);
    if (client == NULL)
        return ERR_NOMEM;
    client->on_closed = on_closed;
    client->arg = arg;
    client->message_max = RPC_MESSAGE_MAX;
    client->local = authority == NULL;
    int r = str_copy(client->authority, sizeof(client->authority),
                     client->local ? "localhost" : authority);
    if (r < 0)
        return r;
    struct rpc_transport_config t = {
        .ops = &ops,
        .owner = client,
        .message_max = RPC_MESSAGE_MAX,
    };
    r = rpc_transport_init(&client->transport, stream, loop, &t);
    if (r < 0)
        return r;
    *ret_client = STEAL(client);
    return 0;
}

void rpc_client_close(struct rpc_client *client)
{
    if (client == NULL || client->transport.closed)
        return;
    rpc_transport_close(&client->transport);
    end_all(client, RPC_CANCELLED, "The connection was closed on this side");
}

void rpc_client_set_keepalive(struct rpc_client *client, unsigned ms)
{
    rpc_transport_set_keepalive(&client->transport, ms);
}

void rpc_client_set_message_max(struct rpc_client *client, size_t bytes)
{
    client->message_max = bytes;
    rpc_transport_set_message_max(&client->transport, bytes);
}

/* A call. */

static int submit(struct rpc_client *client, struct rpc_pending *p, unsigned timeout_ms)
{
    char timeout[RPC_TIMEOUT_SIZE];
    rpc_timeout_format(timeout_ms, timeout);
    const nghttp2_nv headers[] = {
        rpc_header(":method", "POST"),
        rpc_header(":scheme", client->local ? "http" : "https"),
        rpc_header(":path", p->method->path),
        rpc_header(":authority", client->authority),
        rpc_header("te", "trailers"),
        rpc_header("content-type", "application/grpc+proto"),
        rpc_header("user-agent", "grpc-c-stile"),
        rpc_header("grpc-accept-encoding", "identity"),
        rpc_header("grpc-timeout", timeout),
    };
    return rpc_exchange_request(&p->x, headers, ARRAY_LEN(headers) - (timeout_ms == 0 ? 1 : 0));
}

static bool takes_calls(struct rpc_client *client)
{
    struct rpc_transport *t = &client->transport;
    return !t->failed && !t->closed && t->send_err == 0 && t->h2_err == 0 &&
           nghttp2_session_check_request_allowed(t->session) != 0;
}

int rpc_client_call(struct rpc_client *client, const struct rpc_method *method,
                    const ProtobufCMessage *request, unsigned timeout_ms, rpc_on_reply *on_reply,
                    void *arg, struct rpc_pending **ret_pending)
{
    if (!takes_calls(client))
        return ERR_CLOSED;
    if (client->transport.count >= RPC_CLIENT_CALLS_MAX)
        return ERR_LIMIT;
    struct rpc_pending *p = NEW(struct rpc_pending);
    if (p == NULL)
        return ERR_NOMEM;
    rpc_exchange_init(&p->x, &client->transport);
    p->method = method;
    p->on_reply = on_reply;
    p->arg = arg;
    p->grpc_status = -1;

    int r = rpc_exchange_put(&p->x, request);
    if (r == 0)
        r = submit(client, p, timeout_ms);
    if (r < 0) {
        free_pending(p);
        return r;
    }
    if (timeout_ms > 0)
        rpc_exchange_set_deadline(&p->x, clock_mono_ns() + timeout_ms * NS_PER_MS);
    rpc_transport_flush(&client->transport);
    if (ret_pending != NULL)
        *ret_pending = p;
    return 0;
}

void rpc_pending_cancel(struct rpc_pending *p)
{
    struct rpc_transport *t = p->x.transport;
    if (p->calling) {
        p->canceled = true;
        rpc_exchange_release(&p->x, NGHTTP2_CANCEL);
    } else {
        free_pending(p);
    }
    if (t != NULL)
        rpc_transport_flush(t);
}

size_t rpc_client_calls(const struct rpc_client *client)
{
    return client->transport.count;
}
