#include "tls/stream.h"

#include <string.h>

#include <openssl/err.h>

#include "base/mem.h"
#include "tls/failure.h"
#include "tls/stream_state.h"

#define RECORD_MAX ((size_t)16 * 1024) /* plain text in one record, RFC 8446 §5.1 */
/* How long to listen for the reason (an alert) after the peer stopped taking bytes. */
#define LAST_WORDS_MS 250

static struct tls_stream *self(struct stream *s)
{
    return CONTAINER_OF(s, struct tls_stream, base);
}

/* ---- failure ---- */

static void fail(struct tls_stream *s, const struct diag *d)
{
    if (s->state == FAILED || s->state == CLOSED)
        return;
    bool handshake = s->state == HANDSHAKE;
    s->state = FAILED;
    timer_stop(&s->timer);
    stream_read_stop(s->lower);
    if (handshake)
        s->on_ready(s->ready_arg, d->err, d);
    else if (s->base.events.on_error != NULL)
        s->base.events.on_error(s->base.arg, d->err, d);
}

static int describe_failure(struct tls_stream *s, struct diag *d)
{
    if (s->wait.err == 0)
        return tls_failure(s->ssl, s->server, s->peer, d);
    ERR_clear_error();
    return diag_set(d, s->wait.err, 0, "Failed to sign for %s: %s", s->peer, s->wait.reason);
}

static void fail_tls(struct tls_stream *s)
{
    struct diag d;
    describe_failure(s, &d);
    fail(s, &d);
}

static void fail_cut(struct tls_stream *s)
{
    struct diag d;
    if (s->state == HANDSHAKE)
        diag_set(&d, ERR_CLOSED, 0,
                 "%s closed the connection during the TLS handshake: does it speak TLS on this "
                 "port?",
                 s->peer);
    else
        diag_set(&d, ERR_TRUNCATED, 0, "The connection to %s was cut: bytes may be missing",
                 s->peer);
    fail(s, &d);
}

static void fail_write(struct tls_stream *s)
{
    struct diag d;
    diag_set(&d, s->write_error, 0, "The connection to %s failed: %s", s->peer,
             err_text(s->write_error));
    fail(s, &d);
}

/* Sends what OpenSSL wrote. When the peer takes no more, why may still be readable. */
static void flush(struct tls_stream *s)
{
    stream_bio_flush(&s->bio);
    if (s->bio.out_error == 0 || s->write_error != 0 || s->state >= FAILED)
        return;
    s->write_error = s->bio.out_error;
    timer_start(&s->timer, LAST_WORDS_MS);
    (void)stream_read_start(s->lower); /* its failure leaves the timer */
}

/* ---- reading ---- */

static void end_reading(struct tls_stream *s)
{
    s->told_end = true;
    s->reading = false;
    stream_read_stop(s->lower);
    if (s->base.events.on_end != NULL)
        s->base.events.on_end(s->base.arg);
}

/* Fills space with as many records as there are. Sets *ret_code to SSL_ERROR_NONE when it is full, else to why it isn't. */
static size_t read_records(struct tls_stream *s, struct span space, int *ret_code)
{
    size_t n = 0;
    *ret_code = SSL_ERROR_NONE;
    ERR_clear_error();
    while (n < space.len && *ret_code == SSL_ERROR_NONE) {
        size_t got = 0;
        int r = SSL_read_ex(s->ssl, space.data + n, space.len - n, &got);
        if (r != 1)
            *ret_code = SSL_get_error(s->ssl, r);
        n += got;
    }
    return n;
}

