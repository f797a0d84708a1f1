#include "engine/control.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/dns_server.h"

struct control {
    struct loop *loop;
    struct shared *shared;
    struct mailbox mailbox;
    bool mailbox_open;
    struct agent_client *agent;
    struct dial_channel *dialer;
    struct attempts *attempts;
    struct resolver *resolver;
    struct dns_server *dns;
    /* Both come from the agent, in any order; nothing begins before both are there: a question answered before the zones
     * are known would be asked of the host's resolvers. */
    struct channel_setup setup;
    bool have_setup;
    Stile__Vnet__V1__TargetConfiguration *zones; /* owned; until it has begun */
    bool begun;
    const struct control_events *events;
    void *arg;
    bool over; /* on_closed was called */
};

static void finish(struct control *c, int err, const char *why)
{
    if (c->over)
        return;
    c->over = true;
    c->events->on_closed(c->arg, err, why);
}

/* ---- names ---- */

struct resolving {
    dns_resolved done;
    void *arg;
};

static void on_resolved(void *arg, int err, const char *message, Stile__Vnet__V1__AppInfo *info)
{
    struct resolving r = *(struct resolving *)arg;
    mem_free(arg);
    if (err < 0 && err != ERR_NOTFOUND)
        log_debug("The agent can't tell what a name is: %s", message);
    r.done(r.arg, err, info);
}

static void resolve(void *arg, const struct name *fqdn, dns_resolved done, void *done_arg)
{
    struct control *c = arg;
    struct resolving *r = NEW(struct resolving);
    int err = r == NULL ? ERR_NOMEM : 0;
    if (err == 0) {
        *r = (struct resolving){.done = done, .arg = done_arg};
        err = agent_client_resolve(c->agent, fqdn->text, on_resolved, r);
    }
    if (err < 0) {
        mem_free(r);
        done(done_arg, err, NULL);
    }
}

static const struct dns_server_ops dns_ops = {.resolve = resolve};

struct opening {
    resolver_opened done;
    void *arg;
};

static void on_opened(void *arg, int err, int fd, const char *reason)
{
    struct opening o = *(struct opening *)arg;
    mem_free(arg);
    if (err < 0)
        log_debug("Failed to open a socket to a resolver: %s", reason);
    o.done(o.arg, err, fd);
}

static void open_resolver(void *arg, unsigned index, bool tcp, resolver_opened done, void *done_arg)
{
    struct control *c = arg;
    struct opening *o = NEW(struct opening);
    int err = o == NULL ? ERR_NOMEM : 0;
    if (err == 0) {
        *o = (struct opening){.done = done, .arg = done_arg};
        err = dial_channel_resolver(c->dialer, index, tcp ? CHANNEL_TCP : CHANNEL_UDP, on_opened, o,
                                    NULL);
    }
    if (err < 0) {
        mem_free(o);
        done(done_arg, err, -1);
    }
}

static const struct resolver_ops resolver_ops = {.open = open_resolver};

static int dns_start(struct control *c, unsigned upstreams)
{
    int r = resolver_new(c->loop, upstreams, &resolver_ops, c, &c->resolver);
    if (r == 0)
        r = dns_server_new(c->shared->names, c->resolver, &dns_ops, c, &c->dns);
    return r;
}

static void apply_zones(struct control *c, const Stile__Vnet__V1__TargetConfiguration *t)
{
    int r = names_set_zones(c->shared->names, t->dns_zones, t->n_dns_zones, t->forwarded_names,
                            t->n_forwarded_names);
    if (r < 0)
        log_error("Failed to take over the agent's zones: %s", err_text(r));
    for (size_t i = 0; i < t->n_dns_zones; i++)
        log_debug("zone %s", t->dns_zones[i]);
}

/* Packs and unpacks: the message is borrowed. */
static void keep_zones(struct control *c, const Stile__Vnet__V1__TargetConfiguration *t)
{
    size_t size = stile__vnet__v1__target_configuration__get_packed_size(t);
    CLEANUP(mem_freep) uint8_t *bytes = mem_alloc(size);
    if (bytes == NULL)
        return;
    stile__vnet__v1__target_configuration__pack(t, bytes);
    stile__vnet__v1__target_configuration__free_unpacked(c->zones, NULL);
    c->zones = stile__vnet__v1__target_configuration__unpack(NULL, size, bytes);
}

/* ---- agent and dialer ---- */

static void begin(struct control *c)
{
    if (c->begun || !c->have_setup || c->zones == NULL)
        return;
    c->begun = true;
    int r = c->events->on_setup(c->arg, &c->setup);
    if (r == 0)
        r = dns_start(c, c->setup.resolver_count);
    if (r < 0) {
        finish(c, r, "The agent's setup can't be used");
        return;
    }
    apply_zones(c, c->zones);
    stile__vnet__v1__target_configuration__free_unpacked(STEAL(c->zones), NULL);
}

