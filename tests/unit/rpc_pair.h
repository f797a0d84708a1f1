/* A gRPC client and server joined in memory, and what became of calls: for the tests of rpc/. */
#ifndef STILE_TESTS_RPC_PAIR_H
#define STILE_TESTS_RPC_PAIR_H

#include "base/clock.h"
#include "loop/stream_pair.h"
#include "rpc/client.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"
#include "stile/vnet/v1/client_application.pb-c.h"
#include "testing.h"

#include <string.h>

struct rpc_pair {
    struct loop loop;
    struct stream *streams[2]; /* client's, server's; only until they are taken */
    struct rpc_client *client;
    struct rpc_server_conn *conn;
    int client_closed; /* the error of on_closed; 1: not called */
    int server_closed;
    char client_text[512];
};

/* What a call's callback was told. */
struct outcome {
    int ends;     /* last callbacks */
    int messages; /* replies */
    enum rpc_status status;
    char text[512];
    char version[64]; /* of a PingResponse */
    size_t size;      /* of its text */
};

static inline void note_reply(void *arg, enum rpc_status status, const char *message,
                              const ProtobufCMessage *reply)
{
    struct outcome *o = arg;
    if (reply != NULL)
        o->messages++;
    if (reply != NULL && reply->descriptor == &stile__vnet__v1__ping_response__descriptor) {
        const Stile__Vnet__V1__PingResponse *ping = (const Stile__Vnet__V1__PingResponse *)reply;
        o->size = strlen(ping->version);
        snprintf(o->version, sizeof(o->version), "%.60s", ping->version);
    }
    if (reply == NULL || reply->descriptor != &stile__vnet__v1__target_configuration__descriptor)
        o->ends++;
    o->status = status;
    snprintf(o->text, sizeof(o->text), "%s", message);
}

static inline void note_client_closed(void *arg, int err, const struct diag *diag)
{
    struct rpc_pair *p = arg;
    p->client_closed = err;
    snprintf(p->client_text, sizeof(p->client_text), "%s", diag->text);
    rpc_client_close(p->client);
    p->client = NULL;
}

static inline void note_server_closed(void *arg, int err, UNUSED const struct diag *diag)
{
    struct rpc_pair *p = arg;
    p->server_closed = err;
    rpc_server_conn_close(p->conn);
    p->conn = NULL;
}

static inline void pair_streams(struct rpc_pair *p)
{
    *p = (struct rpc_pair){.client_closed = 1, .server_closed = 1};
    assert_int_equal(loop_init(&p->loop), 0);
    assert_int_equal(stream_pair_new(&p->loop, 65536, &p->streams[0], &p->streams[1]), 0);
}

static inline void pair_client(struct rpc_pair *p)
{
    assert_int_equal(
        rpc_client_new(p->streams[0], &p->loop, NULL, note_client_closed, p, &p->client), 0);
    p->streams[0] = NULL;
}

/* service_arg is the pair. */
static inline void pair_server(struct rpc_pair *p, const struct rpc_server_config *config)
{
    struct rpc_server_config c = *config;
    c.service_arg = p;
    c.on_closed = note_server_closed;
    assert_int_equal(rpc_server_conn_new(p->streams[1], &p->loop, &c, &p->conn), 0);
    p->streams[1] = NULL;
}

/* Turns the loop until the condition holds; fails after many turns. */
#define TURN_UNTIL(p, condition)                                                                   \
    do {                                                                                           \
        for (int turns_ = 0; !(condition) && turns_ < 200000; turns_++)                            \
            loop_turn(&(p)->loop, false);                                                          \
        assert_true(condition);                                                                    \
    } while (0)

static inline void pair_turns(struct rpc_pair *p, int n)
{
    for (int i = 0; i < n; i++)
        loop_turn(&p->loop, false);
}

/* Closes what is left; nothing may stay behind. */
static inline void pair_end(struct rpc_pair *p)
{
    rpc_client_close(p->client);
    rpc_server_conn_close(p->conn);
    stream_close(p->streams[0]);
    stream_close(p->streams[1]);
    pair_turns(p, 4);
    assert_int_equal(loop_release(&p->loop), 0);
}

static inline int ping(struct rpc_pair *p, const char *version, unsigned timeout_ms,
                       struct outcome *o, struct rpc_pending **ret_pending)
{
    Stile__Vnet__V1__PingRequest request = STILE__VNET__V1__PING_REQUEST__INIT;
    char text[64];
    snprintf(text, sizeof(text), "%s", version);
    request.version = text;
    return rpc_client_call(p->client, &client_application_ping, &request.base, timeout_ms,
                           note_reply, o, ret_pending);
}

/* Answers with the request's version. */
static inline void echo(struct rpc_call *call, const ProtobufCMessage *message, UNUSED void *arg)
{
    const Stile__Vnet__V1__PingRequest *request = (const Stile__Vnet__V1__PingRequest *)message;
    Stile__Vnet__V1__PingResponse response = STILE__VNET__V1__PING_RESPONSE__INIT;
    response.version = request->version;
    assert_int_equal(rpc_call_reply(call, &response.base), 0);
}

#endif
