/* For tests of TLS and of what stands on it: a CA, identities, and turning a loop until something is true. */
#ifndef STILE_TESTS_UNIT_TLS_HELPERS_H
#define STILE_TESTS_UNIT_TLS_HELPERS_H

#include "base/clock.h"
#include "loop/loop.h"
#include "tls/certs.h"
#include "tls/context.h"
#include "tls/keys.h"

/* Turns until *flag or 30 s have passed. A pause is long on a busy machine: it comes only when turns alone don't do. */
static inline bool turn_until(struct loop *loop, const bool *flag)
{
    enum { TURNS = 20 };
    uint64_t deadline = clock_mono_ns() + 30 * NS_PER_S;
    for (int turn = 1; !*flag && clock_mono_ns() < deadline; turn++) {
        loop_turn(loop, false);
        if (!*flag && turn % TURNS == 0)
            uv_sleep(1);
    }
    return *flag;
}

static inline void turn_some(struct loop *loop, int turns)
{
    for (int i = 0; i < turns; i++)
        loop_turn(loop, false);
}

struct test_ca {
    X509 *cert;
    EVP_PKEY *key;
    struct buf pem;
};

static inline void test_ca_init(struct test_ca *ca, const char *name)
{
    int64_t now = clock_wall_s();
    struct cert_spec spec = {
        .use = CERT_CA, .common_name = name, .not_before = now - 60, .not_after = now + 86400};
    assert_int_equal(key_new(&ca->key), 0);
    assert_int_equal(cert_issue(&spec, ca->key, NULL, ca->key, &ca->cert, NULL), 0);
    buf_init(&ca->pem, 65536);
    assert_int_equal(cert_to_pem(ca->cert, &ca->pem), 0);
}

static inline void test_ca_release(struct test_ca *ca)
{
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
    buf_release(&ca->pem);
}

/* A certificate from ca for key, valid from now - 60 s to now + seconds. */
static inline X509 *test_cert(struct test_ca *ca, enum cert_use use, const char *name,
                              EVP_PKEY *key, int64_t seconds)
{
    int64_t now = clock_wall_s();
    const char *dns[] = {name, NULL};
    const char *uris[] = {"stile://test/user/alice", NULL};
    struct cert_spec spec = {
        .use = use,
        .common_name = name,
        .dns_names = use == CERT_CLIENT ? NULL : dns,
        .uris = uris,
        .not_before = now - 60,
        .not_after = now + seconds,
    };
    X509 *cert = NULL;
    assert_int_equal(cert_issue(&spec, key, ca->cert, ca->key, &cert, NULL), 0);
    return cert;
}

#endif
