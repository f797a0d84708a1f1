#include "tls/failure.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "base/str.h"

/* ---- alerts that the peer sent (RFC 8446 §6.2) ---- */

static const struct {
    int alert;
    int err;
    const char *client; /* what it means to a client, and what to do */
} alerts[] = {
    {SSL_AD_CERTIFICATE_EXPIRED, ERR_EXPIRED, "your certificate has expired: log in again"},
    {SSL_AD_CERTIFICATE_REVOKED, ERR_AUTH, "your certificate was revoked: log in again"},
    {SSL_AD_CERTIFICATE_REQUIRED, ERR_AUTH, "it wants a certificate: log in first"},
    {SSL_AD_BAD_CERTIFICATE, ERR_AUTH, "it doesn't accept your certificate: log in again"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, ERR_AUTH, "it doesn't accept this kind of certificate"},
    {SSL_AD_CERTIFICATE_UNKNOWN, ERR_AUTH, "it doesn't accept your certificate: log in again"},
    {SSL_AD_UNKNOWN_CA, ERR_AUTH,
     "it doesn't know the CA of your certificate: log in to this cluster"},
    {SSL_AD_ACCESS_DENIED, ERR_DENIED, "access denied"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, ERR_PROTOCOL,
     "it doesn't speak the wanted protocol: is this the right port?"},
    {SSL_AD_PROTOCOL_VERSION, ERR_TLS, "it doesn't accept TLS 1.3"},
    {SSL_AD_UNRECOGNIZED_NAME, ERR_TLS, "it doesn't know the name it was called by"},
    {SSL_AD_DECRYPT_ERROR, ERR_AUTH, "it couldn't verify our signature"},
};

static int from_alert(int alert, bool server, const char *peer, struct diag *d)
{
    int err = ERR_TLS;
    const char *text = SSL_alert_desc_string_long(alert);
    for (size_t i = 0; i < ARRAY_LEN(alerts); i++) {
        if (alerts[i].alert != alert)
            continue;
        err = alerts[i].err;
        text = server ? text : alerts[i].client;
        break;
    }
    /* What a client says about our certificate isn't about its credentials. */
    if (server)
        return diag_set(d, ERR_TLS, 0, "The handshake was refused by %s: %s", peer, text);
    return diag_set(d, err, 0, "%s refused the connection: %s", peer, text);
}

/* ---- our own judgement of the peer's certificate ---- */

static bool is_wrong_ca(long code)
{
    return code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           code == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
           code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           code == X509_V_ERR_CERT_SIGNATURE_FAILURE || code == X509_V_ERR_CERT_UNTRUSTED;
}

static int from_server_certificate(long code, const char *peer, struct diag *d)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return diag_set(d, ERR_TLS, 0,
                        "The certificate of %s has expired: its administrator must renew it (or "
                        "this machine's clock is wrong)",
                        peer);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return diag_set(d, ERR_TLS, 0,
                        "The certificate of %s is not valid yet: check this machine's clock", peer);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return diag_set(d, ERR_TLS, 0,
                        "The certificate is not for the name %s: check the address, or ask whether "
                        "something stands in between",
                        peer);
    default:
        break;
    }
    if (is_wrong_ca(code))
        return diag_set(d, ERR_TLS, 0,
                        "The certificate of %s is from another CA than the trusted one: check the "
                        "address and the CA (file or pin)",
                        peer);
    return diag_set(d, ERR_TLS, 0, "The certificate of %s is not good: %s", peer,
                    X509_verify_cert_error_string(code));
}

static int from_client_certificate(long code, const char *peer, struct diag *d)
{
    int err = code == X509_V_ERR_CERT_HAS_EXPIRED ? ERR_EXPIRED : ERR_AUTH;
    return diag_set(d, err, 0, "Refused %s: its certificate is not good: %s", peer,
                    X509_verify_cert_error_string(code));
}

/* ---- everything else ---- */

static int from_reason(int reason, bool server, const char *peer, struct diag *d)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
        return diag_set(d, ERR_TLS, 0, "%s doesn't speak TLS: is this the right port?", peer);
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
        return diag_set(d, ERR_TLS, 0, "%s doesn't offer TLS 1.3", peer);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return diag_set(d, ERR_AUTH, 0, "Refused %s: it has no certificate", peer);
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return diag_set(d, ERR_PROTOCOL, 0, "Refused %s: no protocol in common", peer);
    case ERR_R_MALLOC_FAILURE:
        return diag_set(d, ERR_NOMEM, 0, "TLS with %s failed: out of memory", peer);
    default:
        break;
    }
    const char *text = ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, reason));
    return diag_set(d, ERR_TLS, 0, "TLS with %s failed%s: %s", peer, server ? " (as server)" : "",
                    text == NULL ? "unknown reason" : text);
}

static int from_certificate(SSL *ssl, bool server, const char *peer, struct diag *d)
{
    long code = SSL_get_verify_result(ssl);
    return server ? from_client_certificate(code, peer, d) : from_server_certificate(code, peer, d);
}

int tls_failure(SSL *ssl, bool server, const char *peer, struct diag *d)
{
    unsigned long code = ERR_peek_error();
    unsigned long last = ERR_peek_last_error();
    ERR_clear_error();
    if (code == 0)
        return diag_set(d, ERR_TLS, 0, "TLS with %s failed", peer);
    int reason = ERR_GET_REASON(code);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        /* A library below failed first; what TLS made of it is the last entry. */
        reason = ERR_GET_LIB(last) == ERR_LIB_SSL ? ERR_GET_REASON(last) : 0;
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return from_certificate(ssl, server, peer, d);
    if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
        return from_alert(reason - SSL_AD_REASON_OFFSET, server, peer, d);
    return from_reason(reason, server, peer, d);
}