/* One helping to the reader; false when there will be no more for now. */
static bool read_once(struct tls_stream *s)
{
    struct span space = {s->loop->plain, LOOP_SCRATCH_SIZE};
    if (s->base.events.get_space != NULL)
        space = s->base.events.get_space(s->base.arg);
    if (s->state != OPEN)
        return false;
    if (space.len == 0) {
        s->reading = false;
        stream_read_stop(s->lower);
        return false;
    }
    int code;
    size_t n = read_records(s, space, &code);
    /* Noted before the reader runs: OpenSSL tells it only once. */
    s->read_ended = s->read_ended || code == SSL_ERROR_ZERO_RETURN;
    struct diag failure = {0};
    if (code != SSL_ERROR_NONE && code != SSL_ERROR_ZERO_RETURN && code != SSL_ERROR_WANT_READ)
        describe_failure(s, &failure);
    if (n > 0 && s->base.events.on_data != NULL)
        s->base.events.on_data(s->base.arg, slice_of(space.data, n));
    if (failure.err != 0)
        fail(s, &failure);
    return code == SSL_ERROR_NONE && s->state == OPEN;
}

static void pump(struct tls_stream *s)
{
    if (s->state != OPEN || s->told_end)
        return;
    while (s->reading && !s->read_ended && read_once(s))
        ;
    if (s->state != OPEN)
        return;
    /* An idle stream holds none, also where OpenSSL's own rule keeps one (after a ticket). With something inside it doesn't
     * let go. */
    SSL_free_buffers(s->ssl);
    if (s->corks == 0)
        flush(s); /* answers to key updates */
    if (s->reading && s->read_ended)
        end_reading(s);
    else if (s->reading && s->lower_ended)
        fail_cut(s);
}

static bool has_input(const struct tls_stream *s)
{
    return stream_bio_has_input(&s->bio) || SSL_has_pending(s->ssl) || s->read_ended ||
           s->lower_ended;
}

static int tls_read_start(struct stream *base)
{
    struct tls_stream *s = self(base);
    if (s->state != OPEN)
        return s->state == HANDSHAKE ? ERR_INVAL : ERR_CLOSED;
    if (s->told_end || s->reading)
        return 0;
    s->reading = true;
    if (has_input(s))
        defer_start(s->loop, &s->turn);
    return s->read_ended || s->lower_ended ? 0 : stream_read_start(s->lower);
}

static void tls_read_stop(struct stream *base)
{
    struct tls_stream *s = self(base);
    if (s->state != OPEN)
        return;
    s->reading = false;
    stream_read_stop(s->lower);
}

/* ---- writing ---- */

static int write_record(struct tls_stream *s, const uint8_t *data, size_t len)
{
    size_t written = 0;
    if (len == 0 || s->write_error != 0)
        return 0; /* the reason for an error comes as on_error */
    ERR_clear_error();
    if (SSL_write_ex(s->ssl, data, len, &written) == 1)
        return 0;
    struct diag d;
    return describe_failure(s, &d);
}

/* How much of this part is made into records straight away: all of the last one, whole records of others. */
static size_t direct_len(struct slice part, bool last, size_t staged)
{
    if (staged > 0)
        return 0;
    return last ? part.len : part.len - part.len % RECORD_MAX;
}

/* Small parts share a record; large ones become records without a copy. */
static int write_parts(struct tls_stream *s, const struct slice *parts, size_t count)
{
    uint8_t *stage = s->loop->stage;
    size_t staged = 0;
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        struct slice rest = parts[i];
        while (rest.len > 0 && r == 0) {
            size_t n = direct_len(rest, i + 1 == count, staged);
            if (n > 0) {
                r = write_record(s, rest.data, n);
            } else {
                n = MIN(rest.len, RECORD_MAX - staged);
                memcpy(stage + staged, rest.data, n);
                staged += n;
            }
            if (r == 0 && staged == RECORD_MAX) {
                r = write_record(s, stage, staged);
                staged = 0;
            }
            rest = slice_from(rest, n);
        }
    }
    return r < 0 ? r : write_record(s, stage, staged);
}

static int tls_write(struct stream *base, const struct slice *parts, size_t count)
{
    struct tls_stream *s = self(base);
    if (s->state != OPEN || s->end_wanted)
        return s->state == HANDSHAKE ? ERR_INVAL : ERR_CLOSED;
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    if (stream_queued(s->lower) + total > STREAM_QUEUE_MAX)
        return ERR_TOOBIG;
    int r = write_parts(s, parts, count);
    if (s->corks == 0)
        flush(s);
    return r;
}

