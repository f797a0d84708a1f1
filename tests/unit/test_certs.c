#include "testing.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "base/mem.h"
#include "tls_helpers.h"

static struct test_ca ca;
static EVP_PKEY *key;

static int set_up(void **state)
{
    (void)state;
    test_ca_init(&ca, "Test CA");
    return key_new(&key);
}

static int tear_down(void **state)
{
    (void)state;
    test_ca_release(&ca);
    EVP_PKEY_free(key);
    return 0;
}

/* ---- keys ---- */

static void private_key_survives_pem(void **state)
{
    (void)state;
    struct buf pem;
    buf_init(&pem, 4096);
    assert_int_equal(key_to_pem(key, &pem), 0);
    EVP_PKEY *copy = NULL;
    assert_int_equal(key_from_pem(buf_slice(&pem), &copy, NULL), 0);
    assert_true(key_same_public(key, copy));
    EVP_PKEY_free(copy);
    struct diag d;
    assert_int_equal(key_from_pem(slice_first(buf_slice(&pem), 60), &copy, &d), ERR_FORMAT);
    buf_release_wiped(&pem);
}

static void public_key_survives_spki_and_nothing_may_follow(void **state)
{
    (void)state;
    struct buf der;
    buf_init(&der, 4096);
    assert_int_equal(key_to_spki(key, &der), 0);
    EVP_PKEY *copy = NULL;
    assert_int_equal(key_from_spki(buf_slice(&der), &copy, NULL), 0);
    assert_true(key_same_public(key, copy));
    assert_false(key_same_public(ca.key, copy));
    EVP_PKEY_free(copy);
    struct diag d;
    for (size_t n = 0; n < buf_len(&der); n++)
        assert_int_equal(key_from_spki(slice_first(buf_slice(&der), n), &copy, &d), ERR_FORMAT);
    assert_int_equal(buf_put_u8(&der, 0), 0);
    assert_int_equal(key_from_spki(buf_slice(&der), &copy, &d), ERR_FORMAT);
    buf_release(&der);
}

static void expect_spki(EVP_PKEY *k, int err)
{
    struct buf der;
    buf_init(&der, 8192);
    assert_int_equal(key_to_spki(k, &der), 0);
    EVP_PKEY *copy = NULL;
    struct diag d;
    assert_int_equal(key_from_spki(buf_slice(&der), &copy, &d), err);
    if (err == 0)
        EVP_PKEY_free(copy);
    EVP_PKEY_free(k);
    buf_release(&der);
}

static void only_supported_kinds_of_keys_are_taken(void **state)
{
    (void)state;
    expect_spki(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), 0);
    expect_spki(EVP_RSA_gen(2048), 0);
    expect_spki(EVP_RSA_gen(1024), ERR_UNSUPPORTED);
    expect_spki(EVP_EC_gen("P-384"), ERR_UNSUPPORTED);
    expect_spki(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), ERR_UNSUPPORTED);
}

static int sign(EVP_PKEY *k, size_t len, enum sign_hash hash, bool pss, unsigned salt)
{
    static const uint8_t digest[64] = {1};
    struct sign_request request = {slice_of(digest, len), hash, pss, salt};
    struct buf signature;
    buf_init(&signature, 4096);
    int r = key_sign(k, &request, &signature);
    if (r == 0)
        assert_true(buf_len(&signature) >= 64);
    buf_release(&signature);
    return r;
}

static void signing_wants_the_right_hash_length_and_padding(void **state)
{
    (void)state;
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    assert_int_equal(sign(key, 32, SIGN_HASH_SHA256, false, 0), 0);
    assert_int_equal(sign(key, 31, SIGN_HASH_SHA256, false, 0), ERR_INVAL);
    assert_int_equal(sign(key, 32, SIGN_HASH_NONE, false, 0), ERR_INVAL);
    assert_int_equal(sign(key, 32, SIGN_HASH_SHA256, true, 32), ERR_INVAL);
    assert_int_equal(sign(ed, 50, SIGN_HASH_NONE, false, 0), 0);
    assert_int_equal(sign(ed, 32, SIGN_HASH_SHA256, false, 0), ERR_INVAL);
    assert_int_equal(sign(rsa, 32, SIGN_HASH_SHA256, false, 0), 0);
    assert_int_equal(sign(rsa, 32, SIGN_HASH_SHA256, true, 32), 0);
    assert_int_equal(sign(rsa, 32, SIGN_HASH_SHA256, true, 33), ERR_INVAL);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(rsa);
}

