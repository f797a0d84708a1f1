/* One signature of a remote key (tls/remote_key.h): between OpenSSL, which wants it now, the TLS stream, whose handshake
 * waits, and whoever signs, who answers later. For tls/ alone.
 *
 * Theory of operation: a stream calls OpenSSL between enter and leave. remote_sign_run, called deep inside by the provider,
 * notes a job in that stream's wait and pauses the ASYNC job it runs in. The stream, back on its own stack (the job's has
 * 32 KiB), asks for the signature, is woken when it came or failed, and calls OpenSSL again. A job is shared by the paused
 * code and by the signer; the last of the two to be done with it frees it.
 */
#ifndef STILE_TLS_REMOTE_WAIT_H
#define STILE_TLS_REMOTE_WAIT_H

#include "tls/remote_key.h"

struct remote_wait {
    struct remote_sign *job; /* that a paused ASYNC job waits for; else NULL */
    void (*wake)(void *arg);
    void *arg;
    int err; /* why the last one failed, or 0 */
    char reason[160];
};

void remote_wait_init(struct remote_wait *w, void (*wake)(void *arg), void *arg);
void remote_wait_enter(struct remote_wait *w);
void remote_wait_leave(void);
/* After OpenSSL said WANT_ASYNC. wake may be called from inside. */
void remote_wait_ask(struct remote_wait *w);
/* Makes the job fail with err when OpenSSL is called next, which must be done for its memory's sake; an answer that
 * comes later is ignored. No wake follows. */
void remote_wait_cancel(struct remote_wait *w, int err);

/* The provider's side: the signature, waited for if the caller is an ASYNC job of a stream. *len: in, the room; out, the
 * length. */
MUST_CHECK int remote_sign_run(const struct remote_key_ops *ops, void *arg,
                               const struct sign_request *request, uint8_t *signature, size_t *len);

#endif
