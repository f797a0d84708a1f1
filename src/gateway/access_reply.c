#include "gateway/access_reply.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

/* Generated messages have pointers to what isn't const; packing them writes nothing there. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static ProtobufCBinaryData bytes(struct slice s)
{
    return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)(uintptr_t)s.data};
}

static void no_memory(struct rpc_call *call)
{
    rpc_call_fail(call, RPC_RESOURCE_EXHAUSTED, "The gateway has run out of memory");
}

/* zones: caller's memory for the pointers, zone_count of them. */
static void fill_cluster(Stile__Access__V1__Cluster *m, const struct gateway_config *config,
                         char **zones)
{
    stile__access__v1__cluster__init(m);
    for (size_t i = 0; i < config->zone_count; i++)
        zones[i] = text(config->dns_zones[i].text);
    m->name = text(config->cluster);
    m->gateway_version = text(STILE_VERSION);
    m->public_addr = text(config->public_addr);
    m->dns_zones = zones;
    m->n_dns_zones = config->zone_count;
    m->ipv4_cidr_range = text(config->ipv4_range_text);
}

void access_reply_log_in(struct rpc_call *call, const struct ca *ca,
                         const struct gateway_config *config, struct slice cert_der,
                         int64_t expires_s)
{
    CLEANUP(buf_release) struct buf pem;
    CLEANUP(mem_freep) char **zones = mem_array(config->zone_count, sizeof(*zones));
    buf_init(&pem, 65536);
    if (zones == NULL || ca_pem(ca, &pem) < 0) {
        no_memory(call);
        return;
    }
    Stile__Access__V1__Cluster cluster;
    Stile__Access__V1__LogInResponse m = STILE__ACCESS__V1__LOG_IN_RESPONSE__INIT;
    fill_cluster(&cluster, config, zones);
    m.cert = bytes(cert_der);
    m.ca = bytes(buf_slice(&pem));
    m.cluster = &cluster;
    m.expires_s = expires_s;
    (void)rpc_call_reply(call, &m.base);
}

void access_reply_issue(struct rpc_call *call, struct slice cert_der, int64_t expires_s)
{
    Stile__Access__V1__IssueAppCertResponse m = STILE__ACCESS__V1__ISSUE_APP_CERT_RESPONSE__INIT;
    m.cert = bytes(cert_der);
    m.expires_s = expires_s;
    (void)rpc_call_reply(call, &m.base);
}

/* ---- apps ---- */

/* An app's message and what it points to, owned. */
struct app_message {
    Stile__Access__V1__App app;
    Stile__Access__V1__PortRange *ranges;
    Stile__Access__V1__PortRange **range_list;
};

static void app_message_release(struct app_message *m)
{
    mem_free(m->ranges);
    mem_free(m->range_list);
}

static int fill_app(struct app_message *m, const struct config_app *app)
{
    stile__access__v1__app__init(&m->app);
    m->ranges = mem_array(app->port_count, sizeof(*m->ranges));
    m->range_list = mem_array(app->port_count, sizeof(Stile__Access__V1__PortRange *));
    if (m->ranges == NULL || m->range_list == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < app->port_count; i++) {
        stile__access__v1__port_range__init(&m->ranges[i]);
        m->ranges[i].first = app->ports[i].first;
        m->ranges[i].last = app->ports[i].last;
        m->range_list[i] = &m->ranges[i];
    }
    m->app.name = text(app->name);
    m->app.public_name = text(app->public_name.text);
    m->app.ports = m->range_list;
    m->app.n_ports = app->port_count;
    m->app.web = app->web;
    m->app.http_hosts = app->http_hosts.items;
    m->app.n_http_hosts = app->http_hosts.count;
    return 0;
}

void access_reply_resolve(struct rpc_call *call, const struct config_app *app)
{
    CLEANUP(app_message_release) struct app_message a = {.ranges = NULL};
    if (fill_app(&a, app) < 0) {
        no_memory(call);
        return;
    }
    Stile__Access__V1__ResolveAppResponse m = STILE__ACCESS__V1__RESOLVE_APP_RESPONSE__INIT;
    m.app = &a.app;
    (void)rpc_call_reply(call, &m.base);
}

static int fill_list(struct app_message *apps, Stile__Access__V1__App **list, size_t *count,
                     const struct gateway_config *config, const struct state_user *user)
{
    for (size_t i = 0; i < config->app_count; i++) {
        if (!directory_may_use(&config->apps[i], user->name, &user->groups))
            continue;
        size_t at = (*count)++;
        int r = fill_app(&apps[at], &config->apps[i]);
        if (r < 0)
            return r;
        list[at] = &apps[at].app;
    }
    return 0;
}

void access_reply_list(struct rpc_call *call, const struct gateway_config *config,
                       const struct state_user *user)
{
    struct app_message *apps = mem_array(config->app_count, sizeof(*apps));
    Stile__Access__V1__App **list = mem_array(config->app_count, sizeof(Stile__Access__V1__App *));
    char **zones = mem_array(config->zone_count, sizeof(*zones));
    size_t count = 0;
    int r = apps == NULL || list == NULL || zones == NULL ? ERR_NOMEM : 0;
    if (r == 0)
        r = fill_list(apps, list, &count, config, user);
    if (r == 0) {
        Stile__Access__V1__Cluster cluster;
        Stile__Access__V1__ListAppsResponse m = STILE__ACCESS__V1__LIST_APPS_RESPONSE__INIT;
        fill_cluster(&cluster, config, zones);
        m.cluster = &cluster;
        m.apps = list;
        m.n_apps = count;
        m.server_time_us = clock_wall_us();
        (void)rpc_call_reply(call, &m.base);
    } else {
        no_memory(call);
    }
    for (size_t i = 0; i < count; i++)
        app_message_release(&apps[i]);
    mem_free(apps);
    mem_free(list);
    mem_free(zones);
}
