/* Local connections: a Unix socket, or on Windows a named pipe, by its path.
 */
#ifndef STILE_LOOP_PIPE_H
#define STILE_LOOP_PIPE_H

#include "loop/stream.h"

/* Longer paths are refused: what a Unix socket's address holds, with the NUL. */
#define PIPE_PATH_SIZE 108

/* d is NULL on success; the stream is the receiver's. Errors name the path: ERR_NOTFOUND (no such file), ERR_REFUSED (nothing listens),
 * ERR_PERM, ERR_BUSY (it doesn't accept), ERR_TIMEOUT. */
typedef void pipe_connected_fn(void *arg, int err, struct stream *stream, const struct diag *d);

struct pipe_connect;
/* done is called once, from the loop, unless cancelled; the object is gone after done or cancel. ERR_TOOBIG: the path; ERR_NOMEM. */
MUST_CHECK int pipe_connect_start(struct loop *loop, const char *path, unsigned timeout_ms,
                                  pipe_connected_fn *done, void *arg, struct pipe_connect **ret);
void pipe_connect_cancel(struct pipe_connect *c);

/* A stream over a pipe that isn't connected yet: pipe is for uv_pipe_connect or uv_accept and stays the stream's, its data too. */
MUST_CHECK int pipe_stream_new(struct loop *loop, uv_pipe_t **ret_pipe, struct stream **ret);

#endif
