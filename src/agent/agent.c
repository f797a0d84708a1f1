#include "agent/agent.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/application_server.h"
#include "agent/certs.h"
#include "agent/control_server.h"
#include "agent/dial_service.h"
#include "agent/gateway_directory.h"
#include "agent/network.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/stream.h"
#include "platform/secrets.h"

#define COMMAND_SIZE 512

struct agent {
    struct loop *loop;
    struct agent_config config;
    struct agent_events events;
    void *arg;
    char command[COMMAND_SIZE];
    int64_t started_us;
    struct home home;
    struct clusters *clusters;
    struct directory directory;
    struct lookups *lookups;
    struct certs *certs;
    struct connection_log *connections;
    struct notices notices;
    struct control_server *control;
    struct channel_setup setup;
    char interface_name[16]; /* empty until there is one */
    struct agent_state state;
    /* The engine being served: both NULL when there is none. */
    struct application_server *server;
    struct dial_service *dial_service;
    bool session_over; /* the engine's end is wanted */
    struct defer gone;
    struct diag gone_why;
};

/* Tells of the engine's end once, whichever of its channels shows it first. */
static void engine_gone(struct agent *a, const char *why)
{
    if (defer_pending(&a->gone))
        return;
    diag_set(&a->gone_why, ERR_CLOSED, 0, "The engine is gone: %s", why);
    if (a->session_over)
        connection_log_end_session(a->connections, a->config.mode == AGENT_UP
                                                       ? "the session has ended"
                                                       : "the program has ended");
    else
        connection_log_end_all(a->connections, "the engine ended");
    defer_start(a->loop, &a->gone);
}

static void tell_gone(void *arg)
{
    struct agent *a = arg;
    application_server_free(STEAL(a->server));
    dial_service_free(STEAL(a->dial_service));
    a->interface_name[0] = '\0';
    a->events.on_engine_gone(a->arg, a->gone_why.text);
}

static void on_rpc_closed(void *arg, int err, const struct diag *d)
{
    engine_gone(arg, err == ERR_CLOSED || d == NULL ? "it has ended" : d->text);
}

static void on_dial_closed(void *arg, const char *reason)
{
    engine_gone(arg, reason);
}

static void on_profile(void *arg, const char *profile)
{
    struct agent *a = arg;
    /* Called while the agent is being made, too. */
    if (a->certs != NULL)
        certs_drop(a->certs, profile);
    if (a->lookups != NULL)
        lookups_clear(a->lookups);
    notices_forget(&a->notices);
}

static void on_change(void *arg)
{
    struct agent *a = arg;
    agent_zones_changed(a);
    /* Called while the agent is being made, too. */
    if (a->control != NULL && a->events.on_change != NULL)
        a->events.on_change(a->arg);
}

static void on_stop(void *arg)
{
    struct agent *a = arg;
    a->events.on_stop(a->arg);
}

static void on_connection(void *arg, const struct connection *c)
{
    struct agent *a = arg;
    a->events.on_connection(a->arg, c);
}

static void on_network_stack(void *arg, const Stile__Vnet__V1__ReportNetworkStackRequest *stack)
{
    struct agent *a = arg;
    (void)str_format(a->interface_name, sizeof(a->interface_name), "%s", stack->interface_name);
    if (a->events.on_engine_serves != NULL)
        a->events.on_engine_serves(a->arg);
}

static const char *const mode_names[] = {[AGENT_RUN] = "run", [AGENT_UP] = "up"};

static void served_zones(void *self, struct directory_zones *ret);

