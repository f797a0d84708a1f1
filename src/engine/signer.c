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

static int key_new_remote(struct signers *s, struct names_app *app, uint16_t port, X509 *cert,
                          EVP_PKEY **ret, struct diag *d)
{
    EVP_PKEY *public_key = X509_get0_pubkey(cert);
    if (public_key == NULL)
        return diag_set(d, ERR_FORMAT, 0, "The certificate for %s has no usable key",
                        app->fqdn.text);
    struct signer *signer = NEW(struct signer);
    if (signer == NULL)
        return ERR_NOMEM;
    *signer = (struct signer){
        .shared = s->shared, .home = s->home, .app = names_app_ref(app), .port = port};
    int r = remote_key_new(public_key, &ops, signer, ret, d);
    if (r < 0)
        release(signer);
    return r;
}

/* The certificate's reference keeps its address from meaning another one. */
struct kept {
    struct list node;
    X509 *cert;
    EVP_PKEY *key;
};

static void kept_free(struct kept *k)
{
    X509_free(k->cert);
    EVP_PKEY_free(k->key);
    mem_free(k);
}

void signers_init(struct signers *s, struct shared *shared, struct mailbox *home)
{
    *s = (struct signers){.shared = shared, .home = home};
    list_init(&s->keys);
}

void signers_release(struct signers *s)
{
    struct list *node;
    while ((node = list_pop_front(&s->keys)) != NULL)
        kept_free(LIST_ENTRY(node, struct kept, node));
    s->count = 0;
}

static struct kept *find(struct signers *s, const X509 *cert)
{
    LIST_FOR_EACH (node, &s->keys) {
        struct kept *k = LIST_ENTRY(node, struct kept, node);
        if (k->cert == cert) {
            list_remove(&k->node);
            list_push_front(&s->keys, &k->node);
            return k;
        }
    }
    return NULL;
}

static void keep(struct signers *s, X509 *cert, EVP_PKEY *key)
{
    struct kept *k = NEW(struct kept);
    if (k == NULL)
        return; /* made anew next time */
    X509_up_ref(cert);
    EVP_PKEY_up_ref(key);
    k->cert = cert;
    k->key = key;
    list_push_front(&s->keys, &k->node);
    if (++s->count <= SIGNERS_MAX)
        return;
    struct kept *oldest = LIST_ENTRY(s->keys.prev, struct kept, node);
    list_remove(&oldest->node);
    kept_free(oldest);
    s->count--;
}

int signers_key(struct signers *s, struct names_app *app, uint16_t port, X509 *cert, EVP_PKEY **ret,
                struct diag *d)
{
    struct kept *k = find(s, cert);
    if (k != NULL) {
        EVP_PKEY_up_ref(k->key);
        *ret = k->key;
        return 0;
    }
    EVP_PKEY *key = NULL;
    int r = key_new_remote(s, app, port, cert, &key, d);
    if (r < 0)
        return r;
    keep(s, cert, key);
    *ret = key;
    return 0;
}
