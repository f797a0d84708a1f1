/* The access client against a gateway of the test's own, over real TLS on loopback: one connection for many calls, made again
 * when it was lost, and a reason for everything that fails. */
#include "testing.h"

#include <string.h>

#include "agent/access.h"
#include "base/str.h"
#include "loop/listener.h"
#include "loop/socket.h"
#include "platform/signals.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"
#include "tls/stream.h"
#include "tls_helpers.h"

#define CONNS_MAX 16

struct gateway;

/* The argument of a handshake's end. */
struct handshake {
    struct gateway *gateway;
    int index;
};

struct gateway {
    struct loop *loop;
    struct handshake arguments[CONNS_MAX];
    struct listener *listener;
    uint16_t port;
    SSL_CTX *ctx;
    struct stream *handshakes[CONNS_MAX];
    struct rpc_server_conn *conns[CONNS_MAX];
    int accepted;
    int served;
    bool silent; /* answers nothing */
    struct rpc_call *held[CONNS_MAX];
    int held_count;
};

struct fixture {
    struct loop loop;
    struct test_ca ca, other_ca;
    EVP_PKEY *key;
    X509 *cert;
    struct gateway gateway;
    char address[32];
};

struct outcome {
    bool done;
    int err;
    size_t apps;
    char text[512];
};

static void list_apps(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    struct gateway *g = arg;
    Stile__Access__V1__ListAppsResponse reply = STILE__ACCESS__V1__LIST_APPS_RESPONSE__INIT;
    Stile__Access__V1__App app = STILE__ACCESS__V1__APP__INIT;
    Stile__Access__V1__App *apps[] = {&app};
    (void)request;
    if (g->silent) {
        g->held[g->held_count++] = call;
        return;
    }
    g->served++;
    reply.n_apps = 1;
    reply.apps = apps;
    rpc_call_reply(call, &reply.base);
}

static void resolve_app(struct rpc_call *call, const ProtobufCMessage *request, void *arg)
{
    (void)request;
    (void)arg;
    rpc_call_fail(call, RPC_PERMISSION_DENIED, "not for you");
}

static const struct rpc_handler handlers[] = {{&access_list_apps, list_apps},
                                              {&access_resolve_app, resolve_app}};

static void on_ready(void *arg, int err, const struct diag *d)
{
    struct handshake *h = arg;
    struct gateway *g = h->gateway;
    struct stream *s = STEAL(g->handshakes[h->index]);
    const struct rpc_server_config config = {
        .handlers = handlers, .handler_count = ARRAY_LEN(handlers), .service_arg = g};
    (void)d;
    if (err < 0) {
        stream_close(s);
        return;
    }
    assert_int_equal(rpc_server_conn_new(s, g->loop, &config, &g->conns[h->index]), 0);
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    struct gateway *g = arg;
    struct stream *socket = NULL;
    const struct tls_config config = {.ctx = g->ctx, .server = true};
    assert_true(g->accepted < CONNS_MAX);
    struct handshake *h = &g->arguments[g->accepted];
    *h = (struct handshake){.gateway = g, .index = g->accepted++};
    assert_int_equal(socket_stream_new(g->loop, fd, &socket), 0);
    assert_int_equal(
        tls_stream_new(socket, g->loop, &config, on_ready, h, &g->handshakes[h->index]), 0);
}

static void listen_on(struct fixture *f, uint16_t port)
{
    uv_os_sock_t fd;
    assert_int_equal(listener_open_tcp("127.0.0.1", port, &fd, &f->gateway.port, NULL), 0);
    assert_int_equal(listener_new(&f->loop, fd, on_accept, &f->gateway, &f->gateway.listener), 0);
    (void)str_format(f->address, sizeof(f->address), "127.0.0.1:%u", (unsigned)f->gateway.port);
}

