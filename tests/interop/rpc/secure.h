/* Connections of the test programs: plain TCP, or with mutual TLS from a directory of ca.pem, cert.pem and key.pem. */
#ifndef STILE_TESTS_INTEROP_SECURE_H
#define STILE_TESTS_INTEROP_SECURE_H

#include "loop/socket.h"
#include "tls/context.h"

struct secure {
    const char *directory; /* NULL: plain TCP */
    SSL_CTX *ctx;
    struct tls_identity identity;
};

int secure_init(struct secure *s, const char *directory, bool server, struct diag *d);
void secure_release(struct secure *s);

/* fd: connected, taken. done: once; the stream is the receiver's. */
typedef void secure_done_fn(void *arg, int err, struct stream *stream, const struct diag *d);
int secure_start(struct secure *s, struct loop *loop, uv_os_sock_t fd, bool server,
                 secure_done_fn *done, void *arg);

#endif
