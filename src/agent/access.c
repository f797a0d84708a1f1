#include "agent/access.h"

#include "agent/profile.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/socket.h"
#include "rpc/client.h"
#include "tls/context.h"
#include "tls/stream.h"

#define CONNECT_MS 10000
#define CALL_MS    20000

struct access {
    struct loop *loop;
    char gateway[PROFILE_HOST_SIZE];
    char host[PROFILE_HOST_SIZE];
    uint16_t port;
    SSL_CTX *ctx;
    X509 *cert;
    EVP_PKEY *key;
    /* At most one of these three is there: how far the connection has come. */
    struct socket_connect *connecting;
    struct stream *handshaking;
    struct rpc_client *client;
    bool proven; /* the connection has carried an answer */
    bool closing;
    struct list waiting; /* struct access_call, not sent */
    struct list sent;
    struct list lost; /* the connection went away under them */
    size_t call_count;
    struct defer settle; /* decides about `lost` */
};

struct access_call {
    struct list node;
    struct access *owner;
    const struct rpc_method *method;
    const ProtobufCMessage *request;
    access_done_fn *done;
    void *arg;
    bool repeated;
};

static void finish(struct access_call *c, int err, const ProtobufCMessage *reply,
                   const struct diag *d)
{
    list_remove(&c->node);
    c->owner->call_count--;
    c->done(c->arg, err, reply, d);
    mem_free(c);
}

static void fail_all(struct list *calls, const struct diag *d)
{
    /* Those that are added meanwhile (a callback that tries again) aren't failed for the old reason. */
    struct list batch;
    list_init(&batch);
    for (struct list *n = list_pop_front(calls); n != NULL; n = list_pop_front(calls))
        list_push_back(&batch, n);
    while (!list_empty(&batch))
        finish(LIST_ENTRY(batch.next, struct access_call, node), d->err, NULL, d);
}

/* What the gateway's answer means for the user. The server's own text is worth most. */
static int explain_status(const struct access *a, enum rpc_status status, const char *message,
                          struct diag *d)
{
    const char *text = str_is_empty(message) ? rpc_status_name(status) : message;
    int err = rpc_status_to_err(status);
    if (status == RPC_DEADLINE_EXCEEDED)
        return diag_set(d, ERR_TIMEOUT, 0, "Gateway %s didn't answer in time", a->gateway);
    if (status == RPC_UNAVAILABLE)
        return diag_set(d, ERR_UNREACHABLE, 0, "Gateway %s isn't available: %s", a->gateway, text);
    return diag_set(d, err, 0, "Gateway %s: %s", a->gateway, text);
}

static void on_reply(void *arg, enum rpc_status status, const char *message,
                     const ProtobufCMessage *reply)
{
    struct access_call *c = arg;
    struct access *a = c->owner;
    struct diag d = {0};
    if (status == RPC_UNAVAILABLE && !a->closing) {
        /* The connection's own end, which explains it, is told next. */
        list_remove(&c->node);
        list_push_back(&a->lost, &c->node);
        defer_start(a->loop, &a->settle);
        return;
    }
    if (status == RPC_OK && reply != NULL) {
        a->proven = true;
        finish(c, 0, reply, &d);
        return;
    }
    if (a->closing || status == RPC_OK)
        diag_set(&d, a->closing ? ERR_CANCELED : ERR_PROTOCOL, 0, "The call was given up");
    else
        explain_status(a, status, message, &d);
    finish(c, d.err, NULL, &d);
}

static void dial(struct access *a);

static void send_waiting(struct access *a)
{
    while (a->client != NULL && !list_empty(&a->waiting)) {
        struct access_call *c = LIST_ENTRY(list_pop_front(&a->waiting), struct access_call, node);
        list_push_back(&a->sent, &c->node);
        int r = rpc_client_call(a->client, c->method, c->request, CALL_MS, on_reply, c, NULL);
        if (r == 0)
            continue;
        if (r == ERR_CLOSED && !c->repeated) {
            /* The gateway is about to end this connection: the call goes out on the next one. */
            list_remove(&c->node);
            list_push_back(&a->lost, &c->node);
            defer_start(a->loop, &a->settle);
            continue;
        }
        struct diag d = {0};
        diag_set(&d, r, 0, "Failed to call gateway %s: %s", a->gateway, err_text(r));
        finish(c, r, NULL, &d);
    }
}

