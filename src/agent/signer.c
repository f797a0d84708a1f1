#include "agent/signer.h"

#include <openssl/evp.h>

#include "base/log.h"
#include "tls/keys.h"

#define SHA256_LEN 32
/* An Ed25519 message is the handshake's own text: 64 spaces, a label, a hash (RFC 8446 section 4.4.3). */
#define MESSAGE_MAX 256
#define PORT_MAX    65535

static int check_hash(const Stile__Vnet__V1__SignForAppRequest *q, EVP_PKEY *key,
                      struct sign_request *ret, struct diag *d)
{
    bool whole_message = EVP_PKEY_is_a(key, "ED25519") == 1;
    switch (q->hash) {
    case STILE__VNET__V1__HASH__HASH_SHA256:
        if (q->digest.len != SHA256_LEN)
            return diag_set(d, ERR_INVAL, 0, "A SHA-256 digest has %d bytes, this one %zu",
                            SHA256_LEN, q->digest.len);
        ret->hash = SIGN_HASH_SHA256;
        break;
    case STILE__VNET__V1__HASH__HASH_NONE:
        if (q->digest.len == 0 || q->digest.len > MESSAGE_MAX)
            return diag_set(d, ERR_INVAL, 0, "A message of %zu bytes is not signed", q->digest.len);
        ret->hash = SIGN_HASH_NONE;
        break;
    default:
        return diag_set(d, ERR_INVAL, 0, "The hash isn't specified");
    }
    if (whole_message != (ret->hash == SIGN_HASH_NONE))
        return diag_set(d, ERR_INVAL, 0, "This hash doesn't fit the key of the app");
    return 0;
}

static int check_padding(const Stile__Vnet__V1__SignForAppRequest *q, EVP_PKEY *key,
                         struct sign_request *ret, struct diag *d)
{
    ret->pss = q->pss_case == STILE__VNET__V1__SIGN_FOR_APP_REQUEST__PSS_PSS_SALT_LENGTH;
    if (!ret->pss)
        return 0;
    if (EVP_PKEY_is_a(key, "RSA") != 1)
        return diag_set(d, ERR_INVAL, 0, "PSS is for RSA keys only");
    /* RFC 8446: the salt is as long as the digest; nothing else is asked for in TLS. */
    if (q->pss_salt_length > MESSAGE_MAX)
        return diag_set(d, ERR_INVAL, 0, "A salt of %u bytes is too long", q->pss_salt_length);
    ret->pss_salt_len = q->pss_salt_length;
    return 0;
}

int signer_sign(struct certs *certs, const Stile__Vnet__V1__SignForAppRequest *request,
                struct buf *signature, struct diag *d)
{
    struct sign_request sign = {.digest = slice_of(request->digest.data, request->digest.len)};
    EVP_PKEY *key = NULL;
    if (request->app_key != NULL && request->target_port > 0 && request->target_port <= PORT_MAX)
        key = certs_key(certs, request->app_key, (uint16_t)request->target_port);
    if (key == NULL)
        return diag_set(d, ERR_NOTFOUND, 0, "No certificate was issued for this app and port");
    int r = check_hash(request, key, &sign, d);
    if (r == 0)
        r = check_padding(request, key, &sign, d);
    if (r < 0)
        return r;
    r = key_sign(key, &sign, signature);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to sign: %s", err_text(r));
    log_debug("signed for %s port %u", request->app_key->name, request->target_port);
    return 0;
}
