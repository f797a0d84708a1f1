#include "tls/stream_bio.h"

#include <string.h>

/* Two of the lower stream's reads: it is stopped after the first that isn't wanted. */
#define KEPT_MAX (4 * LOOP_SCRATCH_SIZE)

static struct slice next_input(const struct stream_bio *b)
{
    return buf_len(&b->kept) > 0 ? buf_slice(&b->kept) : b->fed;
}

static void consume(struct stream_bio *b, size_t n)
{
    if (buf_len(&b->kept) == 0) {
        b->fed = slice_from(b->fed, n);
        return;
    }
    buf_consume(&b->kept, n);
    if (buf_len(&b->kept) == 0)
        buf_release(&b->kept);
}

static int bio_read(BIO *bio, char *dst, size_t len, size_t *ret_n)
{
    struct stream_bio *b = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    struct slice input = slice_first(next_input(b), len);
    if (input.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(dst, input.data, input.len);
    consume(b, input.len);
    *ret_n = input.len;
    return 1;
}

static int bio_write(BIO *bio, const char *src, size_t len, size_t *ret_n)
{
    struct stream_bio *b = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (b->out_len == LOOP_BUFFER_SIZE)
        stream_bio_flush(b);
    if (b->out == NULL)
        b->out = loop_buffer_take(b->loop);
    if (b->out == NULL)
        return 0;
    size_t n = MIN(len, LOOP_BUFFER_SIZE - b->out_len);
    memcpy(b->out + b->out_len, src, n);
    b->out_len += n;
    *ret_n = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;
static BIO_METHOD *method;

static void make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stile stream");
    if (m == NULL)
        return;
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_ctrl(m, bio_ctrl);
    method = m;
}

BIO *stream_bio_new(struct stream_bio *b, struct loop *loop, struct stream *lower)
{
    *b = (struct stream_bio){.loop = loop, .lower = lower};
    buf_init(&b->kept, KEPT_MAX);
    if (CRYPTO_THREAD_run_once(&method_once, make_method) != 1 || method == NULL)
        return NULL;
    BIO *bio = BIO_new(method);
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, b);
    BIO_set_init(bio, 1);
    return bio;
}

void stream_bio_release(struct stream_bio *b)
{
    buf_release(&b->kept);
    loop_buffer_give(b->loop, b->out);
    b->out = NULL;
}

bool stream_bio_has_input(const struct stream_bio *b)
{
    return next_input(b).len > 0;
}

int stream_bio_keep(struct stream_bio *b)
{
    struct slice rest = b->fed;
    b->fed = slice_of(NULL, 0);
    return rest.len > 0 ? buf_put(&b->kept, rest) : 0;
}

void stream_bio_flush(struct stream_bio *b)
{
    if (b->out_len == 0)
        return;
    struct slice bytes = slice_of(b->out, b->out_len);
    if (b->out_error == 0 && b->lower != NULL)
        b->out_error = stream_write(b->lower, &bytes, 1);
    b->out_len = 0;
    loop_buffer_give(b->loop, STEAL(b->out));
}
