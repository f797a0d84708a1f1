/* Certificates for apps: issued once for many callers, kept until stale, and what the signer refuses. */
#include "testing.h"

#include <unistd.h>

#include "agent/certs.h"
#include "agent/signer.h"
#include "fake_directory.h"

struct outcome {
    int calls;
    int err;
    X509 *cert; /* referenced */
    EVP_PKEY *key;
};

struct fixture {
    struct fake_directory fake;
    struct certs *certs;
    struct fake_app app;
};

static int setup(void **state)
{
    static struct fixture f;
    struct directory dir = fake_directory_init(&f.fake);
    fake_app_init(&f.app, "pg.demo");
    *state = &f;
    return certs_new(dir, &f.certs);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fake_directory_release(&f->fake);
    certs_free(f->certs);
    return 0;
}

static void note(void *arg, int err, X509 *cert, EVP_PKEY *key, const struct diag *d)
{
    struct outcome *o = arg;
    o->calls++;
    o->err = err;
    assert_true((err == 0) == (cert != NULL && key != NULL));
    assert_true(err == 0 || d->text[0] != '\0');
    X509_free(o->cert);
    EVP_PKEY_free(o->key);
    o->cert = cert;
    o->key = key;
    if (cert != NULL) {
        X509_up_ref(cert);
        EVP_PKEY_up_ref(key);
    }
}

static void forget(struct outcome *o)
{
    X509_free(o->cert);
    EVP_PKEY_free(o->key);
    *o = (struct outcome){0};
}

static void get(struct fixture *f, uint16_t port, struct outcome *o)
{
    certs_get(f->certs, &f->app.key, port, note, o);
}

static void callers_at_the_same_time_share_one_issue(void **state)
{
    struct fixture *f = *state;
    struct outcome o[5] = {0};
    for (size_t i = 0; i < 5; i++)
        get(f, 5432, &o[i]);
    assert_int_equal(f->fake.issues_asked, 1);
    fake_answer_issues(&f->fake, 0);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(o[i].calls, 1);
        assert_int_equal(o[i].err, 0);
        assert_ptr_equal(o[i].cert, o[0].cert);
    }
    for (size_t i = 0; i < 5; i++)
        forget(&o[i]);
}

static void a_fresh_certificate_is_kept(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    get(f, 5432, &o);
    fake_answer_issues(&f->fake, 0);
    get(f, 5432, &o);
    assert_int_equal(o.calls, 2);
    assert_int_equal(f->fake.issues_asked, 1);
    forget(&o);
}

static void a_stale_certificate_is_renewed_with_the_same_key(void **state)
{
    struct fixture *f = *state;
    struct outcome first = {0}, second = {0};
    f->fake.life_s = 1;
    get(f, 5432, &first);
    fake_answer_issues(&f->fake, 0);
    sleep(2);
    assert_null(certs_key(f->certs, &f->app.key, 5432));
    get(f, 5432, &second);
    assert_int_equal(second.calls, 0);
    assert_int_equal(f->fake.issues_asked, 2);
    f->fake.life_s = 3600;
    fake_answer_issues(&f->fake, 0);
    assert_int_equal(second.err, 0);
    assert_true(key_same_public(first.key, second.key));
    assert_int_not_equal(X509_cmp(first.cert, second.cert), 0);
    forget(&first);
    forget(&second);
}

static void each_port_has_a_key_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct outcome a = {0}, b = {0};
    get(f, 5432, &a);
    get(f, 6000, &b);
    assert_int_equal(f->fake.issues_asked, 2);
    fake_answer_issues(&f->fake, 0);
    assert_false(key_same_public(a.key, b.key));
    forget(&a);
    forget(&b);
}

static void a_failure_reaches_all_who_wait_and_the_next_asks_again(void **state)
{
    struct fixture *f = *state;
    struct outcome o[2] = {0};
    get(f, 5432, &o[0]);
    get(f, 5432, &o[1]);
    fake_answer_issues(&f->fake, ERR_DENIED);
    assert_int_equal(o[0].err, ERR_DENIED);
    assert_int_equal(o[1].err, ERR_DENIED);
    get(f, 5432, &o[0]);
    assert_int_equal(f->fake.issues_asked, 2);
    fake_answer_issues(&f->fake, 0);
    assert_int_equal(o[0].err, 0);
    forget(&o[0]);
    forget(&o[1]);
}

