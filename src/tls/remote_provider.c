#include "tls/remote_provider.h"

#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "base/mem.h"
#include "base/str.h"

/* OpenSSL's table entries are untyped function pointers: each function is defined with the very type that core_dispatch.h
 * gives it, so that the compiler checks it before this cast. */
#define FUNCTION(id, function)                                                                     \
    {                                                                                              \
        id, (void (*)(void))(function)                                                             \
    }

static OSSL_FUNC_keymgmt_new_fn new_ec;
static OSSL_FUNC_keymgmt_new_fn new_rsa;
static OSSL_FUNC_keymgmt_new_fn new_ed25519;
static OSSL_FUNC_keymgmt_free_fn free_key;
static OSSL_FUNC_keymgmt_has_fn has;
static OSSL_FUNC_keymgmt_match_fn match;
static OSSL_FUNC_keymgmt_import_fn import;
static OSSL_FUNC_keymgmt_import_types_fn import_types;
static OSSL_FUNC_keymgmt_get_params_fn get_params;
static OSSL_FUNC_keymgmt_gettable_params_fn gettable_params;
static OSSL_FUNC_keymgmt_query_operation_name_fn ec_operation;
static OSSL_FUNC_provider_query_operation_fn query;

/* ---- key management: the default provider's public key does the work ---- */

static void *new_key(const char *type)
{
    struct remote_key *key = NEW(struct remote_key);
    if (key != NULL)
        key->type = type;
    return key;
}

static void *new_ec(void *provider)
{
    (void)provider;
    return new_key("EC");
}

static void *new_rsa(void *provider)
{
    (void)provider;
    return new_key("RSA");
}

static void *new_ed25519(void *provider)
{
    (void)provider;
    return new_key("ED25519");
}

static void free_key(void *data)
{
    struct remote_key *key = data;
    if (key == NULL)
        return;
    EVP_PKEY_free(key->public);
    remote_unref(key->remote);
    mem_free(key);
}

static int has(const void *data, int selection)
{
    const struct remote_key *key = data;
    if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 && key->public == NULL)
        return 0;
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key->remote != NULL;
}

static int match(const void *data_a, const void *data_b, int selection)
{
    (void)selection;
    const struct remote_key *a = data_a;
    const struct remote_key *b = data_b;
    return a->public != NULL && b->public != NULL && EVP_PKEY_eq(a->public, b->public) == 1;
}

static EVP_PKEY *import_public(const char *type, const OSSL_PARAM params[])
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    /* It is only read; the type of the parameter is for both directions. */
    OSSL_PARAM *list = (OSSL_PARAM *)(uintptr_t)params;
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, list) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static int import(void *data, int selection, const OSSL_PARAM params[])
{
    (void)selection;
    struct remote_key *key = data;
    if (key->public != NULL)
        return 0;
    key->public = import_public(key->type, params);
    if (key->public == NULL)
        return 0;
    const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, REMOTE_PARAM);
    if (p == NULL)
        return 1;
    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size != sizeof(key->remote))
        return 0;
    memcpy(&key->remote, p->data, sizeof(key->remote));
    remote_ref(key->remote);
    return 1;
}

static const OSSL_PARAM *import_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_octet_string(REMOTE_PARAM, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)selection;
    return types;
}

static int get_params(void *data, OSSL_PARAM params[])
{
    const struct remote_key *key = data;
    return key->public != NULL && EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *gettable_params(void *provider)
{
    static const OSSL_PARAM names[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)provider;
    return names;
}

static const char *ec_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define KEY_FUNCTIONS(new_function)                                                                \
    FUNCTION(OSSL_FUNC_KEYMGMT_NEW, new_function), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, free_key),     \
        FUNCTION(OSSL_FUNC_KEYMGMT_HAS, has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, match),            \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, import),                                                \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, import_types),                                    \
        FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, get_params),                                        \
        FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, gettable_params)

/* No export: what can't sign must not come to look like a key of the default provider. */
static const OSSL_DISPATCH ec_keys[] = {
    KEY_FUNCTIONS(new_ec),
    FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation),
    {0, NULL},
};
static const OSSL_DISPATCH rsa_keys[] = {KEY_FUNCTIONS(new_rsa), {0, NULL}};
static const OSSL_DISPATCH ed25519_keys[] = {KEY_FUNCTIONS(new_ed25519), {0, NULL}};

/* ---- the provider ---- */

#define PROPERTIES "provider=" REMOTE_PROVIDER

static const OSSL_ALGORITHM keys[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_keys, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_keys, NULL},
    {"ED25519:1.3.101.112", PROPERTIES, ed25519_keys, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signatures[] = {
    {"ECDSA", PROPERTIES, remote_ecdsa_functions, NULL},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, remote_rsa_functions, NULL},
    {"ED25519:1.3.101.112", PROPERTIES, remote_ed25519_functions, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
    (void)provider;
    *no_cache = 0;
    if (operation == OSSL_OP_KEYMGMT)
        return keys;
    return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

int remote_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **provider)
{
    static const OSSL_DISPATCH functions[] = {
        FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
        {0, NULL},
    };
    static int nothing; /* of its own, but OpenSSL wants an address */
    (void)handle;
    (void)in;
    *out = functions;
    *provider = &nothing;
    return 1;
}
