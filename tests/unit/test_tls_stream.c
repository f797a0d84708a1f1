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

/* ---- back-pressure ---- */

static void stopped_reader_stops_the_writer_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[1 << 20];
    random_bytes(data, sizeof(data));
    connect_both(f);
    assert_int_equal(stream_read_start(f->client.stream), 0);
    struct slice part = slice_of(data, sizeof(data));
    assert_int_equal(stream_write(f->client.stream, &part, 1), 0);
    turn_some(&f->loop, 50);
    assert_int_equal(buf_len(&f->server.got), 0);
    assert_true(stream_queued(f->client.stream) > sizeof(data) / 2);
    assert_false(f->client.drained);
    assert_int_equal(stream_read_start(f->server.stream), 0);
    assert_true(turn_until(&f->loop, &f->client.drained));
    assert_int_equal(stream_queued(f->client.stream), 0);
    turn_some(&f->loop, 50);
    assert_true(slice_eq(buf_slice(&f->server.got), part));
}

/* Takes `limit` bytes, 1000 at a time, then says that there is no space. */
static uint8_t space_memory[1000];
static size_t space_left;

static struct span get_space(void *arg)
{
    (void)arg;
    return (struct span){space_memory, MIN(space_left, sizeof(space_memory))};
}

static void on_spaced_data(void *arg, struct slice bytes)
{
    assert_ptr_equal(bytes.data, space_memory);
    space_left -= bytes.len;
    on_data(arg, bytes);
}

static void reader_without_space_is_paused_until_it_starts_again(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[50000];
    random_bytes(data, sizeof(data));
    connect_both(f);
    struct stream_events spaced = events;
    spaced.get_space = get_space;
    spaced.on_data = on_spaced_data;
    stream_set_events(f->server.stream, &spaced, &f->server);
    struct slice part = slice_of(data, sizeof(data));
    assert_int_equal(stream_write(f->client.stream, &part, 1), 0);
    assert_int_equal(stream_end(f->client.stream), 0);
    space_left = 12345;
    assert_int_equal(stream_read_start(f->server.stream), 0);
    turn_some(&f->loop, 50);
    assert_int_equal(buf_len(&f->server.got), 12345);
    assert_false(f->server.ended);
    space_left = sizeof(data);
    assert_int_equal(stream_read_start(f->server.stream), 0);
    assert_true(turn_until(&f->loop, &f->server.ended));
    assert_true(slice_eq(buf_slice(&f->server.got), part));
}

static void on_data_stop(void *arg, struct slice bytes)
{
    struct end *e = arg;
    on_data(arg, bytes);
    stream_read_stop(e->stream);
}

static void end_waits_for_a_reader_that_stopped(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    struct stream_events stopping = events;
    stopping.on_data = on_data_stop;
    stream_set_events(f->server.stream, &stopping, &f->server);
    assert_int_equal(stream_read_start(f->server.stream), 0);
    send_text(f->client.stream, "last");
    assert_int_equal(stream_end(f->client.stream), 0);
    turn_some(&f->loop, 50);
    assert_int_equal(buf_len(&f->server.got), 4);
    assert_false(f->server.ended);
    assert_int_equal(stream_read_start(f->server.stream), 0);
    assert_true(turn_until(&f->loop, &f->server.ended));
}

static void works_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    stream_pair_set_chunk(f->lower_client, 1);
    stream_pair_set_chunk(f->lower_server, 1);
    connect_both(f);
    read_both(f);
    send_text(f->client.stream, "slowly");
    assert_int_equal(stream_end(f->client.stream), 0);
    assert_true(turn_until(&f->loop, &f->server.ended));
    assert_true(slice_eq_str(buf_slice(&f->server.got), "slowly"));
}

static void corked_writes_leave_with_the_uncork(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    read_both(f);
    stream_cork(f->client.stream);
    send_text(f->client.stream, "one ");
    send_text(f->client.stream, "two");
    turn_some(&f->loop, 20);
    assert_int_equal(buf_len(&f->server.got), 0);
    stream_uncork(f->client.stream);
    turn_some(&f->loop, 20);
    assert_true(slice_eq_str(buf_slice(&f->server.got), "one two"));
}

static void close_in_an_event(void *arg, struct slice bytes)
{
    struct end *e = arg;
    (void)bytes;
    stream_close(STEAL(e->stream));
}

static void closing_inside_an_event_is_safe(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    struct stream_events closing = events;
    closing.on_data = close_in_an_event;
    stream_set_events(f->server.stream, &closing, &f->server);
    read_both(f);
    static const uint8_t data[40000];
    struct slice part = slice_of(data, sizeof(data));
    assert_int_equal(stream_write(f->client.stream, &part, 1), 0);
    assert_true(turn_until(&f->loop, &f->client.failed));
    f->lower_server = NULL;
    assert_null(f->server.stream);
}

