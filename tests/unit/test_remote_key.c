#include "testing.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/stream_pair.h"
#include "tls/remote_key.h"
#include "tls/stream.h"
#include "tls_helpers.h"

/* Whoever signs: at once, when told to, or never. */
struct signer {
    EVP_PKEY *key;
    bool later;
    int err; /* answered instead of a signature, or returned by sign if refuse */
    bool refuse;
    struct remote_sign *job;
    struct sign_request request;
    struct buf digest;
    int asked, released;
};

static void answer(struct signer *s)
{
    struct buf signature;
    buf_init(&signature, 4096);
    s->request.digest = buf_slice(&s->digest);
    if (s->err == 0)
        assert_int_equal(key_sign(s->key, &s->request, &signature), 0);
    struct remote_sign *job = s->job;
    s->job = NULL;
    remote_sign_done(job, s->err, buf_slice(&signature), s->err == 0 ? NULL : "the signer says no");
    buf_release(&signature);
}

static int sign(void *arg, const struct sign_request *request, struct remote_sign *job)
{
    struct signer *s = arg;
    s->asked++;
    if (s->refuse)
        return s->err;
    s->request = *request;
    buf_clear(&s->digest);
    assert_int_equal(buf_put(&s->digest, request->digest), 0);
    s->job = job;
    if (!s->later)
        answer(s);
    return 0;
}

static void release(void *arg)
{
    ((struct signer *)arg)->released++;
}

static const struct remote_key_ops ops = {.sign = sign, .release = release};

static void signer_init(struct signer *s, EVP_PKEY *key)
{
    *s = (struct signer){.key = key};
    buf_init(&s->digest, 4096);
}

static void signer_release(struct signer *s)
{
    EVP_PKEY_free(s->key);
    buf_release(&s->digest);
}

static EVP_PKEY *make_rsa(void)
{
    return EVP_RSA_gen(2048);
}

static EVP_PKEY *make_ec(void)
{
    return EVP_EC_gen("P-256");
}

static EVP_PKEY *make_ed25519(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

/* ---- signatures alone ---- */

/* padding 0: not RSA. */
static void sign_and_verify(EVP_PKEY *key, int padding, bool hashed)
{
    struct signer s;
    signer_init(&s, key);
    EVP_PKEY *remote = NULL;
    assert_int_equal(remote_key_new(key, &ops, &s, &remote, NULL), 0);
    assert_true(remote_key_is(remote));
    assert_false(remote_key_is(key));
    static const uint8_t message[] = "a message that is signed";
    uint8_t signature[512];
    size_t len = sizeof(signature);
    const EVP_MD *hash = hashed ? EVP_sha256() : NULL;
    EVP_PKEY_CTX *pctx = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, hash, NULL, remote), 1);
    if (padding != 0)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, padding), 1);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, message, sizeof(message)), 1);
    EVP_MD_CTX_free(ctx);
    assert_int_equal(s.asked, 1);

    ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(ctx, &pctx, hash, NULL, key), 1);
    if (padding != 0)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, padding), 1);
    assert_int_equal(EVP_DigestVerify(ctx, signature, len, message, sizeof(message)), 1);
    EVP_MD_CTX_free(ctx);

    assert_int_equal(s.released, 0);
    EVP_PKEY_free(remote);
    assert_int_equal(s.released, 1);
    signer_release(&s);
}

static void ecdsa_signature_verifies(void **state)
{
    (void)state;
    sign_and_verify(make_ec(), 0, true);
}

static void ed25519_signature_verifies(void **state)
{
    (void)state;
    sign_and_verify(make_ed25519(), 0, false);
}

static void rsa_pkcs1_signature_verifies(void **state)
{
    (void)state;
    sign_and_verify(make_rsa(), RSA_PKCS1_PADDING, true);
}

static void rsa_pss_signature_verifies(void **state)
{
    (void)state;
    sign_and_verify(make_rsa(), RSA_PKCS1_PSS_PADDING, true);
}

static void digest_alone_can_be_signed(void **state)
{
    (void)state;
    struct signer s;
    signer_init(&s, make_ec());
    EVP_PKEY *remote = NULL;
    assert_int_equal(remote_key_new(s.key, &ops, &s, &remote, NULL), 0);
    uint8_t digest[32] = {1};
    uint8_t signature[128];
    size_t len = sizeof(signature);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(remote, NULL);
    assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &len, digest, 20), 0);
    assert_int_equal(s.asked, 0);
    assert_int_equal(EVP_PKEY_sign(ctx, signature, &len, digest, sizeof(digest)), 1);
    EVP_PKEY_CTX_free(ctx);
    ctx = EVP_PKEY_CTX_new(s.key, NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    assert_int_equal(EVP_PKEY_verify(ctx, signature, len, digest, sizeof(digest)), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(remote);
    signer_release(&s);
}

static void another_hash_is_refused(void **state)
{
    (void)state;
    struct signer s;
    signer_init(&s, make_ec());
    EVP_PKEY *remote = NULL;
    assert_int_equal(remote_key_new(s.key, &ops, &s, &remote, NULL), 0);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_not_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, remote), 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(remote);
    assert_int_equal(s.asked, 0);
    signer_release(&s);
    ERR_clear_error();
}

