/* usage: peer server CA CERT KEY              listens on 127.0.0.1, prints the port, serves one connection: echoes
 *        peer client CA CERT KEY PORT NAME    connects, sends two lines and a half-close, prints what comes back
 *
 * Our side of the TLS interoperability tests. KEY "remote:FILE": the client signs through a remote key. The last line on
 * standard output is "end", or "error NAME: text". Paths are of PEM files.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/listener.h"
#include "loop/socket.h"
#include "tls/certs.h"
#include "tls/context.h"
#include "tls/remote_key.h"
#include "tls/stream.h"

static struct loop loop;
static struct stream *stream;
static struct listener *listener;
static SSL_CTX *context;
static X509 *certificate;
static EVP_PKEY *key, *local_key;
static const char *name;
static bool server;

static void finish(const char *how)
{
    printf("%s\n", how);
    loop_stop(&loop);
}

static void fail(int err, const struct diag *d)
{
    printf("error %s: %s\n", err_name(err), d->text);
    loop_stop(&loop);
}

static struct slice load(const char *path)
{
    static uint8_t memory[3][65536];
    static int next;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return slice_of(NULL, 0);
    uint8_t *data = memory[next++ % 3];
    size_t n = fread(data, 1, sizeof(memory[0]), file);
    fclose(file);
    return slice_of(data, n);
}

/* ---- the connection ---- */

static void on_data(void *arg, struct slice bytes)
{
    (void)arg;
    int r = 0;
    if (server)
        r = stream_write(stream, &bytes, 1);
    else
        fwrite(bytes.data, 1, bytes.len, stdout);
    if (r < 0)
        finish("write failed");
}

static void on_end(void *arg)
{
    (void)arg;
    if (server && stream_end(stream) < 0)
        finish("end failed");
    else
        finish("end");
}

static void on_error(void *arg, int err, const struct diag *d)
{
    (void)arg;
    fail(err, d);
}

static void on_ready(void *arg, int err, const struct diag *d)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error};
    (void)arg;
    if (err < 0) {
        fail(err, d);
        return;
    }
    printf("ready %s%s\n", SSL_get_version(tls_stream_ssl(stream)),
           tls_stream_resumed(stream) ? " resumed" : "");
    fflush(stdout);
    stream_set_events(stream, &events, NULL);
    struct slice lines = SLICE_LIT("first line\nsecond line\n");
    int r = stream_read_start(stream);
    if (r == 0 && !server)
        r = stream_write(stream, &lines, 1);
    if (r == 0 && !server)
        r = stream_end(stream); /* half-close: the echo still comes */
    if (r < 0)
        finish("failed to begin");
}

static void begin(uv_os_sock_t fd)
{
    struct stream *lower = NULL;
    struct tls_config config = {.ctx = context,
                                .server = server,
                                .server_name = name,
                                .cert = server ? NULL : certificate,
                                .key = server ? NULL : key,
                                .alpn = server ? NULL : "stile-tcp"};
    if (socket_stream_new(&loop, fd, &lower) < 0 ||
        tls_stream_new(lower, &loop, &config, on_ready, NULL, &stream) < 0)
        finish("failed to make a stream");
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    (void)arg;
    listener_pause(listener);
    begin(fd);
}

static void on_connected(void *arg, int err, uv_os_sock_t fd, const struct diag *d)
{
    (void)arg;
    if (err < 0)
        fail(err, d);
    else
        begin(fd);
}

/* ---- the remote key: answered from the loop, later ---- */

static struct defer answer;
static struct remote_sign *waiting;
static struct buf digest;
static struct sign_request wanted;

static void run_answer(void *arg)
{
    (void)arg;
    struct buf signature;
    buf_init(&signature, 4096);
    wanted.digest = buf_slice(&digest);
    int r = key_sign(local_key, &wanted, &signature);
    remote_sign_done(waiting, r, buf_slice(&signature), NULL);
    buf_release(&signature);
}

static int sign(void *arg, const struct sign_request *request, struct remote_sign *job)
{
    (void)arg;
    wanted = *request;
    waiting = job;
    defer_init(&answer, run_answer, NULL);
    defer_start(&loop, &answer);
    return buf_put(&digest, request->digest);
}

static const struct remote_key_ops remote_ops = {.sign = sign};

/* ---- setting up ---- */

static int load_identity(const char *cert_path, const char *key_path, struct diag *d)
{
    bool remote = str_starts(key_path, "remote:");
    int r = cert_from_pem(load(cert_path), &certificate, d);
    if (r == 0)
        r = key_from_pem(load(remote ? key_path + strlen("remote:") : key_path), &local_key, d);
    if (r < 0)
        return r;
    buf_init(&digest, 4096);
    if (remote)
        return remote_key_new(local_key, &remote_ops, NULL, &key, d);
    EVP_PKEY_up_ref(local_key);
    key = local_key;
    return 0;
}

static int serve(struct slice ca, struct diag *d)
{
    static const char *const alpn[] = {"stile-tcp", "h2", NULL};
    struct tls_identity id = {.cert = certificate, .key = key};
    uv_os_sock_t fd = -1;
    uint16_t port = 0;
    int r = tls_server_context(&id, ca, true, alpn, &context, d);
    if (r == 0)
        r = listener_open_tcp("127.0.0.1", 0, &fd, &port, d);
    if (r < 0)
        return r;
    printf("%u\n", port);
    fflush(stdout);
    return listener_new(&loop, fd, on_accept, NULL, &listener);
}

static int dial(struct slice ca, const char *port_text, struct diag *d)
{
    uint16_t port = 0;
    int r = str_to_u16(port_text, &port);
    if (r == 0)
        r = tls_client_context(ca, &context, d);
    if (r < 0)
        return r;
    return socket_connect_start(&loop, "127.0.0.1", port, 5000, on_connected, NULL, NULL);
}

static void release(void)
{
    stream_close(stream);
    listener_close(listener);
    SSL_CTX_free(context);
    X509_free(certificate);
    EVP_PKEY_free(key);
    EVP_PKEY_free(local_key);
    buf_release(&digest);
    if (loop_release(&loop) < 0)
        printf("the loop is not empty\n");
}

int main(int argc, char **argv)
{
    struct diag d = {0};
    if (argc < 5 || loop_init(&loop) < 0)
        return 2;
    server = str_eq(argv[1], "server");
    if (!server && argc != 7)
        return 2;
    name = server ? NULL : argv[6];
    int r = load_identity(argv[3], argv[4], &d);
    if (r == 0)
        r = server ? serve(load(argv[2]), &d) : dial(load(argv[2]), argv[5], &d);
    if (r < 0)
        printf("error %s: %s\n", err_name(r), d.text);
    else
        loop_run(&loop);
    /* What is still queued leaves. */
    for (int i = 0; i < 10; i++)
        loop_turn(&loop, false);
    release();
    return 0;
}
