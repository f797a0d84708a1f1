/* What a failure of TLS means to a person and which ERR_* it is. For tls/ alone. */
#ifndef STILE_TLS_FAILURE_H
#define STILE_TLS_FAILURE_H

#include <openssl/ssl.h>

#include "base/err.h"

/* Reads and empties this thread's OpenSSL error queue after a call on ssl failed. peer names the other end in the text.
 * Returns d->err. */
int tls_failure(SSL *ssl, bool server, const char *peer, struct diag *d);

#endif
