#include "diag/gateway_facts.h"

#include "agent/access.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "diag/host_lookup.h"
#include "loop/timer.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"
#include "tls/certs.h"
#include "tls/context.h"

/* One gateway being asked. */
struct asking {
    struct gateway_facts *facts;
    size_t *open; /* how many of all are under way */
    struct access *access;
    Stile__Access__V1__ListAppsRequest request;
    int64_t asked_us;
    bool done;
    bool trusted; /* the handshake's verification went through */
};

struct round {
    struct asking *all; /* owned */
    size_t count;
    size_t open;
    struct timer timer;
    bool late;
    bool timer_closed;
};

/* Trust is not widened but in one point: what a wrong clock makes of a certificate must not keep us from asking the clock's
 * time. The findings tell of it, and nothing but the list of apps is asked on this connection. */
static int on_verify(int ok, X509_STORE_CTX *verification)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct asking *a = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    X509 *cert = X509_STORE_CTX_get0_cert(verification);
    int error = X509_STORE_CTX_get_error(verification);
    if (cert != NULL) {
        a->facts->has_cert = true;
        a->facts->cert_begins_s = cert_not_before(cert);
        a->facts->cert_ends_s = cert_not_after(cert);
    }
    if (!ok && (error == X509_V_ERR_CERT_NOT_YET_VALID || error == X509_V_ERR_CERT_HAS_EXPIRED)) {
        X509_STORE_CTX_set_error(verification, X509_V_OK);
        return 1;
    }
    a->trusted = ok == 1;
    return ok;
}

static enum gateway_stage stage_of(const struct asking *a, int err)
{
    if (err == 0)
        return GATEWAY_DONE;
    if (a->facts->has_cert)
        return a->trusted ? GATEWAY_ASK : GATEWAY_TLS;
    return err == ERR_UNREACHABLE || err == ERR_CANCELED ? GATEWAY_CONNECT : GATEWAY_TLS;
}

static void take_time(struct gateway_facts *f, const struct asking *a, int64_t server_us)
{
    int64_t now = clock_wall_us();
    f->has_time = server_us > 0;
    f->uncertainty_us = (now - a->asked_us) / 2;
    f->skew_us = server_us - (a->asked_us + f->uncertainty_us);
}

static void on_listed(void *arg, int err, const ProtobufCMessage *message, const struct diag *d)
{
    struct asking *a = arg;
    struct gateway_facts *f = a->facts;
    const Stile__Access__V1__ListAppsResponse *list =
        (const Stile__Access__V1__ListAppsResponse *)message;
    a->done = true;
    --*a->open;
    f->err = err;
    f->stage = stage_of(a, err);
    if (err < 0) {
        f->diag = *d;
        if (err == ERR_CANCELED)
            f->err = diag_set(&f->diag, ERR_TIMEOUT, 0, "Gateway %s didn't answer within %d s",
                              f->gateway, GATEWAY_PROBE_MS / 1000);
        return;
    }
    take_time(f, a, list->server_time_us);
    if (list->cluster != NULL)
        (void)str_format(f->version, sizeof(f->version), "%s", list->cluster->gateway_version);
}

static void copy_profile(struct gateway_facts *f, const struct profile *p)
{
    (void)str_format(f->user, sizeof(f->user), "%s", p->user);
    (void)str_format(f->cluster, sizeof(f->cluster), "%s", p->cluster.name);
    (void)str_format(f->gateway, sizeof(f->gateway), "%s", p->gateway);
    (void)str_format(f->gateway_name, sizeof(f->gateway_name), "%s", p->gateway_name);
    f->log_in_ends_s = p->expires_s;
    f->zone_count = p->cluster.zone_count;
    for (size_t i = 0; i < f->zone_count; i++)
        (void)str_format(f->zones[i], sizeof(f->zones[i]), "%s", p->cluster.zones[i]);
}

static int open_access(struct asking *a, struct loop *loop, const struct profile *p)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    struct gateway_facts *f = a->facts;
    int r = tls_client_context(buf_slice(&p->ca_pem), &ctx, &f->diag);
    if (r < 0)
        return r;
    SSL_CTX_set_app_data(ctx, a);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    const struct access_config config = {
        .gateway = p->gateway, .ctx = ctx, .cert = p->cert, .key = p->key};
    return access_new(loop, &config, &a->access, &f->diag);
}

