/* usage: rpc_client PORT [TLS_DIR]    Calls every method of interop.proto on a loopback port; TAP on standard output. */
#include "rpc/client.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "methods.h"
#include "secure.h"

static struct loop loop;
static struct secure secure;
static struct rpc_client *client;
static int case_number;
static int failures;

struct outcome {
    bool ended;
    enum rpc_status status;
    char text[512];
    unsigned messages;
    size_t bytes;          /* of all messages */
    uint32_t value;        /* of a Number */
    unsigned cancel_after; /* messages; 0: not at all */
    struct rpc_pending *pending;
};

static void on_reply(void *arg, enum rpc_status status, const char *message,
                     const ProtobufCMessage *reply)
{
    struct outcome *o = arg;
    o->status = status;
    str_format(o->text, sizeof(o->text), "%s", message);
    if (reply == NULL) {
        o->ended = true;
        return;
    }
    o->messages++;
    if (reply->descriptor == &stile__interop__number__descriptor)
        o->value = ((const Stile__Interop__Number *)reply)->value;
    else
        o->bytes += ((const Stile__Interop__Bytes *)reply)->data.len;
    if (o->cancel_after > 0 && o->messages == o->cancel_after) {
        rpc_pending_cancel(o->pending);
        o->ended = true;
    }
}

static void on_unary(void *arg, enum rpc_status status, const char *message,
                     const ProtobufCMessage *reply)
{
    struct outcome *o = arg;
    on_reply(o, status, message, reply);
    o->ended = true;
}

static void start(int method, const void *request, unsigned timeout_ms, struct outcome *o)
{
    const ProtobufCMessage *message = request;
    rpc_on_reply *callback = methods[method].streaming ? on_reply : on_unary;
    if (rpc_client_call(client, &methods[method], message, timeout_ms, callback, o, &o->pending) <
        0) {
        o->ended = true;
        o->status = RPC_UNAVAILABLE;
    }
}

static void finish(struct outcome *o)
{
    while (!o->ended)
        loop_turn(&loop, true);
}

static void call(int method, const void *request, unsigned timeout_ms, struct outcome *o)
{
    start(method, request, timeout_ms, o);
    finish(o);
}

static void check(bool good, const char *name, const struct outcome *o)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++case_number, name);
    if (!good) {
        failures++;
        printf("# status %s, text '%s', %u messages, %zu bytes\n", rpc_status_name(o->status),
               o->text, o->messages, o->bytes);
    }
    fflush(stdout);
}

static void check_echo(size_t size, const char *name)
{
    struct outcome o = {0};
    Stile__Interop__Bytes request = STILE__INTEROP__BYTES__INIT;
    request.data.data = mem_zalloc(size);
    request.data.len = size;
    call(METHOD_ECHO, &request, 20000, &o);
    mem_free(request.data.data);
    check(o.status == RPC_OK && o.bytes == size, name, &o);
}

static void check_failures(void)
{
    static char text[] = "keine \303\204pfel: 100% weg";
    Stile__Interop__FailRequest request = STILE__INTEROP__FAIL_REQUEST__INIT;
    request.text = text;
    for (uint32_t code = 1; code <= RPC_STATUS_MAX; code++) {
        struct outcome o = {0};
        char name[80];
        request.code = code;
        call(METHOD_FAIL, &request, 5000, &o);
        str_format(name, sizeof(name), "status %s and its text come through",
                   rpc_status_name((enum rpc_status)code));
        check(o.status == code && str_eq(o.text, text), name, &o);
    }
}

static void check_missing(void)
{
    struct outcome o = {0};
    Stile__Interop__Bytes request = STILE__INTEROP__BYTES__INIT;
    call(METHOD_MISSING, &request, 5000, &o);
    check(o.status == RPC_UNIMPLEMENTED, "an unknown method is UNIMPLEMENTED", &o);
}

static void check_too_large(void)
{
    struct outcome o = {0};
    Stile__Interop__MakeRequest request = STILE__INTEROP__MAKE_REQUEST__INIT;
    request.size = RPC_MESSAGE_MAX + 1;
    call(METHOD_MAKE, &request, 20000, &o);
    check(o.status == RPC_RESOURCE_EXHAUSTED, "a response over the cap is RESOURCE_EXHAUSTED", &o);
}