/* ---- refusals and what they say ---- */

static void expect_client_failure(struct fixture *f, const struct tls_config *config, int err,
                                  const char *words)
{
    begin(f, config);
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_int_equal(f->client.err, err);
    if (strstr(f->client.diag.text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, f->client.diag.text);
}

static void certificate_of_another_ca_is_refused(void **state)
{
    struct fixture *f = *state;
    struct test_ca other;
    test_ca_init(&other, "Other CA");
    SSL_CTX *ctx = NULL;
    assert_int_equal(tls_client_context(buf_slice(&other.pem), &ctx, NULL), 0);
    struct tls_config config = client_config(f);
    config.ctx = ctx;
    expect_client_failure(f, &config, ERR_TLS, "another CA");
    SSL_CTX_free(ctx);
    test_ca_release(&other);
}

static void certificate_for_another_name_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = client_config(f);
    config.server_name = "other.test";
    expect_client_failure(f, &config, ERR_TLS, "not for the name other.test");
}

static void use_server_certificate(struct fixture *f, X509 *cert)
{
    SSL_CTX_free(f->server_ctx);
    X509_free(f->server_cert);
    f->server_cert = cert;
    struct tls_identity id = {.cert = f->server_cert, .key = f->server_key};
    assert_int_equal(
        tls_server_context(&id, buf_slice(&f->ca.pem), true, alpn, &f->server_ctx, NULL), 0);
}

static void expired_server_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    use_server_certificate(f, test_cert(&f->ca, CERT_SERVER, "gw.test", f->server_key, -10));
    struct tls_config config = client_config(f);
    expect_client_failure(f, &config, ERR_TLS, "has expired");
}

static void certificate_for_another_use_is_refused(void **state)
{
    struct fixture *f = *state;
    use_server_certificate(f, test_cert(&f->ca, CERT_CLIENT, "gw.test", f->server_key, 3600));
    struct tls_config config = client_config(f);
    expect_client_failure(f, &config, ERR_TLS, "purpose");
}

/* The client's handshake succeeds; the refusal follows. */
static void expect_late_refusal(struct fixture *f, const struct tls_config *config, int client_err,
                                int server_err, const char *words)
{
    begin(f, config);
    assert_true(turn_until(&f->loop, &f->client.ready));
    assert_int_equal(stream_read_start(f->client.stream), 0);
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_int_equal(f->client.err, client_err);
    if (strstr(f->client.diag.text, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, f->client.diag.text);
    assert_true(f->server.failed);
    assert_int_equal(f->server.err, server_err);
}

static void expired_client_certificate_says_log_in_again(void **state)
{
    struct fixture *f = *state;
    X509_free(f->client_cert);
    f->client_cert = test_cert(&f->ca, CERT_CLIENT, "alice", f->client_key, -10);
    struct tls_config config = client_config(f);
    expect_late_refusal(f, &config, ERR_EXPIRED, ERR_EXPIRED, "log in again");
}

static void client_certificate_of_another_ca_is_refused(void **state)
{
    struct fixture *f = *state;
    struct test_ca other;
    test_ca_init(&other, "Other CA");
    X509_free(f->client_cert);
    f->client_cert = test_cert(&other, CERT_CLIENT, "alice", f->client_key, 3600);
    struct tls_config config = client_config(f);
    expect_late_refusal(f, &config, ERR_AUTH, ERR_AUTH, "doesn't know the CA");
    test_ca_release(&other);
}

static void client_without_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = client_config(f);
    config.cert = NULL;
    config.key = NULL;
    expect_late_refusal(f, &config, ERR_AUTH, ERR_AUTH, "log in");
}

static void refusal_is_told_even_if_the_client_is_writing(void **state)
{
    struct fixture *f = *state;
    X509_free(f->client_cert);
    f->client_cert = test_cert(&f->ca, CERT_CLIENT, "alice", f->client_key, -10);
    struct tls_config config = client_config(f);
    begin(f, &config);
    assert_true(turn_until(&f->loop, &f->client.ready));
    assert_true(turn_until(&f->loop, &f->server.failed));
    stream_close(STEAL(f->server.stream));
    f->lower_server = NULL;
    assert_int_equal(stream_read_start(f->client.stream), 0);
    send_text(f->client.stream, "too late");
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_int_equal(f->client.err, ERR_EXPIRED);
}

static void other_protocol_is_refused(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = client_config(f);
    config.alpn = "http/0.9";
    expect_client_failure(f, &config, ERR_PROTOCOL, "protocol");
}

static void tls12_is_refused(void **state)
{
    struct fixture *f = *state;
    SSL_CTX *old = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(old, TLS1_2_VERSION);
    struct tls_config config = client_config(f);
    config.ctx = old;
    expect_client_failure(f, &config, ERR_TLS, "TLS 1.3");
    assert_true(f->server.failed);
    assert_int_equal(f->server.err, ERR_TLS);
    SSL_CTX_free(old);
}

