#include "broker/host.h"

#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "broker/network_plan.h"
#include "net/resolv_conf.h"
#include "netcfg/conflict.h"
#include "netcfg/dns_none.h"
#include "netcfg/os_linux.h"
#include "netcfg/rtnl.h"
#include "netcfg/service.h"

/* What is known of a session whose plan is applied, oldest first. */
struct network {
    struct list node;
    uint32_t session;
    struct ip_addr dns_server; /* version 0: it serves no zones */
    struct prefix prefix6;
    struct broker_resolvers told;
};

struct host {
    struct loop *loop;
    struct host_events events;
    void *arg;
    struct os_linux_options options;
    struct netcfg_service *service;
    struct list networks;
    struct defer telling;
    size_t leftovers;
    char backend[BROKER_BACKEND_SIZE];
    char last_recovery[BROKER_TEXT_SIZE];
    void (*closed)(void *arg);
    void *closed_arg;
};

struct request {
    struct host *host;
    uint32_t session;
    uint32_t flags; /* BROKER_NO_* of the plan */
    struct ip_addr dns_server;
    struct prefix prefix6;
    char notice[BROKER_TEXT_SIZE];
    host_done_fn *done;
    void *arg;
};

/* ---- log ---- */

static enum log_level level_of(enum netcfg_what what)
{
    if (what == NETCFG_FAILED || what == NETCFG_LEFT || what == NETCFG_NOTE)
        return LOG_WARN;
    return what == NETCFG_REPAIRED || what == NETCFG_WAITS ? LOG_INFO : LOG_DEBUG;
}

static void log_report(const struct netcfg_report *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (log_enabled(level_of(r->lines[i].what)))
            log_write(level_of(r->lines[i].what), "%s", r->lines[i].text);
    if (r->total > r->count)
        log_warn("%zu more changes of the host aren't listed", r->total - r->count);
}

static void note_result(struct host *h, const struct netcfg_result *result)
{
    h->leftovers = result->leftovers;
    (void)str_format(h->backend, sizeof(h->backend), "%s", result->dns_backend);
    log_report(&result->report);
}

/* ---- where a session's other names are asked ---- */

/* One back-end answers all of the host's questions: those that aren't for the oldest session go on to the next, and so on, and
 * from the last one to the host's resolvers. */
static bool is_chained(const struct host *h)
{
    return !str_eq(h->backend, "resolved") && !str_eq(h->backend, "none");
}

static const struct network *next_server(const struct host *h, const struct network *n)
{
    for (struct list *node = n->node.next; node != &h->networks; node = node->next) {
        const struct network *next = LIST_ENTRY(node, struct network, node);
        if (next->dns_server.version != 0)
            return next;
    }
    return NULL;
}

static void fill_resolvers(const struct host *h, const struct network *n,
                           struct broker_resolvers *ret)
{
    const struct resolvers *upstreams = netcfg_service_upstreams(h->service);
    const struct network *next = is_chained(h) ? next_server(h, n) : NULL;
    memset(ret, 0, sizeof(*ret));
    if (next != NULL) {
        ip_addr_format(&next->dns_server, ret->addrs[0]);
        ret->count = 1;
        return;
    }
    for (size_t i = 0; i < upstreams->count && ret->count < BROKER_RESOLVERS_MAX; i++)
        broker_text_set(ret->addrs[ret->count++], BROKER_RESOLVER_SIZE, upstreams->addrs[i]);
}

static struct network *next_to_tell(const struct host *h, struct broker_resolvers *ret_now)
{
    LIST_FOR_EACH (node, &h->networks) {
        struct network *n = LIST_ENTRY(node, struct network, node);
        fill_resolvers(h, n, ret_now);
        if (memcmp(ret_now, &n->told, sizeof(*ret_now)) != 0)
            return n;
    }
    return NULL;
}

/* Tells every session whose resolvers are other ones now. Whoever is told may end a session. */
static void tell_resolvers(void *arg)
{
    struct host *h = arg;
    struct broker_resolvers now;
    struct network *n;
    while ((n = next_to_tell(h, &now)) != NULL) {
        n->told = now;
        h->events.on_event(h->arg, n->session, BROKER_EVENT_RESOLVERS, "", &now);
    }
}

static struct network *find_network(const struct host *h, uint32_t session)
{
    LIST_FOR_EACH (node, &h->networks) {
        struct network *n = LIST_ENTRY(node, struct network, node);
        if (n->session == session)
            return n;
    }
    return NULL;
}

static struct network *note_network(struct host *h, const struct request *q)
{
    struct network *n = find_network(h, q->session);
    if (n == NULL) {
        n = NEW(struct network);
        if (n == NULL)
            return NULL;
        n->session = q->session;
        list_push_back(&h->networks, &n->node);
    }
    n->dns_server = q->dns_server;
    n->prefix6 = q->prefix6;
    return n;
}

