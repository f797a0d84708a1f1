#include "rpc/call.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"

static struct rpc_call *call_of(struct rpc_exchange *x)
{
    return CONTAINER_OF(x, struct rpc_call, x);
}

static void free_call(struct rpc_call *call)
{
    rpc_exchange_release(&call->x, NGHTTP2_CANCEL);
    rpc_message_free(call->request);
    mem_free(call);
}

/* The request. */

void rpc_call_header(struct rpc_exchange *x, struct slice name, struct slice value)
{
    struct rpc_call *call = call_of(x);
    if (x->headers_done)
        return; /* trailers of a request mean nothing to us */
    if (slice_eq_str(name, ":path"))
        call->handler = rpc_server_conn_find(call->conn, value);
    else if (slice_eq_str(name, ":method"))
        call->post = slice_eq_str(value, "POST");
    else if (slice_eq_str(name, "content-type"))
        call->content_type_ok = rpc_content_type_ok(value);
    else if (slice_eq_str(name, "grpc-timeout"))
        call->timeout_bad = rpc_timeout_parse(value, &call->timeout_ns) < 0;
}

/* From now on only the caller's taking it is waited for. */
static void set_answered(struct rpc_call *call)
{
    call->state = CALL_ANSWERED;
    if (call->conn != NULL)
        rpc_exchange_set_deadline(&call->x, rpc_server_conn_patience(call->conn));
}

static void respond_http(struct rpc_call *call, const char *http_status)
{
    const nghttp2_nv headers[] = {rpc_header(":status", http_status)};
    set_answered(call);
    if (rpc_exchange_respond(&call->x, headers, ARRAY_LEN(headers), false) < 0)
        free_call(call);
}

/* Status and text for the caller, after what is queued. The state is the caller's of this. */
static int respond_status(struct rpc_call *call)
{
    char code[4];
    char encoded[RPC_TEXT_ENCODED_SIZE];
    if (call->responding) {
        call->x.out_ended = true;
        rpc_exchange_resume(&call->x);
        return 0;
    }
    (void)str_format(code, sizeof(code), "%d", (int)call->status);
    rpc_text_encode(call->text, encoded);
    const nghttp2_nv headers[] = {
        rpc_header(":status", "200"),
        rpc_header("content-type", "application/grpc"),
        rpc_header("grpc-status", code),
        rpc_header("grpc-message", encoded),
        rpc_header("grpc-accept-encoding", "identity"),
    };
    call->responding = true;
    return rpc_exchange_respond(&call->x, headers, ARRAY_LEN(headers), false);
}

int rpc_call_trailers(struct rpc_exchange *x)
{
    struct rpc_call *call = call_of(x);
    char code[4];
    char encoded[RPC_TEXT_ENCODED_SIZE];
    (void)str_format(code, sizeof(code), "%d", (int)call->status);
    rpc_text_encode(call->text, encoded);
    const nghttp2_nv trailers[] = {
        rpc_header("grpc-status", code),
        rpc_header("grpc-message", encoded),
    };
    size_t count = ARRAY_LEN(trailers) - (call->text[0] == '\0' ? 1 : 0);
    return nghttp2_submit_trailer(x->transport->session, x->id, trailers, count);
}

static int start_response(struct rpc_call *call)
{
    const nghttp2_nv headers[] = {
        rpc_header(":status", "200"),
        rpc_header("content-type", "application/grpc"),
    };
    if (call->responding)
        return 0;
    int r = rpc_exchange_respond(&call->x, headers, ARRAY_LEN(headers), true);
    call->responding = r == 0;
    return r;
}

/* Before a handler has seen it. The call may be gone afterwards. */
PRINTF_LIKE(3, 4)
static void refuse(struct rpc_call *call, enum rpc_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(call->text, sizeof(call->text), fmt, args);
    va_end(args);
    call->status = status;
    set_answered(call);
    if (respond_status(call) < 0)
        free_call(call);
}

/* True if the headers are those of a call that is served here; else it has been refused. */
static bool accept_headers(struct rpc_call *call)
{
    if (call->x.in_err != 0) {
        refuse(call, RPC_RESOURCE_EXHAUSTED, "The request is over this server's limits: %s",
               err_text(call->x.in_err));
        return false;
    }
    if (!call->post || !call->content_type_ok) {
        respond_http(call, call->post ? "415" : "405");
        return false;
    }
    if (call->handler == NULL) {
        refuse(call, RPC_UNIMPLEMENTED, "This server has no such method");
        return false;
    }
    if (call->timeout_bad) {
        refuse(call, RPC_INVALID_ARGUMENT, "The request's grpc-timeout isn't one");
        return false;
    }
    return true;
}

static void refuse_body(struct rpc_call *call, int err)
{
    switch (err) {
    case ERR_TOOBIG:
        refuse(call, RPC_RESOURCE_EXHAUSTED, "The request is over this server's limit of %zu bytes",
               rpc_server_conn_message_max(call->conn));
        break;
    case ERR_UNSUPPORTED:
        refuse(call, RPC_UNIMPLEMENTED,
               "The request is compressed, which this server doesn't read");
        break;
    default:
        refuse(call, RPC_INVALID_ARGUMENT, "The request isn't one message of the type expected");
        break;
    }
}

/* The request has ended: it must be exactly this one message. */
static int take_request(struct rpc_call *call, struct slice body)
{
    if (body.len + RPC_PREFIX_SIZE != buf_len(&call->x.in))
        return ERR_FORMAT;
    int r = rpc_message_unpack(call->handler->method->request, body, &call->request);
    rpc_exchange_take(&call->x, buf_len(&call->x.in));
    buf_release_wiped(&call->x.in);
    return r;
}

