/* OpenSSL's view of the lower stream: a BIO that reads cipher text from where it lies and gathers what is to be sent. For
 * tls/ alone. */
#ifndef STILE_TLS_STREAM_BIO_H
#define STILE_TLS_STREAM_BIO_H

#include <openssl/bio.h>

#include "base/buf.h"
#include "loop/stream.h"

struct stream_bio {
    struct loop *loop;
    struct stream *lower; /* borrowed */
    struct buf kept;      /* cipher text read too far, older than fed */
    struct slice fed;     /* what the lower stream lent, while its on_data runs */
    uint8_t *out;         /* from the loop, while out_len is above 0; else NULL */
    size_t out_len;
    int out_error; /* of the lower stream; nothing is sent after it */
};

/* The BIO borrows b. NULL: out of memory. */
BIO *stream_bio_new(struct stream_bio *b, struct loop *loop, struct stream *lower);
void stream_bio_release(struct stream_bio *b);

bool stream_bio_has_input(const struct stream_bio *b);
/* Before the lent bytes go: what is left of them is kept. ERR_NOMEM, ERR_TOOBIG. */
MUST_CHECK int stream_bio_keep(struct stream_bio *b);
/* In one send. An error stays in out_error. */
void stream_bio_flush(struct stream_bio *b);

#endif
