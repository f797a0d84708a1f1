/* The signature functions of the provider of remote keys: hashing here, signing elsewhere. */
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "base/mem.h"
#include "base/str.h"
#include "tls/remote_provider.h"
#include "tls/remote_wait.h"

#define SHA256_LEN 32
#define FUNCTION(id, function)                                                                     \
    {                                                                                              \
        id, (void (*)(void))(function)                                                             \
    }

static OSSL_FUNC_signature_newctx_fn new_context;
static OSSL_FUNC_signature_freectx_fn free_context;
static OSSL_FUNC_signature_dupctx_fn dup_context;
static OSSL_FUNC_signature_sign_init_fn sign_init;
static OSSL_FUNC_signature_sign_fn sign_digest;
static OSSL_FUNC_signature_digest_sign_init_fn digest_sign_init;
static OSSL_FUNC_signature_digest_sign_update_fn digest_sign_update;
static OSSL_FUNC_signature_digest_sign_final_fn digest_sign_final;
static OSSL_FUNC_signature_digest_sign_init_fn message_sign_init;
static OSSL_FUNC_signature_digest_sign_fn message_sign;
static OSSL_FUNC_signature_set_ctx_params_fn set_params;
static OSSL_FUNC_signature_settable_ctx_params_fn settable_params;

struct signature {
    const struct remote_key *key; /* borrowed: OpenSSL's context holds the EVP_PKEY */
    EVP_MD_CTX *hash;             /* owned, or NULL */
    bool pss;
    int salt_len; /* bytes, or RSA_PSS_SALTLEN_* (negative) */
};

static int refuse(const char *why)
{
    ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "remote key: %s", why);
    return 0;
}

/* ---- contexts ---- */

static void *new_context(void *provider, const char *properties)
{
    (void)provider;
    (void)properties;
    struct signature *s = NEW(struct signature);
    if (s != NULL)
        s->salt_len = RSA_PSS_SALTLEN_DIGEST;
    return s;
}

static void free_context(void *context)
{
    struct signature *s = context;
    if (s == NULL)
        return;
    EVP_MD_CTX_free(s->hash);
    mem_free(s);
}

static void *dup_context(void *context)
{
    const struct signature *from = context;
    struct signature *s = mem_dup(from, sizeof(*from));
    if (s == NULL || from->hash == NULL)
        return s;
    s->hash = EVP_MD_CTX_new();
    if (s->hash != NULL && EVP_MD_CTX_copy_ex(s->hash, from->hash) == 1)
        return s;
    free_context(s);
    return NULL;
}

/* ---- parameters ---- */

static int check_hash(const OSSL_PARAM *p)
{
    char name[32] = "";
    char *text = name;
    if (p == NULL)
        return 1;
    if (OSSL_PARAM_get_utf8_string(p, &text, sizeof(name)) != 1)
        return 0;
    if (str_eq_nocase(name, "SHA256") || str_eq_nocase(name, "SHA2-256"))
        return 1;
    return refuse("only SHA-256 is signed");
}

static int set_padding(struct signature *s, const OSSL_PARAM *p)
{
    int mode = 0;
    char name[16] = "";
    char *text = name;
    if (p == NULL)
        return 1;
    if (p->data_type == OSSL_PARAM_UTF8_STRING) {
        if (OSSL_PARAM_get_utf8_string(p, &text, sizeof(name)) != 1)
            return 0;
        mode = str_eq(name, OSSL_PKEY_RSA_PAD_MODE_PSS)       ? RSA_PKCS1_PSS_PADDING
               : str_eq(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) ? RSA_PKCS1_PADDING
                                                              : 0;
    } else if (OSSL_PARAM_get_int(p, &mode) != 1) {
        return 0;
    }
    if (mode != RSA_PKCS1_PADDING && mode != RSA_PKCS1_PSS_PADDING)
        return refuse("unknown padding");
    s->pss = mode == RSA_PKCS1_PSS_PADDING;
    return 1;
}

static int set_salt_len(struct signature *s, const OSSL_PARAM *p)
{
    char name[16] = "";
    char *text = name;
    if (p == NULL)
        return 1;
    if (p->data_type != OSSL_PARAM_UTF8_STRING)
        return OSSL_PARAM_get_int(p, &s->salt_len);
    if (OSSL_PARAM_get_utf8_string(p, &text, sizeof(name)) != 1)
        return 0;
    uint64_t bytes = 0;
    if (str_eq(name, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST))
        s->salt_len = RSA_PSS_SALTLEN_DIGEST;
    else if (str_eq(name, OSSL_PKEY_RSA_PSS_SALT_LEN_MAX) ||
             str_eq(name, OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO))
        s->salt_len = RSA_PSS_SALTLEN_MAX;
    else if (str_to_u64(name, REMOTE_SIGNATURE_MAX, &bytes) == 0)
        s->salt_len = (int)bytes;
    else
        return refuse("unknown salt length");
    return 1;
}

static int set_params(void *context, const OSSL_PARAM params[])
{
    struct signature *s = context;
    if (params == NULL)
        return 1;
    return check_hash(OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST)) &&
           check_hash(OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST)) &&
           set_padding(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE)) &&
           set_salt_len(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN));
}