static void unanswered_signature_outside_a_handshake_fails_at_once(void **state)
{
    (void)state;
    struct signer s;
    signer_init(&s, make_ec());
    s.later = true;
    EVP_PKEY *remote = NULL;
    assert_int_equal(remote_key_new(s.key, &ops, &s, &remote, NULL), 0);
    uint8_t signature[128];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, remote), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, signature, 10), 0);
    EVP_MD_CTX_free(ctx);
    answer(&s); /* too late, and harmless */
    EVP_PKEY_free(remote);
    signer_release(&s);
    ERR_clear_error();
}

/* ---- handshakes ---- */

struct fixture {
    struct loop loop;
    struct test_ca ca;
    struct signer signer;
    EVP_PKEY *remote;
    EVP_PKEY *server_key;
    X509 *server_cert, *client_cert;
    SSL_CTX *server_ctx, *client_ctx;
    struct stream *client, *server;
    bool client_ready, server_ready, client_failed;
    int client_err;
    struct diag diag;
};

static void on_client(void *arg, int err, const struct diag *d)
{
    struct fixture *f = arg;
    f->client_ready = err == 0;
    f->client_failed = err != 0;
    f->client_err = err;
    if (d != NULL)
        f->diag = *d;
}

static void on_server(void *arg, int err, const struct diag *d)
{
    struct fixture *f = arg;
    if (d != NULL)
        f->diag = *d;
    f->server_ready = err == 0;
}

static void begin(struct fixture *f, EVP_PKEY *key)
{
    *f = (struct fixture){0};
    assert_int_equal(loop_init(&f->loop), 0);
    test_ca_init(&f->ca, "Test CA");
    signer_init(&f->signer, key);
    assert_int_equal(key_new(&f->server_key), 0);
    f->server_cert = test_cert(&f->ca, CERT_SERVER, "gw.test", f->server_key, 3600);
    f->client_cert = test_cert(&f->ca, CERT_CLIENT, "alice", key, 3600);
    struct tls_identity id = {.cert = f->server_cert, .key = f->server_key};
    struct slice ca = buf_slice(&f->ca.pem);
    assert_int_equal(tls_server_context(&id, ca, true, NULL, &f->server_ctx, NULL), 0);
    assert_int_equal(tls_client_context(ca, &f->client_ctx, NULL), 0);
    assert_int_equal(remote_key_new(key, &ops, &f->signer, &f->remote, NULL), 0);
}

static void start(struct fixture *f)
{
    struct stream *a = NULL;
    struct stream *b = NULL;
    assert_int_equal(stream_pair_new(&f->loop, 65536, &a, &b), 0);
    struct tls_config client = {
        .ctx = f->client_ctx, .server_name = "gw.test", .cert = f->client_cert, .key = f->remote};
    struct tls_config server = {.ctx = f->server_ctx, .server = true};
    assert_int_equal(tls_stream_new(a, &f->loop, &client, on_client, f, &f->client), 0);
    assert_int_equal(tls_stream_new(b, &f->loop, &server, on_server, f, &f->server), 0);
}

static void finish(struct fixture *f)
{
    stream_close(f->client);
    stream_close(f->server);
    EVP_PKEY_free(f->remote);
    assert_int_equal(loop_release(&f->loop), 0);
    assert_int_equal(f->signer.released, 1);
    SSL_CTX_free(f->server_ctx);
    SSL_CTX_free(f->client_ctx);
    X509_free(f->server_cert);
    X509_free(f->client_cert);
    EVP_PKEY_free(f->server_key);
    signer_release(&f->signer);
    test_ca_release(&f->ca);
}

static void handshake_with(EVP_PKEY *key, bool later)
{
    struct fixture f;
    begin(&f, key);
    f.signer.later = later;
    start(&f);
    if (later) {
        turn_some(&f.loop, 50);
        assert_int_equal(f.signer.asked, 1);
        assert_false(f.client_ready);
        answer(&f.signer);
    }
    assert_true(turn_until(&f.loop, &f.client_ready));
    assert_true(turn_until(&f.loop, &f.server_ready));
    assert_int_equal(f.signer.asked, 1);
    assert_non_null(tls_stream_peer(f.server));
    finish(&f);
}