static void plain_text_peer_is_named(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = client_config(f);
    assert_int_equal(
        tls_stream_new(f->lower_client, &f->loop, &config, on_ready, &f->client, &f->client.stream),
        0);
    send_text(f->lower_server, "220 mail.test ESMTP\r\n");
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_int_equal(f->client.err, ERR_TLS);
    assert_non_null(strstr(f->client.diag.text, "doesn't speak TLS"));
}

static void peer_that_closes_in_the_handshake_is_named(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = client_config(f);
    assert_int_equal(
        tls_stream_new(f->lower_client, &f->loop, &config, on_ready, &f->client, &f->client.stream),
        0);
    assert_int_equal(stream_end(f->lower_server), 0);
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_int_equal(f->client.err, ERR_CLOSED);
    assert_non_null(strstr(f->client.diag.text, "during the TLS handshake"));
}

static void silent_peer_times_out(void **state)
{
    struct fixture *f = *state;
    struct tls_config config = client_config(f);
    config.timeout_ms = 50;
    assert_int_equal(
        tls_stream_new(f->lower_client, &f->loop, &config, on_ready, &f->client, &f->client.stream),
        0);
    assert_true(turn_until(&f->loop, &f->client.failed));
    assert_int_equal(f->client.err, ERR_TIMEOUT);
}

static void altered_record_is_an_error(void **state)
{
    struct fixture *f = *state;
    connect_both(f);
    read_both(f);
    /* A record that looks right and isn't: type 23, version, length 32, anything. */
    uint8_t record[5 + 32] = {23, 3, 3, 0, 32};
    struct slice part = slice_of(record, sizeof(record));
    assert_int_equal(stream_write(f->lower_client, &part, 1), 0);
    assert_true(turn_until(&f->loop, &f->server.failed));
    assert_int_equal(f->server.err, ERR_TLS);
    assert_int_equal(buf_len(&f->server.got), 0);
}

/* ---- pins ---- */

static void server_with_chain(struct fixture *f)
{
    SSL_CTX_free(f->server_ctx);
    STACK_OF(X509) *chain = sk_X509_new_null();
    sk_X509_push(chain, f->ca.cert);
    struct tls_identity id = {.cert = f->server_cert, .key = f->server_key, .chain = chain};
    assert_int_equal(tls_server_context(&id, slice_of(NULL, 0), false, alpn, &f->server_ctx, NULL),
                     0);
    sk_X509_free(chain);
}

static void pinned_ca_is_trusted(void **state)
{
    struct fixture *f = *state;
    server_with_chain(f);
    char pin[CERT_PIN_SIZE];
    assert_int_equal(cert_pin(f->ca.cert, pin), 0);
    SSL_CTX *ctx = NULL;
    assert_int_equal(tls_client_context_pinned(pin, &ctx, NULL), 0);
    struct tls_config config = client_config(f);
    config.ctx = ctx;
    begin(f, &config);
    assert_true(turn_until(&f->loop, &f->client.ready));
    SSL_CTX_free(ctx);
}

static void another_pin_is_not_trusted(void **state)
{
    struct fixture *f = *state;
    server_with_chain(f);
    struct test_ca other;
    test_ca_init(&other, "Test CA");
    char pin[CERT_PIN_SIZE];
    assert_int_equal(cert_pin(other.cert, pin), 0);
    SSL_CTX *ctx = NULL;
    assert_int_equal(tls_client_context_pinned(pin, &ctx, NULL), 0);
    struct tls_config config = client_config(f);
    config.ctx = ctx;
    expect_client_failure(f, &config, ERR_TLS, "another CA");
    SSL_CTX_free(ctx);
    test_ca_release(&other);
}

static void pin_does_not_replace_the_name(void **state)
{
    struct fixture *f = *state;
    server_with_chain(f);
    char pin[CERT_PIN_SIZE];
    assert_int_equal(cert_pin(f->ca.cert, pin), 0);
    SSL_CTX *ctx = NULL;
    assert_int_equal(tls_client_context_pinned(pin, &ctx, NULL), 0);
    struct tls_config config = client_config(f);
    config.ctx = ctx;
    config.server_name = "other.test";
    expect_client_failure(f, &config, ERR_TLS, "not for the name");
    SSL_CTX_free(ctx);
}

/* ---- resumption ---- */

static void reconnect(struct fixture *f)
{
    stream_close(STEAL(f->client.stream));
    stream_close(STEAL(f->server.stream));
    f->client.ready = f->server.ready = false;
    f->client.failed = f->server.failed = false;
    assert_int_equal(stream_pair_new(&f->loop, WINDOW, &f->lower_client, &f->lower_server), 0);
}

