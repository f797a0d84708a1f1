/* One question by TCP: a connection of its own, two bytes of length before each message (RFC 1035 §4.2.2). */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "engine/resolver_internal.h"
#include "loop/socket.h"

enum { LENGTH_SIZE = 2 };

struct tcp_try {
    struct resolver *resolver;
    struct question *question; /* NULL: no longer wanted */
    struct stream *stream;     /* NULL until the socket is open */
    struct buf input;
};

static void try_free(struct tcp_try *t)
{
    if (t->stream != NULL)
        stream_close(t->stream);
    buf_release(&t->input);
    mem_free(t);
}

void tcp_try_forget(struct question *q)
{
    struct tcp_try *t = STEAL(q->stream);

    t->question = NULL;
    if (t->stream != NULL)
        try_free(t); /* else when the open comes back */
}

static void fail(struct tcp_try *t, int err)
{
    question_retry(t->question, err); /* frees the try */
}

static void on_data(void *arg, struct slice bytes)
{
    struct tcp_try *t = arg;

    if (buf_put(&t->input, bytes) < 0) {
        fail(t, ERR_TOOBIG);
        return;
    }
    struct slice have = buf_slice(&t->input);
    if (have.len < LENGTH_SIZE)
        return;
    size_t len = (size_t)have.data[0] << 8 | have.data[1];
    if (have.len < LENGTH_SIZE + len)
        return;
    struct buf answer = t->input; /* outlives the try, which goes with its question */
    buf_init(&t->input, 0);
    if (!question_answer(t->question, answer.data + answer.start + LENGTH_SIZE, len))
        fail(t, ERR_PROTOCOL);
    buf_release(&answer);
}

static void on_end(void *arg)
{
    fail(arg, ERR_CLOSED);
}

static void on_error(void *arg, int err, const struct diag *d)
{
    (void)d;
    fail(arg, err);
}

static int send_question(struct tcp_try *t)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error};
    struct question *q = t->question;
    uint8_t length[LENGTH_SIZE] = {(uint8_t)(q->len >> 8), (uint8_t)q->len};
    struct slice parts[] = {slice_of(length, sizeof(length)), slice_of(q->message, q->len)};

    stream_set_events(t->stream, &events, t);
    int err = stream_write(t->stream, parts, ARRAY_LEN(parts));
    return err < 0 ? err : stream_read_start(t->stream);
}

static void on_opened(void *arg, int err, uv_os_sock_t sock)
{
    struct tcp_try *t = arg;
    struct resolver *r = t->resolver;
    struct question *q = t->question;

    if (err == 0) {
        err = socket_stream_new(r->loop, sock, &t->stream);
        if (err < 0)
            socket_close(sock);
    }
    if (err == 0 && q != NULL)
        err = send_question(t);
    if (q == NULL) {
        try_free(t);
    } else if (err < 0) {
        bool mine = t->stream == NULL; /* else it goes with the question */
        question_retry(q, err);
        if (mine)
            try_free(t);
    }
    resolver_unref(r);
}

void tcp_try_start(struct upstream *u, struct question *q)
{
    struct resolver *r = u->resolver;
    struct tcp_try *t = NEW(struct tcp_try);

    if (t == NULL) {
        question_retry(q, ERR_NOMEM);
        return;
    }
    t->resolver = r;
    t->question = q;
    buf_init(&t->input, LENGTH_SIZE + DNS_MESSAGE_MAX);
    q->stream = t;
    random_bytes(&q->id, sizeof(q->id));
    dns_set_id(q->message, q->id);
    resolver_ref(r);
    r->ops->open(r->ops_arg, u->index, true, on_opened, t);
}