/* The dial has failed: everything that waits for it has too. */
static void give_up(struct access *a, int err, const struct diag *cause)
{
    struct diag d = *cause;
    d.err = err;
    fail_all(&a->waiting, &d);
}

/* Calls lost with a connection that had worked go out again on a new one, once. */
static void settle_lost(struct access *a, const struct diag *cause)
{
    bool repeat = a->proven;
    struct list batch;
    list_init(&batch);
    for (struct list *n = list_pop_front(&a->lost); n != NULL; n = list_pop_front(&a->lost)) {
        struct access_call *c = LIST_ENTRY(n, struct access_call, node);
        list_push_back(repeat && !c->repeated ? &a->waiting : &batch, n);
        c->repeated = true;
    }
    a->proven = false;
    if (!list_empty(&a->waiting))
        dial(a);
    fail_all(&batch, cause);
}

static void run_settle(void *arg)
{
    struct access *a = arg;
    struct diag d = {0};
    diag_set(&d, ERR_UNREACHABLE, 0, "Gateway %s isn't available at the moment", a->gateway);
    settle_lost(a, &d);
}

static void on_closed(void *arg, int err, const struct diag *cause)
{
    struct access *a = arg;
    struct diag d = {0};
    rpc_client_close(STEAL(a->client));
    defer_stop(&a->settle);
    if (cause != NULL && cause->text[0] != '\0' && err != ERR_CLOSED) {
        d = *cause;
        d.err = err;
        diag_prefix(&d, "Gateway %s: ", a->gateway);
    } else {
        diag_set(&d, ERR_UNREACHABLE, 0, "Gateway %s closed the connection", a->gateway);
    }
    settle_lost(a, &d);
}

static void on_ready(void *arg, int err, const struct diag *cause)
{
    struct access *a = arg;
    struct diag d = {0};
    struct stream *s = STEAL(a->handshaking);
    if (err < 0) {
        d = *cause;
        diag_prefix(&d, "Gateway %s: ", a->gateway);
        stream_close(s);
        give_up(a, err, &d);
        return;
    }
    err = rpc_client_new(s, a->loop, a->gateway, on_closed, a, &a->client);
    if (err < 0) {
        stream_close(s);
        diag_set(&d, err, 0, "Failed to talk to gateway %s: %s", a->gateway, err_text(err));
        give_up(a, err, &d);
        return;
    }
    send_waiting(a);
}

static int start_tls(struct access *a, uv_os_sock_t fd)
{
    struct stream *socket = NULL;
    int r = socket_stream_new(a->loop, fd, &socket);
    if (r < 0) {
        socket_close(fd);
        return r;
    }
    struct tls_config config = {
        .ctx = a->ctx, .server_name = a->host, .alpn = "h2", .cert = a->cert, .key = a->key};
    r = tls_stream_new(socket, a->loop, &config, on_ready, a, &a->handshaking);
    if (r < 0)
        stream_close(socket);
    return r;
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *cause)
{
    struct access *a = arg;
    struct diag d = {0};
    a->connecting = NULL;
    if (err < 0) {
        d = *cause;
        diag_prefix(&d, "Gateway %s can't be reached: ", a->gateway);
        give_up(a, ERR_UNREACHABLE, &d);
        return;
    }
    err = start_tls(a, fd);
    if (err < 0) {
        diag_set(&d, err, 0, "Failed to start TLS with gateway %s: %s", a->gateway, err_text(err));
        give_up(a, err, &d);
    }
}

static void dial(struct access *a)
{
    if (a->connecting != NULL || a->handshaking != NULL || a->client != NULL)
        return;
    int r = socket_connect_start(a->loop, a->host, a->port, CONNECT_MS, on_connected, a,
                                 &a->connecting);
    if (r < 0) {
        struct diag d = {0};
        diag_set(&d, r, 0, "Failed to dial gateway %s: %s", a->gateway, err_text(r));
        /* Not from inside access_call: as if the connection had been lost. */
        while (!list_empty(&a->waiting)) {
            struct list *n = list_pop_front(&a->waiting);
            list_push_back(&a->lost, n);
        }
        defer_start(a->loop, &a->settle);
    }
}