static void on_zones(void *arg, const Stile__Vnet__V1__TargetConfiguration *configuration)
{
    struct control *c = arg;
    if (c->shared->names != NULL) {
        apply_zones(c, configuration);
        return;
    }
    keep_zones(c, configuration);
    begin(c);
}

static void on_ready(void *arg)
{
    (void)arg;
    log_debug("the agent has the same version");
}

static void on_agent_closed(void *arg, int err, const struct diag *d)
{
    finish(arg, err, d->text);
}

static const struct agent_client_events agent_events = {
    .on_ready = on_ready, .on_zones = on_zones, .on_closed = on_agent_closed};

static void on_setup(void *arg, const struct channel_setup *setup)
{
    struct control *c = arg;
    c->setup = *setup;
    c->have_setup = true;
    begin(c);
}

static void on_resolvers(void *arg, const struct channel_resolvers *resolvers)
{
    struct control *c = arg;
    c->setup.resolver_count = resolvers->resolver_count;
    memcpy(c->setup.resolvers, resolvers->resolvers, sizeof(c->setup.resolvers));
    if (c->resolver != NULL)
        resolver_set_upstreams(c->resolver, resolvers->resolver_count);
    for (uint32_t i = 0; i < resolvers->resolver_count; i++)
        log_debug("resolver %s", resolvers->resolvers[i]);
}

static void on_dialer_closed(void *arg, int err)
{
    finish(arg, err, "The agent closed the dial channel");
}

static const struct dial_channel_events dial_channel_events = {
    .on_setup = on_setup, .on_resolvers = on_resolvers, .on_closed = on_dialer_closed};

/* ---- life ---- */

static int start(struct control *c, int rpc_fd, int dial_fd, struct diag *d)
{
    int r = mailbox_init(&c->mailbox, c->loop, task_on_mail, c);
    c->mailbox_open = r == 0;
    if (r == 0)
        r = dial_channel_new(c->loop, dial_fd, &dial_channel_events, c, &c->dialer);
    if (r < 0) {
        close(dial_fd);
        close(rpc_fd);
        return diag_set(d, r, 0, "Failed to use the dial channel: %s", err_text(r));
    }
    r = agent_client_new(c->loop, rpc_fd, &agent_events, c, &c->agent);
    if (r < 0) {
        close(rpc_fd);
        return diag_set(d, r, 0, "Failed to use the agent's channel: %s", err_text(r));
    }
    return attempts_new(c->loop, c->shared, c->agent, c->dialer, &c->attempts);
}