static void handshake_with_ecdsa_signed_later(void **state)
{
    (void)state;
    handshake_with(make_ec(), true);
}

static void handshake_with_ecdsa_signed_at_once(void **state)
{
    (void)state;
    handshake_with(make_ec(), false);
}

static void handshake_with_ed25519_signed_later(void **state)
{
    (void)state;
    handshake_with(make_ed25519(), true);
}

static void handshake_with_rsa_signed_later(void **state)
{
    (void)state;
    handshake_with(make_rsa(), true);
}

static void failed_signature_fails_the_handshake_with_its_reason(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, make_ec());
    f.signer.err = ERR_DENIED;
    start(&f);
    assert_true(turn_until(&f.loop, &f.client_failed));
    assert_int_equal(f.client_err, ERR_DENIED);
    assert_non_null(strstr(f.diag.text, "the signer says no"));
    finish(&f);
}

static void refused_request_fails_the_handshake(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, make_ec());
    f.signer.refuse = true;
    f.signer.err = ERR_CLOSED;
    start(&f);
    assert_true(turn_until(&f.loop, &f.client_failed));
    assert_int_equal(f.client_err, ERR_CLOSED);
    finish(&f);
}

static void closing_while_a_signature_is_awaited_is_safe(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, make_ec());
    f.signer.later = true;
    start(&f);
    turn_some(&f.loop, 50);
    assert_non_null(f.signer.job);
    stream_close(f.client);
    f.client = NULL;
    turn_some(&f.loop, 5);
    answer(&f.signer); /* the stream's memory is gone */
    assert_false(f.client_ready || f.client_failed);
    finish(&f);
}

static struct fixture *to_close;

static int sign_closing(void *arg, const struct sign_request *request, struct remote_sign *job)
{
    int r = sign(arg, request, job);
    stream_close(to_close->client);
    to_close->client = NULL;
    return r;
}

static void closing_inside_the_request_is_safe(void **state)
{
    (void)state;
    static const struct remote_key_ops closing = {.sign = sign_closing, .release = release};
    for (int later = 0; later < 2; later++) {
        struct fixture f;
        begin(&f, make_ec());
        EVP_PKEY_free(f.remote);
        f.signer.released = 0;
        f.signer.later = later == 1;
        assert_int_equal(remote_key_new(f.signer.key, &closing, &f.signer, &f.remote, NULL), 0);
        to_close = &f;
        start(&f);
        turn_some(&f.loop, 50);
        assert_int_equal(f.signer.asked, 1);
        assert_null(f.client);
        if (f.signer.job != NULL)
            answer(&f.signer);
        assert_false(f.client_ready || f.client_failed);
        finish(&f);
    }
}

static void many_handshakes_wait_at_the_same_time(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, make_ec());
    f.signer.later = true;
    start(&f);
    turn_some(&f.loop, 50);
    struct stream *client = f.client, *server = f.server;
    struct remote_sign *job = f.signer.job;
    struct buf digest = f.signer.digest;
    buf_init(&f.signer.digest, 4096);
    start(&f);
    turn_some(&f.loop, 50);
    assert_int_equal(f.signer.asked, 2);
    answer(&f.signer); /* the second one first */
    assert_true(turn_until(&f.loop, &f.client_ready));
    f.client_ready = false;
    buf_release(&f.signer.digest);
    f.signer.digest = digest;
    f.signer.job = job;
    answer(&f.signer);
    assert_true(turn_until(&f.loop, &f.client_ready));
    stream_close(client);
    stream_close(server);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecdsa_signature_verifies),
        cmocka_unit_test(ed25519_signature_verifies),
        cmocka_unit_test(rsa_pkcs1_signature_verifies),
        cmocka_unit_test(rsa_pss_signature_verifies),
        cmocka_unit_test(digest_alone_can_be_signed),
        cmocka_unit_test(another_hash_is_refused),
        cmocka_unit_test(unanswered_signature_outside_a_handshake_fails_at_once),
        cmocka_unit_test(handshake_with_ecdsa_signed_later),
        cmocka_unit_test(handshake_with_ecdsa_signed_at_once),
        cmocka_unit_test(handshake_with_ed25519_signed_later),
        cmocka_unit_test(handshake_with_rsa_signed_later),
        cmocka_unit_test(failed_signature_fails_the_handshake_with_its_reason),
        cmocka_unit_test(refused_request_fails_the_handshake),
        cmocka_unit_test(closing_while_a_signature_is_awaited_is_safe),
        cmocka_unit_test(closing_inside_the_request_is_safe),
        cmocka_unit_test(many_handshakes_wait_at_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
