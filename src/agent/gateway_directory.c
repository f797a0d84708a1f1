#include "agent/gateway_directory.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "rpc/services.h"
#include "tls/certs.h"

/* What one app may have: more would be a mistake or an attack of the gateway. */
#define APP_PORTS_MAX 256
#define APP_HOSTS_MAX 64
#define APP_NAME_MAX  63

/* One question on its way. Holds what the request borrows. */
struct question {
    struct clusters *clusters;
    char profile[PROFILE_NAME_SIZE];
    char text[PROFILE_HOST_SIZE]; /* the name, or the app's */
    Stile__Access__V1__ResolveAppRequest resolve;
    Stile__Access__V1__IssueAppCertRequest issue;
    directory_resolve_fn *resolved;
    directory_issue_fn *issued;
    void *arg;
    uint8_t spki[]; /* of issue */
};

static int logged_out(const char *profile, struct diag *d)
{
    return diag_set(d, ERR_AUTH, 0,
                    "You are not logged in to %s any more; log in with: stile login --profile %s",
                    profile, profile);
}

static int gateway_lied(const struct member *m, const char *what, struct diag *d)
{
    return diag_set(d, ERR_PROTOCOL, 0,
                    "Gateway %s sent %s; is it as old or new as this stile (%s)?",
                    m->profile->gateway, what, STILE_VERSION);
}

static bool good_text(const char *s, size_t max)
{
    struct slice text = slice_str(s);
    return text.len > 0 && text.len <= max && str_is_printable(text);
}

static int check_app(const struct member *m, const Stile__Access__V1__App *app, const char *fqdn,
                     struct diag *d)
{
    if (app == NULL || !good_text(app->name, APP_NAME_MAX) ||
        !str_eq_nocase(app->public_name, fqdn))
        return gateway_lied(m, "another app than was asked for", d);
    if (app->n_ports > APP_PORTS_MAX || app->n_http_hosts > APP_HOSTS_MAX)
        return gateway_lied(m, "an app with too many ports or hosts", d);
    for (size_t i = 0; i < app->n_ports; i++)
        if (app->ports[i]->first == 0 || app->ports[i]->first > app->ports[i]->last ||
            app->ports[i]->last > UINT16_MAX)
            return gateway_lied(m, "an app with an impossible port", d);
    for (size_t i = 0; i < app->n_http_hosts; i++)
        if (!good_text(app->http_hosts[i], 255))
            return gateway_lied(m, "an app with an impossible host", d);
    return 0;
}

/* Everything in it is borrowed: from the gateway's answer, from the member, from the arrays. */
static void answer_app(struct question *q, const struct member *m,
                       const Stile__Access__V1__App *from)
{
    Stile__Vnet__V1__PortRange ranges[APP_PORTS_MAX];
    Stile__Vnet__V1__PortRange *ports[APP_PORTS_MAX];
    app_key key = STILE__VNET__V1__APP_KEY__INIT;
    Stile__Vnet__V1__App app = STILE__VNET__V1__APP__INIT;
    Stile__Vnet__V1__DialOptions dial = STILE__VNET__V1__DIAL_OPTIONS__INIT;
    app_info info = STILE__VNET__V1__APP_INFO__INIT;
    struct slice ca = buf_slice(&m->profile->ca_pem);
    for (size_t i = 0; i < from->n_ports; i++) {
        stile__vnet__v1__port_range__init(&ranges[i]);
        ranges[i].first = from->ports[i]->first;
        ranges[i].last = from->ports[i]->last;
        ports[i] = &ranges[i];
    }
    key.profile = m->profile->name;
    key.name = from->name;
    app.name = from->name;
    app.public_name = from->public_name;
    app.n_ports = from->n_ports;
    app.ports = ports;
    app.web = from->web;
    app.n_http_hosts = from->n_http_hosts;
    app.http_hosts = from->http_hosts;
    dial.web_proxy_addr = m->profile->gateway;
    dial.sni = m->profile->gateway_name;
    dial.root_cluster_ca_cert_pool = (ProtobufCBinaryData){
        .len = ca.len, .data = m->profile->ca_pem.data + m->profile->ca_pem.start};
    info.app_key = &key;
    info.cluster = m->profile->cluster.name;
    info.app = &app;
    info.ipv4_cidr_range = m->profile->cluster.ipv4_range;
    if (m->listing != NULL && m->listing->cluster != NULL)
        info.ipv4_cidr_range = m->listing->cluster->ipv4_cidr_range;
    info.dial_options = &dial;
    q->resolved(q->arg, 0, &info, NULL);
}

static void fail_resolve(struct question *q, const struct diag *d)
{
    q->resolved(q->arg, d->err, NULL, d);
}

static void on_resolved(void *arg, int err, const ProtobufCMessage *reply, const struct diag *cause)
{
    CLEANUP(mem_freep) struct question *q = arg;
    struct diag d = {0};
    struct member *m = err == ERR_CANCELED ? NULL : clusters_find(q->clusters, q->profile);
    if (err == ERR_NOTFOUND) {
        diag_set(&d, err, 0, "%s is no app that you may use; `stile apps` lists them", q->text);
        fail_resolve(q, &d);
        return;
    }
    if (err < 0 || m == NULL) {
        if (err == 0)
            diag_set(&d, ERR_CANCELED, 0, "You have logged out of %s", q->profile);
        fail_resolve(q, err < 0 ? cause : &d);
        return;
    }
    const Stile__Access__V1__App *app = ((const Stile__Access__V1__ResolveAppResponse *)reply)->app;
    if (check_app(m, app, q->text, &d) < 0)
        fail_resolve(q, &d);
    else
        answer_app(q, m, app);
}

