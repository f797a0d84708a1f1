#include "gateway/claims.h"

#include <string.h>

#include <openssl/bn.h>

#include "base/str.h"
#include "tls/certs.h"

int claims_log_in_uri(const char *cluster, const char *user, char uri[CLAIMS_URI_SIZE])
{
    return str_format(uri, CLAIMS_URI_SIZE, "stile://%s/user/%s", cluster, user);
}

int claims_app_uri(const char *cluster, const char *app, uint16_t port, char uri[CLAIMS_URI_SIZE])
{
    return str_format(uri, CLAIMS_URI_SIZE, "stile://%s/app/%s/%u", cluster, app, port);
}

int claims_serial(const X509 *cert, char serial[STATE_SERIAL_SIZE])
{
    uint8_t bytes[(STATE_SERIAL_SIZE - 1) / 2];
    const ASN1_INTEGER *number = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length((const ASN1_STRING *)number);
    if (len <= 0 || (size_t)len > sizeof(bytes))
        return ERR_TOOBIG;
    memcpy(bytes, ASN1_STRING_get0_data((const ASN1_STRING *)number), (size_t)len);
    str_hex(serial, slice_of(bytes, (size_t)len));
    return 0;
}

/* What follows the prefix, or NULL. */
static const char *after(const char *s, const char *prefix)
{
    return s != NULL && str_starts(s, prefix) ? s + strlen(prefix) : NULL;
}

static int parse_app(const char *rest, struct claims *ret)
{
    const char *slash = strchr(rest, '/');
    if (slash == NULL)
        return ERR_FORMAT;
    struct slice app = slice_of(rest, (size_t)(slash - rest));
    int r = config_is_label(app) ? str_copy_slice(ret->app, sizeof(ret->app), app) : ERR_FORMAT;
    if (r == 0)
        r = str_to_u16(slash + 1, &ret->port);
    if (r == 0 && (ret->port == 0 || slash[1] == '0'))
        r = ERR_FORMAT; /* one spelling for one port */
    ret->use = CLAIMS_APP;
    return r < 0 ? ERR_FORMAT : 0;
}

int claims_parse_uri(const char *uri, const char *cluster, struct claims *ret)
{
    const char *rest = after(after(uri, "stile://"), cluster);
    const char *user = after(rest, "/user/");
    const char *app = after(rest, "/app/");
    struct claims c = {.use = CLAIMS_LOG_IN};
    int r = ERR_FORMAT;
    if (user != NULL && config_is_principal(slice_str(user)))
        r = str_copy(c.user, sizeof(c.user), user);
    else if (app != NULL)
        r = parse_app(app, &c);
    if (r == 0)
        *ret = c;
    return r;
}

static int read_names(X509 *cert, const char *cluster, struct claims *c)
{
    char uri[CLAIMS_URI_SIZE];
    char more[CLAIMS_URI_SIZE];
    char user[CONFIG_PRINCIPAL_SIZE];
    int r = cert_uri(cert, 0, uri, sizeof(uri));
    if (r == 0 && cert_uri(cert, 1, more, sizeof(more)) != ERR_NOTFOUND)
        r = ERR_FORMAT; /* two meanings are none */
    if (r == 0)
        r = claims_parse_uri(uri, cluster, c);
    if (r == 0)
        r = cert_common_name(cert, user, sizeof(user));
    if (r == 0 && !config_is_principal(slice_str(user)))
        r = ERR_FORMAT;
    if (r == 0 && c->use == CLAIMS_LOG_IN && !str_eq(user, c->user))
        r = ERR_FORMAT;
    if (r == 0)
        r = str_copy(c->user, sizeof(c->user), user);
    return r == 0 ? claims_serial(cert, c->serial) : r;
}

int claims_read(X509 *cert, const char *cluster, int64_t now_s, struct claims *ret, struct diag *d)
{
    struct claims c = {0};
    if (cert == NULL)
        return diag_set(d, ERR_AUTH, 0, "No client certificate; log in first");
    if (read_names(cert, cluster, &c) < 0)
        return diag_set(d, ERR_AUTH, 0, "The client certificate is none of cluster %s", cluster);
    c.not_before_s = cert_not_before(cert);
    c.not_after_s = cert_not_after(cert);
    if (now_s > c.not_after_s)
        return diag_set(d, ERR_EXPIRED, 0, "The certificate has expired; log in again");
    *ret = c;
    return 0;
}