static X509 *server_cert(struct fixture *f)
{
    const char *const addresses[] = {"127.0.0.1", NULL};
    const struct cert_spec spec = {.use = CERT_SERVER,
                                   .common_name = "gateway",
                                   .addresses = addresses,
                                   .not_before = clock_wall_s() - 60,
                                   .not_after = clock_wall_s() + 3600};
    X509 *cert = NULL;
    assert_int_equal(cert_issue(&spec, f->key, f->ca.cert, f->ca.key, &cert, NULL), 0);
    return cert;
}

static int setup(void **state)
{
    static struct fixture f;
    static const char *const alpn[] = {"h2", NULL};
    memset(&f, 0, sizeof(f));
    *state = &f;
    assert_int_equal(loop_init(&f.loop), 0);
    test_ca_init(&f.ca, "the CA");
    test_ca_init(&f.other_ca, "another CA");
    assert_int_equal(key_new(&f.key), 0);
    f.cert = server_cert(&f);
    const struct tls_identity identity = {.cert = f.cert, .key = f.key};
    assert_int_equal(
        tls_server_context(&identity, (struct slice){0}, false, alpn, &f.gateway.ctx, NULL), 0);
    f.gateway.loop = &f.loop;
    listen_on(&f, 0);
    return 0;
}

static void drop_connections(struct gateway *g)
{
    for (int i = 0; i < CONNS_MAX; i++) {
        if (g->conns[i] != NULL)
            rpc_server_conn_close(STEAL(g->conns[i]));
        stream_close(STEAL(g->handshakes[i]));
    }
    while (g->held_count > 0)
        rpc_call_fail(g->held[--g->held_count], RPC_CANCELLED, "over");
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->gateway.listener != NULL)
        listener_close(f->gateway.listener);
    drop_connections(&f->gateway);
    turn_some(&f->loop, 50);
    SSL_CTX_free(f->gateway.ctx);
    X509_free(f->cert);
    EVP_PKEY_free(f->key);
    test_ca_release(&f->ca);
    test_ca_release(&f->other_ca);
    return loop_release(&f->loop);
}

static struct access *connect_trusting(struct fixture *f, struct test_ca *ca)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    struct access *a = NULL;
    assert_int_equal(tls_client_context(buf_slice(&ca->pem), &ctx, NULL), 0);
    const struct access_config config = {.gateway = f->address, .ctx = ctx};
    assert_int_equal(access_new(&f->loop, &config, &a, NULL), 0);
    return a;
}

static void note(void *arg, int err, const ProtobufCMessage *reply, const struct diag *d)
{
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->err = err;
    assert_true((err == 0) == (reply != NULL));
    assert_true(err == 0 || d->text[0] != '\0');
    if (err != 0)
        (void)str_format(o->text, sizeof(o->text), "%s", d->text);
    else
        o->apps = ((const Stile__Access__V1__ListAppsResponse *)reply)->n_apps;
}

static Stile__Access__V1__ListAppsRequest list_request = STILE__ACCESS__V1__LIST_APPS_REQUEST__INIT;

static void ask(struct access *a, struct outcome *o)
{
    *o = (struct outcome){0};
    assert_int_equal(access_call(a, &access_list_apps, &list_request.base, note, o), 0);
    assert_false(o->done);
}

static void many_calls_share_one_connection(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->ca);
    struct outcome o[5], later;
    for (size_t i = 0; i < 5; i++)
        ask(a, &o[i]);
    for (size_t i = 0; i < 5; i++) {
        assert_true(turn_until(&f->loop, &o[i].done));
        assert_int_equal(o[i].err, 0);
        assert_int_equal(o[i].apps, 1);
    }
    ask(a, &later);
    assert_true(turn_until(&f->loop, &later.done));
    assert_int_equal(f->gateway.accepted, 1);
    access_free(a);
}

