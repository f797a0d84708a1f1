/* The cluster's certificate authority: two files in one directory, and what it signs.
 *
 * ca.key is a secret (0600, refused if others may read it); ca.pem is what clients trust, and what --ca-pin names. The
 * server's own key never touches the disk: it is made anew with its certificate at every start, and once a day.
 */
#ifndef STILE_GATEWAY_CA_H
#define STILE_GATEWAY_CA_H

#include <openssl/ssl.h>

#include "gateway/config.h"
#include "gateway/state.h"

#define CA_YEARS    10
#define CA_SERVER_S (30 * 86400) /* life of the server's certificate */
#define CA_SKEW_S   300          /* certificates begin this much earlier: clocks differ */

struct ca {
    X509 *cert;
    EVP_PKEY *key;
};

/* Makes the key and certificate of a new cluster in an existing directory. Blocks. */
int ca_create(const char *dir, const char *cluster, int64_t now_s, struct diag *d);

/* Reads both files and checks that they belong together and aren't expired. Blocks. */
int ca_load(const char *dir, int64_t now_s, struct ca *ret, struct diag *d);
void ca_release(struct ca *ca);

int ca_pem(const struct ca *ca, struct buf *pem); /* appended: the certificate alone */

/* A new key and certificate for the gateway's names (public_addr, names, and the address it listens on), in a context that
 * asks clients for certificates of this CA. ALPN: "h2" and "stile-tcp". */
int ca_server_context(const struct ca *ca, const struct gateway_config *config, int64_t now_s,
                      SSL_CTX **ret, struct diag *d);

/* Client certificates. spki: the client's public key, DER. record says what they say (user, app and port, issued and
 * expires) and gets the serial number and the real end. ERR_FORMAT, ERR_UNSUPPORTED: the key. */
int ca_issue(const struct ca *ca, const char *cluster, struct slice spki, struct state_cert *record,
             struct buf *der, struct diag *d);

#endif