int access_new(struct loop *loop, const struct access_config *config, struct access **ret,
               struct diag *d)
{
    struct access *a = NEW(struct access);
    if (a == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    int r = profile_split_addr(config->gateway, a->host, &a->port, d);
    if (r == 0 && str_copy(a->gateway, sizeof(a->gateway), config->gateway) < 0)
        r = diag_set(d, ERR_TOOBIG, 0, "The address of the gateway is too long");
    if (r < 0) {
        mem_free(a);
        return r;
    }
    a->loop = loop;
    a->ctx = config->ctx;
    a->cert = config->cert;
    a->key = config->key;
    SSL_CTX_up_ref(a->ctx);
    if (a->cert != NULL)
        X509_up_ref(a->cert);
    if (a->key != NULL)
        EVP_PKEY_up_ref(a->key);
    list_init(&a->waiting);
    list_init(&a->sent);
    list_init(&a->lost);
    defer_init(&a->settle, run_settle, a);
    *ret = a;
    return 0;
}

int access_new_for(struct loop *loop, const struct profile *profile, struct access **ret,
                   struct diag *d)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    int r = tls_client_context(buf_slice(&profile->ca_pem), &ctx, d);
    if (r < 0)
        return r;
    struct access_config config = {
        .gateway = profile->gateway, .ctx = ctx, .cert = profile->cert, .key = profile->key};
    return access_new(loop, &config, ret, d);
}

void access_free(struct access *a)
{
    if (a == NULL)
        return;
    struct diag d = {0};
    diag_set(&d, ERR_CANCELED, 0, "The call was given up");
    a->closing = true;
    defer_stop(&a->settle);
    if (a->connecting != NULL)
        socket_connect_cancel(a->connecting);
    stream_close(a->handshaking);
    if (a->client != NULL)
        rpc_client_close(a->client);
    fail_all(&a->waiting, &d);
    fail_all(&a->sent, &d);
    fail_all(&a->lost, &d);
    SSL_CTX_free(a->ctx);
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
    mem_free(a);
}

int access_call(struct access *a, const struct rpc_method *method, const ProtobufCMessage *request,
                access_done_fn *done, void *arg)
{
    if (a->closing)
        return ERR_CANCELED;
    if (a->call_count >= ACCESS_CALLS_MAX)
        return ERR_LIMIT;
    struct access_call *c = NEW(struct access_call);
    if (c == NULL)
        return ERR_NOMEM;
    *c = (struct access_call){
        .owner = a, .method = method, .request = request, .done = done, .arg = arg};
    a->call_count++;
    list_push_back(&a->waiting, &c->node);
    if (a->client != NULL)
        send_waiting(a);
    else
        dial(a);
    return 0;
}

struct answer {
    bool done;
    int err;
    ProtobufCMessage *copy;
    struct diag diag;
};

static void on_answer(void *arg, int err, const ProtobufCMessage *reply, const struct diag *d)
{
    struct answer *answer = arg;
    answer->done = true;
    answer->err = err;
    if (err < 0) {
        answer->diag = *d;
        return;
    }
    size_t size = protobuf_c_message_get_packed_size(reply);
    CLEANUP(mem_freep) uint8_t *packed = mem_alloc(size);
    if (packed != NULL) {
        protobuf_c_message_pack(reply, packed);
        answer->copy = protobuf_c_message_unpack(reply->descriptor, NULL, size, packed);
    }
    if (answer->copy == NULL)
        answer->err = diag_set(&answer->diag, ERR_NOMEM, 0, "Out of memory");
}

int access_ask(struct access *a, const struct rpc_method *method, const ProtobufCMessage *request,
               ProtobufCMessage **ret, struct diag *d)
{
    struct answer answer = {0};
    int r = access_call(a, method, request, on_answer, &answer);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to ask gateway %s: %s", a->gateway, err_text(r));
    while (!answer.done)
        loop_turn(a->loop, true);
    if (answer.err < 0) {
        if (d != NULL)
            *d = answer.diag;
        return answer.err;
    }
    *ret = answer.copy;
    return 0;
}
