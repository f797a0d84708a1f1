/* The OpenSSL provider of remote keys: key management and signatures. For tls/ alone. See tls/remote_key.h. */
#ifndef STILE_TLS_REMOTE_PROVIDER_H
#define STILE_TLS_REMOTE_PROVIDER_H

#include <stdatomic.h>

#include <openssl/core.h>

#include "tls/remote_key.h"

#define REMOTE_PROVIDER "stile-remote"
/* An octet string that holds the address of a struct remote. */
#define REMOTE_PARAM "stile-remote-key"

/* Whoever signs for a key. */
struct remote {
    atomic_int refs;
    const struct remote_key_ops *ops;
    void *arg;
};

void remote_ref(struct remote *r);
void remote_unref(struct remote *r); /* NULL: nothing */

/* The provider's own data of a key. */
struct remote_key {
    const char *type;      /* "EC", "RSA", "ED25519" */
    EVP_PKEY *public;      /* owned, of the default library context */
    struct remote *remote; /* owned; NULL: a public key only (a certificate's, to be compared) */
};

OSSL_provider_init_fn remote_provider_init;
extern const OSSL_DISPATCH remote_ecdsa_functions[];
extern const OSSL_DISPATCH remote_rsa_functions[];
extern const OSSL_DISPATCH remote_ed25519_functions[];

#endif
