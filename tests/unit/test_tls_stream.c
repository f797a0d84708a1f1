#include "testing.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "loop/stream_pair.h"
#include "tls/stream.h"
#include "tls_helpers.h"

#define WINDOW 65536

/* One end of a connection and what happened to it. */
struct end {
    struct stream *stream;
    struct buf got;
    bool ready, ended, failed, drained;
    int err;
    struct diag diag;
};

struct fixture {
    struct loop loop;
    struct test_ca ca;
    EVP_PKEY *server_key, *client_key;
    X509 *server_cert, *client_cert;
    SSL_CTX *server_ctx, *client_ctx;
    struct stream *lower_client, *lower_server;
    struct end client, server;
};

static void on_ready(void *arg, int err, const struct diag *d)
{
    struct end *e = arg;
    e->ready = err == 0;
    e->failed = err != 0;
    e->err = err;
    if (d != NULL)
        e->diag = *d;
}

static void on_data(void *arg, struct slice bytes)
{
    struct end *e = arg;
    assert_true(bytes.len > 0);
    assert_int_equal(buf_put(&e->got, bytes), 0);
}

static void on_end(void *arg)
{
    struct end *e = arg;
    assert_false(e->ended);
    e->ended = true;
}

static void on_drain(void *arg)
{
    ((struct end *)arg)->drained = true;
}

static void on_error(void *arg, int err, const struct diag *d)
{
    struct end *e = arg;
    assert_false(e->failed);
    e->failed = true;
    e->err = err;
    e->diag = *d;
}

static const struct stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_drain = on_drain, .on_error = on_error};

static const char *const alpn[] = {"stile-tcp", "h2", NULL};

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    assert_non_null(f);
    assert_int_equal(loop_init(&f->loop), 0);
    test_ca_init(&f->ca, "Test CA");
    assert_int_equal(key_new(&f->server_key), 0);
    assert_int_equal(key_new(&f->client_key), 0);
    f->server_cert = test_cert(&f->ca, CERT_SERVER, "gw.test", f->server_key, 3600);
    f->client_cert = test_cert(&f->ca, CERT_CLIENT, "alice", f->client_key, 3600);
    struct tls_identity id = {.cert = f->server_cert, .key = f->server_key};
    struct slice ca = buf_slice(&f->ca.pem);
    assert_int_equal(tls_server_context(&id, ca, true, alpn, &f->server_ctx, NULL), 0);
    assert_int_equal(tls_client_context(ca, &f->client_ctx, NULL), 0);
    buf_init(&f->client.got, 64 << 20);
    buf_init(&f->server.got, 64 << 20);
    assert_int_equal(stream_pair_new(&f->loop, WINDOW, &f->lower_client, &f->lower_server), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    stream_close(f->client.stream != NULL ? f->client.stream : f->lower_client);
    stream_close(f->server.stream != NULL ? f->server.stream : f->lower_server);
    assert_int_equal(loop_release(&f->loop), 0);
    buf_release(&f->client.got);
    buf_release(&f->server.got);
    SSL_CTX_free(f->server_ctx);
    SSL_CTX_free(f->client_ctx);
    X509_free(f->server_cert);
    X509_free(f->client_cert);
    EVP_PKEY_free(f->server_key);
    EVP_PKEY_free(f->client_key);
    test_ca_release(&f->ca);
    mem_free(f);
    return 0;
}

static struct tls_config client_config(struct fixture *f)
{
    return (struct tls_config){
        .ctx = f->client_ctx,
        .server_name = "gw.test",
        .alpn = "stile-tcp",
        .cert = f->client_cert,
        .key = f->client_key,
    };
}

static void begin(struct fixture *f, const struct tls_config *client)
{
    struct tls_config server = {.ctx = f->server_ctx, .server = true};
    assert_int_equal(
        tls_stream_new(f->lower_client, &f->loop, client, on_ready, &f->client, &f->client.stream),
        0);
    assert_int_equal(
        tls_stream_new(f->lower_server, &f->loop, &server, on_ready, &f->server, &f->server.stream),
        0);
    stream_set_events(f->client.stream, &events, &f->client);
    stream_set_events(f->server.stream, &events, &f->server);
}

