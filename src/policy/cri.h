/* A connection to a container runtime that speaks CRI, as a client: runtime.v1, or runtime.v1alpha2
 * for older ones, and containerd's own event stream where there is one. One thread: that of the
 * loop. Nothing blocks.
 */
#ifndef STILE_POLICY_CRI_H
#define STILE_POLICY_CRI_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "loop/loop.h"

struct cri;
struct cri_call;

enum cri_method {
    CRI_VERSION,
    CRI_LIST_CONTAINERS,
    CRI_CONTAINER_STATUS,
    CRI_LIST_SANDBOXES,
    CRI_SANDBOX_STATUS,
    CRI_EVENTS,            /* streaming; ERR_UNSUPPORTED: this runtime has none */
    CRI_CONTAINERD_EVENTS, /* the same */
};

struct cri_events {
    /* Once: 0, calls may be made; or why not: ERR_NOTFOUND, ERR_REFUSED, ERR_PERM, ERR_TIMEOUT,
     * ERR_UNSUPPORTED (it doesn't speak CRI)… with what to do about it. After an error only
     * cri_close is left. */
    void (*on_ready)(void *arg, int err, const struct diag *d);
    /* Once, after on_ready(0): the connection has ended; calls were told. Only cri_close is
     * left. */
    void (*on_lost)(void *arg, int err, const struct diag *d);
};

/* path: of a Unix socket or a named pipe, as cri_place_path gives it; copied. No event comes from
 * inside this. ERR_NOMEM, ERR_TOOBIG. */
MUST_CHECK int cri_open(struct loop *loop, const char *path, unsigned timeout_ms,
                        const struct cri_events *events, void *arg, struct cri **ret);
/* Also cancels the calls under way: no event and no reply after this. NULL does nothing. */
void cri_close(struct cri *c);
/* "containerd 1.6.20~ds1 (runtime.v1)"; printable; "" before on_ready. */
const char *cri_name(const struct cri *c);
const char *cri_path(const struct cri *c);

/* Unary: once, 0 with the reply (borrowed) or an error without. Streaming: 0 with a reply for each
 * message; once an error, without one (ERR_CLOSED: the runtime ended the stream). d is NULL when
 * err is 0; it names the runtime and its socket. */
typedef void cri_reply_fn(void *arg, int err, const ProtobufCMessage *reply, const struct diag *d);
/* timeout_ms 0: none. reply is called only if this returns 0, and never from inside it. ret may be
 * NULL; valid until the last reply. */
MUST_CHECK int cri_ask(struct cri *c, enum cri_method method, const ProtobufCMessage *request,
                       unsigned timeout_ms, cri_reply_fn *reply, void *arg, struct cri_call **ret);
/* The reply isn't called any more. */
void cri_cancel(struct cri_call *call);

#endif