static void a_lost_connection_is_made_again_and_the_call_with_it(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->ca);
    struct outcome o;
    ask(a, &o);
    assert_true(turn_until(&f->loop, &o.done));
    f->gateway.silent = true;
    ask(a, &o);
    turn_some(&f->loop, 50);
    uv_sleep(20);
    turn_some(&f->loop, 50);
    f->gateway.silent = false;
    drop_connections(&f->gateway);
    assert_true(turn_until(&f->loop, &o.done));
    assert_int_equal(o.err, 0);
    assert_int_equal(f->gateway.accepted, 2);
    access_free(a);
}

static void a_connection_lost_while_idle_is_no_failure(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->ca);
    struct outcome o;
    ask(a, &o);
    assert_true(turn_until(&f->loop, &o.done));
    drop_connections(&f->gateway);
    turn_some(&f->loop, 50);
    ask(a, &o);
    assert_true(turn_until(&f->loop, &o.done));
    assert_int_equal(o.err, 0);
    access_free(a);
}

static void an_unreachable_gateway_is_said_to_all_and_asked_again_later(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->ca);
    struct outcome o[2];
    uint16_t port = f->gateway.port;
    listener_close(STEAL(f->gateway.listener));
    turn_some(&f->loop, 10);
    ask(a, &o[0]);
    ask(a, &o[1]);
    for (size_t i = 0; i < 2; i++) {
        assert_true(turn_until(&f->loop, &o[i].done));
        assert_int_equal(o[i].err, ERR_UNREACHABLE);
        assert_non_null(strstr(o[i].text, f->address));
    }
    listen_on(f, port);
    ask(a, &o[0]);
    assert_true(turn_until(&f->loop, &o[0].done));
    assert_int_equal(o[0].err, 0);
    access_free(a);
}

static void a_gateway_of_another_ca_is_not_talked_to(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->other_ca);
    struct outcome o;
    ask(a, &o);
    assert_true(turn_until(&f->loop, &o.done));
    assert_true(o.err == ERR_AUTH || o.err == ERR_TLS);
    assert_non_null(strstr(o.text, "CA"));
    assert_int_equal(f->gateway.served, 0);
    access_free(a);
}

static void the_gateways_own_words_are_passed_on(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->ca);
    Stile__Access__V1__ResolveAppRequest q = STILE__ACCESS__V1__RESOLVE_APP_REQUEST__INIT;
    struct outcome o = {0};
    assert_int_equal(access_call(a, &access_resolve_app, &q.base, note, &o), 0);
    assert_true(turn_until(&f->loop, &o.done));
    assert_int_equal(o.err, ERR_DENIED);
    assert_non_null(strstr(o.text, "not for you"));
    access_free(a);
}

static void calls_that_are_open_at_the_end_are_cancelled(void **state)
{
    struct fixture *f = *state;
    struct access *a = connect_trusting(f, &f->ca);
    struct outcome waiting, sent;
    ask(a, &waiting);
    access_free(a);
    assert_true(waiting.done);
    assert_int_equal(waiting.err, ERR_CANCELED);
    f->gateway.silent = true;
    a = connect_trusting(f, &f->ca);
    ask(a, &sent);
    for (int i = 0; i < 30000 && f->gateway.held_count == 0; i++) {
        loop_turn(&f->loop, false);
        uv_sleep(1);
    }
    assert_int_equal(f->gateway.held_count, 1);
    access_free(a);
    assert_true(sent.done);
    assert_int_equal(sent.err, ERR_CANCELED);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(many_calls_share_one_connection),
        WITH(a_lost_connection_is_made_again_and_the_call_with_it),
        WITH(a_connection_lost_while_idle_is_no_failure),
        WITH(an_unreachable_gateway_is_said_to_all_and_asked_again_later),
        WITH(a_gateway_of_another_ca_is_not_talked_to),
        WITH(the_gateways_own_words_are_passed_on),
        WITH(calls_that_are_open_at_the_end_are_cancelled),
    };
    signals_block_broken_pipes(); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
