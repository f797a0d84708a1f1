/* The cluster's CA: its files, what it issues, and what a certificate claims. */
#include "testing.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gateway/ca.h"
#include "gateway/claims.h"
#include "temp_dir.h"
#include "tls/certs.h"
#include "tls/context.h"
#include "tls/keys.h"

#define NOW INT64_C(1800000000)

static char dir[TEMP_DIR_SIZE];
static char key_path[128];
static char cert_path[128];

static int setup(void **state)
{
    struct diag d = {0};
    (void)state;
    temp_dir_make(dir);
    snprintf(key_path, sizeof(key_path), "%s/ca.key", dir);
    snprintf(cert_path, sizeof(cert_path), "%s/ca.pem", dir);
    if (ca_create(dir, "demo", NOW, &d) < 0)
        fail_msg("%s", d.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(dir);
    return 0;
}

static struct ca load(void)
{
    struct ca ca = {0};
    struct diag d = {0};
    if (ca_load(dir, NOW, &ca, &d) < 0)
        fail_msg("%s", d.text);
    return ca;
}

static void must_not_load(int64_t now, int err, const char *words)
{
    struct ca ca = {0};
    struct diag d = {0};
    assert_int_equal(ca_load(dir, now, &ca, &d), err);
    assert_null(ca.key);
    if (strstr(d.text, words) == NULL)
        fail_msg("\"%s\" doesn't say \"%s\"", d.text, words);
}

static void the_key_is_the_owners_alone_and_never_overwritten(void **state)
{
    struct stat st;
    struct diag d = {0};
    (void)state;
    assert_int_equal(stat(key_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(ca_create(dir, "demo", NOW, &d), ERR_EXISTS);
    assert_non_null(strstr(d.text, key_path));
}

static void a_key_that_others_may_read_is_refused_with_the_remedy(void **state)
{
    (void)state;
    assert_int_equal(chmod(key_path, 0644), 0);
    must_not_load(NOW, ERR_PERM, "chmod 600");
    assert_int_equal(chmod(key_path, 0620), 0);
    must_not_load(NOW, ERR_PERM, "chmod 600");
}

static void a_key_that_is_a_link_is_refused(void **state)
{
    (void)state;
    char other[160];
    snprintf(other, sizeof(other), "%s.real", key_path);
    assert_int_equal(rename(key_path, other), 0);
    assert_int_equal(symlink(other, key_path), 0);
    must_not_load(NOW, ERR_PERM, "symbolic link");
}

static void key_and_certificate_must_belong_together(void **state)
{
    struct diag d = {0};
    (void)state;
    assert_int_equal(unlink(key_path), 0);
    char kept[160];
    snprintf(kept, sizeof(kept), "%s.kept", cert_path);
    assert_int_equal(rename(cert_path, kept), 0);
    assert_int_equal(ca_create(dir, "demo", NOW, &d), 0);
    assert_int_equal(rename(kept, cert_path), 0);
    must_not_load(NOW, ERR_FORMAT, "don't belong together");
}

static void an_expired_or_missing_ca_is_named(void **state)
{
    (void)state;
    must_not_load(NOW + INT64_C(86400) * 365 * CA_YEARS + 1, ERR_EXPIRED, "has expired");
    must_not_load(NOW - 86400, ERR_EXPIRED, "not valid yet");
    assert_int_equal(unlink(key_path), 0);
    must_not_load(NOW, ERR_NOTFOUND, key_path);
}

/* ---- client certificates ---- */

static X509 *issue(const struct ca *ca, const char *user, const char *app, uint16_t port,
                   struct state_cert *record)
{
    CLEANUP(key_freep) EVP_PKEY *key = NULL;
    CLEANUP(buf_release) struct buf spki;
    CLEANUP(buf_release) struct buf der;
    struct diag d = {0};
    X509 *cert = NULL;
    buf_init(&spki, 4096);
    buf_init(&der, 16384);
    *record = (struct state_cert){.port = port, .issued_s = NOW, .expires_s = NOW + 600};
    assert_int_equal(str_copy(record->user, sizeof(record->user), user), 0);
    assert_int_equal(str_copy(record->app, sizeof(record->app), app), 0);
    assert_int_equal(key_new(&key), 0);
    assert_int_equal(key_to_spki(key, &spki), 0);
    if (ca_issue(ca, "demo", buf_slice(&spki), record, &der, &d) < 0)
        fail_msg("%s", d.text);
    assert_int_equal(cert_from_der(buf_slice(&der), &cert, &d), 0);
    assert_true(key_same_public(X509_get0_pubkey(cert), key));
    return cert;
}

static void an_app_certificate_says_who_what_where_and_how_long(void **state)
{
    struct ca ca = load();
    struct state_cert record;
    struct claims c;
    struct diag d = {0};
    char uri[CLAIMS_URI_SIZE];
    (void)state;
    X509 *cert = issue(&ca, "alice", "pg", 5432, &record);
    assert_int_equal(cert_uri(cert, 0, uri, sizeof(uri)), 0);
    assert_string_equal(uri, "stile://demo/app/pg/5432");
    assert_int_equal(cert_not_after(cert), NOW + 600);
    assert_int_equal(record.expires_s, NOW + 600);
    assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_CLIENT);
    assert_int_equal(claims_read(cert, "demo", NOW, &c, &d), 0);
    assert_int_equal(c.use, CLAIMS_APP);
    assert_string_equal(c.user, "alice");
    assert_string_equal(c.app, "pg");
    assert_int_equal(c.port, 5432);
    assert_string_equal(c.serial, record.serial);
    assert_true(strlen(c.serial) >= 32);
    X509_free(cert);
    ca_release(&ca);
}

static void a_log_in_certificate_is_no_app_certificate(void **state)
{
    struct ca ca = load();
    struct state_cert record;
    struct claims c;
    struct diag d = {0};
    (void)state;
    X509 *cert = issue(&ca, "alice", "", 0, &record);
    assert_int_equal(claims_read(cert, "demo", NOW, &c, &d), 0);
    assert_int_equal(c.use, CLAIMS_LOG_IN);
    assert_string_equal(c.user, "alice");
    assert_string_equal(c.app, "");
    X509_free(cert);
    ca_release(&ca);
}

static void serial_numbers_differ(void **state)
{
    struct ca ca = load();
    struct state_cert a, b;
    (void)state;
    X509_free(issue(&ca, "alice", "", 0, &a));
    X509_free(issue(&ca, "alice", "", 0, &b));
    assert_string_not_equal(a.serial, b.serial);
    ca_release(&ca);
}

static void claims_of_an_expired_or_foreign_certificate_are_refused(void **state)
{
    struct ca ca = load();
    struct state_cert record;
    struct claims c;
    struct diag d = {0};
    (void)state;
    X509 *cert = issue(&ca, "alice", "pg", 5432, &record);
    assert_int_equal(claims_read(cert, "demo", NOW + 601, &c, &d), ERR_EXPIRED);
    assert_int_equal(claims_read(cert, "dem", NOW, &c, &d), ERR_AUTH);
    assert_int_equal(claims_read(cert, "other", NOW, &c, &d), ERR_AUTH);
    assert_int_equal(claims_read(NULL, "demo", NOW, &c, &d), ERR_AUTH);
    assert_int_equal(claims_read(ca.cert, "demo", NOW, &c, &d), ERR_AUTH);
    X509_free(cert);
    ca_release(&ca);
}

static void two_uris_are_no_claim(void **state)
{
    struct ca ca = load();
    struct claims c;
    struct diag d = {0};
    X509 *cert = NULL;
    EVP_PKEY *key = NULL;
    (void)state;
    assert_int_equal(key_new(&key), 0);
    struct cert_spec spec = {
        .use = CERT_CLIENT,
        .common_name = "alice",
        .uris = (const char *const[]){"stile://demo/app/pg/5432", "stile://demo/user/alice", NULL},
        .not_before = NOW,
        .not_after = NOW + 60,
    };
    assert_int_equal(cert_issue(&spec, key, ca.cert, ca.key, &cert, &d), 0);
    assert_int_equal(claims_read(cert, "demo", NOW, &c, &d), ERR_AUTH);
    X509_free(cert);
    key_freep(&key);
    ca_release(&ca);
}

static void only_exact_uris_are_read(void **state)
{
    static const char *const wrong[] = {
        "",
        "stile://",
        "stile://demo",
        "stile://demo/",
        "stile://demo/app",
        "stile://demo/app/",
        "stile://demo/app/pg",
        "stile://demo/app/pg/",
        "stile://demo/app/pg/0",
        "stile://demo/app/pg/05432",
        "stile://demo/app/pg/65536",
        "stile://demo/app/pg/5432/",
        "stile://demo/app/pg/5432x",
        "stile://demo/app/PG/5432",
        "stile://demo/app//5432",
        "stile://demo/app/../5432",
        "stile://demo/user/",
        "stile://demo/user/a/b",
        "stile://demo/user/a b",
        "stile://demo2/user/alice",
        "stile://dem/user/alice",
        "STILE://demo/user/alice",
        "https://demo/user/alice",
        "x stile://demo/user/alice",
    };
    struct claims c;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (claims_parse_uri(wrong[i], "demo", &c) != ERR_FORMAT)
            fail_msg("\"%s\" was taken", wrong[i]);
    }
    assert_int_equal(claims_parse_uri("stile://demo/user/alice", "demo", &c), 0);
    assert_int_equal(claims_parse_uri("stile://demo/app/pg/65535", "demo", &c), 0);
    assert_int_equal(c.port, 65535);
}

static void keys_that_are_too_weak_or_no_keys_are_not_certified(void **state)
{
    struct ca ca = load();
    struct diag d = {0};
    CLEANUP(buf_release) struct buf der;
    (void)state;
    buf_init(&der, 16384);
    struct state_cert record = {.user = "alice", .issued_s = NOW, .expires_s = NOW + 60};
    assert_true(ca_issue(&ca, "demo", SLICE_LIT("not a key"), &record, &der, &d) < 0);
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    unsigned char *spki = NULL;
    int len = i2d_PUBKEY(weak, &spki);
    assert_true(len > 0);
    assert_true(ca_issue(&ca, "demo", slice_of(spki, (size_t)len), &record, &der, &d) < 0);
    assert_int_equal(buf_len(&der), 0);
    OPENSSL_free(spki);
    EVP_PKEY_free(weak);
    ca_release(&ca);
}

static void the_servers_certificate_has_all_its_names(void **state)
{
    struct ca ca = load();
    struct diag d = {0};
    struct gateway_config *config = NULL;
    SSL_CTX *ctx = NULL;
    (void)state;
    assert_int_equal(gateway_config_parse("f",
                                          slice_str("cluster: demo\nlisten: 127.0.0.1:7443\n"
                                                    "public_addr: gw.example.com:7443\n"
                                                    "names: [gw.internal, 10.0.0.5]\nstate: s\n"
                                                    "dns_zones: [a.b]\napps: []\n"),
                                          NULL, NULL, &config, &d),
                     0);
    assert_int_equal(ca_server_context(&ca, config, NOW, &ctx, &d), 0);
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    assert_int_equal(X509_check_host(cert, "gw.example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "gw.internal", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "demo", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "10.0.0.5", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "10.0.0.6", 0), 0);
    assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_SERVER);
    tls_context_freep(&ctx);
    gateway_config_free(config);
    ca_release(&ca);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_key_is_the_owners_alone_and_never_overwritten),
        TEST(a_key_that_others_may_read_is_refused_with_the_remedy),
        TEST(a_key_that_is_a_link_is_refused),
        TEST(key_and_certificate_must_belong_together),
        TEST(an_expired_or_missing_ca_is_named),
        TEST(an_app_certificate_says_who_what_where_and_how_long),
        TEST(a_log_in_certificate_is_no_app_certificate),
        TEST(serial_numbers_differ),
        TEST(claims_of_an_expired_or_foreign_certificate_are_refused),
        TEST(two_uris_are_no_claim),
        TEST(only_exact_uris_are_read),
        TEST(keys_that_are_too_weak_or_no_keys_are_not_certified),
        TEST(the_servers_certificate_has_all_its_names),
    };
    return cmocka_run_group_tests_name("gateway_ca", tests, NULL, NULL);
}
