/* A directory whose answers come when the test says so: for the tests of what stands on agent/directory.h. */
#ifndef STILE_TESTS_FAKE_DIRECTORY_H
#define STILE_TESTS_FAKE_DIRECTORY_H

#include <string.h>

#include "agent/directory.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "testing.h"
#include "tls/certs.h"
#include "tls/keys.h"

#define FAKE_PENDING_MAX 64

struct fake_resolve {
    char fqdn[256];
    directory_resolve_fn *done;
    void *arg;
};

struct fake_issue {
    EVP_PKEY *public_key;
    uint16_t port;
    directory_issue_fn *done;
    void *arg;
};

struct fake_directory {
    EVP_PKEY *ca_key;
    X509 *ca;
    struct fake_resolve resolves[FAKE_PENDING_MAX];
    size_t resolve_count; /* waiting */
    struct fake_issue issues[FAKE_PENDING_MAX];
    size_t issue_count; /* waiting */
    int resolves_asked;
    int issues_asked;
    int fail_now;      /* questions fail at once with this, 0: no */
    int check_err;     /* what check says */
    int64_t life_s;    /* of certificates */
    EVP_PKEY *instead; /* certify this key, whatever was asked */
    const char *zone;  /* NULL: demo.stile.test */
};

/* An app "pg" with the ports 5432 and 6000-6010, as the directory tells of it. */
struct fake_app {
    app_info info;
    app_key key;
    Stile__Vnet__V1__App app;
    Stile__Vnet__V1__DialOptions dial;
    Stile__Vnet__V1__PortRange ranges[2];
    Stile__Vnet__V1__PortRange *ports[2];
    char texts[8][64];
};

static inline char *fake_text(struct fake_app *a, size_t i, const char *text)
{
    assert_int_equal(str_copy(a->texts[i], sizeof(a->texts[i]), text), 0);
    return a->texts[i];
}

static inline void fake_app_init(struct fake_app *a, const char *public_name)
{
    memset(a, 0, sizeof(*a));
    stile__vnet__v1__app_info__init(&a->info);
    stile__vnet__v1__app_key__init(&a->key);
    stile__vnet__v1__app__init(&a->app);
    stile__vnet__v1__dial_options__init(&a->dial);
    for (size_t i = 0; i < 2; i++) {
        stile__vnet__v1__port_range__init(&a->ranges[i]);
        a->ports[i] = &a->ranges[i];
    }
    a->ranges[0].first = a->ranges[0].last = 5432;
    a->ranges[1].first = 6000;
    a->ranges[1].last = 6010;
    a->key.profile = fake_text(a, 0, "demo");
    a->key.name = fake_text(a, 1, "pg");
    a->app.name = fake_text(a, 2, "pg");
    a->app.public_name = fake_text(a, 3, public_name);
    a->app.n_ports = 2;
    a->app.ports = a->ports;
    a->dial.web_proxy_addr = fake_text(a, 4, "127.0.0.1:7443");
    a->dial.sni = fake_text(a, 5, "127.0.0.1");
    a->info.app_key = &a->key;
    a->info.cluster = fake_text(a, 6, "demo");
    a->info.app = &a->app;
    a->info.ipv4_cidr_range = fake_text(a, 7, "100.64.0.0/10");
    a->info.dial_options = &a->dial;
}

static inline void fake_zones(void *self, struct directory_zones *ret)
{
    struct fake_directory *f = self;
    memset(ret, 0, sizeof(*ret));
    ret->zones.names[ret->zones.count++] = f->zone != NULL ? f->zone : "demo.stile.test";
    ret->ranges.names[ret->ranges.count++] = "100.64.0.0/10";
    ret->forwarded.names[ret->forwarded.count++] = "gw.demo.stile.test";
}

static inline int fake_check(void *self, const app_key *key, struct diag *d)
{
    struct fake_directory *f = self;
    (void)key;
    return f->check_err == 0 ? 0 : diag_set(d, f->check_err, 0, "log in again with: stile login");
}

