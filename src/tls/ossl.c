#include "tls/ossl.h"

#include <limits.h>

#include <openssl/err.h>

const char *ossl_reason(void)
{
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    return reason == NULL ? "unknown reason" : reason;
}

int ossl_fail(struct diag *d, int err, const char *what)
{
    if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
        err = ERR_NOMEM;
    return diag_set(d, err, 0, "%s: %s", what, ossl_reason());
}

BIO *ossl_bio(struct slice bytes)
{
    /* OpenSSL takes a missing address for a mistake, here it is an empty slice's right. */
    const void *data = bytes.len == 0 ? "" : (const void *)bytes.data;
    return bytes.len > INT_MAX ? NULL : BIO_new_mem_buf(data, (int)bytes.len);
}

void ossl_bio_freep(BIO **bio)
{
    BIO_free(*bio);
}