static void check_stream(uint32_t count, uint32_t size, uint32_t code, const char *name)
{
    struct outcome o = {0};
    Stile__Interop__CountRequest request = STILE__INTEROP__COUNT_REQUEST__INIT;
    request.count = count;
    request.size = size;
    request.code = code;
    call(METHOD_COUNT, &request, 30000, &o);
    check(o.status == code && o.messages == count && o.bytes == (size_t)count * size, name, &o);
}

static uint32_t given_up(void)
{
    struct outcome o = {0};
    Stile__Interop__Bytes request = STILE__INTEROP__BYTES__INIT;
    call(METHOD_GIVEN_UP, &request, 5000, &o);
    return o.value;
}

/* The server may learn of it a moment later. */
static bool becomes_given_up(uint32_t want)
{
    uint64_t until = clock_mono_ns() + 5 * NS_PER_S;
    while (given_up() < want && clock_mono_ns() < until)
        ;
    return given_up() == want;
}

static void check_deadline(void)
{
    struct outcome o = {0};
    Stile__Interop__Bytes request = STILE__INTEROP__BYTES__INIT;
    uint32_t before = given_up();
    call(METHOD_WAIT, &request, 200, &o);
    check(o.status == RPC_DEADLINE_EXCEEDED && becomes_given_up(before + 1),
          "a deadline ends the call on both sides", &o);
}

static void check_cancel(void)
{
    struct outcome o = {.cancel_after = 3};
    Stile__Interop__CountRequest request = STILE__INTEROP__COUNT_REQUEST__INIT;
    uint32_t before = given_up();
    request.count = 1000000;
    request.size = 65536;
    call(METHOD_COUNT, &request, 0, &o);
    check(o.messages == 3 && becomes_given_up(before + 1), "a stream cancelled here ends there",
          &o);
}

#define MANY 500u

static void check_many(void)
{
    static struct outcome outcomes[MANY];
    struct outcome bad = {0};
    Stile__Interop__MakeRequest request = STILE__INTEROP__MAKE_REQUEST__INIT;
    bool good = true;
    for (uint32_t i = 0; i < MANY; i++) {
        request.size = i * 10;
        start(METHOD_MAKE, &request, 20000, &outcomes[i]);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        finish(&outcomes[i]);
        if (outcomes[i].status != RPC_OK || outcomes[i].bytes != i * 10) {
            good = false;
            bad = outcomes[i];
        }
    }
    check(good, "500 calls at once", &bad);
}

static void on_closed(UNUSED void *arg, UNUSED int err, const struct diag *d)
{
    fprintf(stderr, "rpc_client: %s\n", d->text);
    exit(1);
}

static void on_connected(UNUSED void *arg, int err, struct stream *s, const struct diag *d)
{
    if (err < 0 || rpc_client_new(s, &loop, secure.directory == NULL ? NULL : "localhost",
                                  on_closed, NULL, &client) < 0) {
        fprintf(stderr, "rpc_client: %s\n", err < 0 ? d->text : "no client");
        exit(1);
    }
}

static void on_socket(UNUSED void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    if (err < 0 || secure_start(&secure, &loop, fd, false, on_connected, NULL) < 0) {
        fprintf(stderr, "rpc_client: %s\n", d->text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct diag d = {0};
    uint16_t port;
    if (argc < 2 || str_to_u16(argv[1], &port) < 0 || loop_init(&loop) < 0 ||
        secure_init(&secure, argc > 2 ? argv[2] : NULL, false, &d) < 0 ||
        socket_connect_start(&loop, "127.0.0.1", port, 5000, on_socket, NULL, NULL) < 0) {
        fprintf(stderr, "rpc_client: can't start: %s\n", d.text);
        return 1;
    }
    while (client == NULL)
        loop_turn(&loop, true);
    check_echo(0, "an empty message");
    check_echo(100, "a small message");
    check_echo(RPC_MESSAGE_MAX - 16, "a message of 4 MiB both ways");
    check_failures();
    check_missing();
    check_too_large();
    check_stream(0, 0, 0, "an empty stream");
    check_stream(1000, 1000, 0, "a stream of 1000 messages");
    check_stream(3, 10, RPC_ABORTED, "a stream that ends in an error");
    check_stream(100, 1048576, 0, "a stream of 100 MiB");
    check_deadline();
    check_cancel();
    check_many();
    printf("1..%d\n", case_number);
    rpc_client_close(client);
    secure_release(&secure);
    while (loop_release(&loop) < 0)
        loop_turn(&loop, true);
    return failures > 0;
}
