/* TLS 1.3 over any stream, as a stream.
 *
 * Theory of operation: the lower stream's bytes are read by OpenSSL straight from where they lie, through a BIO of our own,
 * and decrypted straight into the reader's memory, many records per on_data. Records leave through one output buffer,
 * borrowed from the loop only while there is something in it, in one send. When the reader stops, the lower stream is
 * stopped and what was read too far is kept as cipher text.
 *
 * stream_end sends close_notify, then half-closes below; reading goes on (RFC 8446 §6.1). The end of the lower stream
 * without close_notify is ERR_TRUNCATED. With TLS 1.3 a server judges the client's certificate after the client's
 * handshake is over: its refusal comes as on_error with ERR_EXPIRED (log in again), ERR_AUTH or ERR_DENIED.
 *
 * A private key that is elsewhere (tls/remote_key.h) pauses this handshake alone.
 */
#ifndef STILE_TLS_STREAM_H
#define STILE_TLS_STREAM_H

#include <openssl/ssl.h>

#include "loop/stream.h"
#include "tls/sessions.h"

#define TLS_HANDSHAKE_MS 10000 /* when timeout_ms is 0 */

/* Everything is borrowed for the call of tls_stream_new alone, except that ctx, cert and key get references of their own
 * and the session cache must outlive the stream. */
struct tls_config {
    SSL_CTX *ctx;
    bool server;
    const char *
        server_name; /* client: SNI and the name that must be in the certificate; an IP literal is checked as one.
                                Never NULL for a client */
    const char *alpn; /* client: the one protocol that must be agreed on; NULL: none */
    X509 *cert;       /* client: its certificate, or NULL */
    EVP_PKEY *key;    /* and key; may be remote */
    struct session_cache
        *sessions;            /* client: resume from and keep tickets here; NULL: never resume */
    struct slice session_key; /* what the session belongs to: see tls/sessions.h */
    unsigned timeout_ms; /* for the whole handshake, the wait for a remote signature not counted */
};

/* err 0: the handshake is done, set events and start reading. Else: what failed and the remedy; the stream is still to be
 * closed by its owner. Never called from inside tls_stream_new, nor after stream_close. */
typedef void tls_ready_fn(void *arg, int err, const struct diag *d);

/* lower: taken on success, its events are ours from then on. */
MUST_CHECK int tls_stream_new(struct stream *lower, struct loop *loop,
                              const struct tls_config *config, tls_ready_fn *on_ready, void *arg,
                              struct stream **ret);

SSL *tls_stream_ssl(struct stream *s); /* borrowed: for peer certificate, ALPN, version */
/* The peer's certificate (borrowed; also of a resumed session) or NULL. */
X509 *tls_stream_peer(struct stream *s);
bool tls_stream_resumed(struct stream *s);
/* The agreed protocol is this one. */
bool tls_stream_alpn_is(struct stream *s, const char *protocol);

#endif
