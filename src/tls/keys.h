/* Private and public keys: made, read and written here for all modules. Files are the callers' business. */
#ifndef STILE_TLS_KEYS_H
#define STILE_TLS_KEYS_H

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/err.h"

MUST_CHECK int key_new(EVP_PKEY **ret); /* ECDSA P-256 */

/* PKCS#8, not encrypted; the buffer holds a secret then. PEM is appended. */
MUST_CHECK int key_to_pem(EVP_PKEY *key, struct buf *pem);
MUST_CHECK int key_from_pem(struct slice pem, EVP_PKEY **ret, struct diag *d); /* ERR_FORMAT */

/* SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7). key_from_spki takes ECDSA P-256, Ed25519 and RSA of 2048 to 8192 bits,
 * with nothing after it: else ERR_FORMAT or ERR_UNSUPPORTED. Appended. */
MUST_CHECK int key_to_spki(EVP_PKEY *key, struct buf *der);
MUST_CHECK int key_from_spki(struct slice der, EVP_PKEY **ret, struct diag *d);

bool key_same_public(EVP_PKEY *a, EVP_PKEY *b);

/* What a remote signer does with a local key: `digest` is the 32-byte SHA-256 digest, or for Ed25519 the whole message.
 * The signature (DER for ECDSA) is appended. ERR_INVAL: hash, length or padding don't fit the key. */
enum sign_hash { SIGN_HASH_NONE, SIGN_HASH_SHA256 };
struct sign_request {
    struct slice digest;
    enum sign_hash hash;
    bool pss;              /* RSA only; false is PKCS#1 v1.5 */
    unsigned pss_salt_len; /* bytes */
};
MUST_CHECK int key_sign(EVP_PKEY *key, const struct sign_request *request, struct buf *signature);

void key_freep(EVP_PKEY **key); /* for CLEANUP */

#endif
