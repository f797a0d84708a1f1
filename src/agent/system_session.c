#include "agent/system_session.h"

#include <unistd.h>

#include "agent/system_session_internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define REST_MIN_MS   200
#define REST_MAX_MS   30000
#define STABLE_S      30    /* up for so long, and the next failure is a new story */
#define LOSING_MS     5000  /* for the other sign of a loss */
#define LAST_WORDS_MS 1000  /* for the engine, to tell how connections ended */
#define STOP_MS       20000 /* for the broker, to put the host back */
#define TELL_LATE_MS  3000
#define TIMERS        2
#define LATE_SIZE     768

static const char *const state_names[] = {
    [CONNECTING] = "connecting to the broker",
    [WAITING] = "waiting for a log-in",
    [PREPARING] = "choosing a range",
    [STARTING] = "starting",
    [UP] = "up",
    [LOSING] = "starting again",
    [RESTING] = "waiting to start again",
    [STOPPING] = "stopping",
    [OVER] = "over",
};

static void connect_broker(struct system_session *s);

/* ---- parts ---- */

void system_session_show(struct system_session *s)
{
    bool starting = s->state == UP && s->unannounced;
    s->shown.name = state_names[starting ? STARTING : s->state];
    agent_set_state(s->agent, &s->shown);
}

void system_session_enter(struct system_session *s, enum state state)
{
    if (s->state == state)
        return;
    log_debug("session: %s -> %s", state_names[s->state], state_names[state]);
    s->state = state;
    timer_stop(&s->timer);
    system_session_show(s);
}

void system_session_close_pairs(struct system_session *s, size_t end)
{
    for (size_t i = 0; i < PAIR_COUNT; i++) {
        if (s->pairs[i][end] >= 0)
            (void)close(s->pairs[i][end]);
        s->pairs[i][end] = -1;
    }
}

static void drop_client(struct system_session *s)
{
    broker_client_free(STEAL(s->client));
    s->welcome = false;
    s->configuring = false;
    s->broker_has_it = false;
}

static void tell_over(void *arg)
{
    struct system_session *s = arg;
    if (s->failure.err == 0 && s->on_host)
        diag_set(&s->failure, ERR_CLOSED, 0,
                 "The broker has gone, and the host isn't put back yet: that happens when it "
                 "starts again, or as root by: stile cleanup");
    s->events.on_over(s->arg, s->failure.err != 0 ? &s->failure : NULL);
}

static void be_over(struct system_session *s)
{
    system_session_enter(s, OVER);
    timer_stop(&s->late);
    drop_client(s);
    defer_start(s->loop, &s->end);
}

static void fail(struct system_session *s, const struct diag *d)
{
    if (s->state == OVER)
        return;
    s->failure = *d;
    be_over(s);
}

/* Trying again can't help: something has to be done first. */
static bool is_final(int err)
{
    return err == ERR_VERSION || err == ERR_DENIED || err == ERR_PERM || err == ERR_INVAL;
}

static void rest(struct system_session *s)
{
    s->rest_ms = MIN(MAX(s->rest_ms * 2, REST_MIN_MS), REST_MAX_MS);
    system_session_enter(s, RESTING);
    timer_start(&s->timer, s->rest_ms);
}

/* A start that didn't come to its end. */
void system_session_start_failed(struct system_session *s, const struct diag *d)
{
    needed_addresses_free(STEAL(s->needed));
    system_session_close_pairs(s, 0);
    system_session_close_pairs(s, 1);
    s->last = *d;
    if (s->state == STOPPING) {
        be_over(s);
    } else if ((!s->was_up && !s->config.patient) || is_final(d->err)) {
        fail(s, d);
    } else {
        log_debug("not started: %s", d->text);
        drop_client(s);
        rest(s);
    }
}

/* ---- the end of a session that was up ---- */

static void lost(struct system_session *s, const char *why)
{
    if (s->state != UP)
        return;
    if (clock_mono_ns() - s->up_since_ns > STABLE_S * NS_PER_S)
        s->rest_ms = 0;
    (void)str_format(s->lost_why, sizeof(s->lost_why), "%s", why);
    s->last.text[0] = '\0';
    system_session_enter(s, LOSING);
    timer_start(&s->timer, LOSING_MS);
    timer_start(&s->late, TELL_LATE_MS);
}

/* Both ends of what was have to be gone before there is anything new. */
static void settle(struct system_session *s)
{
    if (!s->serving && s->engine_log != NULL)
        engine_log_free(STEAL(s->engine_log));
    if (s->serving)
        return;
    if (s->state == LOSING && !s->broker_has_it)
        rest(s);
    else if (s->state == STOPPING && s->stopped)
        be_over(s);
}

static void on_engine_gone(void *arg, const char *reason)
{
    struct system_session *s = arg;
    log_debug("%s", reason);
    s->serving = false;
    lost(s, "The engine ended");
    settle(s);
}