static void status(void *arg,
                   void (*reply)(void *reply_arg, const Stile__Agent__V1__GetStatusResponse *s),
                   void *reply_arg)
{
    struct agent *a = arg;
    Stile__Agent__V1__GetStatusResponse s = STILE__AGENT__V1__GET_STATUS_RESPONSE__INIT;
    CLEANUP(mem_freep) struct directory_zones *zones = NEW(struct directory_zones);
    char version[] = STILE_VERSION;
    char prefix[NETWORK_TEXT_SIZE] = "";
    char texts[CHANNEL_RANGES_MAX][NETWORK_TEXT_SIZE];
    char *ranges[CHANNEL_RANGES_MAX];
    if (a->setup.ipv6_prefix[0] != 0 && (a->setup.flags & CHANNEL_SETUP_NO_IPV6) == 0)
        network_prefix_text(&a->setup, prefix);
    for (size_t i = 0; i < a->setup.range_count; i++) {
        network_range_text(&a->setup, i, texts[i]);
        ranges[i] = texts[i];
    }
    if (zones != NULL) {
        served_zones(a, zones);
        s.n_dns_zones = zones->zones.count;
        s.dns_zones = (char **)(uintptr_t)zones->zones.names;
    }
    s.version = version;
    s.mode = (char *)(uintptr_t)mode_names[a->config.mode];
    s.pid = (uint32_t)getpid();
    s.command = a->command;
    s.interface_name = a->interface_name;
    s.ipv6_prefix = prefix;
    s.state = (char *)(uintptr_t)(a->state.name != NULL ? a->state.name : "");
    s.detail = a->state.detail;
    s.dns_backend = a->state.dns_backend;
    s.n_ipv4_ranges = a->setup.range_count;
    s.ipv4_ranges = ranges;
    s.started_us = a->started_us;
    s.no_ipv4 = (a->setup.flags & CHANNEL_SETUP_NO_IPV4) != 0;
    s.no_ipv6 = (a->setup.flags & CHANNEL_SETUP_NO_IPV6) != 0;
    s.open_connections = (uint32_t)connection_log_open_count(a->connections);
    reply(reply_arg, &s);
}

/* At least one log-in, of those named if some are, or why not. */
static int check_log_ins(const struct agent *a, struct diag *d)
{
    struct profile_names names;
    char chosen[PROFILE_NAME_SIZE];
    int r = 0;
    for (size_t i = 0; r == 0 && a->config.profiles != NULL && a->config.profiles[i] != NULL; i++)
        r = profile_choose(&a->home, a->config.profiles[i], chosen, d);
    if (r < 0 || a->config.profiles != NULL)
        return r;
    r = profile_list(&a->home, &names, d);
    if (r == 0 && names.count == 0)
        r = profile_choose(&a->home, NULL, chosen, d); /* says how to log in */
    return r;
}

static int open_profiles(struct agent *a, struct diag *d)
{
    bool needed = a->config.mode == AGENT_RUN;
    int r = needed ? check_log_ins(a, d) : 0;
    if (r < 0)
        return r;
    const struct clusters_events events = {.on_profile = on_profile, .on_change = on_change};
    r = clusters_new(a->loop, &a->home, a->config.profiles, &events, a, &a->clusters, d);
    if (r < 0)
        return r;
    if (needed && clusters_count(a->clusters) == 0)
        return diag_set(d, ERR_NOTFOUND, 0,
                        "No profile can be used; log in again with: stile login");
    a->directory = gateway_directory(a->clusters);
    return 0;
}

static int choose_network(struct agent *a)
{
    CLEANUP(mem_freep) struct directory_zones *zones = NEW(struct directory_zones);
    struct resolvers resolvers;
    if (zones == NULL)
        return ERR_NOMEM;
    a->directory.ops->zones(a->directory.self, zones);
    resolvers_load(RESOLV_CONF_PATH, &resolvers);
    uint32_t flags = (a->config.no_ipv4 ? CHANNEL_SETUP_NO_IPV4 : 0) |
                     (a->config.no_ipv6 ? CHANNEL_SETUP_NO_IPV6 : 0);
    network_choose(&zones->ranges, &resolvers, flags, &a->setup);
    return 0;
}

static int start(struct agent *a, struct diag *d)
{
    int r = home_open(a->config.home, &a->home, d);
    if (r == 0)
        r = open_profiles(a, d);
    if (r < 0)
        return r;
    if (a->config.mode == AGENT_RUN)
        r = choose_network(a);
    if (r == 0)
        r = lookups_new(a->directory, NULL, &a->lookups);
    if (r == 0)
        r = certs_new(a->directory, &a->certs);
    if (r == 0)
        r = connection_log_new(a->loop, &a->home, &a->connections);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to start the agent: %s", err_text(r));
    if (a->events.on_connection != NULL)
        connection_log_watch(a->connections, on_connection, a);
    const struct control_server_config control = {
        .loop = a->loop,
        .home = &a->home,
        .connections = a->connections,
        .status = status,
        .stop = a->events.on_stop != NULL ? on_stop : NULL,
        .arg = a,
    };
    return control_server_new(&control, &a->control, d);
}