/* ---- certificates ---- */

static void certificate_says_what_was_asked_for(void **state)
{
    (void)state;
    int64_t now = clock_wall_s();
    const char *dns[] = {"a.test", "b.test,DNS:evil.test", NULL};
    const char *addresses[] = {"127.0.0.1", "::1", NULL};
    const char *uris[] = {"stile://demo/app/pg?port=5432", "stile://demo/user/alice", NULL};
    struct cert_spec spec = {.use = CERT_PEER,
                             .common_name = "älice, Bob",
                             .dns_names = dns,
                             .addresses = addresses,
                             .uris = uris,
                             .not_before = now - 5,
                             .not_after = now + 1000};
    X509 *cert = NULL;
    assert_int_equal(cert_issue(&spec, key, ca.cert, ca.key, &cert, NULL), 0);
    char text[64];
    assert_int_equal(cert_common_name(cert, text, sizeof(text)), 0);
    assert_string_equal(text, "älice, Bob");
    assert_int_equal(cert_uri(cert, 0, text, sizeof(text)), 0);
    assert_string_equal(text, uris[0]);
    assert_int_equal(cert_uri(cert, 1, text, sizeof(text)), 0);
    assert_string_equal(text, uris[1]);
    assert_int_equal(cert_uri(cert, 2, text, sizeof(text)), ERR_NOTFOUND);
    assert_int_equal(cert_uri(cert, 0, text, 5), ERR_TOOBIG);
    assert_int_equal(cert_not_before(cert), now - 5);
    assert_int_equal(cert_not_after(cert), now + 1000);
    assert_int_equal(X509_check_host(cert, "a.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "evil.test", 0, 0, NULL),
                     0); /* a comma makes no second name */
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_equal(cert_verify(cert, ca.cert, CERT_SERVER, NULL), 0);
    assert_int_equal(cert_verify(cert, ca.cert, CERT_CLIENT, NULL), 0);
    X509_free(cert);
}

static void certificate_does_not_outlive_its_issuer(void **state)
{
    (void)state;
    X509 *cert = test_cert(&ca, CERT_CLIENT, "alice", key, 10 * 86400);
    assert_int_equal(cert_not_after(cert), cert_not_after(ca.cert));
    X509_free(cert);
}

static void verification_names_what_is_wrong(void **state)
{
    (void)state;
    struct test_ca other;
    test_ca_init(&other, "Test CA"); /* the same name, another key */
    X509 *good = test_cert(&ca, CERT_CLIENT, "alice", key, 60);
    X509 *expired = test_cert(&ca, CERT_CLIENT, "alice", key, -1);
    struct diag d;
    assert_int_equal(cert_verify(good, ca.cert, CERT_CLIENT, &d), 0);
    assert_int_equal(cert_verify(good, ca.cert, CERT_SERVER, &d), ERR_AUTH);
    assert_int_equal(cert_verify(good, other.cert, CERT_CLIENT, &d), ERR_AUTH);
    assert_int_equal(cert_verify(expired, ca.cert, CERT_CLIENT, &d), ERR_EXPIRED);
    X509_free(good);
    X509_free(expired);
    test_ca_release(&other);
}

static void leaf_can_not_issue(void **state)
{
    (void)state;
    X509 *leaf = test_cert(&ca, CERT_PEER, "leaf", key, 600);
    int64_t now = clock_wall_s();
    struct cert_spec spec = {
        .use = CERT_CLIENT, .common_name = "x", .not_before = now - 60, .not_after = now + 60};
    X509 *cert = NULL;
    assert_int_equal(cert_issue(&spec, key, leaf, key, &cert, NULL), 0);
    assert_int_equal(cert_verify(cert, ca.cert, CERT_CLIENT, NULL), ERR_AUTH);
    X509_free(cert);
    X509_free(leaf);
}

static void certificate_survives_pem_and_der(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    X509 *copy = NULL;
    struct diag d;
    assert_int_equal(cert_to_der(ca.cert, &b), 0);
    assert_int_equal(cert_from_der(buf_slice(&b), &copy, NULL), 0);
    assert_int_equal(X509_cmp(copy, ca.cert), 0);
    X509_free(copy);
    assert_int_equal(buf_put_u8(&b, 0), 0);
    assert_int_equal(cert_from_der(buf_slice(&b), &copy, &d), ERR_FORMAT);
    buf_release(&b);
    assert_int_equal(cert_from_pem(buf_slice(&ca.pem), &copy, NULL), 0);
    assert_int_equal(X509_cmp(copy, ca.cert), 0);
    X509_free(copy);
}

static void bundle_gives_all_and_refuses_broken_ones(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct diag d;
    STACK_OF(X509) *certs = NULL;
    assert_int_equal(certs_from_pem(SLICE_LIT("hello"), &certs, &d), ERR_FORMAT);
    assert_int_equal(certs_from_pem(slice_of(NULL, 0), &certs, &d), ERR_FORMAT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(buf_put(&b, buf_slice(&ca.pem)), 0);
    assert_int_equal(certs_from_pem(buf_slice(&b), &certs, &d), 0);
    assert_int_equal(sk_X509_num(certs), 3);
    certs_freep(&certs);
    certs = NULL;
    struct slice cut = slice_first(buf_slice(&b), buf_len(&b) - 40);
    assert_int_equal(certs_from_pem(cut, &certs, &d), ERR_FORMAT);
    for (int i = 0; i < 14; i++)
        assert_int_equal(buf_put(&b, buf_slice(&ca.pem)), 0);
    assert_int_equal(certs_from_pem(buf_slice(&b), &certs, &d), ERR_TOOBIG);
    buf_release(&b);
}

static void pin_is_of_the_key_not_of_the_certificate(void **state)
{
    (void)state;
    X509 *one = test_cert(&ca, CERT_CLIENT, "one", key, 60);
    X509 *two = test_cert(&ca, CERT_CLIENT, "two", key, 60);
    char a[CERT_PIN_SIZE], b[CERT_PIN_SIZE], c[CERT_PIN_SIZE];
    assert_int_equal(cert_pin(one, a), 0);
    assert_int_equal(cert_pin(two, b), 0);
    assert_int_equal(cert_pin(ca.cert, c), 0);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_true(cert_pin_is_valid(a));
    assert_false(cert_pin_is_valid("sha256:12"));
    assert_false(cert_pin_is_valid(a + 1));
    uint8_t fa[CERT_FINGERPRINT_LEN], fb[CERT_FINGERPRINT_LEN];
    assert_int_equal(cert_fingerprint(one, fa), 0);
    assert_int_equal(cert_fingerprint(two, fb), 0);
    assert_memory_not_equal(fa, fb, sizeof(fa));
    X509_free(one);
    X509_free(two);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(private_key_survives_pem),
        TEST(public_key_survives_spki_and_nothing_may_follow),
        TEST(only_supported_kinds_of_keys_are_taken),
        TEST(signing_wants_the_right_hash_length_and_padding),
        TEST(certificate_says_what_was_asked_for),
        TEST(certificate_does_not_outlive_its_issuer),
        TEST(verification_names_what_is_wrong),
        TEST(leaf_can_not_issue),
        TEST(certificate_survives_pem_and_der),
        TEST(bundle_gives_all_and_refuses_broken_ones),
        TEST(pin_is_of_the_key_not_of_the_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
