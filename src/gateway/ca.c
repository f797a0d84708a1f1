#include "gateway/ca.h"

#include "base/mem.h"
#include "base/str.h"
#include "gateway/claims.h"
#include "gateway/file.h"
#include "tls/certs.h"
#include "tls/context.h"
#include "tls/keys.h"
#include "tls/target_status.h"

#define PEM_MAX 65536

/* ---- files ---- */

static int write_key(const char *path, EVP_PKEY *key, struct diag *d)
{
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    int r = key_to_pem(key, &pem);
    if (r == 0)
        r = file_write_new(path, buf_slice(&pem), 0600, d);
    buf_release_wiped(&pem);
    return r;
}

static int write_cert(const char *path, X509 *cert, struct diag *d)
{
    CLEANUP(buf_release) struct buf pem;
    buf_init(&pem, PEM_MAX);
    int r = cert_to_pem(cert, &pem);
    return r < 0 ? r : file_write_new(path, buf_slice(&pem), 0644, d);
}

int ca_create(const char *dir, const char *cluster, int64_t now_s, struct diag *d)
{
    CLEANUP(key_freep) EVP_PKEY *key = NULL;
    CLEANUP(cert_freep) X509 *cert = NULL;
    CLEANUP(mem_freep) char *key_path = file_join(dir, "ca.key");
    CLEANUP(mem_freep) char *cert_path = file_join(dir, "ca.pem");
    if (key_path == NULL || cert_path == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory while making the CA");
    struct cert_spec spec = {
        .use = CERT_CA,
        .common_name = cluster,
        .organization = "stile CA",
        .not_before = now_s - CA_SKEW_S,
        .not_after = now_s + (int64_t)CA_YEARS * 365 * 86400,
    };
    int r = key_new(&key);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to make a key for the CA");
    r = cert_issue(&spec, key, NULL, key, &cert, d);
    if (r == 0)
        r = write_key(key_path, key, d);
    return r < 0 ? r : write_cert(cert_path, cert, d);
}

static int load_key(const char *path, EVP_PKEY **ret, struct diag *d)
{
    struct buf pem;
    buf_init(&pem, PEM_MAX);
    int r = file_read_private(path, &pem, d);
    if (r == 0) {
        r = key_from_pem(buf_slice(&pem), ret, d);
        if (r < 0)
            diag_prefix(d, "%s: ", path);
    }
    buf_release_wiped(&pem);
    return r;
}

static int load_cert(const char *path, X509 **ret, struct diag *d)
{
    CLEANUP(buf_release) struct buf pem;
    buf_init(&pem, PEM_MAX);
    int r = file_read(path, &pem, d);
    if (r < 0)
        return r;
    r = cert_from_pem(buf_slice(&pem), ret, d);
    return r < 0 ? diag_prefix(d, "%s: ", path) : 0;
}

static int check_pair(const char *cert_path, const char *key_path, X509 *cert, EVP_PKEY *key,
                      int64_t now_s, struct diag *d)
{
    if (!key_same_public(X509_get0_pubkey(cert), key))
        return diag_set(d, ERR_FORMAT, 0,
                        "%s and %s don't belong together; restore both from the same backup",
                        cert_path, key_path);
    if (now_s > cert_not_after(cert))
        return diag_set(
            d, ERR_EXPIRED, 0,
            "The CA certificate %s has expired; make a new cluster with `stile gateway init` (and "
            "check the clock of this machine)",
            cert_path);
    if (now_s < cert_not_before(cert))
        return diag_set(
            d, ERR_EXPIRED, 0,
            "The CA certificate %s is not valid yet: set the clock of this machine right",
            cert_path);
    return 0;
}

int ca_load(const char *dir, int64_t now_s, struct ca *ret, struct diag *d)
{
    CLEANUP(key_freep) EVP_PKEY *key = NULL;
    CLEANUP(cert_freep) X509 *cert = NULL;
    CLEANUP(mem_freep) char *key_path = file_join(dir, "ca.key");
    CLEANUP(mem_freep) char *cert_path = file_join(dir, "ca.pem");
    if (key_path == NULL || cert_path == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory while reading the CA");
    int r = load_key(key_path, &key, d);
    if (r == 0)
        r = load_cert(cert_path, &cert, d);
    if (r == ERR_NOTFOUND)
        diag_set(d, r, 0,
                 "The cluster's CA (%s and ca.pem beside it) is missing; restore it from a backup, "
                 "or make a new "
                 "cluster with `stile gateway init`",
                 key_path);
    if (r == 0)
        r = check_pair(cert_path, key_path, cert, key, now_s, d);
    if (r < 0)
        return r;
    ret->cert = STEAL(cert);
    ret->key = STEAL(key);
    return 0;
}

void ca_release(struct ca *ca)
{
    cert_freep(&ca->cert);
    key_freep(&ca->key);
    *ca = (struct ca){0};
}

int ca_pem(const struct ca *ca, struct buf *pem)
{
    return cert_to_pem(ca->cert, pem);
}

/* ---- the server's certificate ---- */

#define SERVER_NAMES_MAX (CONFIG_LIST_MAX + 4)

struct server_names {
    const char *dns[SERVER_NAMES_MAX]; /* each ends with NULL */
    const char *addresses[SERVER_NAMES_MAX];
    size_t dns_count;
    size_t address_count;
    char listen[IP_ADDR_TEXT_SIZE];
};

static void add_name(struct server_names *n, const char *host)
{
    struct ip_addr addr;
    bool is_addr = ip_addr_parse(host, &addr) == 0;
    const char **list = is_addr ? n->addresses : n->dns;
    size_t *count = is_addr ? &n->address_count : &n->dns_count;
    for (size_t i = 0; i < *count; i++) {
        if (str_eq_nocase(list[i], host))
            return;
    }
    if (*count < SERVER_NAMES_MAX - 1)
        list[(*count)++] = host;
}

/* A listener on every address is reached through loopback, at least, whatever else it has for addresses. */
static void add_listen(struct server_names *n, const struct gateway_config *config)
{
    if (ip_addr_is_unspecified(&config->listen.addr) || ip_addr_is_loopback(&config->listen.addr)) {
        add_name(n, "127.0.0.1");
        add_name(n, "::1");
        add_name(n, "localhost");
    } else {
        ip_addr_format(&config->listen.addr, n->listen);
        add_name(n, n->listen);
    }
}

static int issue_server(const struct ca *ca, const struct gateway_config *config, int64_t now_s,
                        EVP_PKEY *key, X509 **ret, struct diag *d)
{
    struct server_names *names = NEW(struct server_names);
    if (names == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory while making the server's certificate");
    add_name(names, config->public_host);
    for (size_t i = 0; i < config->names.count; i++)
        add_name(names, config->names.items[i]);
    add_listen(names, config);
    struct cert_spec spec = {
        .use = CERT_SERVER,
        .common_name = config->cluster,
        .organization = "stile gateway",
        .dns_names = names->dns,
        .addresses = names->addresses,
        .not_before = now_s - CA_SKEW_S,
        .not_after = now_s + CA_SERVER_S,
    };
    int r = cert_issue(&spec, key, ca->cert, ca->key, ret, d);
    mem_free(names);
    return r;
}

int ca_server_context(const struct ca *ca, const struct gateway_config *config, int64_t now_s,
                      SSL_CTX **ret, struct diag *d)
{
    static const char *const alpn[] = {"h2", TARGET_ALPN, NULL};
    CLEANUP(key_freep) EVP_PKEY *key = NULL;
    CLEANUP(cert_freep) X509 *cert = NULL;
    CLEANUP(buf_release) struct buf pem;
    buf_init(&pem, PEM_MAX);
    int r = key_new(&key);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to make the server's key");
    r = issue_server(ca, config, now_s, key, &cert, d);
    if (r == 0)
        r = ca_pem(ca, &pem);
    if (r < 0)
        return r;
    STACK_OF(X509) *chain = sk_X509_new_null();
    if (chain == NULL || sk_X509_push(chain, ca->cert) <= 0) {
        sk_X509_free(chain);
        return diag_set(d, ERR_NOMEM, 0, "Out of memory while making the server's certificate");
    }
    struct tls_identity identity = {.cert = cert, .key = key, .chain = chain};
    r = tls_server_context(&identity, buf_slice(&pem), false, alpn, ret, d);
    sk_X509_free(chain);
    return r;
}

/* ---- clients' certificates ---- */

int ca_issue(const struct ca *ca, const char *cluster, struct slice spki, struct state_cert *record,
             struct buf *der, struct diag *d)
{
    CLEANUP(key_freep) EVP_PKEY *key = NULL;
    CLEANUP(cert_freep) X509 *cert = NULL;
    char uri[CLAIMS_URI_SIZE];
    int r = record->app[0] == '\0' ? claims_log_in_uri(cluster, record->user, uri)
                                   : claims_app_uri(cluster, record->app, record->port, uri);
    if (r < 0)
        return diag_set(d, r, 0, "The names are too long for a certificate");
    r = key_from_spki(spki, &key, d);
    if (r < 0)
        return r;
    struct cert_spec spec = {
        .use = CERT_CLIENT,
        .common_name = record->user,
        .uris = (const char *const[]){uri, NULL},
        .not_before = record->issued_s - CA_SKEW_S,
        .not_after = record->expires_s,
    };
    r = cert_issue(&spec, key, ca->cert, ca->key, &cert, d);
    if (r == 0)
        r = cert_to_der(cert, der);
    if (r == 0)
        r = claims_serial(cert, record->serial);
    if (r == 0)
        record->expires_s = cert_not_after(cert);
    return r;
}