static size_t tls_queued(const struct stream *base)
{
    return stream_queued(((const struct tls_stream *)base)->lower);
}

static void tls_cork(struct stream *base)
{
    self(base)->corks++;
}

static void tls_uncork(struct stream *base)
{
    struct tls_stream *s = self(base);
    if (--s->corks == 0 && s->state == OPEN)
        flush(s);
}

static int tls_end(struct stream *base)
{
    struct tls_stream *s = self(base);
    if (s->state != OPEN)
        return s->state == HANDSHAKE ? ERR_INVAL : ERR_CLOSED;
    if (s->end_wanted)
        return 0;
    s->end_wanted = true;
    ERR_clear_error();
    if (SSL_shutdown(s->ssl) < 0)
        ERR_clear_error(); /* the peer then sees a cut */
    flush(s);
    return s->write_error != 0 ? 0 : stream_end(s->lower);
}

/* ---- handshake ---- */

static int check_protocol(struct tls_stream *s, struct diag *d)
{
    if (s->server || s->alpn[0] == '\0' || tls_stream_alpn_is(&s->base, s->alpn))
        return 0;
    return diag_set(d, ERR_PROTOCOL, 0, "%s doesn't speak \"%s\": is this a stile gateway?",
                    s->peer, s->alpn);
}

static void become_open(struct tls_stream *s)
{
    struct diag d;
    timer_stop(&s->timer);
    if (check_protocol(s, &d) < 0) {
        fail(s, &d);
        return;
    }
    s->state = OPEN;
    if (s->write_error != 0)
        timer_start(&s->timer, LAST_WORDS_MS); /* the peer went away before our last flight */
    /* A job per read and write would cost; nothing is signed from here on. */
    SSL_clear_mode(s->ssl, SSL_MODE_ASYNC);
    SSL_free_buffers(s->ssl);
    stream_read_stop(s->lower);
    s->on_ready(s->ready_arg, 0, NULL);
}

static void await_signature(struct tls_stream *s)
{
    s->signing = true;
    stream_read_stop(s->lower);
    timer_start(&s->timer, REMOTE_SIGN_MS);
    remote_wait_ask(&s->wait);
}

static void handshake(struct tls_stream *s)
{
    ERR_clear_error();
    remote_wait_enter(&s->wait);
    int r = SSL_do_handshake(s->ssl);
    remote_wait_leave();
    int code = r == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, r);
    flush(s);
    if (code == SSL_ERROR_NONE)
        become_open(s);
    else if (code == SSL_ERROR_WANT_ASYNC)
        await_signature(s);
    else if (code != SSL_ERROR_WANT_READ)
        fail_tls(s);
    else if (s->lower_ended)
        fail_cut(s);
    else if (stream_read_start(s->lower) < 0)
        fail_cut(s);
}

static void go_on(struct tls_stream *s)
{
    if (s->state == HANDSHAKE && !s->signing)
        handshake(s);
    if (s->state == OPEN)
        pump(s);
}

static void run_turn(void *arg)
{
    go_on(arg);
}

static void on_signed(void *arg)
{
    struct tls_stream *s = arg;
    s->signing = false;
    timer_start(&s->timer, s->timeout_ms);
    defer_start(s->loop, &s->turn);
}

static void on_timeout(void *arg)
{
    struct tls_stream *s = arg;
    struct diag d;
    if (s->write_error != 0) {
        fail_write(s);
        return;
    }
    if (s->signing) {
        remote_wait_cancel(&s->wait, ERR_TIMEOUT);
        on_signed(s);
        return;
    }
    diag_set(&d, ERR_TIMEOUT, 0, "%s didn't finish the TLS handshake in time", s->peer);
    fail(s, &d);
}

/* ---- the lower stream's events ---- */

