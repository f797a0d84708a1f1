#include "tls/certs.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/str.h"
#include "tls/ossl.h"

#define CERTS_MAX       16
#define SECONDS_PER_DAY 86400

void cert_freep(X509 **cert)
{
    X509_free(*cert);
}

void certs_freep(STACK_OF(X509) * *certs)
{
    sk_X509_pop_free(*certs, X509_free);
}

/* ---- reading and writing ---- */

int cert_to_der(X509 *cert, struct buf *der)
{
    unsigned char *bytes = NULL;
    int len = i2d_X509(cert, &bytes);
    if (len <= 0)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to write a certificate");
    int r = buf_put(der, slice_of(bytes, (size_t)len));
    OPENSSL_free(bytes);
    return r;
}

int cert_to_pem(X509 *cert, struct buf *pem)
{
    CLEANUP(ossl_bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_X509(bio, cert) != 1)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to write a certificate");
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    return buf_put(pem, slice_of(text, (size_t)len));
}

static X509 *read_one(BIO *bio)
{
    return bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

int cert_from_pem(struct slice pem, X509 **ret, struct diag *d)
{
    CLEANUP(ossl_bio_freep) BIO *bio = ossl_bio(pem);
    X509 *cert = read_one(bio);
    if (cert == NULL)
        return ossl_fail(d, ERR_FORMAT, "Not a certificate in PEM form");
    *ret = cert;
    return 0;
}

int cert_from_der(struct slice der, X509 **ret, struct diag *d)
{
    if (der.len > INT32_MAX)
        return diag_set(d, ERR_FORMAT, 0, "Not a certificate: too long");
    const unsigned char *next = der.data;
    CLEANUP(cert_freep) X509 *cert = d2i_X509(NULL, &next, (long)der.len);
    if (cert == NULL)
        return ossl_fail(d, ERR_FORMAT, "Not a certificate in DER form");
    if (next != der.data + der.len)
        return diag_set(d, ERR_FORMAT, 0, "Not a certificate in DER form: bytes follow it");
    *ret = STEAL(cert);
    return 0;
}

int certs_from_pem(struct slice pem, STACK_OF(X509) * *ret, struct diag *d)
{
    CLEANUP(ossl_bio_freep) BIO *bio = ossl_bio(pem);
    CLEANUP(certs_freep) STACK_OF(X509) *certs = sk_X509_new_null();
    if (bio == NULL || certs == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to read certificates: out of memory");
    for (X509 *cert; (cert = read_one(bio)) != NULL;) {
        if (sk_X509_num(certs) >= CERTS_MAX || sk_X509_push(certs, cert) == 0) {
            X509_free(cert);
            return diag_set(d, ERR_TOOBIG, 0, "More than %d certificates", CERTS_MAX);
        }
    }
    /* The end of the text is also an error, "no start line"; any other one is a broken certificate. */
    bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (sk_X509_num(certs) == 0 || !ended)
        return ossl_fail(d, ERR_FORMAT, "Not certificates in PEM form");
    ERR_clear_error();
    *ret = STEAL(certs);
    return 0;
}

/* ---- questions ---- */

static int64_t unix_time(const ASN1_TIME *t)
{
    int days = 0;
    int seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, t) == 1;
    ASN1_TIME_free(epoch);
    return ok ? (int64_t)days * SECONDS_PER_DAY + seconds : 0;
}

int64_t cert_not_before(const X509 *cert)
{
    return unix_time(X509_get0_notBefore(cert));
}

int64_t cert_not_after(const X509 *cert)
{
    return unix_time(X509_get0_notAfter(cert));
}

static int verify_failed(X509_STORE_CTX *ctx, struct diag *d)
{
    int code = X509_STORE_CTX_get_error(ctx);
    int err = code == X509_V_ERR_CERT_HAS_EXPIRED ? ERR_EXPIRED : ERR_AUTH;
    ERR_clear_error();
    return diag_set(d, err, 0, "The certificate is not good: %s",
                    X509_verify_cert_error_string(code));
}

static int verify_with(X509_STORE_CTX *ctx, X509_STORE *store, X509 *cert, X509 *ca,
                       enum cert_use use, struct diag *d)
{
    X509_STORE_add_cert(store, ca);
    if (X509_STORE_CTX_init(ctx, store, cert, NULL) != 1)
        return ossl_fail(d, ERR_INTERNAL, "Failed to begin a verification");
    X509_STORE_CTX_set_default(ctx, use == CERT_SERVER ? "ssl_server" : "ssl_client");
    /* The CA is trusted as it is, self-signed or not. */
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return X509_verify_cert(ctx) == 1 ? 0 : verify_failed(ctx, d);
}

int cert_verify(X509 *cert, X509 *ca, enum cert_use use, struct diag *d)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE *store = X509_STORE_new();
    int r = ctx == NULL || store == NULL ? diag_set(d, ERR_NOMEM, 0, "Out of memory")
                                         : verify_with(ctx, store, cert, ca, use, d);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return r;
}

int cert_pin(const X509 *cert, char pin[CERT_PIN_SIZE])
{
    unsigned char *spki = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    if (len <= 0)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to write a public key");
    uint8_t digest[CERT_FINGERPRINT_LEN];
    int ok = EVP_Digest(spki, (size_t)len, digest, NULL, EVP_sha256(), NULL);
    OPENSSL_free(spki);
    if (ok != 1)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to hash");
    char hex[2 * CERT_FINGERPRINT_LEN + 1];
    str_hex(hex, slice_of(digest, sizeof(digest)));
    return str_format(pin, CERT_PIN_SIZE, "sha256:%s", hex);
}

bool cert_pin_is_valid(const char *pin)
{
    uint8_t digest[CERT_FINGERPRINT_LEN];
    return str_starts(pin, "sha256:") &&
           str_unhex(pin + sizeof("sha256:") - 1, digest, sizeof(digest)) == 0;
}

int cert_fingerprint(const X509 *cert, uint8_t fingerprint[CERT_FINGERPRINT_LEN])
{
    if (X509_digest(cert, EVP_sha256(), fingerprint, NULL) != 1)
        return ossl_fail(NULL, ERR_INTERNAL, "Failed to hash");
    return 0;
}

int cert_common_name(const X509 *cert, char *text, size_t size)
{
    X509_NAME *name = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0)
        return ERR_NOTFOUND;
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (len < 0) {
        ERR_clear_error();
        return ERR_FORMAT;
    }
    int r = str_copy_slice(text, size, slice_of(utf8, (size_t)len));
    OPENSSL_free(utf8);
    return r;
}

static int copy_uri(const ASN1_IA5STRING *uri, char *text, size_t size)
{
    struct slice bytes = slice_of(ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
    if (!str_is_printable(bytes))
        return ERR_FORMAT;
    return str_copy_slice(text, size, bytes);
}

int cert_uri(const X509 *cert, size_t index, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int r = ERR_NOTFOUND;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || index-- > 0)
            continue;
        r = copy_uri(name->d.uniformResourceIdentifier, text, size);
        break;
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return r;
}
