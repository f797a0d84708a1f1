#include "rpc/transport.h"

#include "base/str.h"
#include "rpc/memory.h"

/* Flow control (RFC 9113 section 5.2): room for a whole message in each exchange, and for several at once. */
#define EXCHANGE_WINDOW   (RPC_MESSAGE_MAX + 64 * 1024)
#define CONNECTION_WINDOW (4 * RPC_MESSAGE_MAX)

/* Bytes given to nghttp2 between two looks at what came: bounds what one exchange can hold beyond a message. */
#define FEED_MAX ((size_t)64 * 1024)
/* Bytes that may wait in the stream; nghttp2 keeps the rest, where it is still ordered by urgency. */
#define SEND_HIGH ((size_t)256 * 1024)

/* Floods: what a peer may make us queue or do. */
#define FRAMES_QUEUED_MAX 16384u /* replies that it doesn't read */
#define ACKS_QUEUED_MAX   256u
#define SETTINGS_MAX      32u /* entries in one frame */
#define CONTINUATIONS_MAX 8u
#define RESETS_BURST      4096u
#define RESETS_PER_SECOND 256u
#define HEADER_BLOCK_MAX  ((size_t)64 * 1024)

/* After the last GOAWAY, how long a peer that doesn't read may keep us. */
#define LINGER_NS (2 * NS_PER_S)

void rpc_exchange_mark(struct rpc_exchange *x)
{
    if (list_empty(&x->ready))
        list_push_back(&x->transport->ready, &x->ready);
}

void rpc_transport_arm(struct rpc_transport *t, uint64_t deadline)
{
    if (deadline == 0 || t->failed || t->closed || (t->timer_at != 0 && t->timer_at <= deadline))
        return;
    uint64_t now = clock_mono_ns();
    uint64_t ms = deadline > now ? (deadline - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    t->timer_at = deadline;
    timer_start(&t->timer, ms);
}

/* What nghttp2 tells: noted here, acted on in serve(). */

static struct rpc_exchange *find(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct rpc_transport *t = user;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct rpc_exchange *x = t->failed ? NULL : t->ops->open(t->owner);
    if (x == NULL)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                         NGHTTP2_REFUSED_STREAM);
    x->id = frame->hd.stream_id;
    return nghttp2_session_set_stream_user_data(session, x->id, x);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, UNUSED uint8_t flags,
                     void *user)
{
    struct rpc_transport *t = user;
    struct rpc_exchange *x = find(session, frame->hd.stream_id);
    if (x == NULL || x->in_err != 0)
        return 0;
    x->header_count++;
    x->header_bytes += name_len + value_len + 32;
    if (x->header_count > RPC_HEADERS_MAX || x->header_bytes > RPC_HEADER_BYTES_MAX) {
        x->in_err = ERR_TOOBIG;
        return 0;
    }
    t->ops->header(x, slice_of(name, name_len), slice_of(value, value_len));
    return 0;
}

static int on_chunk(nghttp2_session *session, UNUSED uint8_t flags, int32_t id, const uint8_t *data,
                    size_t len, void *user)
{
    struct rpc_transport *t = user;
    struct rpc_exchange *x = find(session, id);
    if (x == NULL || x->in_err != 0)
        return 0;
    int r = t->held + len > RPC_HELD_MAX ? ERR_LIMIT : buf_put(&x->in, slice_of(data, len));
    if (r < 0)
        x->in_err = r;
    else
        t->held += len;
    rpc_exchange_mark(x);
    return 0;
}

