/* A private key that is elsewhere: an EVP_PKEY with the public half, whose signatures are asked of somebody.
 *
 * Theory of operation: a small OpenSSL provider, alone in a library context of its own so that nothing else ever fetches
 * from it, holds the public key and hashes; the signature itself is requested through remote_key_ops. TLS handshakes run as
 * ASYNC jobs while such a key is in use: the job pauses, the stream asks for the signature from the loop's own stack, and
 * resumes the job when it came. Keys: ECDSA P-256 and RSA (PKCS#1 v1.5 and PSS) with SHA-256, Ed25519 (the whole message).
 */
#ifndef STILE_TLS_REMOTE_KEY_H
#define STILE_TLS_REMOTE_KEY_H

#include "tls/keys.h"

#define REMOTE_SIGN_MS       30000 /* how long a handshake waits for a signature */
#define REMOTE_SIGNATURE_MAX 1024  /* bytes: RSA 8192 */

/* One signature being waited for. */
struct remote_sign;

struct remote_key_ops {
    /* Asks for a signature; request is borrowed until return. 0: remote_sign_done(job, …) follows, once, in this thread,
     * possibly before this returns. Else ERR_*: it must not follow. */
    int (*sign)(void *arg, const struct sign_request *request, struct remote_sign *job);
    void (*release)(void *arg); /* the last reference to the key is gone; may be NULL */
};

/* public_key is copied. arg must be good until release. Outside a TLS stream's handshake the key signs only if ops->sign
 * finishes before it returns. ERR_UNSUPPORTED: another type of key. */
MUST_CHECK int remote_key_new(EVP_PKEY *public_key, const struct remote_key_ops *ops, void *arg,
                              EVP_PKEY **ret, struct diag *d);
bool remote_key_is(const EVP_PKEY *key);

/* The answer: 0 and the signature (copied), or ERR_*, which the handshake then fails with; reason may be NULL. Fine when the
 * handshake has gone meanwhile. The job is invalid afterwards. */
void remote_sign_done(struct remote_sign *job, int err, struct slice signature, const char *reason);

/* Each handshake with such a key has a stack of its own (32 KiB), which the thread keeps for the next one. Gives them back; only while no
 * handshake runs in this thread. */
void remote_key_trim_thread(void);

#endif
