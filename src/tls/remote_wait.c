#include "tls/remote_wait.h"

#include <string.h>

#include <openssl/async.h>

#include "base/mem.h"
#include "base/str.h"

struct remote_sign {
    const struct remote_key_ops *ops;
    void *ops_arg;
    struct sign_request request; /* digest: borrowed from the paused code */
    struct remote_wait *wait;    /* NULL: nobody waits in a loop */
    int holders;                 /* the code that wants it; the signer */
    bool finished;
    bool abandoned; /* whoever waited doesn't any more */
    int err;
    char reason[160];
    uint8_t signature[REMOTE_SIGNATURE_MAX];
    size_t len;
};

static _Thread_local struct remote_wait *current;

void remote_wait_init(struct remote_wait *w, void (*wake)(void *arg), void *arg)
{
    *w = (struct remote_wait){.wake = wake, .arg = arg};
}

void remote_wait_enter(struct remote_wait *w)
{
    current = w;
}

void remote_wait_leave(void)
{
    current = NULL;
}

static void drop(struct remote_sign *job)
{
    if (--job->holders == 0)
        mem_free_wiped(job, sizeof(*job));
}

static void finish(struct remote_sign *job, int err, const char *reason)
{
    job->finished = true;
    job->err = err;
    str_format(job->reason, sizeof(job->reason), "%s", reason);
}

static void ask(struct remote_sign *job)
{
    job->holders++;
    int r = job->ops->sign(job->ops_arg, &job->request, job);
    if (r == 0)
        return;
    finish(job, r, err_text(r));
    drop(job);
}

void remote_wait_ask(struct remote_wait *w)
{
    struct remote_sign *job = w->job;
    if (job == NULL)
        return;
    /* The signer may answer from inside, which must not wake twice, or even close the stream. */
    job->holders++;
    ask(job);
    if (job->finished && !job->abandoned)
        w->wake(w->arg);
    else if (!job->abandoned)
        job->wait = w;
    drop(job);
}

void remote_wait_cancel(struct remote_wait *w, int err)
{
    struct remote_sign *job = w->job;
    if (job == NULL)
        return;
    job->wait = NULL;
    job->abandoned = true;
    if (!job->finished)
        finish(job, err, err == ERR_TIMEOUT ? "no signature came in time" : err_text(err));
}

static void set_result(struct remote_sign *job, int err, struct slice signature, const char *reason)
{
    if (err == 0 && (signature.len == 0 || signature.len > sizeof(job->signature))) {
        finish(job, ERR_PROTOCOL, "the signature has an impossible length");
        return;
    }
    if (err == 0) {
        memcpy(job->signature, signature.data, signature.len);
        job->len = signature.len;
    }
    finish(job, err, reason == NULL ? err_text(err) : reason);
}

void remote_sign_done(struct remote_sign *job, int err, struct slice signature, const char *reason)
{
    struct remote_wait *w = job->wait;
    job->wait = NULL;
    if (!job->finished)
        set_result(job, err, signature, reason);
    drop(job);
    if (w != NULL)
        w->wake(w->arg);
}

/* ---- the provider's side ---- */

static int take_result(struct remote_sign *job, uint8_t *signature, size_t *len)
{
    if (job->err < 0)
        return job->err;
    if (job->len > *len)
        return ERR_PROTOCOL;
    memcpy(signature, job->signature, job->len);
    *len = job->len;
    return 0;
}

/* Paused until the stream has an answer. */
static void wait_in_job(struct remote_sign *job, struct remote_wait *w)
{
    w->job = job;
    w->err = 0;
    while (!job->finished && ASYNC_pause_job() == 1)
        ;
    w->job = NULL;
    if (!job->finished)
        finish(job, ERR_INTERNAL, "the handshake can't wait");
    if (job->err == 0)
        return;
    w->err = job->err;
    str_format(w->reason, sizeof(w->reason), "%s", job->reason);
}

int remote_sign_run(const struct remote_key_ops *ops, void *arg, const struct sign_request *request,
                    uint8_t *signature, size_t *len)
{
    struct remote_sign *job = NEW(struct remote_sign);
    if (job == NULL)
        return ERR_NOMEM;
    job->ops = ops;
    job->ops_arg = arg;
    job->request = *request;
    job->holders = 1;
    if (ASYNC_get_current_job() != NULL && current != NULL)
        wait_in_job(job, current);
    else
        ask(job);
    if (!job->finished)
        finish(job, ERR_AGAIN, "nothing here can wait for a signature");
    int r = take_result(job, signature, len);
    drop(job);
    return r;
}

void remote_key_trim_thread(void)
{
    ASYNC_cleanup_thread();
}
