/* Connections of the test programs: plain TCP, or with mutual TLS from a directory of ca.pem, cert.pem and key.pem. */
#ifndef STILE_TESTS_INTEROP_SECURE_H
#define STILE_TESTS_INTEROP_SECURE_H

#include "loop/socket.h"

struct secure {
    const char *directory; /* NULL: plain TCP */
    void *tls;             /* SSL_CTX */
    void *cert;            /* X509 */
    void *key;             /* EVP_PKEY */
};

int secure_init(struct secure *s, const char *directory, bool server, struct diag *d);

/* fd: connected, taken. done: once; the stream is the receiver's. */
typedef void secure_done_fn(void *arg, int err, struct stream *stream, const struct diag *d);
int secure_start(struct secure *s, struct loop *loop, uv_os_sock_t fd, bool server,
                 secure_done_fn *done, void *arg);

#endif