static void connect_with_cache(struct fixture *f, struct session_cache *cache)
{
    struct tls_config config = client_config(f);
    config.sessions = cache;
    config.session_key = SLICE_LIT("demo/pg/5432");
    begin(f, &config);
    assert_true(turn_until(&f->loop, &f->client.ready));
    assert_true(turn_until(&f->loop, &f->server.ready));
    read_both(f);
    turn_some(&f->loop, 20);
}

static void session_is_resumed_with_the_same_identity(void **state)
{
    struct fixture *f = *state;
    struct session_cache *cache = NULL;
    assert_int_equal(session_cache_new(10, &cache), 0);
    connect_with_cache(f, cache);
    assert_false(tls_stream_resumed(f->client.stream));
    assert_int_equal(session_cache_count(cache), 1);
    for (int i = 0; i < 3; i++) {
        reconnect(f); /* without a close_notify: that must not spoil the session */
        connect_with_cache(f, cache);
        assert_true(tls_stream_resumed(f->client.stream));
        assert_true(tls_stream_resumed(f->server.stream));
        char uri[64];
        assert_int_equal(cert_uri(tls_stream_peer(f->server.stream), 0, uri, sizeof(uri)), 0);
        assert_string_equal(uri, "stile://test/user/alice");
        assert_int_equal(session_cache_count(cache), 1); /* used once, renewed */
    }
    session_cache_clear(cache);
    reconnect(f);
    connect_with_cache(f, cache);
    assert_false(tls_stream_resumed(f->client.stream));
    reconnect(f);
    session_cache_free(cache);
}

static void ticket_ends_with_the_client_certificate(void **state)
{
    struct fixture *f = *state;
    X509_free(f->client_cert);
    f->client_cert = test_cert(&f->ca, CERT_CLIENT, "alice", f->client_key, 2);
    struct session_cache *cache = NULL;
    assert_int_equal(session_cache_new(10, &cache), 0);
    connect_with_cache(f, cache);
    SSL_SESSION *session = session_cache_take(cache, SLICE_LIT("demo/pg/5432"), clock_wall_s());
    assert_non_null(session);
    assert_true(SSL_SESSION_get_ticket_lifetime_hint(session) <= 2);
    session_cache_put(cache, SLICE_LIT("demo/pg/5432"), session, cert_not_after(f->client_cert),
                      clock_wall_s());
    assert_null(session_cache_take(cache, SLICE_LIT("demo/pg/5432"), clock_wall_s() + 3));
    reconnect(f);
    session_cache_free(cache);
}

static void ticket_with_an_expired_certificate_is_not_accepted(void **state)
{
    struct fixture *f = *state;
    X509_free(f->client_cert);
    /* Four seconds: a busy machine needs some for the first handshake. */
    f->client_cert = test_cert(&f->ca, CERT_CLIENT, "alice", f->client_key, 4);
    struct session_cache *cache = NULL;
    assert_int_equal(session_cache_new(10, &cache), 0);
    connect_with_cache(f, cache);
    SSL_SESSION *session = session_cache_take(cache, SLICE_LIT("demo/pg/5432"), clock_wall_s());
    assert_non_null(session);
    SSL_SESSION_set_timeout(session, 600);
    uv_sleep(5100);
    /* A client that breaks the rules and keeps its ticket: the server must still refuse it. */
    session_cache_put(cache, SLICE_LIT("demo/pg/5432"), session, INT64_MAX, clock_wall_s() - 6);
    reconnect(f);
    struct tls_config config = client_config(f);
    config.sessions = cache;
    config.session_key = SLICE_LIT("demo/pg/5432");
    expect_late_refusal(f, &config, ERR_EXPIRED, ERR_EXPIRED, "log in again");
    reconnect(f);
    session_cache_free(cache);
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
        cmocka_unit_test_setup_teardown(stopped_reader_stops_the_writer_and_loses_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reader_without_space_is_paused_until_it_starts_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(end_waits_for_a_reader_that_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(works_byte_by_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(corked_writes_leave_with_the_uncork, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_inside_an_event_is_safe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_of_another_ca_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_for_another_name_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expired_server_certificate_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(certificate_for_another_use_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(expired_client_certificate_says_log_in_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(client_certificate_of_another_ca_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(client_without_certificate_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusal_is_told_even_if_the_client_is_writing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_protocol_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tls12_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plain_text_peer_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(peer_that_closes_in_the_handshake_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(silent_peer_times_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(altered_record_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pinned_ca_is_trusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_pin_is_not_trusted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pin_does_not_replace_the_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(session_is_resumed_with_the_same_identity, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(ticket_ends_with_the_client_certificate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ticket_with_an_expired_certificate_is_not_accepted, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
