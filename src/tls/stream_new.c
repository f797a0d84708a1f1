/* tls_stream_new: see tls/stream.h. */
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "tls/certs.h"
#include "tls/remote_key.h"
#include "tls/stream_state.h"

/* What keys elsewhere can sign: see tls/remote_key.h. */
#define REMOTE_SIGALGS "ECDSA+SHA256:ed25519:rsa_pss_rsae_sha256"

int tls_stream_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_stream *s = SSL_get_app_data(ssl);
    if (s == NULL || s->sessions == NULL)
        return 0;
    int64_t end = INT64_MAX;
    const X509 *own = SSL_get_certificate(ssl);
    const X509 *peer = SSL_SESSION_get0_peer(session);
    if (own != NULL)
        end = MIN(end, cert_not_after(own));
    if (peer != NULL)
        end = MIN(end, cert_not_after(peer));
    session_cache_put(s->sessions, s->session_key, session, end, clock_wall_s());
    return 1;
}

static int set_peer_name(struct tls_stream *s, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return 0;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(s->ssl, name) != 1 || SSL_set_tlsext_host_name(s->ssl, name) != 1)
        return ERR_INVAL;
    return 0;
}

static int offer_protocol(struct tls_stream *s, const char *alpn)
{
    if (alpn == NULL)
        return 0;
    int r = str_copy(s->alpn, sizeof(s->alpn), alpn);
    if (r < 0)
        return r;
    uint8_t wire[sizeof(s->alpn) + 1];
    struct wr w = wr_init(wire, sizeof(wire));
    wr_u8(&w, (uint8_t)slice_str(alpn).len);
    wr_bytes(&w, slice_str(alpn));
    return SSL_set_alpn_protos(s->ssl, wire, (unsigned)wr_len(&w)) == 0 ? 0 : ERR_NOMEM;
}

static int use_certificate(struct tls_stream *s, const struct tls_config *config)
{
    if (config->cert == NULL)
        return 0;
    if (SSL_use_certificate(s->ssl, config->cert) != 1 ||
        SSL_use_PrivateKey(s->ssl, config->key) != 1)
        return ERR_INVAL;
    return 0;
}

static int expect_remote_key(struct tls_stream *s)
{
    const EVP_PKEY *key = SSL_get_privatekey(s->ssl);
    if (key == NULL || !remote_key_is(key))
        return 0;
    SSL_set_mode(s->ssl, SSL_MODE_ASYNC);
    long ok = s->server ? SSL_set1_sigalgs_list(s->ssl, REMOTE_SIGALGS)
                        : SSL_set1_client_sigalgs_list(s->ssl, REMOTE_SIGALGS);
    return ok == 1 ? 0 : ERR_NOMEM;
}

static int resume(struct tls_stream *s, const struct tls_config *config)
{
    if (config->sessions == NULL)
        return 0;
    void *key = mem_dup(config->session_key.data, config->session_key.len);
    if (key == NULL)
        return ERR_NOMEM;
    s->sessions = config->sessions;
    s->session_key = slice_of(key, config->session_key.len);
    SSL_SESSION *session = session_cache_take(s->sessions, s->session_key, clock_wall_s());
    if (session == NULL)
        return 0;
    SSL_set_session(s->ssl, session); /* refused: a full handshake */
    SSL_SESSION_free(session);
    return 0;
}

static int set_up(struct tls_stream *s, const struct tls_config *config)
{
    BIO *bio = stream_bio_new(&s->bio, s->loop, s->lower);
    s->ssl = SSL_new(config->ctx);
    if (bio == NULL || s->ssl == NULL) {
        BIO_free(bio);
        return ERR_NOMEM;
    }
    SSL_set_bio(s->ssl, bio, bio);
    SSL_set_app_data(s->ssl, s);
    if (config->server) {
        SSL_set_accept_state(s->ssl);
        return expect_remote_key(s);
    }
    SSL_set_connect_state(s->ssl);
    int r = set_peer_name(s, config->server_name);
    if (r == 0)
        r = offer_protocol(s, config->alpn);
    if (r == 0)
        r = use_certificate(s, config);
    if (r == 0)
        r = expect_remote_key(s);
    return r < 0 ? r : resume(s, config);
}

static int describe_peer(struct tls_stream *s, const struct tls_config *config)
{
    if (!config->server && config->server_name == NULL)
        return ERR_INVAL;
    return str_copy(s->peer, sizeof(s->peer), config->server ? "the client" : config->server_name);
}

int tls_stream_new(struct stream *lower, struct loop *loop, const struct tls_config *config,
                   tls_ready_fn *on_ready, void *arg, struct stream **ret)
{
    struct tls_stream *s = NEW(struct tls_stream);
    if (s == NULL)
        return ERR_NOMEM;
    s->loop = loop;
    s->lower = lower;
    s->server = config->server;
    s->on_ready = on_ready;
    s->ready_arg = arg;
    s->timeout_ms = config->timeout_ms == 0 ? TLS_HANDSHAKE_MS : config->timeout_ms;
    s->bio.loop = loop;
    int r = describe_peer(s, config);
    if (r == 0)
        r = set_up(s, config);
    if (r < 0) {
        tls_stream_destroy(s);
        return r;
    }
    tls_stream_begin(s);
    *ret = &s->base;
    return 0;
}
