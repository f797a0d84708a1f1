#include "engine/signer.h"

#include <string.h>

#include "base/mem.h"

struct signer {
    struct shared *shared;
    struct mailbox *home;
    struct names_app *app; /* a reference */
    uint16_t port;
};

static int sign(void *arg, const struct sign_request *request, struct remote_sign *job)
{
    const struct signer *signer = arg;
    struct control_sign *s = NEW(struct control_sign);
    if (s == NULL)
        return ERR_NOMEM;
    if (request->digest.len > sizeof(s->digest)) {
        mem_free(s);
        return ERR_TOOBIG;
    }
    memcpy(s->digest, request->digest.data, request->digest.len);
    s->request = *request;
    s->request.digest = slice_of(s->digest, request->digest.len);
    s->home = signer->home;
    s->app = names_app_ref(signer->app);
    s->port = signer->port;
    s->job = job;
    int r = control_sign(signer->shared, s);
    if (r < 0)
        control_sign_free(s);
    return r;
}

static void release(void *arg)
{
    struct signer *signer = arg;
    names_app_unref(signer->app);
    mem_free(signer);
}

static const struct remote_key_ops ops = {.sign = sign, .release = release};

int signer_key_new(struct shared *shared, struct mailbox *home, struct names_app *app,
                   uint16_t port, X509 *cert, EVP_PKEY **ret, struct diag *d)
{
    EVP_PKEY *public_key = X509_get0_pubkey(cert);
    if (public_key == NULL)
        return diag_set(d, ERR_FORMAT, 0, "The certificate for %s has no usable key",
                        app->fqdn.text);
    struct signer *signer = NEW(struct signer);
    if (signer == NULL)
        return ERR_NOMEM;
    *signer =
        (struct signer){.shared = shared, .home = home, .app = names_app_ref(app), .port = port};
    int r = remote_key_new(public_key, &ops, signer, ret, d);
    if (r < 0)
        release(signer);
    return r;
}