int control_new(struct loop *loop, struct shared *shared, int rpc_fd, int dial_fd,
                const struct control_events *events, void *arg, struct control **ret,
                struct diag *d)
{
    struct control *c = NEW(struct control);
    if (c == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    c->loop = loop;
    c->shared = shared;
    c->events = events;
    c->arg = arg;
    shared->control = &c->mailbox;
    int r = start(c, rpc_fd, dial_fd, d);
    if (r < 0) {
        control_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

static void on_mailbox_closed(void *arg)
{
    mem_free(arg);
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    c->over = true;
    agent_client_free(c->agent);
    dial_channel_free(c->dialer);
    if (c->resolver != NULL)
        resolver_free(c->resolver);
    if (c->dns != NULL)
        dns_server_free(c->dns);
    attempts_free(c->attempts);
    stile__vnet__v1__target_configuration__free_unpacked(c->zones, NULL);
    if (c->mailbox_open)
        mailbox_close(&c->mailbox, on_mailbox_closed);
    else
        mem_free(c);
}

void control_report_stack(struct control *c, const char *interface_name)
{
    const struct names_config *config = names_config(c->shared->names);
    char texts[NAMES_RANGES_MAX + 1][PREFIX_TEXT_SIZE];
    char *ranges[NAMES_RANGES_MAX];
    for (size_t i = 0; i < config->range_count; i++) {
        prefix_format(&config->ranges[i], texts[i]);
        ranges[i] = texts[i];
    }
    prefix_format(&config->prefix6, texts[NAMES_RANGES_MAX]);
    Stile__Vnet__V1__ReportNetworkStackRequest request =
        STILE__VNET__V1__REPORT_NETWORK_STACK_REQUEST__INIT;
    request.interface_name = (char *)(uintptr_t)interface_name;
    request.ipv6_prefix = texts[NAMES_RANGES_MAX];
    request.n_ipv4_ranges = config->range_count;
    request.ipv4_ranges = ranges;
    agent_client_network_stack(c->agent, &request);
}

/* ---- attempts and reports ---- */

static void run_begin(struct task *t, void *receiver)
{
    struct control *c = receiver;
    attempts_begin(c->attempts, CONTAINER_OF(t, struct attempt, task));
}

int control_begin(struct shared *shared, struct attempt *a)
{
    return task_post(shared->control, &a->task, run_begin);
}

static void report_free(struct control_report *r)
{
    shared_give(&r->shared->reports);
    names_app_unref(r->app);
    mem_free(r);
}

static void run_report(struct task *t, void *receiver)
{
    struct control *c = receiver;
    struct control_report *r = CONTAINER_OF(t, struct control_report, task);
    if (!c->over) {
        if (r->invalid_port && r->app != NULL)
            agent_client_invalid_port(c->agent, &r->report.conn);
        agent_client_report(c->agent, &r->report);
        if (r->ends_attempt)
            attempts_ended(c->attempts, r->report.conn.id, r->report.verdict, r->reason);
    }
    report_free(r);
}

void control_tell(struct shared *shared, struct names_app *app, const struct agent_report *report,
                  bool invalid_port, bool ends_attempt)
{
    /* An attempt's end is always told: others may wait for it. There are no more of them than attempts. */
    if (!shared_take(&shared->reports, ends_attempt ? UINT_MAX : REPORTS_MAX))
        return;
    struct control_report *r = NEW(struct control_report);
    if (r == NULL) {
        shared_give(&shared->reports);
        return;
    }
    r->shared = shared;
    r->report = *report;
    (void)str_format(r->fqdn, sizeof(r->fqdn), "%s", report->conn.fqdn);
    (void)str_format(r->reason, sizeof(r->reason), "%s",
                     report->reason == NULL ? "" : report->reason);
    r->report.conn.fqdn = r->fqdn;
    r->report.reason = r->reason;
    if (app != NULL) {
        r->app = names_app_ref(app);
        r->report.conn.info = app->info;
    }
    r->invalid_port = invalid_port;
    r->ends_attempt = ends_attempt;
    if (task_post(shared->control, &r->task, run_report) < 0)
        report_free(r);
}

/* ---- DNS ---- */

void control_question_free(struct control_question *q)
{
    if (q == NULL)
        return;
    mem_free(q->answer);
    mem_free(q);
}

static void run_answer(struct task *t, void *worker)
{
    struct control_question *q = CONTAINER_OF(t, struct control_question, task);
    q->done(q, worker);
}

static void on_dns_reply(void *arg, struct slice answer)
{
    struct control_question *q = arg;
    q->answer = answer.len > 0 ? mem_dup(answer.data, answer.len) : NULL;
    q->answer_len = q->answer == NULL ? 0 : answer.len;
    if (task_post(q->home, &q->task, run_answer) < 0)
        control_question_free(q);
}

static void run_question(struct task *t, void *receiver)
{
    struct control *c = receiver;
    struct control_question *q = CONTAINER_OF(t, struct control_question, task);
    if (c->over || c->dns == NULL)
        on_dns_reply(q, (struct slice){0});
    else
        dns_server_ask(c->dns, slice_of(q->message, q->len), q->tcp, on_dns_reply, q);
}

int control_ask(struct shared *shared, struct control_question *q)
{
    return task_post(shared->control, &q->task, run_question);
}

/* ---- signatures ---- */

void control_sign_free(struct control_sign *s)
{
    if (s == NULL)
        return;
    names_app_unref(s->app);
    mem_free(s);
}

/* In the worker: the handshake goes on. */
static void run_signed(struct task *t, void *worker)
{
    (void)worker;
    struct control_sign *s = CONTAINER_OF(t, struct control_sign, task);
    remote_sign_done(s->job, s->err, slice_of(s->signature, s->signature_len),
                     s->err < 0 ? s->reason : NULL);
    control_sign_free(s);
}

static void on_signed(void *arg, int err, const char *message, struct slice signature)
{
    struct control_sign *s = arg;
    s->err = err;
    (void)str_format(s->reason, sizeof(s->reason), "%s", message);
    if (err == 0 && signature.len > sizeof(s->signature)) {
        s->err = ERR_TOOBIG;
    } else if (err == 0) {
        memcpy(s->signature, signature.data, signature.len);
        s->signature_len = signature.len;
    }
    if (task_post(s->home, &s->task, run_signed) < 0)
        control_sign_free(s);
}

static void run_sign(struct task *t, void *receiver)
{
    struct control *c = receiver;
    struct control_sign *s = CONTAINER_OF(t, struct control_sign, task);
    const struct agent_sign sign = {
        .app_key = s->app->info->app_key,
        .port = s->port,
        .digest = s->request.digest,
        .hash = s->request.hash == SIGN_HASH_NONE ? STILE__VNET__V1__HASH__HASH_NONE
                                                  : STILE__VNET__V1__HASH__HASH_SHA256,
        .pss = s->request.pss,
        .pss_salt_len = s->request.pss_salt_len,
    };
    int r = c->over ? ERR_CLOSED : agent_client_sign(c->agent, &sign, on_signed, s);
    if (r < 0)
        on_signed(s, r, err_text(r), (struct slice){0});
}

int control_sign(struct shared *shared, struct control_sign *s)
{
    return task_post(shared->control, &s->task, run_sign);
}
