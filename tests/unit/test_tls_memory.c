#include "testing.h"

#include "base/buf.h"
#include "base/mem.h"
#include "loop/stream_pair.h"
#include "tls/dial.h"
#include "tls/remote_key.h"
#include "tls_helpers.h"

/* The n-th allocation of a dial with a remote key, a transfer and a half-close fails, for each n in turn: the dial works or
 * says why it didn't, and everything is freed (the sanitizers' run proves that). */

static struct test_ca ca;
static EVP_PKEY *server_key, *client_key, *remote;
static X509 *server_cert, *client_cert;
static SSL_CTX *server_ctx, *client_ctx;
static struct session_cache *cache;

struct run {
    struct loop loop;
    struct stream *server, *client;
    struct buf got;
    bool server_failed, done, client_failed, ended;
    int err;
    struct diag diag;
};

static int sign(void *arg, const struct sign_request *request, struct remote_sign *job)
{
    (void)arg;
    struct buf signature;
    buf_init(&signature, 4096);
    int r = key_sign(client_key, request, &signature);
    remote_sign_done(job, r, buf_slice(&signature), NULL);
    buf_release(&signature);
    return 0;
}

static const struct remote_key_ops ops = {.sign = sign};

/* ---- the gateway: status, then echo ---- */

static void echo(void *arg, struct slice bytes)
{
    struct run *r = arg;
    if (!r->server_failed && stream_write(r->server, &bytes, 1) < 0)
        r->server_failed = true;
}

static void echo_end(void *arg)
{
    struct run *r = arg;
    if (!r->server_failed && stream_end(r->server) < 0)
        r->server_failed = true;
}

static void server_error(void *arg, int err, const struct diag *d)
{
    (void)err;
    (void)d;
    ((struct run *)arg)->server_failed = true;
}

static void server_ready(void *arg, int err, const struct diag *d)
{
    static const struct stream_events events = {
        .on_data = echo, .on_end = echo_end, .on_error = server_error};
    struct run *r = arg;
    (void)d;
    uint8_t message[TARGET_STATUS_LEN];
    struct target_status st;
    target_status_set(&st, TARGET_OK, "");
    target_status_encode(&st, message);
    struct slice part = slice_of(message, sizeof(message));
    r->server_failed = err < 0;
    if (err < 0)
        return;
    stream_set_events(r->server, &events, r);
    if (stream_read_start(r->server) < 0 || stream_write(r->server, &part, 1) < 0)
        r->server_failed = true;
}

/* ---- the client ---- */

static void client_data(void *arg, struct slice bytes)
{
    struct run *r = arg;
    assert_int_equal(buf_put(&r->got, bytes), 0);
}

static void client_end(void *arg)
{
    ((struct run *)arg)->ended = true;
}

static void client_error(void *arg, int err, const struct diag *d)
{
    struct run *r = arg;
    assert_true(err < 0);
    assert_int_not_equal(d->text[0], 0);
    r->client_failed = true;
}

static void on_done(void *arg, int err, const struct target_status *status, struct stream *stream,
                    const struct diag *d)
{
    static const struct stream_events events = {
        .on_data = client_data, .on_end = client_end, .on_error = client_error};
    static const uint8_t bytes[100000];
    struct run *r = arg;
    (void)status;
    assert_false(r->done);
    r->done = true;
    r->err = err;
    if (err < 0) {
        assert_int_not_equal(d->text[0], 0);
        return;
    }
    r->client = stream;
    stream_set_events(stream, &events, r);
    struct slice part = slice_of(bytes, sizeof(bytes));
    if (stream_read_start(stream) < 0 || stream_write(stream, &part, 1) < 0 ||
        stream_end(stream) < 0)
        r->client_failed = true;
}

static int start(struct run *r)
{
    struct stream *a = NULL;
    struct stream *b = NULL;
    int err = stream_pair_new(&r->loop, 65536, &a, &b);
    if (err < 0)
        return err;
    struct dial_config config = {.tls = {.ctx = client_ctx,
                                         .server_name = "gw.test",
                                         .cert = client_cert,
                                         .key = remote,
                                         .sessions = cache,
                                         .session_key = SLICE_LIT("key")}};
    struct tls_config server = {.ctx = server_ctx, .server = true};
    err = tls_stream_new(b, &r->loop, &server, server_ready, r, &r->server);
    if (err < 0) {
        stream_close(a);
        stream_close(b);
        return err;
    }
    err = dial_start(&r->loop, a, &config, on_done, r, NULL);
    if (err < 0)
        stream_close(a);
    return err;
}

/* Whether all of it went well, and how many allocations it made. */
static bool run_once(uint64_t fail_at, uint64_t *ret_made)
{
    struct run r = {0};
    assert_int_equal(loop_init(&r.loop), 0);
    buf_init(&r.got, 1 << 20);
    uint8_t *space = NULL;
    assert_int_equal(buf_reserve(&r.got, 200000, &space), 0);
    mem_fail_at(fail_at);
    int err = start(&r);
    for (int i = 0; i < 2000 && err == 0 && !r.ended && !r.client_failed &&
                    (!r.done || r.err == 0) && !(r.server_failed && r.done);
         i++)
        loop_turn(&r.loop, false);
    *ret_made = mem_fail_at(0);
    bool good = err == 0 && r.done && r.err == 0 && r.ended && buf_len(&r.got) == 100000;
    if (err == 0 && !r.done) {
        /* The other side fell silent: the dial's end is its cut. */
        stream_close(STEAL(r.server));
        for (int i = 0; i < 100 && !r.done; i++)
            loop_turn(&r.loop, false);
        assert_true(r.done);
    }
    stream_close(r.client);
    stream_close(r.server);
    buf_release(&r.got);
    assert_int_equal(loop_release(&r.loop), 0);
    return good;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    uint64_t count = 0;
    uint64_t unused = 0;
    assert_true(run_once(0, &count));
    assert_true(count > 10);
    int failures = 0;
    for (uint64_t n = 1; n <= count; n++) {
        session_cache_clear(cache);
        failures += run_once(n, &unused) ? 0 : 1;
    }
    assert_true(failures > 10);
    /* Nothing of it lasts. */
    assert_true(run_once(0, &unused));
}

static int set_up(void **state)
{
    (void)state;
    test_ca_init(&ca, "Test CA");
    assert_int_equal(key_new(&server_key), 0);
    assert_int_equal(key_new(&client_key), 0);
    server_cert = test_cert(&ca, CERT_SERVER, "gw.test", server_key, 3600);
    client_cert = test_cert(&ca, CERT_CLIENT, "alice", client_key, 3600);
    static const char *const alpn[] = {TARGET_ALPN, NULL};
    struct tls_identity id = {.cert = server_cert, .key = server_key};
    struct slice pem = buf_slice(&ca.pem);
    assert_int_equal(tls_server_context(&id, pem, true, alpn, &server_ctx, NULL), 0);
    assert_int_equal(tls_client_context(pem, &client_ctx, NULL), 0);
    assert_int_equal(remote_key_new(client_key, &ops, NULL, &remote, NULL), 0);
    return session_cache_new(10, &cache);
}

static int tear_down(void **state)
{
    (void)state;
    session_cache_free(cache);
    EVP_PKEY_free(remote);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(server_ctx);
    X509_free(client_cert);
    X509_free(server_cert);
    EVP_PKEY_free(client_key);
    EVP_PKEY_free(server_key);
    test_ca_release(&ca);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_allocation_may_fail, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
