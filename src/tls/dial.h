/* From a connected socket to an app: TLS with ALPN "stile-tcp", then the gateway's status message. */
#ifndef STILE_TLS_DIAL_H
#define STILE_TLS_DIAL_H

#include "tls/stream.h"
#include "tls/target_status.h"

#define DIAL_TIMEOUT_MS 30000 /* when timeout_ms is 0 */

struct dial_config {
    struct tls_config tls; /* alpn is ignored: it is TARGET_ALPN */
    unsigned timeout_ms;   /* for all of it, a remote signature's wait included */
};

struct dial;

/* err 0: the far end answered; stream is the receiver's, ready, not reading, the app's bytes next; status->code is TARGET_OK.
 * Else stream is NULL and the socket is gone. status is the gateway's message if one came (err is then
 * target_code_to_err), else NULL. d is never NULL when err isn't 0. */
typedef void dial_done_fn(void *arg, int err, const struct target_status *status,
                          struct stream *stream, const struct diag *d);

/* socket is taken on success. config is borrowed for the call (see tls_config). done is called once, not from inside this,
 * and not after dial_cancel; the dial is gone afterwards. */
MUST_CHECK int dial_start(struct loop *loop, struct stream *socket,
                          const struct dial_config *config, dial_done_fn *done, void *arg,
                          struct dial **ret);
void dial_cancel(struct dial *d);

#endif