static void connect_both(struct fixture *f)
{
    struct tls_config config = client_config(f);
    begin(f, &config);
    assert_false(f->client.ready); /* never from inside the call */
    assert_true(turn_until(&f->loop, &f->client.ready));
    assert_true(turn_until(&f->loop, &f->server.ready));
}

static void read_both(struct fixture *f)
{
    assert_int_equal(stream_read_start(f->client.stream), 0);
    assert_int_equal(stream_read_start(f->server.stream), 0);
}

static void send_text(struct stream *s, const char *text)
{
    struct slice part = slice_str(text);
    assert_int_equal(stream_write(s, &part, 1), 0);
}

static void handshake_agrees_on_tls13_protocol_and_both_identities(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    assert_int_equal(SSL_version(tls_stream_ssl(f->client.stream)), TLS1_3_VERSION);
    assert_true(tls_stream_alpn_is(f->client.stream, "stile-tcp"));
    assert_true(tls_stream_alpn_is(f->server.stream, "stile-tcp"));
    assert_false(tls_stream_alpn_is(f->server.stream, "h2"));
    char uri[64];
    assert_int_equal(cert_uri(tls_stream_peer(f->server.stream), 0, uri, sizeof(uri)), 0);
    assert_string_equal(uri, "stile://test/user/alice");
}

static void bytes_arrive_in_both_directions(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    read_both(f);
    send_text(f->client.stream, "question");
    send_text(f->server.stream, "answer");
    turn_some(&f->loop, 20);
    assert_true(slice_eq_str(buf_slice(&f->server.got), "question"));
    assert_true(slice_eq_str(buf_slice(&f->client.got), "answer"));
}

static void parts_of_any_size_arrive_in_order(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[300000];
    random_bytes(data, sizeof(data));
    connect_both(f);
    read_both(f);
    const size_t sizes[] = {1, 5, 16384, 0, 16383, 2, 40000, 7, 100000, 65536, 3};
    struct slice parts[ARRAY_LEN(sizes)];
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        parts[i] = slice_of(data + at, sizes[i]);
        at += sizes[i];
    }
    assert_int_equal(stream_write(f->client.stream, parts, ARRAY_LEN(parts)), 0);
    turn_some(&f->loop, 200);
    assert_true(slice_eq(buf_slice(&f->server.got), slice_of(data, at)));
}

static void half_close_ends_one_direction_only(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    read_both(f);
    send_text(f->client.stream, "last");
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_true(turn_until(&f->loop, &f->server.ended));
    assert_true(slice_eq_str(buf_slice(&f->server.got), "last"));
    struct slice late = SLICE_LIT("x");
    assert_int_equal(stream_write(f->client.stream, &late, 1), ERR_CLOSED);
    send_text(f->server.stream, "still here");
    assert_int_equal(stream_end(f->server.stream), 0);
    assert_true(turn_until(&f->loop, &f->client.ended));
    assert_true(slice_eq_str(buf_slice(&f->client.got), "still here"));
    assert_false(f->client.failed || f->server.failed);
}

static void cut_without_close_notify_is_truncation(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    read_both(f);
    send_text(f->client.stream, "half a");
    turn_some(&f->loop, 10);
    stream_close(STEAL(f->client.stream));
    f->lower_client = NULL;
    assert_true(turn_until(&f->loop, &f->server.failed));
    assert_int_equal(f->server.err, ERR_TRUNCATED);
    assert_false(f->server.ended);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(handshake_agrees_on_tls13_protocol_and_both_identities,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_arrive_in_both_directions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_of_any_size_arrive_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_close_ends_one_direction_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_without_close_notify_is_truncation, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