static void on_broker_closed(void *arg, int err, const struct diag *d)
{
    struct system_session *s = arg;
    bool was_up = s->state == UP;
    drop_client(s);
    if (s->state == STOPPING) {
        if (err != ERR_CLOSED)
            log_debug("%s", d->text);
        s->stopped = true;
        settle(s);
    } else if (s->state == WAITING) {
        log_debug("%s", d->text); /* asked again when somebody has logged in */
    } else if (was_up) {
        lost(s, "The broker ended");
        settle(s);
    } else if (s->state == LOSING) {
        settle(s);
    } else if (s->state != OVER && s->state != RESTING) {
        system_session_start_failed(s, d);
    }
}

/* ---- log-ins ---- */

static void tell_waiting(struct system_session *s)
{
    const char *const *profiles = s->config.profiles;
    char chosen[PROFILE_NAME_SIZE];
    struct diag d = {0};
    (void)profile_choose(agent_home(s->agent), profiles != NULL ? profiles[0] : NULL, chosen, &d);
    (void)str_format(s->shown.detail, sizeof(s->shown.detail), "%s", d.text);
    system_session_enter(s, WAITING);
    agent_set_state(s->agent, &s->shown);
    s->events.on_waiting(s->arg, d.text);
}

/* What comes next, connected or not. */
void system_session_begin(struct system_session *s)
{
    if (clusters_count(agent_clusters(s->agent)) == 0 && !s->chosen) {
        if (s->state != WAITING)
            tell_waiting(s);
        return;
    }
    if (s->client == NULL)
        connect_broker(s);
    else if (!s->welcome)
        return;
    else if (!s->chosen)
        system_session_prepare(s);
    else
        system_session_start(s);
}

static void on_agent_change(void *arg)
{
    struct system_session *s = arg;
    if (s->agent == NULL)
        return; /* it is being made */
    if (s->log_ins != NULL)
        login_watch_look(s->log_ins);
    if (s->state == WAITING)
        system_session_begin(s);
    else
        system_session_configure(s);
    s->events.on_change(s->arg);
}

/* ---- the broker ---- */

static void on_welcome(void *arg, const struct broker_welcome *w)
{
    struct system_session *s = arg;
    s->offer = *w;
    s->welcome = true;
    s->on_host = false; /* at its start it has put back what an earlier one left */
    if (s->state == CONNECTING)
        system_session_begin(s);
}

/* text: what couldn't be put back. */
static void on_restored(struct system_session *s, const char *text)
{
    s->on_host = false;
    if (text[0] != '\0' && s->state == STOPPING)
        diag_set(&s->failure, ERR_IO, 0, "%s", text);
    else if (text[0] != '\0')
        agent_notice(s->agent, "%s", text);
    if (s->serving)
        agent_end_engine(s->agent);
}

static void on_broker_event(void *arg, const struct broker_event *e)
{
    struct system_session *s = arg;
    struct channel_resolvers resolvers;
    switch ((enum broker_event_kind)e->kind) {
    case BROKER_EVENT_RESOLVERS:
        session_network_resolvers(&s->applied, &e->resolvers, &resolvers);
        agent_set_resolvers(s->agent, &resolvers);
        break;
    case BROKER_EVENT_ENGINE_ENDED:
        s->broker_has_it = false;
        s->on_host = false;
        lost(s, e->text[0] != '\0' ? e->text : "The engine ended");
        settle(s);
        break;
    case BROKER_EVENT_REPAIRED:
    case BROKER_EVENT_LEFT_ALONE:
        agent_notice(s->agent, "%s", e->text);
        break;
    case BROKER_EVENT_NETWORK:
        log_debug("the host's network has changed");
        login_watch_look(s->log_ins); /* maybe it slept */
        if (s->events.on_network != NULL)
            s->events.on_network(s->arg);
        break;
    case BROKER_EVENT_STOPPING:
        lost(s, "The broker was stopped");
        break;
    case BROKER_EVENT_RESTORED:
        on_restored(s, e->text);
        break;
    }
}

static void connect_broker(struct system_session *s)
{
    static const struct broker_client_events events = {
        .on_welcome = on_welcome, .on_event = on_broker_event, .on_closed = on_broker_closed};
    struct diag d = {0};
    system_session_enter(s, CONNECTING);
    if (broker_client_new(s->loop, s->config.socket, &events, s, &s->client, &d) < 0)
        system_session_start_failed(s, &d);
}

/* ---- stop ---- */

static void on_stopped(void *arg, const union broker_message *answer, int fd UNUSED)
{
    struct system_session *s = arg;
    if (answer->header.type == BROKER_REFUSED)
        log_debug("stop: %s", answer->refused.text);
    s->on_host = false;
    s->stopped = true;
    timer_start(&s->timer, LAST_WORDS_MS);
    settle(s);
}

/* The broker puts the host back (BROKER_EVENT_RESTORED); then the engine tells how connections ended, and ends. */
void system_session_ask_stop(struct system_session *s)
{
    union broker_message m;
    timer_start(&s->timer, STOP_MS);
    broker_message_init(&m, BROKER_STOP);
    if (s->client == NULL || broker_client_request(s->client, &m, NULL, 0, on_stopped, s) < 0)
        s->stopped = true;
    if (s->stopped && s->serving)
        agent_end_engine(s->agent);
    settle(s);
}

