#include "secure.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tls/certs.h"
#include "tls/keys.h"
#include "tls/stream.h"

static int read_pem(const char *directory, const char *name, struct buf *b)
{
    char path[512];
    uint8_t *space;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return ERR_NOTFOUND;
    buf_init(b, 65536);
    int r = buf_reserve(b, 65536 - 1, &space);
    if (r == 0)
        buf_commit(b, fread(space, 1, 65536 - 1, f));
    fclose(f);
    return r;
}

int secure_init(struct secure *s, const char *directory, bool server, struct diag *d)
{
    static const char *const alpn[] = {"h2", NULL};
    struct buf ca;
    struct buf cert;
    struct buf key;
    *s = (struct secure){.directory = directory};
    if (directory == NULL)
        return 0;
    if (read_pem(directory, "ca.pem", &ca) < 0 || read_pem(directory, "cert.pem", &cert) < 0 ||
        read_pem(directory, "key.pem", &key) < 0)
        return diag_set(d, ERR_NOTFOUND, 0, "Failed to read the certificates in %s", directory);
    int r = cert_from_pem(buf_slice(&cert), &s->identity.cert, d);
    if (r == 0)
        r = key_from_pem(buf_slice(&key), &s->identity.key, d);
    if (r == 0 && server)
        r = tls_server_context(&s->identity, buf_slice(&ca), true, alpn, &s->ctx, d);
    else if (r == 0)
        r = tls_client_context(buf_slice(&ca), &s->ctx, d);
    buf_release(&ca);
    buf_release(&cert);
    buf_release_wiped(&key);
    return r;
}

void secure_release(struct secure *s)
{
    SSL_CTX_free(s->ctx);
    X509_free(s->identity.cert);
    EVP_PKEY_free(s->identity.key);
}

struct handshake {
    struct stream *stream;
    secure_done_fn *done;
    void *arg;
};

static void on_ready(void *arg, int err, const struct diag *d)
{
    struct handshake h = *(struct handshake *)arg;
    mem_free(arg);
    if (err < 0)
        stream_close(STEAL(h.stream));
    h.done(h.arg, err, h.stream, d);
}

static int start_tls(struct secure *s, struct loop *loop, struct stream *lower, bool server,
                     struct handshake *h)
{
    const struct tls_config config = {
        .ctx = s->ctx,
        .server = server,
        .server_name = "localhost",
        .alpn = server ? NULL : "h2",
        .cert = server ? NULL : s->identity.cert,
        .key = server ? NULL : s->identity.key,
    };
    return tls_stream_new(lower, loop, &config, on_ready, h, &h->stream);
}

int secure_start(struct secure *s, struct loop *loop, uv_os_sock_t fd, bool server,
                 secure_done_fn *done, void *arg)
{
    struct stream *stream;
    int r = socket_stream_new(loop, fd, &stream);
    if (r < 0) {
        socket_close(fd);
        return r;
    }
    if (s->directory == NULL) {
        done(arg, 0, stream, NULL);
        return 0;
    }
    struct handshake *h = NEW(struct handshake);
    *h = (struct handshake){.done = done, .arg = arg};
    r = start_tls(s, loop, stream, server, h);
    if (r < 0) {
        mem_free(h);
        stream_close(stream);
    }
    return r;
}
