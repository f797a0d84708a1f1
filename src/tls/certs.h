/* X.509 certificates: issued, read and questioned here for all modules (gateway's CA, agent, loopback mTLS).
 * Times are Unix seconds. */
#ifndef STILE_TLS_CERTS_H
#define STILE_TLS_CERTS_H

#include <openssl/x509.h>

#include "base/buf.h"
#include "base/err.h"

enum cert_use {
    CERT_CA,     /* signs certificates, path length 0 */
    CERT_SERVER, /* extended key usage serverAuth */
    CERT_CLIENT, /* clientAuth */
    CERT_PEER,   /* both */
};

/* What a certificate says. Lists end with NULL and may be NULL. */
struct cert_spec {
    enum cert_use use;
    const char *common_name;      /* ≤ 64 bytes, UTF-8 */
    const char *organization;     /* may be NULL */
    const char *const *dns_names; /* subjectAltName */
    const char *const *addresses; /* subjectAltName, IP literals */
    const char *const *uris;      /* subjectAltName; ASCII */
    int64_t not_before;
    int64_t not_after;
};

/* Signed by issuer_key (P-256 or RSA with SHA-256, Ed25519). issuer NULL: self-signed, issuer_key is then `subject`'s
 * own. A random 159-bit serial number; subject and authority key ids. not_after is cut to the issuer's. */
MUST_CHECK int cert_issue(const struct cert_spec *spec, EVP_PKEY *subject, X509 *issuer,
                          EVP_PKEY *issuer_key, X509 **ret, struct diag *d);

MUST_CHECK int cert_to_pem(X509 *cert, struct buf *pem); /* appended */
MUST_CHECK int cert_to_der(X509 *cert, struct buf *der);
MUST_CHECK int cert_from_pem(struct slice pem, X509 **ret,
                             struct diag *d); /* the first one in it */
MUST_CHECK int cert_from_der(struct slice der, X509 **ret,
                             struct diag *d); /* nothing may follow it */
/* All of them, at least one, at most 16. Free with sk_X509_pop_free(…, X509_free). */
MUST_CHECK int certs_from_pem(struct slice pem, STACK_OF(X509) * *ret, struct diag *d);

int64_t cert_not_before(const X509 *cert);
int64_t cert_not_after(const X509 *cert);
/* Signature chain, validity now and use (CERT_SERVER or CERT_CLIENT) under this one CA: 0, ERR_EXPIRED, ERR_AUTH. */
MUST_CHECK int cert_verify(X509 *cert, X509 *ca, enum cert_use use, struct diag *d);

/* "sha256:" + 64 hex digits over the SubjectPublicKeyInfo: what people compare and pass as --ca-pin. */
#define CERT_PIN_SIZE 72
MUST_CHECK int cert_pin(const X509 *cert, char pin[CERT_PIN_SIZE]);
bool cert_pin_is_valid(const char *pin);
/* SHA-256 over the whole DER certificate. */
#define CERT_FINGERPRINT_LEN 32
MUST_CHECK int cert_fingerprint(const X509 *cert, uint8_t fingerprint[CERT_FINGERPRINT_LEN]);

/* The first CN of the subject; ERR_NOTFOUND, ERR_FORMAT (NUL or not UTF-8), ERR_TOOBIG. */
MUST_CHECK int cert_common_name(const X509 *cert, char *text, size_t size);
/* The index-th URI of subjectAltName (from 0): ERR_NOTFOUND past the last; ERR_FORMAT if it holds unprintable bytes. */
MUST_CHECK int cert_uri(const X509 *cert, size_t index, char *text, size_t size);

void cert_freep(X509 **cert);              /* for CLEANUP */
void certs_freep(STACK_OF(X509) * *certs); /* for CLEANUP */

#endif
