#include "tls/context.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "tls/certs.h"
#include "tls/ossl.h"
#include "tls/stream_state.h"

#define ALPN_MAX     128
#define CHAIN_MAX    4
#define CONTEXT_NAME "stile"

#define SERVER_SESSIONS_MAX 4096 /* kept for clients that come back */
/* Best first: AES-128 costs a fifth less than AES-256, and is no weaker link than the P-256 keys. */
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/* What a context of ours owns beside OpenSSL's own: freed with it, through its ex_data. */
struct extras {
    char pin[CERT_PIN_SIZE]; /* client, or "" */
    uint8_t alpn[ALPN_MAX];  /* server: accepted, in the wire's form (RFC 7301 §3.1) */
    size_t alpn_len;
};

void tls_init(void)
{
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG,
                           NULL); /* without memory, later calls say so */
}

void tls_context_freep(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
}

static void free_extras(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
                        void *argp)
{
    (void)parent;
    (void)ad;
    (void)index;
    (void)argl;
    (void)argp;
    mem_free(ptr);
}

static CRYPTO_ONCE extras_once = CRYPTO_ONCE_STATIC_INIT;
static int extras_index = -1;

static void make_extras_index(void)
{
    extras_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_extras);
}

static struct extras *extras_of(SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, extras_index);
}

static int add_extras(SSL_CTX *ctx)
{
    if (CRYPTO_THREAD_run_once(&extras_once, make_extras_index) != 1 || extras_index < 0)
        return ERR_NOMEM;
    struct extras *x = NEW(struct extras);
    if (x == NULL || SSL_CTX_set_ex_data(ctx, extras_index, x) != 1) {
        mem_free(x);
        return ERR_NOMEM;
    }
    return 0;
}

/* What both sides have in common. */
static int new_context(const SSL_METHOD *method, SSL_CTX **ret, struct diag *d)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, CIPHERS) != 1)
        return ossl_fail(d, ERR_INTERNAL, "Failed to prepare TLS");
    if (add_extras(ctx) < 0)
        return diag_set(d, ERR_NOMEM, 0, "Failed to prepare TLS: out of memory");
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_timeout(ctx, TLS_TICKET_SECONDS);
    SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    *ret = STEAL(ctx);
    return 0;
}

static int trust(SSL_CTX *ctx, STACK_OF(X509) * cas, struct diag *d)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (int i = 0; i < sk_X509_num(cas); i++)
        if (X509_STORE_add_cert(store, sk_X509_value(cas, i)) != 1)
            return ossl_fail(d, ERR_FORMAT, "Failed to trust a CA certificate");
    return 0;
}

/* ---- client ---- */

/* Tickets go to the stream's own cache (tls/sessions.h), never to OpenSSL's. */
static void client_sessions(SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_stream_new_session);
}

int tls_client_context(struct slice ca_pem, SSL_CTX **ret, struct diag *d)
{
    CLEANUP(certs_freep) STACK_OF(X509) *cas = NULL;
    int r = certs_from_pem(ca_pem, &cas, d);
    if (r < 0) {
        diag_prefix(d, "The CA certificate: ");
        return r;
    }
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    r = new_context(TLS_client_method(), &ctx, d);
    if (r == 0)
        r = trust(ctx, cas, d);
    if (r < 0)
        return r;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    client_sessions(ctx);
    *ret = STEAL(ctx);
    return 0;
}

static X509 *find_pinned(STACK_OF(X509) * chain, const char *pin)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        char found[CERT_PIN_SIZE];
        X509 *cert = sk_X509_value(chain, i);
        if (cert_pin(cert, found) == 0 && str_eq(found, pin))
            return cert;
    }
    return NULL;
}

