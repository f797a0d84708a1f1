/* One event loop per thread: libuv, with the buffers that all streams of the thread share.
 *
 * A loop and everything made on it belong to the thread that runs it. Other threads reach it through a mailbox only.
 * Callbacks never run inside the call that asked for them: what is ready at once is deferred to the next turn.
 */
#ifndef STILE_LOOP_LOOP_H
#define STILE_LOOP_LOOP_H

#include <uv.h>

#include "base/list.h"
#include "base/slice.h"

#define LOOP_SCRATCH_SIZE ((size_t)256 * 1024)
#define LOOP_BUFFER_SIZE                                                                           \
    ((size_t)288 * 1024) /* 256 KiB of plain text as TLS records, with room to spare */

#define LOOP_STAGE_SIZE ((size_t)16 * 1024)

struct loop {
    uv_loop_t uv;
    uint8_t *
        scratch; /* shared read buffer; its contents are good until the callback that got them returns */
    size_t scratch_size;
    uint8_t *plain; /* the same for what TLS decrypts out of scratch; LOOP_SCRATCH_SIZE */
    uint8_t *
        stage; /* LOOP_STAGE_SIZE for the moment of one call: small parts on their way into one record */
    struct list deferred;
    uv_idle_t defer_idle;
    void *free_buffers[8]; /* see loop_buffer_take */
    size_t free_buffer_count;
};

int loop_init(struct loop *loop);
/* libuv ends the process when there is no memory for its table of descriptors: whoever has it open one where memory may be short asks
 * for that much before. ERR_NOMEM. Another thread may still take the last of it in between. */
int loop_headroom(void);
/* Runs until loop_stop, or until nothing is left that could happen. */
int loop_run(struct loop *loop);
/* One turn: what is ready, after waiting for something if `wait`. For tests and for draining. */
void loop_turn(struct loop *loop, bool wait);
void loop_stop(struct loop *loop); /* the loop's own thread only */
/* Finishes closing what was closed and frees. All handles must have been closed: ERR_BUSY (and a debug line for each) if
 * some were not; nothing is freed then. */
int loop_release(struct loop *loop);

int loop_err(int uv_code); /* UV_E* (negative) → ERR_*; 0 stays 0 */

/* Work for the next turn of the loop. Owned by the caller; pending at most once. */
struct defer {
    struct list node;
    void (*run)(void *arg);
    void *arg;
};

void defer_init(struct defer *d, void (*run)(void *arg), void *arg);
void defer_start(struct loop *loop, struct defer *d); /* again while pending: nothing */
void defer_stop(struct defer *d);                     /* not pending: nothing */
bool defer_pending(const struct defer *d);

/* LOOP_BUFFER_SIZE bytes for a moment (a batch of TLS records), kept for reuse, so that idle streams hold none. */
uint8_t *loop_buffer_take(struct loop *loop); /* NULL when memory runs out */
void loop_buffer_give(struct loop *loop, uint8_t *buffer);
void loop_trim(struct loop *loop); /* gives what is kept for reuse back: for quiet times */

#endif
