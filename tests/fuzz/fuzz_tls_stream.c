/* Any bytes as what a TLS peer sends, first in the handshake. The first byte says whether to a server or to a client. The
 * stream must end it with a failure that has a text, or wait for more; it must not become ready. */
#include <stdlib.h>

#include "base/clock.h"
#include "loop/stream_pair.h"
#include "tls/certs.h"
#include "tls/context.h"
#include "tls/keys.h"
#include "tls/stream.h"

static struct loop loop;
static SSL_CTX *server_context, *client_context;

static int make_identity(struct tls_identity *id)
{
    int64_t now = clock_wall_s();
    struct cert_spec spec = {
        .use = CERT_CA, .common_name = "fuzz", .not_before = now - 60, .not_after = now + 86400};
    int r = key_new(&id->key);
    return r < 0 ? r : cert_issue(&spec, id->key, NULL, id->key, &id->cert, NULL);
}

static void prepare(void)
{
    static const char *const alpn[] = {"stile-tcp", NULL};
    struct tls_identity id = {0};
    struct buf pem;
    buf_init(&pem, 65536);
    if (loop_init(&loop) < 0 || make_identity(&id) < 0 || cert_to_pem(id.cert, &pem) < 0 ||
        tls_server_context(&id, buf_slice(&pem), true, alpn, &server_context, NULL) < 0 ||
        tls_client_context(buf_slice(&pem), &client_context, NULL) < 0)
        abort();
    X509_free(id.cert);
    EVP_PKEY_free(id.key);
    buf_release(&pem);
}

static void on_ready(void *arg, int err, const struct diag *d)
{
    bool *over = arg;
    if (err >= 0 || d->err != err || d->text[0] == '\0')
        abort();
    *over = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stream *peer = NULL;
    struct stream *lower = NULL;
    struct stream *stream = NULL;
    bool over = false;
    if (size == 0 || size > 65536)
        return 0;
    if (server_context == NULL)
        prepare();
    bool server = data[0] % 2 == 0;
    struct tls_config config = {.ctx = server ? server_context : client_context,
                                .server = server,
                                .server_name = "fuzz",
                                .alpn = "stile-tcp"};
    struct slice bytes = slice_of(data + 1, size - 1);
    if (stream_pair_new(&loop, 65536, &peer, &lower) < 0 ||
        tls_stream_new(lower, &loop, &config, on_ready, &over, &stream) < 0 ||
        stream_write(peer, &bytes, 1) < 0 || stream_end(peer) < 0)
        abort();
    for (int i = 0; i < 20 && !over; i++)
        loop_turn(&loop, false);
    if (!over)
        abort(); /* the end came, if nothing else */
    stream_close(stream);
    stream_close(peer);
    for (int i = 0; i < 3; i++)
        loop_turn(&loop, false);
    return 0;
}
