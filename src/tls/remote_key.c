#include "tls/remote_key.h"

#include <stdatomic.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "base/mem.h"
#include "base/str.h"
#include "tls/ossl.h"
#include "tls/remote_provider.h"

void remote_ref(struct remote *r)
{
    atomic_fetch_add(&r->refs, 1);
}

void remote_unref(struct remote *r)
{
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    if (r->ops->release != NULL)
        r->ops->release(r->arg);
    mem_free(r);
}

/* ---- the provider's library context, made once and kept for good ---- */

static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
static OSSL_LIB_CTX *library;

static void make_library(void)
{
    OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
    if (ctx == NULL)
        return;
    if (OSSL_PROVIDER_add_builtin(ctx, REMOTE_PROVIDER, remote_provider_init) == 1 &&
        OSSL_PROVIDER_load(ctx, REMOTE_PROVIDER) != NULL)
        library = ctx;
    else
        OSSL_LIB_CTX_free(ctx);
}

/* ---- keys ---- */

static void context_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void params_freep(OSSL_PARAM **params)
{
    OSSL_PARAM_free(*params);
}

static const char *type_of(EVP_PKEY *key)
{
    static const char *const types[] = {"EC", "RSA", "ED25519"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (EVP_PKEY_is_a(key, types[i]))
            return types[i];
    return NULL;
}

/* The public key's parameters and, as one more, which remote it belongs to. */
static int make_params(EVP_PKEY *public_key, struct remote **remote, OSSL_PARAM **ret)
{
    CLEANUP(params_freep) OSSL_PARAM *public = NULL;
    if (EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &public) != 1)
        return ERR_NOMEM;
    OSSL_PARAM own[] = {
        OSSL_PARAM_construct_octet_string(REMOTE_PARAM, (void *)remote, sizeof(*remote)),
        OSSL_PARAM_construct_end(),
    };
    OSSL_PARAM *merged = OSSL_PARAM_merge(public, own);
    if (merged == NULL)
        return ERR_NOMEM;
    /* The merged list borrows the values: copied, it can outlive them. */
    *ret = OSSL_PARAM_dup(merged);
    OSSL_PARAM_free(merged);
    return *ret == NULL ? ERR_NOMEM : 0;
}

static int make_key(EVP_PKEY *public_key, const char *type, struct remote *remote, EVP_PKEY **ret,
                    struct diag *d)
{
    CLEANUP(params_freep) OSSL_PARAM *params = NULL;
    int r = make_params(public_key, &remote, &params);
    if (r < 0)
        return ossl_fail(d, r, "Failed to prepare a remote key");
    CLEANUP(context_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(library, type, NULL);
    EVP_PKEY *key = NULL;
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        return ossl_fail(d, ERR_INTERNAL, "Failed to prepare a remote key");
    *ret = key;
    return 0;
}

int remote_key_new(EVP_PKEY *public_key, const struct remote_key_ops *ops, void *arg,
                   EVP_PKEY **ret, struct diag *d)
{
    const char *type = type_of(public_key);
    if (type == NULL)
        return diag_set(d, ERR_UNSUPPORTED, 0, "A remote key must be ECDSA P-256, Ed25519 or RSA");
    if (CRYPTO_THREAD_run_once(&once, make_library) != 1 || library == NULL)
        return ossl_fail(d, ERR_INTERNAL, "Failed to load the provider of remote keys");
    struct remote *remote = NEW(struct remote);
    if (remote == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to prepare a remote key: out of memory");
    atomic_init(&remote->refs, 1);
    remote->ops = ops;
    remote->arg = arg;
    int r = make_key(public_key, type, remote, ret, d);
    if (r < 0) {
        /* arg stays the caller's. */
        mem_free(remote);
        return r;
    }
    remote_unref(remote); /* the key has its own reference */
    return 0;
}

bool remote_key_is(const EVP_PKEY *key)
{
    const OSSL_PROVIDER *provider = EVP_PKEY_get0_provider(key);
    return provider != NULL && str_eq(OSSL_PROVIDER_get0_name(provider), REMOTE_PROVIDER);
}