void system_session_stop(struct system_session *s)
{
    enum state from = s->state;
    if (from == STOPPING || from == OVER)
        return;
    system_session_enter(s, STOPPING);
    needed_addresses_free(STEAL(s->needed));
    if (from == STARTING || s->configuring)
        timer_start(&s->timer, STOP_MS); /* the answer that waits goes on */
    else
        system_session_ask_stop(s);
}

/* ---- time ---- */

static void on_timer(void *arg)
{
    struct system_session *s = arg;
    if (s->state == RESTING) {
        system_session_begin(s);
    } else if (s->state == LOSING) {
        /* One of the two didn't notice. */
        drop_client(s);
        if (s->serving)
            agent_end_engine(s->agent);
        rest(s);
    } else if (s->state == STOPPING && s->stopped) {
        be_over(s); /* the engine's last words don't come */
    } else if (s->state == STOPPING) {
        diag_set(&s->failure, ERR_TIMEOUT, 0,
                 "The broker didn't say that the host is put back; look with: stile diag");
        be_over(s);
    }
}

static void on_late(void *arg)
{
    struct system_session *s = arg;
    char text[LATE_SIZE];
    if (s->lost_why[0] == '\0')
        return;
    (void)str_format(text, sizeof(text), "%s; it starts again as soon as it can%s%s", s->lost_why,
                     s->last.text[0] != '\0' ? ". " : "", s->last.text);
    s->events.on_notice(s->arg, text);
}

/* ---- life ---- */

static void on_agent_stop(void *arg)
{
    system_session_stop(arg);
}

static void on_agent_connection(void *arg, const struct connection *c)
{
    struct system_session *s = arg;
    s->events.on_connection(s->arg, c);
}

static void on_agent_notice(void *arg, const char *text)
{
    struct system_session *s = arg;
    s->events.on_notice(s->arg, text);
}

static void tell_log_in(void *arg, const char *text)
{
    struct system_session *s = arg;
    agent_notice(s->agent, "%s", text); /* a connection may have told the same */
}

static void on_engine_serves(void *arg)
{
    system_session_engine_serves(arg);
}

static bool on_serves_zone(void *arg, const char *zone)
{
    const struct system_session *s = arg;
    return session_network_has_zone(&s->asked, zone);
}

static const struct agent_events agent_events = {.on_engine_gone = on_engine_gone,
                                                 .on_engine_serves = on_engine_serves,
                                                 .serves_zone = on_serves_zone,
                                                 .on_change = on_agent_change,
                                                 .on_connection = on_agent_connection,
                                                 .on_notice = on_agent_notice,
                                                 .on_stop = on_agent_stop};

static void on_first_turn(void *arg)
{
    struct system_session *s = arg;
    connect_broker(s);
}

int system_session_new(struct loop *loop, const struct system_session_config *config,
                       const struct system_session_events *events, void *arg,
                       struct system_session **ret, struct diag *d)
{
    struct system_session *s = NEW(struct system_session);
    if (s == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    s->loop = loop;
    s->config = *config;
    s->events = *events;
    s->arg = arg;
    for (size_t i = 0; i < PAIR_COUNT; i++)
        s->pairs[i][0] = s->pairs[i][1] = -1;
    const struct agent_config agent = {
        .home = config->home,
        .mode = AGENT_UP,
        .profiles = config->profiles,
        .no_ipv4 = (config->network.flags & BROKER_NO_IPV4) != 0,
        .no_ipv6 = (config->network.flags & BROKER_NO_IPV6) != 0,
    };
    int r = agent_new(loop, &agent, &agent_events, s, &s->agent, d);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    r = login_watch_new(loop, agent_clusters(s->agent), tell_log_in, s, &s->log_ins);
    if (r < 0) {
        agent_free(s->agent);
        mem_free(s);
        return diag_set(d, r, 0, "Out of memory");
    }
    (void)timer_init(&s->timer, loop, on_timer, s);
    (void)timer_init(&s->late, loop, on_late, s);
    s->timers_open = TIMERS;
    defer_init(&s->end, tell_over, s);
    defer_init(&s->first, on_first_turn, s);
    defer_start(loop, &s->first);
    *ret = s;
    return 0;
}

static void on_timer_closed(void *arg)
{
    struct system_session *s = arg;
    if (--s->timers_open == 0)
        mem_free(s);
}

void system_session_free(struct system_session *s)
{
    if (s == NULL)
        return;
    defer_stop(&s->first);
    defer_stop(&s->end);
    needed_addresses_free(s->needed);
    broker_client_free(s->client);
    login_watch_free(s->log_ins);
    agent_free(s->agent);
    engine_log_free(s->engine_log);
    system_session_close_pairs(s, 0);
    system_session_close_pairs(s, 1);
    timer_close(&s->timer, on_timer_closed);
    timer_close(&s->late, on_timer_closed);
}

struct agent *system_session_agent(struct system_session *s)
{
    return s->agent;
}

bool system_session_is_up(const struct system_session *s)
{
    return s->state == UP && !s->unannounced;
}
