/* SSL_CTX makers. TLS 1.3 only, no early data, no compression, session tickets of 10 minutes at most. An SSL_CTX is
 * immutable afterwards and may be shared by threads; free with SSL_CTX_free. */
#ifndef STILE_TLS_CONTEXT_H
#define STILE_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "base/slice.h"

#define TLS_TICKET_SECONDS 600

/* In main, before anything else of OpenSSL: neither the system's openssl.cnf nor OPENSSL_CONF is read. Configuration from
 * outside can load code. */
void tls_init(void);

struct tls_identity {
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) *
        chain; /* sent after cert; may be NULL. A gateway puts its CA here: first log-ins pin it */
};

/* Trusts these CAs alone (PEM, at least one: else ERR_FORMAT), never the system's. */
MUST_CHECK int tls_client_context(struct slice ca_pem, SSL_CTX **ret, struct diag *d);
/* Trusts the one CA whose key has this pin (cert_pin), which the server must send in its chain. ERR_INVAL: not a pin. */
MUST_CHECK int tls_client_context_pinned(const char *pin, SSL_CTX **ret, struct diag *d);

/* The identity is referenced, not copied (counts go up). client_ca_pem empty: clients aren't asked for a certificate.
 * require_client false: asked, may have none; what it has must verify. alpn: accepted protocols, best first,
 * NULL-terminated; a client that offers none of them, or none at all, is refused. NULL: no ALPN. */
MUST_CHECK int tls_server_context(const struct tls_identity *identity, struct slice client_ca_pem,
                                  bool require_client, const char *const *alpn, SSL_CTX **ret,
                                  struct diag *d);

void tls_context_freep(SSL_CTX **ctx); /* for CLEANUP */

#endif