static void handle(struct rpc_call *call)
{
    uint64_t now = clock_mono_ns();
    bool endless = call->timeout_ns == 0 || call->timeout_ns > UINT64_MAX - now;
    call->state = CALL_HANDLED;
    rpc_exchange_set_deadline(&call->x, endless ? 0 : now + call->timeout_ns);
    call->handler->handle(call, call->request, rpc_server_conn_arg(call->conn));
}

static void receive(struct rpc_call *call)
{
    if (call->x.expired) {
        refuse(call, RPC_DEADLINE_EXCEEDED, "The request didn't come whole in time");
        return;
    }
    if (!call->x.headers_done || !accept_headers(call))
        return;
    struct slice body;
    int r =
        rpc_message_next(buf_slice(&call->x.in), rpc_server_conn_message_max(call->conn), &body);
    if (!call->x.in_ended && (r == 0 || r == ERR_AGAIN))
        return;
    if (r == 0)
        r = take_request(call, body);
    if (r == 0)
        handle(call);
    else
        refuse_body(call, r);
}

/* The caller has gone, or has its status. The call may be gone afterwards. */
static void cancel(struct rpc_call *call)
{
    if (call->gone)
        return;
    call->gone = true;
    call->on_drain = NULL;
    if (call->on_cancel != NULL)
        call->on_cancel(call->cancel_arg);
}

static void expire(struct rpc_call *call)
{
    rpc_exchange_set_deadline(&call->x, 0);
    call->status = RPC_DEADLINE_EXCEEDED;
    (void)str_format(call->text, sizeof(call->text), "The deadline has passed");
    /* If memory runs out here, the caller's own clock tells it. */
    (void)respond_status(call);
    cancel(call);
}

static void serve_handled(struct rpc_call *call)
{
    bool drained = call->x.drained;
    call->x.drained = false;
    if (call->x.closed)
        cancel(call);
    else if (call->x.expired)
        expire(call);
    else if (drained && call->on_drain != NULL)
        call->on_drain(call->drain_arg);
}

void rpc_call_ready(struct rpc_exchange *x)
{
    struct rpc_call *call = call_of(x);
    if (call->state == CALL_HANDLED)
        serve_handled(call);
    else if (x->closed || (call->state == CALL_ANSWERED && x->expired))
        free_call(call);
    else if (call->state == CALL_RECEIVING)
        receive(call);
}

void rpc_call_disconnect(struct rpc_call *call)
{
    rpc_exchange_release(&call->x, NGHTTP2_CANCEL);
    call->conn = NULL;
    if (call->state == CALL_HANDLED)
        cancel(call);
    else
        free_call(call);
}

/* The answer. */

/* The handler is done with the call; the caller need not be. */
static void settle(struct rpc_call *call, bool said)
{
    struct rpc_transport *t = call->x.transport;
    set_answered(call);
    call->on_cancel = NULL;
    call->on_drain = NULL;
    rpc_message_free(STEAL(call->request));
    if (t == NULL || call->x.closed || !said)
        free_call(call);
    if (t != NULL)
        rpc_transport_flush(t);
}

/* The status goes out, if there still is someone to hear it. */
static void answer(struct rpc_call *call, enum rpc_status status)
{
    int r = 0;
    if (!call->gone) {
        call->status = status;
        if (status == RPC_OK)
            r = start_response(call);
        if (r == 0)
            r = respond_status(call);
    }
    /* No memory for a word: the reset of the HTTP/2 stream says it. */
    settle(call, r == 0);
}

int rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *response)
{
    if (call->gone) {
        settle(call, true);
        return ERR_CLOSED;
    }
    int r = rpc_exchange_put(&call->x, response);
    if (r == 0)
        answer(call, RPC_OK);
    else
        rpc_call_fail(call, rpc_status_from_err(r), "The response can't be sent: %s", err_text(r));
    return r;
}

void rpc_call_fail(struct rpc_call *call, enum rpc_status status, const char *fmt, ...)
{
    if (!call->gone) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(call->text, sizeof(call->text), fmt, args);
        va_end(args);
    }
    answer(call, status == RPC_OK ? RPC_INTERNAL : status);
}

int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *response)
{
    if (call->gone)
        return ERR_CLOSED;
    if (buf_len(&call->x.out) >= RPC_SEND_QUEUE_MAX) {
        call->x.want_drained = true;
        return ERR_AGAIN;
    }
    int r = rpc_exchange_put(&call->x, response);
    if (r == 0)
        r = start_response(call);
    if (r < 0)
        return r;
    rpc_exchange_resume(&call->x);
    rpc_transport_flush(call->x.transport);
    return 0;
}

void rpc_call_finish(struct rpc_call *call)
{
    answer(call, RPC_OK);
}

void rpc_call_on_drain(struct rpc_call *call, void (*on_drain)(void *arg), void *arg)
{
    call->on_drain = on_drain;
    call->drain_arg = arg;
}

void rpc_call_on_cancel(struct rpc_call *call, void (*on_cancel)(void *arg), void *arg)
{
    if (call->gone) {
        on_cancel(arg);
        return;
    }
    call->on_cancel = on_cancel;
    call->cancel_arg = arg;
}

bool rpc_call_canceled(const struct rpc_call *call)
{
    return call->gone;
}

struct rpc_server_conn *rpc_call_conn(const struct rpc_call *call)
{
    return call->conn;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
    return call->handler->method;
}

uint64_t rpc_call_deadline(const struct rpc_call *call)
{
    return call->x.deadline;
}