static void on_lower_data(void *arg, struct slice bytes)
{
    struct tls_stream *s = arg;
    s->bio.fed = bytes;
    go_on(s);
    if (stream_bio_keep(&s->bio) == 0)
        return;
    struct diag d;
    diag_set(&d, ERR_NOMEM, 0, "The connection to %s failed: out of memory", s->peer);
    fail(s, &d);
}

static void on_lower_end(void *arg)
{
    struct tls_stream *s = arg;
    s->lower_ended = true;
    if (s->write_error != 0)
        fail_write(s);
    else
        go_on(s);
}

static void on_lower_drain(void *arg)
{
    struct tls_stream *s = arg;
    if (s->state == OPEN && s->base.events.on_drain != NULL)
        s->base.events.on_drain(s->base.arg);
}

static void on_lower_error(void *arg, int err, const struct diag *d)
{
    (void)err;
    struct tls_stream *s = arg;
    struct diag mine = *d;
    diag_prefix(&mine, "%s: ", s->peer);
    fail(s, &mine);
}

static const struct stream_events lower_events = {
    .on_data = on_lower_data,
    .on_end = on_lower_end,
    .on_drain = on_lower_drain,
    .on_error = on_lower_error,
};

/* ---- life ---- */

void tls_stream_destroy(void *arg)
{
    struct tls_stream *s = arg;
    if (s->ssl != NULL) {
        /* Else OpenSSL takes the end for a failure and forbids the resumption of good sessions. */
        SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(s->ssl);
        ERR_clear_error();
    }
    stream_bio_release(&s->bio);
    mem_free((void *)(uintptr_t)s->session_key.data);
    mem_free(s);
}

/* A paused ASYNC job holds memory on its own stack: it must run to its end. */
static void abandon_signature(struct tls_stream *s)
{
    if (s->wait.job == NULL)
        return;
    remote_wait_cancel(&s->wait, ERR_CANCELED);
    remote_wait_enter(&s->wait);
    (void)SSL_do_handshake(s->ssl);
    remote_wait_leave();
    ERR_clear_error();
}

static void tls_close(struct stream *base, bool reset)
{
    struct tls_stream *s = self(base);
    if (s->state == CLOSED)
        return;
    s->state = CLOSED;
    abandon_signature(s);
    defer_stop(&s->turn);
    s->bio.lower = NULL;
    if (reset)
        stream_reset(STEAL(s->lower));
    else
        stream_close(STEAL(s->lower));
    /* In the loop's closing phase nothing of ours is on the stack any more. */
    timer_close(&s->timer, tls_stream_destroy);
}

static const struct stream_ops tls_ops = {
    .read_start = tls_read_start,
    .read_stop = tls_read_stop,
    .write = tls_write,
    .queued = tls_queued,
    .cork = tls_cork,
    .uncork = tls_uncork,
    .end = tls_end,
    .close = tls_close,
};

SSL *tls_stream_ssl(struct stream *s)
{
    return self(s)->ssl;
}

X509 *tls_stream_peer(struct stream *s)
{
    return SSL_get0_peer_certificate(self(s)->ssl);
}

bool tls_stream_resumed(struct stream *s)
{
    return SSL_session_reused(self(s)->ssl) == 1;
}

bool tls_stream_alpn_is(struct stream *s, const char *protocol)
{
    const unsigned char *agreed = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(self(s)->ssl, &agreed, &len);
    return slice_eq_str(slice_of(agreed, len), protocol);
}

void tls_stream_begin(struct tls_stream *s)
{
    s->base.ops = &tls_ops;
    defer_init(&s->turn, run_turn, s);
    (void)timer_init(&s->timer, s->loop, on_timeout, s); /* libuv's timers can't fail to begin */
    timer_start(&s->timer, s->timeout_ms);
    remote_wait_init(&s->wait, on_signed, s);
    stream_set_events(s->lower, &lower_events, s);
    defer_start(s->loop, &s->turn);
}
