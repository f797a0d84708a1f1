/* Certificates for apps, one per app and port, each with a key of its own that never leaves here.
 *
 * A certificate is kept until it is stale (a while before its end), then issued anew with the same key. Callers that come
 * meanwhile wait for the one question that is on its way. Keys go when their profile is replaced or removed.
 */
#ifndef STILE_AGENT_CERTS_H
#define STILE_AGENT_CERTS_H

#include <openssl/x509.h>

#include "agent/directory.h"

#define CERTS_MAX 2048

struct certs;

int certs_new(struct directory directory, struct certs **ret);
/* After the directory's questions have been answered (see directory.h). NULL is fine. */
void certs_free(struct certs *c);

/* Both borrowed; NULL when err isn't 0, and then d says what to do. */
typedef void certs_done_fn(void *arg, int err, X509 *cert, EVP_PKEY *key, const struct diag *d);

/* done is called exactly once, perhaps before this returns. */
void certs_get(struct certs *c, const app_key *key, uint16_t port, certs_done_fn *done, void *arg);

/* The key of a certificate that was issued for exactly this app and port, and hasn't expired; else NULL. Borrowed. */
EVP_PKEY *certs_key(struct certs *c, const app_key *key, uint16_t port);

/* Forgets what belongs to this profile. */
void certs_drop(struct certs *c, const char *profile);

#endif
