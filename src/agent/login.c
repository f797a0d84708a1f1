#include "agent/login.h"

#include <string.h>

#include "agent/access.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "rpc/services.h"
#include "stile/access/v1/access.pb-c.h"
#include "tls/certs.h"
#include "tls/context.h"
#include "tls/keys.h"

struct attempt {
    struct loop *loop;
    const struct login_request *request;
    struct profile *profile; /* being filled */
    struct diag *diag;
};

/* The gateway may send anything: nothing of it is used unchecked. */
static int take_text(char *dst, size_t size, const char *from)
{
    if (!str_is_printable(slice_str(from)))
        return ERR_FORMAT;
    return str_copy(dst, size, from);
}

static int take_cluster(struct cluster *c, const Stile__Access__V1__Cluster *from)
{
    if (from == NULL || from->n_dns_zones > PROFILE_ZONES_MAX || from->name[0] == '\0')
        return ERR_FORMAT;
    int r = take_text(c->name, sizeof(c->name), from->name);
    if (r == 0)
        r = take_text(c->public_addr, sizeof(c->public_addr), from->public_addr);
    if (r == 0)
        r = take_text(c->gateway_version, sizeof(c->gateway_version), from->gateway_version);
    if (r == 0)
        r = take_text(c->ipv4_range, sizeof(c->ipv4_range), from->ipv4_cidr_range);
    for (size_t i = 0; r == 0 && i < from->n_dns_zones; i++)
        r = take_text(c->zones[i], sizeof(c->zones[i]), from->dns_zones[i]);
    c->zone_count = from->n_dns_zones;
    return r;
}

static int take_answer(struct attempt *at, const Stile__Access__V1__LogInResponse *from)
{
    struct profile *p = at->profile;
    const struct login_request *q = at->request;
    int r = take_cluster(&p->cluster, from->cluster);
    if (r < 0)
        return diag_set(at->diag, ERR_PROTOCOL, 0,
                        "Gateway %s sent a description of its cluster that can't be used",
                        q->gateway);
    r = cert_from_der(slice_of(from->cert.data, from->cert.len), &p->cert, at->diag);
    if (r < 0)
        return diag_prefix(at->diag,
                           "The certificate that gateway %s issued can't be read: ", q->gateway);
    if (X509_check_private_key(p->cert, p->key) != 1)
        return diag_set(at->diag, ERR_PROTOCOL, 0,
                        "Gateway %s issued a certificate for another key", q->gateway);
    p->expires_s = MIN(from->expires_s, cert_not_after(p->cert));
    /* With --ca the given CA stays the one that is trusted; a pin has just vouched for what the gateway sends. */
    struct slice ca = q->ca_pem.len > 0 ? q->ca_pem : slice_of(from->ca.data, from->ca.len);
    r = buf_put(&p->ca_pem, ca);
    if (r < 0)
        return diag_set(at->diag, r, 0, "The CA certificate is too large");
    return 0;
}

static int trust(const struct login_request *q, SSL_CTX **ret, struct diag *d)
{
    if (q->ca_pem.len > 0)
        return tls_client_context(q->ca_pem, ret, d);
    return tls_client_context_pinned(q->ca_pin, ret, d);
}

static void free_access(struct access **a)
{
    access_free(*a);
}

static int ask(struct attempt *at)
{
    CLEANUP(tls_context_freep) SSL_CTX *ctx = NULL;
    CLEANUP(free_access) struct access *access = NULL;
    CLEANUP(buf_release) struct buf spki;
    CLEANUP(mem_freep) char *user = mem_strdup(at->request->user);
    Stile__Access__V1__LogInRequest message = STILE__ACCESS__V1__LOG_IN_REQUEST__INIT;
    char version[] = STILE_VERSION;
    ProtobufCMessage *reply = NULL;
    buf_init(&spki, 4096);
    int r = trust(at->request, &ctx, at->diag);
    if (r < 0)
        return r;
    struct access_config config = {.gateway = at->request->gateway, .ctx = ctx};
    r = access_new(at->loop, &config, &access, at->diag);
    if (r < 0)
        return r;
    /* The caller began it: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    r = key_to_spki(at->profile->key, &spki);
    if (r < 0 || user == NULL)
        return diag_set(at->diag, ERR_NOMEM, 0, "Out of memory");
    message.user = user;
    message.password = (char *)(uintptr_t)at->request->password; /* only read */
    message.public_key =
        (ProtobufCBinaryData){.len = buf_len(&spki), .data = spki.data + spki.start};
    message.client_version = version;
    r = access_ask(access, &access_log_in, &message.base, &reply, at->diag);
    if (r < 0)
        return r;
    r = take_answer(at, (const Stile__Access__V1__LogInResponse *)reply);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

/* A profile of this name may be another gateway's. */
static int check_other(const struct home *home, const struct profile *p, const char *asked,
                       struct diag *d)
{
    CLEANUP(profile_freep) struct profile *old = NULL;
    if (asked != NULL || profile_load(home, p->name, &old, NULL) < 0 ||
        str_eq(old->gateway, p->gateway))
        return 0;
    return diag_set(d, ERR_EXISTS, 0,
                    "Profile %s is for gateway %s; choose another name with --profile NAME, or "
                    "replace it with --profile %s",
                    p->name, old->gateway, p->name);
}

static int profile_begin(const struct login_request *q, struct profile **ret, struct diag *d)
{
    uint16_t port = 0;
    CLEANUP(profile_freep) struct profile *p = NEW(struct profile);
    if (p == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    buf_init(&p->ca_pem, PROFILE_FILE_CAP);
    int r = profile_split_addr(q->gateway, p->gateway_name, &port, d);
    if (r < 0)
        return r;
    if (str_copy(p->gateway, sizeof(p->gateway), q->gateway) < 0 ||
        str_copy(p->user, sizeof(p->user), q->user) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "The name of the user or gateway is too long");
    r = key_new(&p->key);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to make a key: %s", err_text(r));
    *ret = STEAL(p);
    return 0;
}

int login(struct loop *loop, const struct home *home, const struct login_request *request,
          struct profile **ret, struct diag *d)
{
    CLEANUP(profile_freep) struct profile *p = NULL;
    struct diag own = {0};
    d = d != NULL ? d : &own;
    int r = request->profile != NULL ? profile_check_name(request->profile, d) : 0;
    if (r == 0)
        r = profile_begin(request, &p, d);
    if (r < 0)
        return r;
    struct attempt at = {.loop = loop, .request = request, .profile = p, .diag = d};
    r = ask(&at);
    if (r < 0)
        return r;
    const char *name = request->profile != NULL ? request->profile : p->cluster.name;
    if (str_copy(p->name, sizeof(p->name), name) < 0 || profile_check_name(p->name, NULL) < 0)
        return diag_set(d, ERR_INVAL, 0,
                        "Cluster \"%s\" can't name a profile; give one with "
                        "--profile NAME",
                        p->cluster.name);
    r = check_other(home, p, request->profile, d);
    if (r == 0)
        r = profile_save(home, p, d);
    if (r == 0)
        r = profile_set_default(home, p->name, d);
    if (r < 0)
        return r;
    *ret = STEAL(p);
    return 0;
}
