#include "tls/keys.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/str.h"
#include "tls/ossl.h"

#define RSA_BITS_MIN  2048
#define RSA_BITS_MAX  8192
#define SPKI_MAX      4096
#define SHA256_LEN    32
#define SIGNATURE_MAX 1024

void key_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void context_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void digest_freep(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

int key_new(EVP_PKEY **ret)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to make a key");
    *ret = key;
    return 0;
}

/* ---- PEM ---- */

int key_to_pem(EVP_PKEY *key, struct buf *pem)
{
    /* Secure memory isn't needed, wiping is: a memory BIO's buffer is cleared when it is freed. */
    CLEANUP(ossl_bio_freep) BIO *bio = BIO_new(BIO_s_secmem());
    if (bio == NULL || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to write a key");
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    return buf_put(pem, slice_of(text, (size_t)len));
}

static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1; /* never ask on the terminal */
}

int key_from_pem(struct slice pem, EVP_PKEY **ret, struct diag *d)
{
    CLEANUP(ossl_bio_freep) BIO *bio = ossl_bio(pem);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (key == NULL)
        return ossl_fail(d, ERR_FORMAT, "Not a private key in PEM form without a password");
    *ret = key;
    return 0;
}

/* ---- public keys ---- */

int key_to_spki(EVP_PKEY *key, struct buf *der)
{
    unsigned char *bytes = NULL;
    int len = i2d_PUBKEY(key, &bytes);
    if (len <= 0)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to write a public key");
    int r = buf_put(der, slice_of(bytes, (size_t)len));
    OPENSSL_free(bytes);
    return r;
}

static bool is_p256(EVP_PKEY *key)
{
    char name[32] = "";
    size_t len = 0;
    return EVP_PKEY_get_group_name(key, name, sizeof(name), &len) == 1 &&
           (str_eq(name, "prime256v1") || str_eq(name, "P-256"));
}

static bool is_supported(EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "EC"))
        return is_p256(key);
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN && EVP_PKEY_get_bits(key) <= RSA_BITS_MAX;
    return EVP_PKEY_is_a(key, "ED25519") == 1;
}

int key_from_spki(struct slice der, EVP_PKEY **ret, struct diag *d)
{
    if (der.len > SPKI_MAX)
        return diag_set(d, ERR_FORMAT, 0, "Not a public key: %zu bytes", der.len);
    const unsigned char *next = der.data;
    CLEANUP(key_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &next, (long)der.len);
    if (key == NULL)
        return ossl_fail(d, ERR_FORMAT, "Not a public key");
    if (next != der.data + der.len)
        return diag_set(d, ERR_FORMAT, 0, "Not a public key: bytes follow it");
    if (!is_supported(key))
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "The key must be ECDSA P-256, Ed25519 or RSA of %d to %d bits",
                        RSA_BITS_MIN, RSA_BITS_MAX);
    *ret = STEAL(key);
    return 0;
}

bool key_same_public(EVP_PKEY *a, EVP_PKEY *b)
{
    bool same = EVP_PKEY_eq(a, b) == 1;
    ERR_clear_error();
    return same;
}

/* ---- signatures ---- */

static int sign_message(EVP_PKEY *key, struct slice message, uint8_t *out, size_t *len)
{
    CLEANUP(digest_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, out, len, message.data, message.len) != 1)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to sign");
    return 0;
}

static int set_padding(EVP_PKEY_CTX *ctx, const struct sign_request *request)
{
    if (!request->pss)
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING);
    if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) != 1)
        return 0;
    return EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)request->pss_salt_len);
}

static int sign_digest(EVP_PKEY *key, const struct sign_request *request, uint8_t *out, size_t *len)
{
    CLEANUP(context_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool rsa = EVP_PKEY_is_a(key, "RSA");
    if (ctx == NULL || EVP_PKEY_sign_init(ctx) != 1 || (rsa && set_padding(ctx, request) != 1) ||
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) != 1 ||
        EVP_PKEY_sign(ctx, out, len, request->digest.data, request->digest.len) != 1)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to sign");
    return 0;
}

static bool request_fits(EVP_PKEY *key, const struct sign_request *request)
{
    if (EVP_PKEY_is_a(key, "ED25519"))
        return request->hash == SIGN_HASH_NONE && !request->pss;
    if (request->hash != SIGN_HASH_SHA256 || request->digest.len != SHA256_LEN)
        return false;
    if (EVP_PKEY_is_a(key, "RSA"))
        return !request->pss || request->pss_salt_len <= SHA256_LEN;
    return EVP_PKEY_is_a(key, "EC") && !request->pss;
}

int key_sign(EVP_PKEY *key, const struct sign_request *request, struct buf *signature)
{
    if (!request_fits(key, request))
        return ERR_INVAL;
    uint8_t out[SIGNATURE_MAX];
    size_t len = sizeof(out);
    int r = request->hash == SIGN_HASH_NONE ? sign_message(key, request->digest, out, &len)
                                            : sign_digest(key, request, out, &len);
    return r < 0 ? r : buf_put(signature, slice_of(out, len));
}