static inline int fake_resolve_op(void *self, const char *fqdn, directory_resolve_fn *done,
                                  void *arg, struct diag *d)
{
    struct fake_directory *f = self;
    f->resolves_asked++;
    if (f->fail_now != 0)
        return diag_set(d, f->fail_now, 0, "as the test wants");
    assert_true(f->resolve_count < FAKE_PENDING_MAX);
    struct fake_resolve *q = &f->resolves[f->resolve_count++];
    assert_int_equal(str_copy(q->fqdn, sizeof(q->fqdn), fqdn), 0);
    q->done = done;
    q->arg = arg;
    return 0;
}

static inline int fake_issue_op(void *self, const app_key *key, uint16_t port, struct slice spki,
                                directory_issue_fn *done, void *arg, struct diag *d)
{
    struct fake_directory *f = self;
    (void)key;
    f->issues_asked++;
    if (f->fail_now != 0)
        return diag_set(d, f->fail_now, 0, "as the test wants");
    assert_true(f->issue_count < FAKE_PENDING_MAX);
    struct fake_issue *q = &f->issues[f->issue_count++];
    assert_int_equal(key_from_spki(spki, &q->public_key, d), 0);
    q->port = port;
    q->done = done;
    q->arg = arg;
    return 0;
}

static inline struct directory fake_directory_init(struct fake_directory *f)
{
    static const struct directory_ops ops = {.zones = fake_zones,
                                             .check = fake_check,
                                             .resolve = fake_resolve_op,
                                             .issue = fake_issue_op};
    memset(f, 0, sizeof(*f));
    f->life_s = 3600;
    assert_int_equal(key_new(&f->ca_key), 0);
    const struct cert_spec spec = {.use = CERT_CA,
                                   .common_name = "test CA",
                                   .not_before = clock_wall_s() - 60,
                                   .not_after = clock_wall_s() + 7200};
    assert_int_equal(cert_issue(&spec, f->ca_key, NULL, f->ca_key, &f->ca, NULL), 0);
    return (struct directory){.ops = &ops, .self = f};
}

/* Answers those that wait (and not those that come meanwhile): 0, or a failure. */
static inline void fake_answer_resolves(struct fake_directory *f, int err)
{
    struct fake_resolve batch[FAKE_PENDING_MAX];
    size_t count = f->resolve_count;
    memcpy(batch, f->resolves, sizeof(batch));
    f->resolve_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct fake_app app;
        struct diag d = {0};
        fake_app_init(&app, batch[i].fqdn);
        if (err < 0)
            diag_set(&d, err, 0, "as the test wants");
        batch[i].done(batch[i].arg, err, err < 0 ? NULL : &app.info, &d);
    }
}

static inline void fake_answer_issues(struct fake_directory *f, int err)
{
    struct fake_issue batch[FAKE_PENDING_MAX];
    size_t count = f->issue_count;
    memcpy(batch, f->issues, sizeof(batch));
    f->issue_count = 0;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(cert_freep) X509 *cert = NULL;
        struct diag d = {0};
        const struct cert_spec spec = {.use = CERT_CLIENT,
                                       .common_name = "alice",
                                       .not_before = clock_wall_s() - 60,
                                       .not_after = clock_wall_s() + f->life_s};
        EVP_PKEY *key = f->instead != NULL ? f->instead : batch[i].public_key;
        assert_int_equal(cert_issue(&spec, key, f->ca, f->ca_key, &cert, &d), 0);
        if (err < 0)
            diag_set(&d, err, 0, "as the test wants");
        batch[i].done(batch[i].arg, err, err < 0 ? NULL : cert, &d);
        EVP_PKEY_free(batch[i].public_key);
    }
}

static inline void fake_directory_release(struct fake_directory *f)
{
    fake_answer_resolves(f, ERR_CANCELED);
    fake_answer_issues(f, ERR_CANCELED);
    X509_free(f->ca);
    EVP_PKEY_free(f->ca_key);
}

#endif
