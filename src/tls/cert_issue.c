/* cert_issue: see tls/certs.h. */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/str.h"
#include "tls/certs.h"
#include "tls/ossl.h"

#define SERIAL_BITS 159 /* RFC 5280 §4.1.2.2: 20 bytes at most, positive */

static void integer_freep(BIGNUM **bn)
{
    BN_free(*bn);
}

static void names_freep(GENERAL_NAMES **names)
{
    GENERAL_NAMES_free(*names);
}

static int set_serial(X509 *cert)
{
    CLEANUP(integer_freep) BIGNUM *bn = BN_new();
    return bn != NULL && BN_rand(bn, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
}

static bool add_name_part(X509_NAME *name, const char *field, const char *text)
{
    if (text == NULL)
        return true;
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1,
                                      -1, 0) == 1;
}

static bool set_subject(X509 *cert, const struct cert_spec *spec)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return add_name_part(name, "O", spec->organization) &&
           add_name_part(name, "CN", spec->common_name);
}

static bool set_times(X509 *cert, const struct cert_spec *spec, const X509 *issuer)
{
    int64_t end = spec->not_after;
    if (issuer != NULL)
        end = MIN(end, cert_not_after(issuer));
    /* With 64 bits also where time_t has fewer. */
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)spec->not_before) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)end) != NULL;
}

/* ---- extensions ---- */

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
    GENERAL_NAME *name = value == NULL ? NULL : GENERAL_NAME_new();
    if (name == NULL) {
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

/* Built as objects, never as configuration text: a name with a comma must not become two. */
static bool push_texts(GENERAL_NAMES *names, int type, const char *const *texts)
{
    for (; texts != NULL && *texts != NULL; texts++) {
        ASN1_IA5STRING *value = ASN1_IA5STRING_new();
        if (value == NULL || ASN1_STRING_set(value, *texts, -1) != 1) {
            ASN1_IA5STRING_free(value);
            return false;
        }
        if (!push_name(names, type, value))
            return false;
    }
    return true;
}

static bool push_addresses(GENERAL_NAMES *names, const char *const *addresses)
{
    for (; addresses != NULL && *addresses != NULL; addresses++)
        if (!push_name(names, GEN_IPADD, a2i_IPADDRESS(*addresses)))
            return false;
    return true;
}

static bool add_alt_names(X509 *cert, const struct cert_spec *spec)
{
    CLEANUP(names_freep) GENERAL_NAMES *names = GENERAL_NAMES_new();
    if (names == NULL || !push_texts(names, GEN_DNS, spec->dns_names) ||
        !push_addresses(names, spec->addresses) || !push_texts(names, GEN_URI, spec->uris))
        return false;
    if (sk_GENERAL_NAME_num(names) == 0)
        return true;
    return X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
}

static const char *extended_use(enum cert_use use)
{
    switch (use) {
    case CERT_SERVER:
        return "serverAuth";
    case CERT_CLIENT:
        return "clientAuth";
    case CERT_PEER:
        return "serverAuth,clientAuth";
    case CERT_CA:
        break;
    }
    return NULL;
}

static bool add_use(X509 *cert, X509V3_CTX *ctx, enum cert_use use)
{
    if (use == CERT_CA)
        return add_extension(cert, ctx, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
               add_extension(cert, ctx, NID_key_usage, "critical,keyCertSign,cRLSign");
    return add_extension(cert, ctx, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, ctx, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, ctx, NID_ext_key_usage, extended_use(use));
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct cert_spec *spec)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer == NULL ? cert : issuer, cert, NULL, NULL, 0);
    return add_use(cert, &ctx, spec->use) &&
           add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
           add_extension(cert, &ctx, NID_authority_key_identifier, "keyid:always") &&
           add_alt_names(cert, spec);
}

/* ---- all of it ---- */

static bool fill(X509 *cert, const struct cert_spec *spec, EVP_PKEY *subject, X509 *issuer)
{
    X509_NAME *issuer_name = X509_get_subject_name(issuer == NULL ? cert : issuer);
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           set_subject(cert, spec) && X509_set_issuer_name(cert, issuer_name) == 1 &&
           set_times(cert, spec, issuer) && X509_set_pubkey(cert, subject) == 1 &&
           add_extensions(cert, issuer, spec);
}

int cert_issue(const struct cert_spec *spec, EVP_PKEY *subject, X509 *issuer, EVP_PKEY *issuer_key,
               X509 **ret, struct diag *d)
{
    CLEANUP(cert_freep) X509 *cert = X509_new();
    if (cert == NULL || !fill(cert, spec, subject, issuer))
        return ossl_fail(d, ERR_INVAL, "Failed to make a certificate");
    /* Ed25519 hashes by itself. */
    const EVP_MD *hash = EVP_PKEY_is_a(issuer_key, "ED25519") ? NULL : EVP_sha256();
    if (X509_sign(cert, issuer_key, hash) <= 0)
        return ossl_fail(d, ERR_INTERNAL, "Failed to sign a certificate");
    *ret = STEAL(cert);
    return 0;
}
