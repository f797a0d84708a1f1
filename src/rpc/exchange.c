#include "rpc/transport.h"

#include <string.h>

/* Below this, a sender that was told to wait may go on. */
#define DRAINED_SIZE (RPC_MESSAGE_MAX)

void rpc_exchange_init(struct rpc_exchange *x, struct rpc_transport *t)
{
    *x = (struct rpc_exchange){.transport = t};
    buf_init(&x->in, t->body_max);
    buf_init(&x->out, RPC_UNSENT_MAX);
    list_init(&x->ready);
    list_push_back(&t->exchanges, &x->node);
    if (t->count++ == 0)
        rpc_transport_expect_word(t);
}

void rpc_exchange_release(struct rpc_exchange *x, uint32_t reset_code)
{
    struct rpc_transport *t = x->transport;
    if (t == NULL)
        return;
    t->held -= buf_len(&x->in);
    t->unsent -= buf_len(&x->out);
    t->count--;
    t->idle_since = clock_mono_ns();
    list_remove(&x->node);
    list_remove(&x->ready);
    if (x->id != 0 && !x->closed) {
        /* Fails only if it never was sent; then there is nothing to tell the peer. */
        nghttp2_session_set_stream_user_data(t->session, x->id, NULL);
        nghttp2_submit_rst_stream(t->session, NGHTTP2_FLAG_NONE, x->id, reset_code);
    }
    buf_release_wiped(&x->in);
    buf_release_wiped(&x->out);
    x->transport = NULL;
    if (t->count == 0 && t->idle_ns > 0)
        rpc_transport_arm(t, t->idle_since + t->idle_ns);
}

void rpc_exchange_set_deadline(struct rpc_exchange *x, uint64_t deadline)
{
    x->deadline = deadline;
    x->expired = false;
    rpc_transport_arm(x->transport, deadline);
}

static void took_out(struct rpc_exchange *x, size_t n)
{
    buf_consume(&x->out, n);
    x->transport->unsent -= n;
    if (x->want_drained && buf_len(&x->out) <= DRAINED_SIZE) {
        x->want_drained = false;
        x->drained = true;
        rpc_exchange_mark(x);
    }
}

/* The body has ended: trailers or END_STREAM. */
static int end_body(struct rpc_exchange *x, uint32_t *flags)
{
    const struct rpc_transport_ops *ops = x->transport->ops;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (ops->trailers == NULL)
        return 0;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return ops->trailers(x);
}

/* nghttp2 asks for body bytes. */
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *space, size_t size,
                         uint32_t *flags, UNUSED nghttp2_data_source *source, UNUSED void *user)
{
    struct rpc_exchange *x = nghttp2_session_get_stream_user_data(session, id);
    if (x == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;

    struct slice bytes = slice_first(buf_slice(&x->out), size);
    if (bytes.len > 0)
        memcpy(space, bytes.data, bytes.len);
    took_out(x, bytes.len);
    if (buf_len(&x->out) > 0)
        return (ssize_t)bytes.len;
    if (x->out_ended)
        return end_body(x, flags) < 0 ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : (ssize_t)bytes.len;
    if (bytes.len > 0)
        return (ssize_t)bytes.len;
    x->out_waiting = true;
    return NGHTTP2_ERR_DEFERRED;
}

static int submit_err(int h2_err)
{
    if (h2_err >= 0)
        return 0;
    return h2_err == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : ERR_CLOSED;
}

int rpc_exchange_request(struct rpc_exchange *x, const nghttp2_nv *headers, size_t count)
{
    nghttp2_data_provider body = {.read_callback = read_body};
    x->out_ended = true;
    int32_t id = nghttp2_submit_request(x->transport->session, NULL, headers, count, &body, x);
    if (id < 0)
        return submit_err(id);
    x->id = id;
    return 0;
}

int rpc_exchange_respond(struct rpc_exchange *x, const nghttp2_nv *headers, size_t count, bool body)
{
    nghttp2_data_provider provider = {.read_callback = read_body};
    return submit_err(nghttp2_submit_response(x->transport->session, x->id, headers, count,
                                              body ? &provider : NULL));
}

int rpc_exchange_put(struct rpc_exchange *x, const ProtobufCMessage *message)
{
    struct rpc_transport *t = x->transport;
    size_t before = buf_len(&x->out);
    if (t->unsent >= RPC_UNSENT_MAX)
        return ERR_LIMIT;
    int r = rpc_message_pack(message, &x->out);
    if (r < 0)
        return r;
    t->unsent += buf_len(&x->out) - before;
    return 0;
}

void rpc_exchange_resume(struct rpc_exchange *x)
{
    if (!x->out_waiting || x->closed)
        return;
    x->out_waiting = false;
    /* Fails only if the HTTP/2 stream is about to close: that will be told. */
    nghttp2_session_resume_data(x->transport->session, x->id);
}

void rpc_exchange_take(struct rpc_exchange *x, size_t n)
{
    buf_consume(&x->in, n);
    x->transport->held -= n;
}

nghttp2_nv rpc_header(const char *name, const char *value)
{
    /* nghttp2 copies both; its structure only lacks the const. */
    union {
        const char *text;
        uint8_t *bytes;
    } n = {name}, v = {value};
    return (nghttp2_nv){n.bytes, v.bytes, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}