/* err stands in the facts. */
static void ask(struct asking *a, struct loop *loop, const struct home *home)
{
    CLEANUP(profile_freep) struct profile *p = NULL;
    struct gateway_facts *f = a->facts;
    f->stage = GATEWAY_PROFILE;
    f->err = profile_load(home, f->profile, &p, &f->diag);
    if (f->err < 0)
        return;
    copy_profile(f, p);
    f->err = open_access(a, loop, p);
    if (f->err < 0)
        return;
    stile__access__v1__list_apps_request__init(&a->request);
    a->asked_us = clock_wall_us();
    f->err = access_call(a->access, &access_list_apps, &a->request.base, on_listed, a);
    if (f->err < 0)
        (void)diag_set(&f->diag, f->err, 0, "Failed to ask gateway %s: %s", f->gateway,
                       err_text(f->err));
    else
        ++*a->open;
}

static void on_late(void *round)
{
    ((struct round *)round)->late = true;
}

static void on_timer_closed(void *round)
{
    ((struct round *)round)->timer_closed = true;
}

static void wait_for_all(struct round *r, struct loop *loop)
{
    timer_start(&r->timer, GATEWAY_PROBE_MS);
    while (r->open > 0 && !r->late)
        loop_turn(loop, true);
    for (size_t i = 0; i < r->count; i++)
        access_free(r->all[i].access); /* calls that are open end as cancelled */
    timer_close(&r->timer, on_timer_closed);
    while (!r->timer_closed)
        loop_turn(loop, true);
}

static int ask_all(struct round *r, struct loop *loop, const struct home *home)
{
    int err = timer_init(&r->timer, loop, on_late, r);
    if (err < 0)
        return err;
    for (size_t i = 0; i < r->count; i++)
        ask(&r->all[i], loop, home);
    wait_for_all(r, loop);
    return 0;
}

/* The clock may be stopped by a slow handshake: its part of the time is no uncertainty of the answer. A second, short
 * question on an open connection would be exact to milliseconds; a minute is what matters here. */
int gateways_probe(struct loop *loop, const struct home *home, struct gateways *ret, struct diag *d)
{
    struct profile_names names;
    int err = profile_list(home, &names, d);
    if (err < 0)
        return err;
    struct gateway_facts *items = mem_array(names.count, sizeof(*items));
    struct round r = {.all = mem_array(names.count, sizeof(*r.all)), .count = names.count};
    err = items == NULL || r.all == NULL ? ERR_NOMEM : 0;
    for (size_t i = 0; err == 0 && i < names.count; i++) {
        r.all[i] = (struct asking){.facts = &items[i], .open = &r.open};
        (void)str_format(items[i].profile, sizeof(items[i].profile), "%s", names.names[i]);
    }
    if (err == 0)
        err = ask_all(&r, loop, home);
    mem_free(r.all);
    if (err < 0) {
        mem_free(items);
        return diag_set(d, err, 0, "Failed to ask the gateways: %s", err_text(err));
    }
    *ret = (struct gateways){.items = items, .count = names.count};
    return 0;
}

void gateways_look_up(struct gateways *g)
{
    size_t count = MIN(g->count * 2, HOST_LOOKUPS_MAX);
    CLEANUP(mem_freep) struct host_lookup *lookups = mem_array(count, sizeof(*lookups));
    if (lookups == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        lookups[i].version = i % 2 == 0 ? 4 : 6;
        (void)str_format(lookups[i].name, sizeof(lookups[i].name), "%s",
                         g->items[i / 2].gateway_name);
    }
    host_lookups_run(lookups, count, GATEWAY_LOOKUP_MS);
    for (size_t i = 0; i < count; i++)
        if (lookups[i].outcome == DNS_FOREIGN)
            g->items[i / 2].addresses[i % 2] = lookups[i].got;
}

void gateways_release(struct gateways *g)
{
    mem_free(g->items);
    *g = (struct gateways){.items = NULL};
}
