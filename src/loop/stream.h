/* Any stream of bytes: socket, TLS over another stream, memory pair. What the layers above are written against.
 *
 * States: open → (reading ended by on_end) and (writing ended by stream_end), independently → closed by stream_close or
 * stream_reset, always by the owner, once. on_error comes at most once; then only stream_close is allowed. A call that
 * itself returns an error doesn't also cause on_error; the stream is dead all the same and wants stream_close.
 *
 * Events come from the loop, never from inside a call on the same stream. Any call, stream_close too, is allowed in any
 * event. Nothing blocks.
 */
#ifndef STILE_LOOP_STREAM_H
#define STILE_LOOP_STREAM_H

#include "base/err.h"
#include "loop/loop.h"

/* Most bytes a stream queues; one more is ERR_TOOBIG. Callers stop their source long before (stream_queued). */
#define STREAM_QUEUE_MAX ((size_t)64 * 1024 * 1024)
/* What a relay should let queue up before it stops its source. */
#define STREAM_QUEUE_HIGH ((size_t)512 * 1024)

struct span {
    uint8_t *data;
    size_t len;
};

/* Every member may be NULL. */
struct stream_events {
    /* Where the next bytes go. Length 0: reading is paused as by stream_read_stop. NULL: the loop's scratch buffer. Being
     * asked doesn't mean that bytes come. */
    struct span (*get_space)(void *arg);
    /* At the start of get_space's memory, or borrowed until return. Never empty. */
    void (*on_data)(void *arg, struct slice bytes);
    /* The peer's half-close (FIN, close_notify), once. Writing goes on. */
    void (*on_end)(void *arg);
    /* All that stream_write queued has left for the kernel. Only after stream_queued was above 0. */
    void (*on_drain)(void *arg);
    /* The connection failed: ERR_CLOSED (reset by the peer), ERR_TRUNCATED (TLS cut without close_notify), ERR_TLS,
     * ERR_EXPIRED, ERR_AUTH, ERR_DENIED, ERR_TIMEOUT, ERR_IO… d is never NULL, borrowed. */
    void (*on_error)(void *arg, int err, const struct diag *d);
};

struct stream;

/* Events are copied. May be changed at any time; reading must be stopped or the new ones must do. */
void stream_set_events(struct stream *s, const struct stream_events *events, void *arg);

int stream_read_start(struct stream *s); /* again: nothing */
void stream_read_stop(struct stream *s); /* no on_data, on_end after this until started again */

/* Sends at once what the kernel takes; copies and queues the rest. All or an error: ERR_TOOBIG (over STREAM_QUEUE_MAX),
 * ERR_CLOSED (after stream_end, or the peer is gone), ERR_NOMEM, ERR_IO. */
MUST_CHECK int stream_write(struct stream *s, const struct slice *parts, size_t count);
size_t stream_queued(
    const struct stream *s); /* bytes that wait for the kernel; corked ones aren't counted */

/* Between the two, writes are gathered; the last uncork sends them in as few sends as it can. They nest. An error met in
 * sending comes as on_error. */
void stream_cork(struct stream *s);
void stream_uncork(struct stream *s);

/* Half-close after what is queued. Later writes: ERR_CLOSED. Again: nothing. */
MUST_CHECK int stream_end(struct stream *s);

/* Frees; queued bytes are dropped, no event comes after this call. NULL: nothing. */
void stream_close(struct stream *s);
void stream_reset(struct stream *s); /* the same, with a TCP RST at the bottom where there is TCP */

/* For implementations (their struct begins with this) and for nobody else. */
struct stream_ops {
    int (*read_start)(struct stream *s);
    void (*read_stop)(struct stream *s);
    int (*write)(struct stream *s, const struct slice *parts, size_t count);
    size_t (*queued)(const struct stream *s);
    void (*cork)(struct stream *s);
    void (*uncork)(struct stream *s);
    int (*end)(struct stream *s);
    void (*close)(struct stream *s, bool reset);
};

struct stream {
    const struct stream_ops *ops;
    struct stream_events events;
    void *arg;
};

#endif