static void set_reason(struct rpc_transport *t, struct slice text)
{
    text = slice_first(text, sizeof(t->reason) - 1);
    if (!str_is_printable(text) || str_copy_slice(t->reason, sizeof(t->reason), text) < 0)
        t->reason[0] = '\0';
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        set_reason(user, slice_str(nghttp2_http2_strerror(frame->goaway.error_code)));
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct rpc_exchange *x = find(session, frame->hd.stream_id);
    if (x == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        x->headers_done = true;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        x->in_ended = true;
    rpc_exchange_mark(x);
    return 0;
}

static void note_closed(struct rpc_exchange *x, uint32_t code)
{
    if (x->closed)
        return;
    x->closed = true;
    x->close_code = code;
    rpc_exchange_mark(x);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, UNUSED void *user)
{
    struct rpc_exchange *x = find(session, id);
    if (x != NULL)
        note_closed(x, code);
    return 0;
}

/* A request that the server will not take any more. nghttp2 has no HTTP/2 stream for it yet, so the slow way. */
static int on_not_sent(UNUSED nghttp2_session *session, const nghttp2_frame *frame,
                       UNUSED int h2_err, void *user)
{
    struct rpc_transport *t = user;
    if (t->server || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    LIST_FOR_EACH (node, &t->exchanges) {
        struct rpc_exchange *x = LIST_ENTRY(node, struct rpc_exchange, node);
        if (x->id == frame->hd.stream_id)
            note_closed(x, NGHTTP2_REFUSED_STREAM);
    }
    return 0;
}

/* An answer that didn't wait for the end of the request: the rest isn't wanted (RFC 9113 section 8.1). */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct rpc_transport *t = user;
    if (!t->server || frame->hd.type != NGHTTP2_HEADERS ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
        nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) != 0)
        return 0;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                     NGHTTP2_NO_ERROR);
}

static int on_reason(UNUSED nghttp2_session *session, UNUSED int code, const char *text, size_t len,
                     void *user)
{
    set_reason(user, slice_of(text, len));
    return 0;
}

/* The connection has ended from outside. */
static void lose(struct rpc_transport *t, int err, const struct diag *diag)
{
    if (t->failed || t->closed)
        return;
    t->failed = true;
    stream_read_stop(t->stream);
    timer_stop(&t->timer);
    defer_stop(&t->turn);
    t->ops->lost(t->owner, err, diag);
}

static void lose_text(struct rpc_transport *t, int err, const char *text)
{
    struct diag d = {0};
    if (t->reason[0] != '\0')
        diag_set(&d, err, 0, "%s (%s)", text, t->reason);
    else
        diag_set(&d, err, 0, "%s", text);
    lose(t, err, &d);
}

static void lose_h2(struct rpc_transport *t, ssize_t h2_err)
{
    switch (h2_err) {
    case NGHTTP2_ERR_NOMEM:
        lose_text(t, ERR_NOMEM, "Memory ran out on an RPC connection");
        break;
    case NGHTTP2_ERR_FLOODED:
        lose_text(t, ERR_LIMIT, "The peer of an RPC connection floods it");
        break;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        lose_text(t, ERR_PROTOCOL, "The peer of an RPC connection doesn't speak HTTP/2");
        break;
    default:
        lose_text(t, ERR_PROTOCOL, "The peer of an RPC connection broke the rules of HTTP/2");
        break;
    }
}

/* Failures stay noted: nothing more is sent, and the next turn (or this one) loses the connection. */
static void send_some(struct rpc_transport *t)
{
    stream_cork(t->stream);
    while (t->send_err == 0 && t->h2_err == 0 && stream_queued(t->stream) < SEND_HIGH) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(t->session, &data);
        if (n == 0)
            break;
        if (n < 0) {
            t->h2_err = n;
            break;
        }
        struct slice part = slice_of(data, (size_t)n);
        t->send_err = stream_write(t->stream, &part, 1);
    }
    stream_uncork(t->stream);
}

static bool may_send(const struct rpc_transport *t)
{
    return t->send_err == 0 && t->h2_err == 0;
}

static void serve(struct rpc_transport *t)
{
    struct list *node;
    while (!t->failed && !t->closed && (node = list_pop_front(&t->ready)) != NULL)
        t->ops->ready(LIST_ENTRY(node, struct rpc_exchange, ready));
}

static bool over(const struct rpc_transport *t)
{
    return nghttp2_session_want_read(t->session) == 0 &&
           nghttp2_session_want_write(t->session) == 0 && stream_queued(t->stream) == 0;
}

/* The last word is said, but the peer doesn't take it. */
static void linger(struct rpc_transport *t)
{
    if (t->linger_end != 0 || nghttp2_session_want_read(t->session) != 0)
        return;
    t->linger_end = clock_mono_ns() + LINGER_NS;
    rpc_transport_arm(t, t->linger_end);
}

