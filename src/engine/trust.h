/* What many connections have in common, parsed once: TLS contexts, one per set of CA certificates, and client certificates (parsing
 * one costs more than a resumed handshake). For one thread; what is handed out may go to any.
 */
#ifndef STILE_ENGINE_TRUST_H
#define STILE_ENGINE_TRUST_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "base/list.h"
#include "base/slice.h"

#define TRUST_CONTEXTS_MAX 64 /* the oldest is forgotten */
#define TRUST_CERTS_MAX    256

struct trust_list {
    struct list entries; /* newest first */
    size_t count;
    size_t max;
};

struct trust {
    struct trust_list contexts;
    struct trust_list certs;
};

void trust_init(struct trust *t);
void trust_release(struct trust *t);

/* The context that trusts these CAs alone; a reference of the caller's. */
int trust_context(struct trust *t, struct slice ca_pem, SSL_CTX **ret, struct diag *d);

/* The certificate of these bytes; a reference of the caller's. */
int trust_cert(struct trust *t, struct slice der, X509 **ret, struct diag *d);

#endif