static struct question *question_new(struct clusters *c, const char *profile, const char *text,
                                     struct slice spki)
{
    struct question *q = mem_zalloc(sizeof(*q) + spki.len);
    if (q == NULL)
        return NULL;
    q->clusters = c;
    if (str_copy(q->profile, sizeof(q->profile), profile) < 0 ||
        str_copy(q->text, sizeof(q->text), text) < 0) {
        mem_free(q);
        return NULL;
    }
    if (spki.len > 0)
        memcpy(q->spki, spki.data, spki.len);
    return q;
}

static int call_failed(struct question *q, const struct member *m, int err, struct diag *d)
{
    mem_free(q);
    return diag_set(d, err, 0, "Failed to ask gateway %s: %s", m->profile->gateway, err_text(err));
}

static int resolve(void *self, const char *fqdn, directory_resolve_fn *done, void *arg,
                   struct diag *d)
{
    struct clusters *c = self;
    struct member *m = clusters_for_name(c, fqdn);
    if (m == NULL)
        return diag_set(d, ERR_NOTFOUND, 0, "%s is in no zone of a cluster you are logged in to",
                        fqdn);
    if (profile_expired(m->profile))
        return profile_log_in_again(m->profile, d);
    struct question *q = question_new(c, m->profile->name, fqdn, (struct slice){0});
    if (q == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    q->resolved = done;
    q->arg = arg;
    stile__access__v1__resolve_app_request__init(&q->resolve);
    q->resolve.fqdn = q->text;
    int r = access_call(m->access, &access_resolve_app, &q->resolve.base, on_resolved, q);
    return r < 0 ? call_failed(q, m, r, d) : 0;
}

static void on_issued(void *arg, int err, const ProtobufCMessage *reply, const struct diag *cause)
{
    CLEANUP(mem_freep) struct question *q = arg;
    CLEANUP(cert_freep) X509 *cert = NULL;
    struct diag d = {0};
    struct member *m = err == ERR_CANCELED ? NULL : clusters_find(q->clusters, q->profile);
    if (err == ERR_AUTH && m != NULL) {
        profile_log_in_again(m->profile, &d);
        q->issued(q->arg, d.err, NULL, &d);
        return;
    }
    if (err < 0) {
        q->issued(q->arg, err, NULL, cause);
        return;
    }
    const Stile__Access__V1__IssueAppCertResponse *r =
        (const Stile__Access__V1__IssueAppCertResponse *)reply;
    err = cert_from_der(slice_of(r->cert.data, r->cert.len), &cert, &d);
    if (err < 0)
        diag_prefix(&d, "The gateway's certificate for %s can't be read: ", q->text);
    q->issued(q->arg, err, cert, &d);
}

static int issue(void *self, const app_key *key, uint16_t port, struct slice spki,
                 directory_issue_fn *done, void *arg, struct diag *d)
{
    struct clusters *c = self;
    struct member *m = clusters_find(c, key->profile);
    if (m == NULL)
        return logged_out(key->profile, d);
    if (profile_expired(m->profile))
        return profile_log_in_again(m->profile, d);
    struct question *q = question_new(c, key->profile, key->name, spki);
    if (q == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    q->issued = done;
    q->arg = arg;
    stile__access__v1__issue_app_cert_request__init(&q->issue);
    q->issue.app = q->text;
    q->issue.port = port;
    q->issue.public_key = (ProtobufCBinaryData){.len = spki.len, .data = q->spki};
    int r = access_call(m->access, &access_issue_app_cert, &q->issue.base, on_issued, q);
    return r < 0 ? call_failed(q, m, r, d) : 0;
}

static int check(void *self, const app_key *key, struct diag *d)
{
    struct member *m = clusters_find(self, key->profile);
    if (m == NULL)
        return logged_out(key->profile, d);
    return profile_expired(m->profile) ? profile_log_in_again(m->profile, d) : 0;
}

static void add_name(struct name_list *l, const char *name)
{
    if (str_is_empty(name) || l->count == DIRECTORY_NAMES_MAX)
        return;
    for (size_t i = 0; i < l->count; i++)
        if (str_eq_nocase(l->names[i], name))
            return;
    l->names[l->count++] = name;
}

static void zones(void *self, struct directory_zones *ret)
{
    struct clusters *c = self;
    ret->zones.count = ret->ranges.count = ret->forwarded.count = 0;
    for (size_t i = 0; i < clusters_count(c); i++) {
        const struct member *m = clusters_at(c, i);
        for (size_t z = 0; z < member_zone_count(m); z++)
            add_name(&ret->zones, member_zone(m, z));
        add_name(&ret->ranges, member_range(m));
        add_name(&ret->forwarded, m->profile->gateway_name);
        add_name(&ret->forwarded, m->profile->public_name);
        for (size_t a = 0; m->listing != NULL && a < m->listing->n_apps; a++)
            if (m->listing->apps[a]->web)
                add_name(&ret->forwarded, m->listing->apps[a]->public_name);
    }
}

static const struct directory_ops ops = {
    .zones = zones, .check = check, .resolve = resolve, .issue = issue};

struct directory gateway_directory(struct clusters *clusters)
{
    return (struct directory){.ops = &ops, .self = clusters};
}