/* Serves and sends until there is nothing to do. */
static void run(struct rpc_transport *t)
{
    t->busy = true;
    do {
        serve(t);
        if (t->failed || t->closed)
            return;
        send_some(t);
    } while (may_send(t) && !list_empty(&t->ready));
    t->busy = false;

    if (t->h2_err < 0)
        lose_h2(t, t->h2_err);
    else if (t->send_err < 0)
        lose_text(t, t->send_err, "Failed to send on an RPC connection");
    else if (nghttp2_session_get_outbound_queue_size(t->session) > FRAMES_QUEUED_MAX)
        lose_h2(t, NGHTTP2_ERR_FLOODED);
    else if (over(t))
        lose_text(t, ERR_CLOSED, "The RPC connection has ended");
    else
        linger(t);
}

static void on_turn(void *arg)
{
    run(arg);
}

static void on_data(void *arg, struct slice bytes)
{
    struct rpc_transport *t = arg;
    t->busy = true;
    t->pinged_at = 0;
    t->heard_at = clock_mono_ns();
    while (bytes.len > 0) {
        struct slice part = slice_first(bytes, FEED_MAX);
        ssize_t n = nghttp2_session_mem_recv(t->session, part.data, part.len);
        if (n < 0) {
            t->busy = false;
            lose_h2(t, n);
            return;
        }
        bytes = slice_from(bytes, part.len);
        serve(t);
        if (t->failed || t->closed)
            return;
    }
    run(t);
}

static void on_end(void *arg)
{
    lose_text(arg, ERR_CLOSED, "The peer has closed the RPC connection");
}

static void on_drain(void *arg)
{
    run(arg);
}

static void on_error(void *arg, int err, const struct diag *d)
{
    lose(arg, err, d);
}

static void sooner(uint64_t *next, uint64_t deadline)
{
    if (*next == 0 || deadline < *next)
        *next = deadline;
}

/* The exchanges' deadlines. */
static void expire(struct rpc_transport *t, uint64_t now, uint64_t *next)
{
    LIST_FOR_EACH (node, &t->exchanges) {
        struct rpc_exchange *x = LIST_ENTRY(node, struct rpc_exchange, node);
        if (x->deadline == 0 || x->expired)
            continue;
        if (x->deadline > now) {
            sooner(next, x->deadline);
            continue;
        }
        x->expired = true;
        rpc_exchange_mark(x);
    }
}

static void check_idle(struct rpc_transport *t, uint64_t now, uint64_t *next)
{
    if (t->count > 0 || t->idle_ns == 0)
        return;
    if (t->idle_since + t->idle_ns > now)
        sooner(next, t->idle_since + t->idle_ns);
    else
        rpc_transport_goaway(t, NGHTTP2_NO_ERROR);
}

/* False if the peer has been silent for too long. */
static bool check_silence(struct rpc_transport *t, uint64_t now, uint64_t *next)
{
    if (t->ping_ns == 0 || t->count == 0)
        return true;
    if (t->pinged_at != 0 && t->pinged_at + t->ping_ns <= now)
        return false;
    if (t->pinged_at == 0 && t->heard_at + t->ping_ns <= now) {
        nghttp2_submit_ping(t->session, NGHTTP2_FLAG_NONE, NULL);
        t->pinged_at = now;
    }
    sooner(next, (t->pinged_at != 0 ? t->pinged_at : t->heard_at) + t->ping_ns);
    return true;
}

static void on_timer(void *arg)
{
    struct rpc_transport *t = arg;
    uint64_t now = clock_mono_ns();
    uint64_t next = 0;
    t->timer_at = 0;
    expire(t, now, &next);
    check_idle(t, now, &next);
    if (!check_silence(t, now, &next)) {
        lose_text(t, ERR_TIMEOUT, "The peer of an RPC connection no longer answers");
        return;
    }
    if (t->linger_end != 0 && t->linger_end <= now) {
        lose_text(t, ERR_CLOSED, "The RPC connection has ended");
        return;
    }
    if (t->linger_end != 0)
        sooner(&next, t->linger_end);
    rpc_transport_arm(t, next);
    run(t);
}

static void on_timer_closed(void *arg)
{
    struct rpc_transport *t = arg;
    nghttp2_session_del(t->session);
    t->ops->freed(t->owner);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_error = on_error,
};

static void set_callbacks(nghttp2_session_callbacks *cbs)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cbs, on_not_sent);
    nghttp2_session_callbacks_set_on_frame_send_callback(cbs, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_close);
    nghttp2_session_callbacks_set_error_callback2(cbs, on_reason);
}