static void forget_network(struct host *h, uint32_t session)
{
    struct network *n = find_network(h, session);
    if (n == NULL)
        return;
    list_remove(&n->node);
    mem_free(n);
}

/* ---- apply and end ---- */

/* What the person is told: how to configure DNS, or that another session's is asked first. */
static const char *notice_of(struct request *q, const struct netcfg_report *report)
{
    if (str_eq(q->host->backend, "none"))
        return q->notice;
    for (size_t i = 0; i < report->count; i++) {
        if (report->lines[i].what != NETCFG_WAITS)
            continue;
        (void)str_format(q->notice, sizeof(q->notice),
                         "%s. Until then that one is asked first and passes on what isn't its own",
                         report->lines[i].text);
        return q->notice;
    }
    return "";
}

static void on_applied(void *arg, const struct netcfg_result *result)
{
    struct request *q = arg;
    struct host *h = q->host;
    struct host_outcome o = {.err = result->err,
                             .d = &result->diag,
                             .flags = q->flags,
                             .notice = "",
                             .report = &result->report};
    note_result(h, result);
    if (o.err == 0) {
        struct network *n = note_network(h, q);
        if (n != NULL) {
            fill_resolvers(h, n, &n->told);
            o.resolvers = n->told;
        }
        o.notice = notice_of(q, &result->report);
    }
    q->done(q->arg, &o);
    mem_free(q);
    defer_start(h->loop, &h->telling);
}

static void on_ended(void *arg, const struct netcfg_result *result)
{
    struct request *q = arg;
    struct host_outcome o = {
        .err = result->err, .d = &result->diag, .notice = "", .report = &result->report};
    note_result(q->host, result);
    q->done(q->arg, &o);
    mem_free(q);
}

/* What of IPv6 the kernel would take; asks it, which is quick. */
static int find_families(const char *interface_name, const struct broker_network *n,
                         uint32_t *ret_flags, struct diag *d)
{
    uint32_t flags = n->flags & (BROKER_NO_IPV4 | BROKER_NO_IPV6);
    struct rtnl *r = NULL;
    if ((flags & BROKER_NO_IPV6) == 0) {
        int err = rtnl_open(&r, d);
        if (err < 0)
            return err;
        if (!rtnl_ipv6_available(r, interface_name))
            flags |= BROKER_NO_IPV6;
        rtnl_close(r);
    }
    if (flags == (BROKER_NO_IPV4 | BROKER_NO_IPV6))
        return diag_set(
            d, ERR_UNSUPPORTED, 0,
            "IPv6 is switched off on this host, and the session is for IPv6 alone; start "
            "it without --ipv6-only, or switch IPv6 on (sysctl net.ipv6.conf.all."
            "disable_ipv6=0)");
    *ret_flags = flags;
    return 0;
}

/* The prefix is the session's own choice, and no policy's: what the host has in it already isn't taken away. */
static int check_prefix6(const struct host *h, const struct request *q, const char *interface_name,
                         struct diag *d)
{
    struct host_view view;
    struct conflict found;
    const struct network *n = find_network(h, q->session);
    if ((q->flags & BROKER_NO_IPV6) != 0 || (n != NULL && prefix_eq(&n->prefix6, &q->prefix6)))
        return 0;
    int r = host_view_load(&view, d);
    if (r < 0)
        return r;
    const struct conflict_query query = {.view = &view, .own_link = interface_name};
    if (conflict_find(&query, &q->prefix6, &found)) {
        char text[PREFIX_TEXT_SIZE];
        prefix_format(&q->prefix6, text);
        r = diag_set(d, ERR_EXISTS, 0, "The session's IPv6 prefix %s collides with %s; try again",
                     text, found.text);
    }
    host_view_release(&view);
    return r;
}

static void fill_request(struct request *q, const struct plan *plan, const struct broker_network *n)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->objects[i].kind != OBJECT_DNS)
            continue;
        q->dns_server = network_dns_server(n, q->flags);
        dns_none_text(&plan->objects[i], q->notice, sizeof(q->notice));
    }
}