/* The usual verification, with the pinned certificate among those that were sent as the one that is trusted. */
static int verify_pinned(X509_STORE_CTX *verification, void *arg)
{
    const struct extras *x = arg;
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(verification);
    X509 *ca = find_pinned(sent, x->pin);
    if (ca == NULL) {
        X509_STORE_CTX_set_error(verification, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
        return 0;
    }
    CLEANUP(certs_freep) STACK_OF(X509) *trusted = sk_X509_new_null();
    if (trusted == NULL || X509_add_cert(trusted, ca, X509_ADD_FLAG_UP_REF) != 1) {
        X509_STORE_CTX_set_error(verification, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    X509_STORE_CTX_set0_trusted_stack(verification, trusted);
    return X509_verify_cert(verification);
}

int tls_client_context_pinned(const char *pin, SSL_CTX **ret, struct diag *d)
{
    if (!cert_pin_is_valid(pin))
        return diag_set(d, ERR_INVAL, 0, "A pin is \"sha256:\" and 64 hexadecimal digits");
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    int r = new_context(TLS_client_method(), &ctx, d);
    if (r < 0)
        return r;
    struct extras *x = extras_of(ctx);
    r = str_copy(x->pin, sizeof(x->pin), pin);
    if (r < 0)
        return r;
    str_lower(x->pin);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_pinned, x);
    client_sessions(ctx);
    *ret = STEAL(ctx);
    return 0;
}

/* ---- server ---- */

static int use_identity(SSL_CTX *ctx, const struct tls_identity *identity, struct diag *d)
{
    if (SSL_CTX_use_certificate(ctx, identity->cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, identity->key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return ossl_fail(d, ERR_INVAL, "The certificate and its key don't fit");
    if (identity->chain != NULL && SSL_CTX_set1_chain(ctx, identity->chain) != 1)
        return ossl_fail(d, ERR_INVAL, "Failed to use the certificate's chain");
    return 0;
}

static int ask_clients(SSL_CTX *ctx, struct slice ca_pem, bool require, struct diag *d)
{
    if (ca_pem.len == 0)
        return 0;
    CLEANUP(certs_freep) STACK_OF(X509) *cas = NULL;
    int r = certs_from_pem(ca_pem, &cas, d);
    if (r == 0)
        r = trust(ctx, cas, d);
    for (int i = 0; r == 0 && i < sk_X509_num(cas); i++)
        if (SSL_CTX_add_client_CA(ctx, sk_X509_value(cas, i)) != 1)
            r = ossl_fail(d, ERR_NOMEM, "Failed to name a CA to clients");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (require ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    return r;
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *arg)
{
    const struct extras *x = arg;
    unsigned char *chosen = NULL;
    /* This is where a server first sees that a session is resumed. Its ticket is used up (RFC 8446 §C.4); the next one
     * comes with the handshake. */
    if (SSL_session_reused(ssl) == 1)
        (void)SSL_CTX_remove_session(SSL_get_SSL_CTX(ssl), SSL_get_session(ssl));
    if (SSL_select_next_proto(&chosen, out_len, x->alpn, (unsigned)x->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int accept_protocols(SSL_CTX *ctx, const char *const *alpn)
{
    if (alpn == NULL)
        return 0;
    struct extras *x = extras_of(ctx);
    struct wr w = wr_init(x->alpn, sizeof(x->alpn));
    for (; *alpn != NULL; alpn++) {
        struct slice name = slice_str(*alpn);
        if (name.len == 0 || name.len > UINT8_MAX)
            return ERR_INVAL;
        wr_u8(&w, (uint8_t)name.len);
        wr_bytes(&w, name);
    }
    x->alpn_len = wr_len(&w);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, x);
    return wr_end(&w);
}

/* A ticket lives no longer than the certificate of the client that gets it. */
static int limit_ticket(SSL *ssl, void *arg)
{
    (void)arg;
    const X509 *peer = SSL_get0_peer_certificate(ssl);
    if (peer == NULL)
        return 1;
    int64_t left = MAX(cert_not_after(peer) - clock_wall_s(), 0);
    SSL_SESSION_set_timeout(SSL_get_session(ssl), (long)MIN(left, TLS_TICKET_SECONDS));
    return 1;
}

/* Sessions stay here and a ticket is only their name: a self-contained ticket has the client's certificate in it, and reading
 * that again (OpenSSL 3.0) costs more than the rest of a resumption. A client that comes back after its session has gone from
 * here, by age or by number, gets a full handshake. */
static int server_sessions(SSL_CTX *ctx, struct diag *d)
{
    static const unsigned char name[] = CONTEXT_NAME;
    if (SSL_CTX_set_session_id_context(ctx, name, sizeof(name) - 1) != 1 ||
        SSL_CTX_set_num_tickets(ctx, 1) != 1 ||
        SSL_CTX_set_session_ticket_cb(ctx, limit_ticket, NULL, NULL) != 1)
        return ossl_fail(d, ERR_INTERNAL, "Failed to prepare TLS sessions");
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    (void)SSL_CTX_sess_set_cache_size(ctx, SERVER_SESSIONS_MAX);
    (void)SSL_CTX_set_timeout(ctx, TLS_TICKET_SECONDS);
    return 0;
}

int tls_server_context(const struct tls_identity *identity, struct slice client_ca_pem,
                       bool require_client, const char *const *alpn, SSL_CTX **ret, struct diag *d)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    int r = new_context(TLS_server_method(), &ctx, d);
    if (r == 0)
        r = use_identity(ctx, identity, d);
    if (r == 0)
        r = ask_clients(ctx, client_ca_pem, require_client, d);
    if (r == 0)
        r = server_sessions(ctx, d);
    if (r == 0 && accept_protocols(ctx, alpn) < 0)
        r = diag_set(d, ERR_INVAL, 0, "Too many or too long protocol names");
    if (r < 0)
        return r;
    *ret = STEAL(ctx);
    return 0;
}