static void a_failure_at_once_is_told(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    f->fake.fail_now = ERR_EXPIRED;
    get(f, 5432, &o);
    assert_int_equal(o.calls, 1);
    assert_int_equal(o.err, ERR_EXPIRED);
    assert_null(certs_key(f->certs, &f->app.key, 5432));
}

static void a_certificate_for_another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    f->fake.instead = f->fake.ca_key;
    get(f, 5432, &o);
    fake_answer_issues(&f->fake, 0);
    assert_int_equal(o.err, ERR_PROTOCOL);
    assert_null(certs_key(f->certs, &f->app.key, 5432));
}

static void a_certificate_that_is_over_is_refused(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    f->fake.life_s = -5;
    get(f, 5432, &o);
    fake_answer_issues(&f->fake, 0);
    assert_int_equal(o.err, ERR_EXPIRED);
}

static void a_dropped_profile_leaves_no_key_and_those_who_wait_are_answered(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0}, late = {0};
    get(f, 5432, &o);
    fake_answer_issues(&f->fake, 0);
    get(f, 6000, &late);
    certs_drop(f->certs, "other");
    assert_non_null(certs_key(f->certs, &f->app.key, 5432));
    certs_drop(f->certs, "demo");
    assert_null(certs_key(f->certs, &f->app.key, 5432));
    fake_answer_issues(&f->fake, 0);
    assert_int_equal(late.calls, 1);
    assert_null(certs_key(f->certs, &f->app.key, 6000));
    forget(&o);
    forget(&late);
}

/* Asks again from inside the answer. */
static void ask_again(void *arg, int err, X509 *cert, EVP_PKEY *key, const struct diag *d)
{
    struct fixture *f = arg;
    static struct outcome o;
    (void)cert;
    (void)key;
    (void)d;
    assert_int_equal(err, ERR_DENIED);
    f->fake.fail_now = ERR_UNREACHABLE;
    get(f, 5432, &o);
    assert_int_equal(o.err, ERR_UNREACHABLE);
    certs_drop(f->certs, "demo");
}

static void asking_and_dropping_from_inside_an_answer_is_fine(void **state)
{
    struct fixture *f = *state;
    certs_get(f->certs, &f->app.key, 5432, ask_again, f);
    fake_answer_issues(&f->fake, ERR_DENIED);
    assert_int_equal(f->fake.issues_asked, 2);
}

static void more_certificates_than_are_kept_push_others_out(void **state)
{
    struct fixture *f = *state;
    struct outcome o = {0};
    f->fake.fail_now = ERR_DENIED;
    for (int port = 1; port <= CERTS_MAX + 10; port++)
        get(f, (uint16_t)port, &o);
    assert_int_equal(o.calls, CERTS_MAX + 10);
    assert_int_equal(o.err, ERR_DENIED);
}

/* ---- the signer ---- */

static uint8_t digest[64];

static Stile__Vnet__V1__SignForAppRequest request_for(struct fixture *f, uint32_t port)
{
    Stile__Vnet__V1__SignForAppRequest q = STILE__VNET__V1__SIGN_FOR_APP_REQUEST__INIT;
    q.app_key = &f->app.key;
    q.target_port = port;
    q.digest = (ProtobufCBinaryData){.len = 32, .data = digest};
    q.hash = STILE__VNET__V1__HASH__HASH_SHA256;
    return q;
}

static int sign(struct fixture *f, const Stile__Vnet__V1__SignForAppRequest *q, struct buf *b)
{
    struct diag d = {0};
    buf_init(b, 1024);
    int r = signer_sign(f->certs, q, b, &d);
    assert_true(r == 0 || d.text[0] != '\0');
    assert_true((r == 0) == (buf_len(b) > 0));
    return r;
}

static int refused(struct fixture *f, const Stile__Vnet__V1__SignForAppRequest *q)
{
    CLEANUP(buf_release) struct buf b;
    return sign(f, q, &b);
}

static void issue(struct fixture *f, uint16_t port)
{
    struct outcome o = {0};
    get(f, port, &o);
    fake_answer_issues(&f->fake, 0);
    assert_int_equal(o.err, 0);
    forget(&o);
}