int host_apply(struct host *h, uint32_t session, const char *interface_name,
               const struct broker_network *network, host_done_fn *done, void *arg, struct diag *d)
{
    struct plan plan;
    unsigned index = 0;
    struct request *q = NEW(struct request);
    if (q == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    *q = (struct request){.host = h,
                          .session = session,
                          .prefix6 = network_prefix6(network),
                          .done = done,
                          .arg = arg};
    plan_init(&plan);
    int r = find_families(interface_name, network, &q->flags, d);
    if (r == 0)
        r = check_prefix6(h, q, interface_name, d);
    if (r == 0)
        r = rtnl_link_index(interface_name, &index, d);
    if (r == 0) {
        r = network_plan(network, q->flags, interface_name, index, &plan);
        if (r < 0)
            (void)diag_set(d, r, 0, "Failed to plan the session's network: %s", err_text(r));
    }
    if (r < 0) {
        mem_free(q);
        return r;
    }
    fill_request(q, &plan, network);
    r = netcfg_service_apply(h->service, session, &plan, on_applied, q);
    plan_release(&plan);
    if (r < 0) {
        mem_free(q);
        return diag_set(d, r, 0, "Failed to hand the session's network on: %s", err_text(r));
    }
    return 0;
}

int host_end(struct host *h, uint32_t session, host_done_fn *done, void *arg)
{
    struct request *q = NEW(struct request);
    if (q == NULL)
        return ERR_NOMEM;
    *q = (struct request){.host = h, .session = session, .done = done, .arg = arg};
    int r = netcfg_service_end(h->service, session, on_ended, q);
    if (r < 0) {
        mem_free(q);
        return r;
    }
    forget_network(h, session);
    defer_start(h->loop, &h->telling);
    return 0;
}

int host_recover(struct host *h, host_done_fn *done, void *arg)
{
    struct request *q = NEW(struct request);
    if (q == NULL)
        return ERR_NOMEM;
    *q = (struct request){.host = h, .done = done, .arg = arg};
    int r = netcfg_service_recover(h->service, on_ended, q);
    if (r < 0)
        mem_free(q);
    return r;
}

/* ---- events of netcfg ---- */

static void on_event(void *arg, const struct netcfg_event *e)
{
    static const enum broker_event_kind kinds[] = {
        [NETCFG_EVENT_REPAIRED] = BROKER_EVENT_REPAIRED,
        [NETCFG_EVENT_LEFT_ALONE] = BROKER_EVENT_LEFT_ALONE,
        [NETCFG_EVENT_NETWORK] = BROKER_EVENT_NETWORK,
    };
    struct host *h = arg;
    if (e->kind == NETCFG_EVENT_UPSTREAMS) {
        log_info("The host's resolvers are others now");
        defer_start(h->loop, &h->telling);
        return;
    }
    if ((size_t)e->kind >= ARRAY_LEN(kinds))
        return;
    log_write(e->kind == NETCFG_EVENT_NETWORK ? LOG_DEBUG : LOG_WARN, "%s", e->text);
    h->events.on_event(h->arg, e->session, kinds[e->kind], e->text, NULL);
}

/* ---- life ---- */

static void summarise(const struct netcfg_report *r, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < r->count; i++) {
        if (used > 0)
            (void)str_format(text + used, size - used, "; ");
        used += strlen(text + used);
        (void)str_format(text + used, size - used, "%s", r->lines[i].text);
        used += strlen(text + used);
    }
}

static void on_ready(void *arg, const struct netcfg_result *result)
{
    struct host *h = arg;
    h->leftovers = result->leftovers;
    (void)str_format(h->backend, sizeof(h->backend), "%s", result->dns_backend);
    summarise(&result->report, h->last_recovery, sizeof(h->last_recovery));
    for (size_t i = 0; i < result->report.count; i++)
        log_warn("Recovery: %s", result->report.lines[i].text);
    h->events.on_ready(h->arg, result->err, &result->diag);
}

int host_new(struct loop *loop, const struct host_config *config, const struct host_events *events,
             void *arg, struct host **ret, struct diag *d)
{
    struct host *h = NEW(struct host);
    if (h == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    h->loop = loop;
    h->events = *events;
    h->arg = arg;
    h->options.dns = config->dns;
    list_init(&h->networks);
    defer_init(&h->telling, tell_resolvers, h);
    struct netcfg_service_config service = {
        .directory = config->state_dir, .on_event = on_event, .arg = h};
    os_linux_init(&h->options, &service.os);
    int r = os_linux_identify(service.boot_id, &service.namespace_id, d);
    if (r == 0)
        r = netcfg_service_start(loop, &service, on_ready, h, &h->service, d);
    if (r < 0) {
        mem_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

static void on_stopped(void *arg)
{
    struct host *h = arg;
    void (*closed)(void *closed_arg) = h->closed;
    void *closed_arg = h->closed_arg;
    defer_stop(&h->telling);
    LIST_FOR_EACH (node, &h->networks)
        mem_free(LIST_ENTRY(node, struct network, node));
    mem_free(h);
    closed(closed_arg);
}

void host_free(struct host *h, void (*closed)(void *arg), void *arg)
{
    h->closed = closed;
    h->closed_arg = arg;
    defer_stop(&h->telling);
    netcfg_service_stop(h->service, on_stopped, h);
}

const char *host_dns_backend(const struct host *h)
{
    return h->backend;
}

const char *host_last_recovery(const struct host *h)
{
    return h->last_recovery;
}

uint32_t host_leftovers(const struct host *h)
{
    return (uint32_t)h->leftovers;
}
