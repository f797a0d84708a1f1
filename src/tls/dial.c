#include "tls/dial.h"

#include "base/mem.h"
#include "loop/timer.h"

/* Handshake → status → over. Until its end the dial owns the stream. */
struct dial {
    struct loop *loop;
    struct stream *stream; /* TLS; NULL once it was handed over or closed */
    struct timer timer;
    uint8_t message[TARGET_STATUS_LEN];
    size_t len;
    bool over;
    dial_done_fn *done;
    void *arg;
};

static void destroy(void *arg)
{
    struct dial *d = arg;
    mem_free(d);
}

static void end(struct dial *d)
{
    d->over = true;
    stream_close(STEAL(d->stream));
    timer_close(&d->timer, destroy);
}

static void fail(struct dial *d, int err, const struct target_status *st, const struct diag *diag)
{
    end(d);
    d->done(d->arg, err, st, NULL, diag);
}

static void fail_format(struct dial *d, int err)
{
    struct diag diag;
    if (err == ERR_VERSION)
        diag_set(&diag, err, 0,
                 "The gateway's status message has another version: update the older side");
    else
        diag_set(&diag, err, 0, "The gateway sent a malformed status message");
    fail(d, err, NULL, &diag);
}

static void fail_status(struct dial *d, const struct target_status *st)
{
    struct diag diag;
    int err = target_code_to_err(st->code);
    diag_set(&diag, err, 0, "The gateway answered \"%s\"%s%s", target_code_name(st->code),
             st->text[0] == '\0' ? "" : ": ", st->text);
    fail(d, err, st, &diag);
}

static void succeed(struct dial *d, const struct target_status *st)
{
    static const struct stream_events none = {0};
    struct stream *stream = STEAL(d->stream);
    stream_read_stop(stream);
    stream_set_events(stream, &none, NULL);
    end(d);
    d->done(d->arg, 0, st, stream, NULL);
}

/* Exactly the message: the app's bytes, perhaps there already, stay in the stream. */
static struct span get_space(void *arg)
{
    struct dial *d = arg;
    return (struct span){d->message + d->len, sizeof(d->message) - d->len};
}

static void on_data(void *arg, struct slice bytes)
{
    struct dial *d = arg;
    d->len += bytes.len;
    if (d->len < sizeof(d->message))
        return;
    struct target_status st;
    int r = target_status_decode(slice_of(d->message, sizeof(d->message)), &st);
    if (r < 0)
        fail_format(d, r);
    else if (st.code != TARGET_OK)
        fail_status(d, &st);
    else
        succeed(d, &st);
}

static void on_end(void *arg)
{
    struct diag diag;
    diag_set(&diag, ERR_CLOSED, 0, "The gateway closed the connection without a status message");
    fail(arg, ERR_CLOSED, NULL, &diag);
}

static void on_error(void *arg, int err, const struct diag *diag)
{
    fail(arg, err, NULL, diag);
}

static const struct stream_events events = {
    .get_space = get_space,
    .on_data = on_data,
    .on_end = on_end,
    .on_error = on_error,
};

static void on_ready(void *arg, int err, const struct diag *diag)
{
    struct dial *d = arg;
    if (err < 0) {
        fail(d, err, NULL, diag);
        return;
    }
    stream_set_events(d->stream, &events, d);
    int r = stream_read_start(d->stream);
    if (r == 0)
        return;
    struct diag mine;
    diag_set(&mine, r, 0, "Failed to read from the gateway: %s", err_text(r));
    fail(d, r, NULL, &mine);
}

static void on_timeout(void *arg)
{
    struct diag diag;
    diag_set(&diag, ERR_TIMEOUT, 0, "The gateway did not say in time whether the app answered");
    fail(arg, ERR_TIMEOUT, NULL, &diag);
}

int dial_start(struct loop *loop, struct stream *socket, const struct dial_config *config,
               dial_done_fn *done, void *arg, struct dial **ret)
{
    struct dial *d = NEW(struct dial);
    if (d == NULL)
        return ERR_NOMEM;
    *d = (struct dial){.loop = loop, .done = done, .arg = arg};
    struct tls_config tls = config->tls;
    tls.alpn = TARGET_ALPN;
    tls.server = false;
    int r = tls_stream_new(socket, loop, &tls, on_ready, d, &d->stream);
    if (r < 0) {
        mem_free(d);
        return r;
    }
    (void)timer_init(&d->timer, loop, on_timeout, d); /* libuv's timers can't fail to begin */
    timer_start(&d->timer, config->timeout_ms == 0 ? DIAL_TIMEOUT_MS : config->timeout_ms);
    if (ret != NULL)
        *ret = d;
    return 0;
}

void dial_cancel(struct dial *d)
{
    if (d != NULL && !d->over)
        end(d);
}