static void a_signature_verifies_with_the_certificate(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_release) struct buf b;
    issue(f, 5432);
    Stile__Vnet__V1__SignForAppRequest q = request_for(f, 5432);
    assert_int_equal(sign(f, &q, &b), 0);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(certs_key(f->certs, &f->app.key, 5432), NULL);
    assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
    struct slice signature = buf_slice(&b);
    assert_int_equal(EVP_PKEY_verify(ctx, signature.data, signature.len, digest, 32), 1);
    EVP_PKEY_CTX_free(ctx);
}

static void nothing_is_signed_for_an_app_or_port_without_a_certificate(void **state)
{
    struct fixture *f = *state;
    Stile__Vnet__V1__SignForAppRequest q = request_for(f, 5432);
    assert_int_equal(refused(f, &q), ERR_NOTFOUND);
    issue(f, 5432);
    q = request_for(f, 6000);
    assert_int_equal(refused(f, &q), ERR_NOTFOUND);
    q = request_for(f, 5432 + 65536);
    assert_int_equal(refused(f, &q), ERR_NOTFOUND);
    q = request_for(f, 0);
    assert_int_equal(refused(f, &q), ERR_NOTFOUND);
    q = request_for(f, 5432);
    q.app_key = NULL;
    assert_int_equal(refused(f, &q), ERR_NOTFOUND);
    struct fake_app other = {0};
    fake_app_init(&other, "pg.demo");
    for (size_t i = 0; i < 2; i++) {
        other.texts[i][0] ^= 1;
        q = request_for(f, 5432);
        q.app_key = &other.key;
        assert_int_equal(refused(f, &q), ERR_NOTFOUND);
        other.texts[i][0] ^= 1;
    }
    char leaf[] = "leaf";
    other.key.leaf_cluster = leaf;
    assert_int_equal(refused(f, &q), ERR_NOTFOUND);
}

static void a_hash_that_is_unspecified_unknown_or_for_another_key_is_refused(void **state)
{
    struct fixture *f = *state;
    issue(f, 5432);
    static const int hashes[] = {STILE__VNET__V1__HASH__HASH_UNSPECIFIED,
                                 STILE__VNET__V1__HASH__HASH_NONE, 3, -1};
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        Stile__Vnet__V1__SignForAppRequest q = request_for(f, 5432);
        q.hash = (Stile__Vnet__V1__Hash)hashes[i];
        assert_int_equal(refused(f, &q), ERR_INVAL);
    }
}

static void a_digest_of_another_length_is_refused(void **state)
{
    struct fixture *f = *state;
    issue(f, 5432);
    static const size_t lengths[] = {0, 1, 20, 31, 33, 48, 64};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        Stile__Vnet__V1__SignForAppRequest q = request_for(f, 5432);
        q.digest.len = lengths[i];
        assert_int_equal(refused(f, &q), ERR_INVAL);
    }
}

static void pss_with_a_key_that_is_not_rsa_is_refused(void **state)
{
    struct fixture *f = *state;
    issue(f, 5432);
    Stile__Vnet__V1__SignForAppRequest q = request_for(f, 5432);
    q.pss_case = STILE__VNET__V1__SIGN_FOR_APP_REQUEST__PSS_PSS_SALT_LENGTH;
    q.pss_salt_length = 32;
    assert_int_equal(refused(f, &q), ERR_INVAL);
}

#define WITH(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(callers_at_the_same_time_share_one_issue),
        WITH(a_fresh_certificate_is_kept),
        WITH(a_stale_certificate_is_renewed_with_the_same_key),
        WITH(each_port_has_a_key_of_its_own),
        WITH(a_failure_reaches_all_who_wait_and_the_next_asks_again),
        WITH(a_failure_at_once_is_told),
        WITH(a_certificate_for_another_key_is_refused),
        WITH(a_certificate_that_is_over_is_refused),
        WITH(a_dropped_profile_leaves_no_key_and_those_who_wait_are_answered),
        WITH(asking_and_dropping_from_inside_an_answer_is_fine),
        WITH(more_certificates_than_are_kept_push_others_out),
        WITH(a_signature_verifies_with_the_certificate),
        WITH(nothing_is_signed_for_an_app_or_port_without_a_certificate),
        WITH(a_hash_that_is_unspecified_unknown_or_for_another_key_is_refused),
        WITH(a_digest_of_another_length_is_refused),
        WITH(pss_with_a_key_that_is_not_rsa_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