static const OSSL_PARAM *settable_params(void *context, void *provider)
{
    static const OSSL_PARAM names[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    (void)provider;
    return names;
}

/* ---- signing ---- */

static unsigned salt_bytes(const struct signature *s)
{
    if (s->salt_len >= 0)
        return (unsigned)s->salt_len;
    if (s->salt_len == RSA_PSS_SALTLEN_DIGEST)
        return SHA256_LEN;
    /* The longest, RFC 8017 §9.1.1: emLen - hLen - 2. */
    return (unsigned)((EVP_PKEY_get_bits(s->key->public) + 6) / 8 - SHA256_LEN - 2);
}

static int run(struct signature *s, struct slice bytes, enum sign_hash hash, uint8_t *out,
               size_t *len, size_t room)
{
    size_t most = (size_t)EVP_PKEY_get_size(s->key->public);
    if (out == NULL) {
        *len = most;
        return 1;
    }
    if (room < most)
        return refuse("no room for the signature");
    if (s->key->remote == NULL)
        return refuse("nobody signs for this key");
    struct sign_request request = {.digest = bytes, .hash = hash, .pss = s->pss};
    if (s->pss)
        request.pss_salt_len = salt_bytes(s);
    size_t n = most;
    int r = remote_sign_run(s->key->remote->ops, s->key->remote->arg, &request, out, &n);
    if (r < 0)
        return refuse(err_text(r));
    *len = n;
    return 1;
}

static int sign_init(void *context, void *key, const OSSL_PARAM params[])
{
    struct signature *s = context;
    if (key != NULL)
        s->key = key;
    return s->key != NULL && set_params(s, params);
}

static int sign_digest(void *context, unsigned char *out, size_t *len, size_t room,
                       const unsigned char *digest, size_t digest_len)
{
    if (digest_len != SHA256_LEN)
        return refuse("not a SHA-256 digest");
    return run(context, slice_of(digest, digest_len), SIGN_HASH_SHA256, out, len, room);
}

static int digest_sign_init(void *context, const char *hash, void *key, const OSSL_PARAM params[])
{
    struct signature *s = context;
    if (hash != NULL && hash[0] != '\0') {
        OSSL_PARAM name = OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST,
                                                           (char *)(uintptr_t)hash, 0);
        if (check_hash(&name) != 1)
            return 0;
    }
    if (sign_init(s, key, params) != 1)
        return 0;
    if (s->hash == NULL)
        s->hash = EVP_MD_CTX_new();
    return s->hash != NULL && EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL) == 1;
}

static int digest_sign_update(void *context, const unsigned char *bytes, size_t len)
{
    struct signature *s = context;
    return s->hash != NULL && EVP_DigestUpdate(s->hash, bytes, len) == 1;
}

static int digest_sign_final(void *context, unsigned char *out, size_t *len, size_t room)
{
    struct signature *s = context;
    uint8_t digest[SHA256_LEN];
    /* Asked for the length only, the hash must go on. */
    if (out != NULL && (s->hash == NULL || EVP_DigestFinal_ex(s->hash, digest, NULL) != 1))
        return 0;
    return run(s, slice_of(digest, sizeof(digest)), SIGN_HASH_SHA256, out, len, room);
}

static int message_sign_init(void *context, const char *hash, void *key, const OSSL_PARAM params[])
{
    struct signature *s = context;
    (void)params;
    if (hash != NULL && hash[0] != '\0')
        return refuse("Ed25519 takes no digest");
    if (key != NULL)
        s->key = key;
    return s->key != NULL;
}

static int message_sign(void *context, unsigned char *out, size_t *len, size_t room,
                        const unsigned char *message, size_t message_len)
{
    return run(context, slice_of(message, message_len), SIGN_HASH_NONE, out, len, room);
}

#define CONTEXT_FUNCTIONS                                                                          \
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, new_context),                                             \
        FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, free_context),                                       \
        FUNCTION(OSSL_FUNC_SIGNATURE_DUPCTX, dup_context)

#define DIGEST_FUNCTIONS                                                                           \
    FUNCTION(OSSL_FUNC_SIGNATURE_SIGN_INIT, sign_init),                                            \
        FUNCTION(OSSL_FUNC_SIGNATURE_SIGN, sign_digest),                                           \
        FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, digest_sign_init),                          \
        FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, digest_sign_update),                      \
        FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, digest_sign_final),                        \
        FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, set_params),                                  \
        FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, settable_params)

const OSSL_DISPATCH remote_ecdsa_functions[] = {CONTEXT_FUNCTIONS, DIGEST_FUNCTIONS, {0, NULL}};
const OSSL_DISPATCH remote_rsa_functions[] = {CONTEXT_FUNCTIONS, DIGEST_FUNCTIONS, {0, NULL}};
const OSSL_DISPATCH remote_ed25519_functions[] = {
    CONTEXT_FUNCTIONS,
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, message_sign_init),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, message_sign),
    {0, NULL},
};