int agent_new(struct loop *loop, const struct agent_config *config,
              const struct agent_events *events, void *arg, struct agent **ret, struct diag *d)
{
    secrets_guard_process();
    struct agent *a = NEW(struct agent);
    if (a == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    a->loop = loop;
    a->config = *config;
    a->events = *events;
    a->arg = arg;
    a->started_us = clock_wall_us();
    a->home = HOME_NONE;
    a->notices.show = events->on_notice;
    a->notices.arg = arg;
    defer_init(&a->gone, tell_gone, a);
    (void)str_format(a->command, sizeof(a->command), "%s",
                     config->command != NULL ? config->command : "");
    int r = start(a, d);
    if (r < 0) {
        agent_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

void agent_free(struct agent *a)
{
    if (a == NULL)
        return;
    defer_stop(&a->gone);
    application_server_free(STEAL(a->server));
    dial_service_free(STEAL(a->dial_service));
    control_server_free(a->control);
    if (a->connections != NULL)
        connection_log_end_all(a->connections, "the agent ended");
    /* Before those who wait for its answers. */
    clusters_free(a->clusters);
    lookups_free(a->lookups);
    certs_free(a->certs);
    connection_log_free(a->connections);
    home_close(&a->home);
    mem_free(a);
}

void agent_end_engine(struct agent *a)
{
    a->session_over = true;
    dial_service_free(STEAL(a->dial_service));
}

const struct channel_setup *agent_setup(const struct agent *a)
{
    return &a->setup;
}

void agent_set_network(struct agent *a, const struct channel_setup *setup,
                       const char *interface_name)
{
    a->setup = *setup;
    (void)str_format(a->interface_name, sizeof(a->interface_name), "%s", interface_name);
}

void agent_set_resolvers(struct agent *a, const struct channel_resolvers *resolvers)
{
    a->setup.resolver_count = resolvers->resolver_count;
    memcpy(a->setup.resolvers, resolvers->resolvers, sizeof(a->setup.resolvers));
    if (a->dial_service != NULL)
        dial_service_resolvers_changed(a->dial_service);
}

void agent_set_state(struct agent *a, const struct agent_state *state)
{
    a->state = *state;
}

struct clusters *agent_clusters(struct agent *a)
{
    return a->clusters;
}

void agent_zones(struct agent *a, struct directory_zones *ret)
{
    a->directory.ops->zones(a->directory.self, ret);
}

/* ---- the engine's view of the directory ---- */

static void served_zones(void *self, struct directory_zones *ret)
{
    struct agent *a = self;
    struct name_list *zones = &ret->zones;
    size_t kept = 0;
    agent_zones(a, ret);
    for (size_t i = 0; i < zones->count; i++)
        if (a->events.serves_zone == NULL || a->events.serves_zone(a->arg, zones->names[i]))
            zones->names[kept++] = zones->names[i];
    zones->count = kept;
}

static int served_check(void *self, const app_key *key, struct diag *d)
{
    struct agent *a = self;
    return a->directory.ops->check(a->directory.self, key, d);
}

/* Names are resolved by lookups, certificates issued by certs. */
static const struct directory_ops served_ops = {.zones = served_zones, .check = served_check};

void agent_zones_changed(struct agent *a)
{
    if (a->server != NULL)
        application_server_zones_changed(a->server);
}

const struct home *agent_home(const struct agent *a)
{
    return &a->home;
}

void agent_notice(struct agent *a, const char *fmt, ...)
{
    char text[NOTICE_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    notices_tell(&a->notices, "%s", text);
}

int agent_serve_engine(struct agent *a, struct stream *stream)
{
    if (a->server != NULL || defer_pending(&a->gone))
        return ERR_BUSY;
    a->session_over = false;
    const struct application_server_config config = {.loop = a->loop,
                                                     .directory = {&served_ops, a},
                                                     .lookups = a->lookups,
                                                     .certs = a->certs,
                                                     .connections = a->connections,
                                                     .notices = &a->notices,
                                                     .on_network_stack = on_network_stack,
                                                     .on_closed = on_rpc_closed,
                                                     .arg = a};
    return application_server_new(stream, &config, &a->server);
}

int agent_serve_dial(struct agent *a, int fd)
{
    if (a->dial_service != NULL || defer_pending(&a->gone))
        return ERR_BUSY;
    const struct dial_service_config config = {.loop = a->loop,
                                               .clusters = a->clusters,
                                               .setup = &a->setup,
                                               .resolvers_of_setup = a->config.mode == AGENT_UP,
                                               .on_closed = on_dial_closed,
                                               .arg = a};
    return dial_service_new(fd, &config, &a->dial_service);
}
