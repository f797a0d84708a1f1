/* Failures of OpenSSL, told: for tls/ alone. */
#ifndef STILE_TLS_OSSL_H
#define STILE_TLS_OSSL_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/bio.h>

/* Empties this thread's error queue and gives its first entry's reason, or "unknown reason". Static text. */
const char *ossl_reason(void);
/* "what: reason" with err, or ERR_NOMEM if that was the reason. */
int ossl_fail(struct diag *d, int err, const char *what);

/* A read-only BIO over borrowed bytes; NULL: too long, or no memory. */
BIO *ossl_bio(struct slice bytes);
void ossl_bio_freep(BIO **bio); /* for CLEANUP */

#endif
