#include "diag/facts.h"

#include <string.h>

#include "agent/agents.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "broker/client.h"
#include "diag/host_facts.h"
#include "engine/dns_answer.h"
#include "loop/loop.h"
#include "net/pool.h"
#include "rpc/services.h"
#include "stile/agent/v1/control.pb-c.h"

typedef Stile__Agent__V1__GetStatusResponse agent_status;

#define PROBES_MAX 16

/* ---- sessions ---- */

static void copy_session(struct session_facts *s, const agent_status *a)
{
    s->up = str_eq(a->mode, "up");
    (void)str_format(s->version, sizeof(s->version), "%s", a->version);
    (void)str_format(s->state, sizeof(s->state), "%s", a->state);
    (void)str_format(s->state_detail, sizeof(s->state_detail), "%s", a->detail);
    (void)str_format(s->interface_name, sizeof(s->interface_name), "%s", a->interface_name);
    (void)str_format(s->dns_backend, sizeof(s->dns_backend), "%s", a->dns_backend);
    s->no_ipv4 = a->no_ipv4;
    s->no_ipv6 = a->no_ipv6;
    if (prefix_parse(a->ipv6_prefix, &s->prefix6) < 0)
        s->prefix6.addr.version = 0;
    for (size_t i = 0; i < a->n_ipv4_ranges && s->range_count < FACTS_RANGES_MAX; i++)
        if (prefix_parse(a->ipv4_ranges[i], &s->ranges[s->range_count]) == 0)
            s->range_count++;
    for (size_t i = 0; i < a->n_dns_zones && s->zone_count < FACTS_ZONES_MAX; i++)
        if (str_copy(s->zones[s->zone_count], FACTS_ZONE_SIZE, a->dns_zones[i]) == 0)
            str_lower(s->zones[s->zone_count++]);
}

static void ask_session(struct session_facts *s, struct loop *loop, const struct home *home)
{
    Stile__Agent__V1__GetStatusRequest request = STILE__AGENT__V1__GET_STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    s->err = agents_ask(loop, home, s->pid, &control_get_status, &request.base, &reply, &s->diag);
    if (s->err < 0)
        return;
    copy_session(s, (const agent_status *)reply);
    protobuf_c_message_free_unpacked(reply, NULL);
}

static void gather_sessions(struct facts *f, struct loop *loop, const struct home *home)
{
    struct agent_list agents;
    f->home_err = agents_find(home, &agents, &f->home_diag);
    if (f->home_err < 0)
        return;
    size_t count = MIN(agents.count, FACTS_SESSIONS_MAX);
    f->sessions = mem_array(count, sizeof(*f->sessions));
    f->session_count = f->sessions != NULL ? count : 0;
    for (size_t i = 0; i < f->session_count; i++) {
        f->sessions[i].pid = agents.pids[i];
        ask_session(&f->sessions[i], loop, home);
    }
}

const struct session_facts *facts_up_session(const struct facts *f)
{
    for (size_t i = 0; i < f->session_count; i++)
        if (f->sessions[i].err == 0 && f->sessions[i].up)
            return &f->sessions[i];
    return NULL;
}

bool facts_others_are_unknown(const struct facts *f)
{
    if (f->home_err < 0)
        return true;
    return f->broker.err == 0 ? f->broker.status.other_sessions > 0
                              : f->broker.err != ERR_NOTFOUND && f->broker.err != ERR_REFUSED;
}

bool facts_resolv_conf_is_left_over(const struct facts *f)
{
    const struct session_facts *s = facts_up_session(f);
    return resolver_was_written_by_stile(&f->host.resolver) &&
           (s == NULL || !str_eq(s->state, "up")) && !facts_others_are_unknown(f) &&
           f->broker.status.session_count == 0;
}

struct ip_addr session_dns_address(const struct session_facts *s, uint8_t version)
{
    struct ip_addr none = {.version = 0};
    if (version == 4)
        return s->no_ipv4 || s->range_count == 0 ? none : prefix_at(&s->ranges[0], POOL_OFFSET_DNS);
    return s->no_ipv6 || s->prefix6.addr.version == 0 ? none
                                                      : prefix_at(&s->prefix6, POOL_OFFSET_DNS);
}

/* ---- DNS ---- */

static void prepare_probe(struct facts *f, const struct session_facts *s, const char *zone)
{
    if (f->probe_count == PROBES_MAX) {
        f->zones_not_probed++;
        return;
    }
    struct dns_probe *p = &f->probes[f->probe_count++];
    p->session = (size_t)(s - f->sessions);
    p->ours[0] = session_dns_address(s, 4);
    p->ours[1] = session_dns_address(s, 6);
    (void)str_format(p->zone, sizeof(p->zone), "%s", zone);
    (void)str_format(p->name, sizeof(p->name), DNS_PROBE_PREFIX "%08x.%s", (unsigned)random_u64(),
                     zone);
}

static void gather_dns(struct facts *f)
{
    f->probes = mem_array(PROBES_MAX, sizeof(*f->probes));
    for (size_t i = 0; i < f->session_count && f->probes != NULL; i++) {
        const struct session_facts *s = &f->sessions[i];
        if (s->err < 0 || !s->up || s->interface_name[0] == '\0')
            continue;
        for (size_t z = 0; z < s->zone_count; z++)
            prepare_probe(f, s, s->zones[z]);
    }
    dns_probes_ask(f->probes, f->probe_count, &f->host.resolver);
    if (f->probe_count > 0)
        gateways_look_up(&f->gateways);
}

/* ---- the rest ---- */

static void gather_broker(struct broker_facts *b)
{
    union broker_message request, answer;
    broker_message_init(&request, BROKER_STATUS);
    b->err = broker_ask(NULL, &request, &answer, NULL, &b->diag);
    if (b->err == 0)
        b->status = answer.status_reply;
}

static void gather_from_home(struct facts *f, const char *path)
{
    CLEANUP(home_close) struct home home = HOME_NONE;
    struct loop loop;
    f->home_err = home_open(path, &home, &f->home_diag);
    if (f->home_err < 0)
        return;
    f->home_err = loop_init(&loop);
    if (f->home_err < 0) {
        (void)diag_set(&f->home_diag, f->home_err, 0, "Failed to start the event loop");
        return;
    }
    gather_sessions(f, &loop, &home);
    if (gateways_probe(&loop, &home, &f->gateways, &f->home_diag) < 0 && f->home_err == 0)
        f->home_err = f->home_diag.err;
    (void)loop_release(&loop);
}

int facts_gather(const char *home, struct facts *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->taken_us = clock_wall_us();
    host_facts_load(&ret->host);
    gather_broker(&ret->broker);
    gather_from_home(ret, home);
    gather_dns(ret);
    return ret->probes == NULL ? ERR_NOMEM : 0;
}

void facts_release(struct facts *f)
{
    host_facts_release(&f->host);
    gateways_release(&f->gateways);
    mem_free(f->sessions);
    mem_free(f->probes);
    memset(f, 0, sizeof(*f));
}
