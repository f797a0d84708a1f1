/* usage: rpc_server [TLS_DIR]    Serves interop.proto on a loopback port, which it prints, until standard input ends.
 *
 * TLS_DIR holds ca.pem, cert.pem and key.pem; clients must then have a certificate.
 */
#include "rpc/server.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "loop/listener.h"
#include "methods.h"
#include "secure.h"

static struct loop loop;
static struct secure secure;
static uint32_t given_up;

static void on_echo(struct rpc_call *call, const ProtobufCMessage *request, UNUSED void *arg)
{
    rpc_call_reply(call, request);
}

static void on_fail(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Interop__FailRequest *request = (const Stile__Interop__FailRequest *)message;
    rpc_call_fail(call, (enum rpc_status)request->code, "%s", request->text);
}

static void on_make(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Interop__MakeRequest *request = (const Stile__Interop__MakeRequest *)message;
    Stile__Interop__Bytes response = STILE__INTEROP__BYTES__INIT;
    response.data.len = request->size;
    response.data.data = mem_zalloc(request->size);
    rpc_call_reply(call, &response.base);
    mem_free(response.data.data);
}

struct count {
    struct rpc_call *call;
    uint32_t left;
    Stile__Interop__Bytes message;
    uint32_t code;
};

static void count_free(struct count *c)
{
    mem_free(c->message.data.data);
    mem_free(c);
}

static void count_on(void *arg)
{
    struct count *c = arg;
    int r = 0;
    while (c->left > 0 && (r = rpc_call_send(c->call, &c->message.base)) == 0)
        c->left--;
    if (r == ERR_AGAIN)
        return;
    if (c->code == 0)
        rpc_call_finish(c->call);
    else
        rpc_call_fail(c->call, (enum rpc_status)c->code, "as asked");
    count_free(c);
}

static void count_canceled(void *arg)
{
    struct count *c = arg;
    given_up++;
    rpc_call_fail(c->call, RPC_CANCELLED, "given up");
    count_free(c);
}

static void on_count(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Interop__CountRequest *request = (const Stile__Interop__CountRequest *)message;
    struct count *c = NEW(struct count);
    c->call = call;
    c->left = request->count;
    c->code = request->code;
    stile__interop__bytes__init(&c->message);
    c->message.data.len = request->size;
    c->message.data.data = mem_zalloc(request->size);
    rpc_call_on_drain(call, count_on, c);
    rpc_call_on_cancel(call, count_canceled, c);
    count_on(c);
}

static void wait_canceled(void *arg)
{
    given_up++;
    rpc_call_fail(arg, RPC_CANCELLED, "given up");
}

static void on_wait(struct rpc_call *call, UNUSED const ProtobufCMessage *message, UNUSED void *arg)
{
    rpc_call_on_cancel(call, wait_canceled, call);
}

static void on_given_up(struct rpc_call *call, UNUSED const ProtobufCMessage *message,
                        UNUSED void *arg)
{
    Stile__Interop__Number response = STILE__INTEROP__NUMBER__INIT;
    response.value = given_up;
    rpc_call_reply(call, &response.base);
}

static const struct rpc_handler handlers[] = {
    {&methods[METHOD_ECHO], on_echo}, {&methods[METHOD_FAIL], on_fail},
    {&methods[METHOD_MAKE], on_make}, {&methods[METHOD_COUNT], on_count},
    {&methods[METHOD_WAIT], on_wait}, {&methods[METHOD_GIVEN_UP], on_given_up},
};

static void on_ready(UNUSED void *arg, int err, struct stream *s, const struct diag *d)
{
    const struct rpc_server_config config = {.handlers = handlers,
                                             .handler_count = ARRAY_LEN(handlers)};
    struct rpc_server_conn *conn;
    if (err < 0)
        fprintf(stderr, "rpc_server: %s\n", d->text);
    else if (rpc_server_conn_new(s, &loop, &config, &conn) < 0)
        stream_close(s);
}

static void on_accept(UNUSED void *arg, uv_os_sock_t fd)
{
    if (secure_start(&secure, &loop, fd, true, on_ready, NULL) < 0)
        fprintf(stderr, "rpc_server: failed to start a connection\n");
}

/* Standard input's end: the test is over, or its script is dead. */
static void on_stdin(UNUSED uv_poll_t *poll, UNUSED int status, UNUSED int events)
{
    exit(0);
}

int main(int argc, char **argv)
{
    struct diag d = {0};
    uv_os_sock_t fd;
    uint16_t port;
    struct listener *listener;
    uv_poll_t input;
    if (loop_init(&loop) < 0 || secure_init(&secure, argc > 1 ? argv[1] : NULL, true, &d) < 0 ||
        listener_open_tcp("127.0.0.1", 0, &fd, &port, &d) < 0 ||
        listener_new(&loop, fd, on_accept, NULL, &listener) < 0) {
        fprintf(stderr, "rpc_server: %s\n", d.text);
        return 1;
    }
    uv_poll_init(&loop.uv, &input, 0);
    uv_poll_start(&input, UV_READABLE, on_stdin);
    printf("%u\n", port);
    fflush(stdout);
    return loop_run(&loop) < 0;
}
