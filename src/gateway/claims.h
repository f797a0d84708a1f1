/* What a client's certificate says, in its one URI name:
 *
 *   stile://CLUSTER/user/NAME        a log-in: good for the access API, for nothing else
 *   stile://CLUSTER/app/APP/PORT     one app and port: good for ALPN stile-tcp, for nothing else
 *
 * The common name is the user in both. Pure.
 */
#ifndef STILE_GATEWAY_CLAIMS_H
#define STILE_GATEWAY_CLAIMS_H

#include <openssl/x509.h>

#include "base/err.h"
#include "gateway/config.h"
#include "gateway/state.h"

#define CLAIMS_URI_SIZE 256

enum claims_use { CLAIMS_LOG_IN, CLAIMS_APP };

struct claims {
    enum claims_use use;
    char user[CONFIG_PRINCIPAL_SIZE];
    char app[CONFIG_LABEL_SIZE]; /* CLAIMS_APP only */
    uint16_t port;               /* CLAIMS_APP only */
    char serial[STATE_SERIAL_SIZE];
    int64_t not_before_s;
    int64_t not_after_s;
};

/* The chain has been verified by TLS; a resumed session may be older than its certificate's end, so that the time is looked
 * at here, every time. ERR_AUTH: not a certificate of this cluster's users; ERR_EXPIRED. */
int claims_read(X509 *cert, const char *cluster, int64_t now_s, struct claims *ret, struct diag *d);

int claims_log_in_uri(const char *cluster, const char *user, char uri[CLAIMS_URI_SIZE]);
int claims_app_uri(const char *cluster, const char *app, uint16_t port, char uri[CLAIMS_URI_SIZE]);

/* Lower-case hex. ERR_TOOBIG. */
int claims_serial(const X509 *cert, char serial[STATE_SERIAL_SIZE]);

/* Reads a URI of either form into use, user (log-in), app and port. ERR_FORMAT. */
int claims_parse_uri(const char *uri, const char *cluster, struct claims *ret);

#endif