static void set_options(nghttp2_option *options)
{
    nghttp2_option_set_max_outbound_ack(options, ACKS_QUEUED_MAX);
    nghttp2_option_set_max_settings(options, SETTINGS_MAX);
    nghttp2_option_set_max_continuations(options, CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(options, RESETS_BURST, RESETS_PER_SECOND);
    nghttp2_option_set_max_send_header_block_length(options, HEADER_BLOCK_MAX);
    nghttp2_option_set_no_closed_streams(options, 1);
}

static int new_session(struct rpc_transport *t)
{
    nghttp2_session_callbacks *cbs = NULL;
    nghttp2_option *options = NULL;
    int r = nghttp2_session_callbacks_new(&cbs);
    if (r == 0)
        r = nghttp2_option_new(&options);
    if (r == 0) {
        nghttp2_mem *memory = rpc_memory_nghttp2();
        set_callbacks(cbs);
        set_options(options);
        r = t->server ? nghttp2_session_server_new3(&t->session, cbs, t, options, memory)
                      : nghttp2_session_client_new3(&t->session, cbs, t, options, memory);
    }
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(cbs);
    return r == 0 ? 0 : ERR_NOMEM;
}

static int introduce(struct rpc_transport *t, unsigned calls_max)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, EXCHANGE_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, RPC_HEADER_BYTES_MAX},
        t->server ? (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, calls_max}
                  : (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    int r = nghttp2_submit_settings(t->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
    if (r == 0)
        r = nghttp2_session_set_local_window_size(t->session, NGHTTP2_FLAG_NONE, 0,
                                                  CONNECTION_WINDOW);
    return r == 0 ? 0 : ERR_NOMEM;
}

int rpc_transport_init(struct rpc_transport *t, struct stream *stream, struct loop *loop,
                       const struct rpc_transport_config *config)
{
    *t = (struct rpc_transport){
        .ops = config->ops,
        .owner = config->owner,
        .loop = loop,
        .server = config->server,
        .body_max = config->message_max + RPC_PREFIX_SIZE + FEED_MAX,
        .idle_ns = config->idle_ms * NS_PER_MS,
        .idle_since = clock_mono_ns(),
    };
    list_init(&t->exchanges);
    list_init(&t->ready);
    defer_init(&t->turn, on_turn, t);

    int r = new_session(t);
    if (r == 0)
        r = introduce(t, config->calls_max);
    if (r == 0)
        r = stream_read_start(stream);
    if (r == 0)
        r = timer_init(&t->timer, loop, on_timer, t);
    if (r < 0) {
        nghttp2_session_del(t->session);
        return r;
    }
    t->stream = stream;
    stream_set_events(stream, &events, t);
    if (t->idle_ns > 0)
        rpc_transport_arm(t, t->idle_since + t->idle_ns);
    defer_start(loop, &t->turn);
    return 0;
}

void rpc_transport_close(struct rpc_transport *t)
{
    if (t->closed)
        return;
    if (!t->failed && nghttp2_session_terminate_session(t->session, NGHTTP2_NO_ERROR) == 0)
        send_some(t);
    t->closed = true;
    defer_stop(&t->turn);
    stream_close(STEAL(t->stream));
    timer_close(&t->timer, on_timer_closed);
}

void rpc_transport_set_keepalive(struct rpc_transport *t, unsigned ms)
{
    t->ping_ns = ms * NS_PER_MS;
    rpc_transport_expect_word(t);
}

void rpc_transport_set_message_max(struct rpc_transport *t, size_t bytes)
{
    t->body_max = bytes + RPC_PREFIX_SIZE + FEED_MAX;
}

void rpc_transport_expect_word(struct rpc_transport *t)
{
    t->heard_at = clock_mono_ns();
    t->pinged_at = 0;
    if (t->ping_ns > 0)
        rpc_transport_arm(t, t->heard_at + t->ping_ns);
}

void rpc_transport_flush(struct rpc_transport *t)
{
    if (t->busy || t->failed || t->closed)
        return;
    send_some(t);
    if (!may_send(t) || !list_empty(&t->ready) || over(t))
        defer_start(t->loop, &t->turn);
}

void rpc_transport_goaway(struct rpc_transport *t, uint32_t code)
{
    if (t->failed || t->closed)
        return;
    nghttp2_submit_goaway(t->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(t->session), code, NULL, 0);
    rpc_transport_flush(t);
}
