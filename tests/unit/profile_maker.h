/* A profile with a certificate of its own making: for tests that need one on disk. */
#ifndef STILE_TESTS_PROFILE_MAKER_H
#define STILE_TESTS_PROFILE_MAKER_H

#include "agent/profile.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "testing.h"
#include "tls/certs.h"
#include "tls/keys.h"

/* life_s may be negative: it has expired then. */
static inline struct profile *profile_make(const char *name, const char *user, const char *gateway,
                                           int64_t life_s)
{
    struct profile *p = NEW(struct profile);
    assert_non_null(p);
    buf_init(&p->ca_pem, PROFILE_FILE_CAP);
    assert_int_equal(str_copy(p->name, sizeof(p->name), name), 0);
    assert_int_equal(str_copy(p->user, sizeof(p->user), user), 0);
    assert_int_equal(str_copy(p->gateway, sizeof(p->gateway), gateway), 0);
    assert_int_equal(str_copy(p->cluster.name, sizeof(p->cluster.name), "demo"), 0);
    assert_int_equal(str_copy(p->cluster.zones[0], PROFILE_HOST_SIZE, "demo.stile.test"), 0);
    p->cluster.zone_count = 1;
    p->expires_s = clock_wall_s() + life_s;
    assert_int_equal(key_new(&p->key), 0);
    const struct cert_spec spec = {.use = CERT_CA,
                                   .common_name = user,
                                   .not_before = clock_wall_s() - 7200,
                                   .not_after = clock_wall_s() + life_s};
    assert_int_equal(cert_issue(&spec, p->key, NULL, p->key, &p->cert, NULL), 0);
    assert_int_equal(cert_to_pem(p->cert, &p->ca_pem), 0);
    return p;
}

static inline void profile_put(const struct home *home, const char *name, const char *user,
                               const char *gateway, int64_t life_s)
{
    CLEANUP(profile_freep) struct profile *p = profile_make(name, user, gateway, life_s);
    struct diag d = {0};
    assert_int_equal(profile_save(home, p, &d), 0);
}

#endif
