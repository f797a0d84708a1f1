#include "broker/sessions.h"

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "broker/launch.h"
#include "broker/user_log.h"
#include "loop/timer.h"
#include "netcfg/report.h"
#include "platform/fdpass.h"
#include "platform/patience.h"

enum {
    GRACE_MS = 1500, /* for an engine, to tell how the last connections ended */
    RETRY_MS = 100,
};

enum state {
    STATE_WAITING,
    STATE_APPLYING,
    STATE_RUNNING,
    STATE_CONFIGURING,
    STATE_ENDING,
    STATE_QUIET
};

struct sessions {
    struct loop *loop;
    const struct policy *policy;
    struct host *host;
    struct registry registry;
    struct list all;      /* callbacks may end the session that they are called for, and no other */
    struct defer waiting; /* some may start now */
    size_t count;
    uint32_t last_id;
    uv_signal_t children;
    void (*emptied)(void *arg); /* NULL: not stopping */
    void *emptied_arg;
    bool paused;
    enum log_level level; /* of the log, when no session wants more */
};

struct session {
    struct list node;
    struct sessions *all;
    uint32_t id;
    struct session_caller caller;
    int64_t started_us;
    enum state state;
    bool end_wanted;  /* as soon as the host has done what it does */
    bool engine_died; /* before the end was wanted */
    struct broker_network network;
    struct broker_network wanted; /* while configuring */
    int fds[BROKER_START_FDS];    /* until the engine has them */
    struct launch launch;
    struct timer timer;
    struct session_events events;
    void *arg;           /* NULL: abandoned */
    struct diag failure; /* of the start, told when everything is put back; err 0: none */
};

static void begin_end(struct session *s);

/* `stile up --debug`: as long as such a session is there. */
static void set_log_level(struct sessions *all)
{
    enum log_level level = all->level;
    LIST_FOR_EACH (node, &all->all)
        if ((LIST_ENTRY(node, struct session, node)->network.flags & BROKER_DEBUG) != 0)
            level = LOG_DEBUG;
    log_set_level(level);
}

/* ---- telling ---- */

static void answer(struct session *s, int err, const struct diag *d, const struct broker_started *m)
{
    if (s->arg != NULL)
        s->events.on_answer(s->arg, err, d, m);
}

static void fill_started(const struct session *s, const struct host_outcome *o,
                         struct broker_started *m)
{
    memset(m, 0, sizeof(*m));
    broker_text_set(m->interface_name, sizeof(m->interface_name), s->launch.name);
    broker_text_set(m->dns_backend, sizeof(m->dns_backend), host_dns_backend(s->all->host));
    m->flags = o->flags;
    m->resolvers = o->resolvers;
    broker_text_set(m->notice, sizeof(m->notice), o->notice);
}

/* ---- the end ---- */

static void on_timer_closed(void *arg)
{
    struct session *s = arg;
    patience_begin(); /* what lies in their queues goes with them */
    fdpass_close(s->fds, BROKER_START_FDS);
    patience_end();
    mem_free(s);
}

static void finish(struct session *s)
{
    if (s->failure.err == 0 && s->launch.name[0] != '\0')
        user_log(LOG_INFO, s->caller.uid, "The session of uid %u on %s has ended",
                 (unsigned)s->caller.uid, s->launch.name);
    list_remove(&s->node);
    s->all->count--;
    set_log_level(s->all);
    if (s->failure.err < 0)
        answer(s, s->failure.err, &s->failure, NULL);
    if (s->arg != NULL)
        s->events.on_ended(s->arg, s->engine_died);
    struct sessions *all = s->all;
    timer_close(&s->timer, on_timer_closed);
    defer_start(all->loop, &all->waiting);
    if (all->count == 0 && all->emptied != NULL)
        all->emptied(all->emptied_arg);
}

/* The first of what couldn't be put back; NULL: everything is. */
static const char *first_failure(const struct host_outcome *o)
{
    if (o->err < 0)
        return o->d->text;
    for (size_t i = 0; i < o->report->count; i++)
        if (o->report->lines[i].what == NETCFG_FAILED)
            return o->report->lines[i].text;
    return NULL;
}

static void tell_left_over(const struct session *s, const char *what)
{
    char text[BROKER_TEXT_SIZE];
    (void)str_format(text, sizeof(text),
                     "The host isn't as it was. %s. When the cause is gone, as root: stile cleanup",
                     what);
    user_log(LOG_ERROR, s->caller.uid, "%s", text);
    if (s->arg != NULL)
        s->events.on_event(s->arg, BROKER_EVENT_RESTORED, text, NULL);
}

/* The host is as it was, or as near as it can be; only the engine may still be there. */
static void on_host_ended(void *arg, const struct host_outcome *o)
{
    struct session *s = arg;
    const char *failure = first_failure(o);
    if (o->err == ERR_NOMEM) { /* nothing has happened */
        timer_start(&s->timer, RETRY_MS);
        return;
    }
    s->state = STATE_QUIET;
    registry_drop(&s->all->registry, s->id);
    if (failure != NULL)
        tell_left_over(s, failure);
    if (s->launch.pid == 0) {
        launch_kill(&s->launch);
        finish(s);
    } else {
        timer_start(&s->timer, GRACE_MS);
        if (failure == NULL && s->arg != NULL)
            s->events.on_event(s->arg, BROKER_EVENT_RESTORED, "", NULL);
    }
}

static void ask_host_to_end(struct session *s)
{
    if (host_end(s->all->host, s->id, on_host_ended, s) < 0)
        timer_start(&s->timer, RETRY_MS); /* memory ran out */
}

static void begin_end(struct session *s)
{
    if (s->state == STATE_APPLYING || s->state == STATE_CONFIGURING) {
        s->end_wanted = true;
        return;
    }
    if (s->state == STATE_WAITING) {
        finish(s);
        return;
    }
    if (s->state != STATE_RUNNING)
        return;
    s->state = STATE_ENDING;
    ask_host_to_end(s);
}

static void on_timer(void *arg)
{
    struct session *s = arg;
    if (s->state == STATE_ENDING) {
        ask_host_to_end(s);
        return;
    }
    user_log(LOG_DEBUG, s->caller.uid, "The engine on %s takes too long to end; killing it",
             s->launch.name);
    launch_kill(&s->launch);
}

static void on_engine_ended(struct session *s, int status)
{
    if (s->state == STATE_QUIET) {
        finish(s);
        return;
    }
    if (s->state == STATE_ENDING)
        return;
    s->engine_died = !s->end_wanted;
    if (s->engine_died)
        user_log(LOG_WARN, s->caller.uid,
                 "The engine of uid %u on %s has ended (%s %d); putting the host back",
                 (unsigned)s->caller.uid, s->launch.name, status > 128 ? "signal" : "status",
                 status > 128 ? status - 128 : status);
    begin_end(s);
}

static void on_child(uv_signal_t *handle, int number)
{
    struct sessions *all = handle->data;
    int status;
    (void)number;
    LIST_FOR_EACH (node, &all->all) {
        struct session *s = LIST_ENTRY(node, struct session, node);
        if (launch_ended(&s->launch, &status))
            on_engine_ended(s, status);
    }
}

/* ---- the start ---- */

static int start_engine(struct session *s, const struct host_outcome *o, struct diag *d)
{
    uint32_t used[SESSIONS_MAX];
    size_t used_count = 0;
    uint32_t uid;
    LIST_FOR_EACH (node, &s->all->all) {
        const struct session *other = LIST_ENTRY(node, struct session, node);
        if (other->launch.pid != 0 && used_count < ARRAY_LEN(used))
            used[used_count++] = other->launch.uid;
    }
    const struct launch_config config = {.fds = s->fds,
                                         .network = &s->network,
                                         .user_uid = s->caller.uid,
                                         .flags = o->flags,
                                         .debug = (s->network.flags & BROKER_DEBUG) != 0};
    int r = launch_choose_uid(s->all->policy, used, used_count, &uid, d);
    if (r == 0)
        r = launch_start(&s->launch, uid, &config, d);
    fdpass_close(s->fds, BROKER_START_FDS);
    return r;
}

static void fail_start(struct session *s, int err, const struct diag *d)
{
    user_log(LOG_WARN, s->caller.uid, "The session of uid %u on %s didn't start: %s",
             (unsigned)s->caller.uid, s->launch.name, d->text);
    s->failure = *d;
    s->failure.err = err;
}

/* Nothing of it is on the host. */
static void give_up(struct session *s, int err, const struct diag *d)
{
    launch_kill(&s->launch);
    registry_drop(&s->all->registry, s->id);
    fail_start(s, err, d);
    finish(s);
}

static void on_applied(void *arg, const struct host_outcome *o)
{
    struct session *s = arg;
    struct broker_started m;
    struct diag d = {0};
    if (o->err < 0) {
        give_up(s, o->err, o->d);
        return;
    }
    s->state = STATE_RUNNING;
    int r = s->end_wanted ? diag_set(&d, ERR_CANCELED, 0, "The session was ended before it started")
                          : start_engine(s, o, &d);
    if (r < 0) {
        s->end_wanted = true;
        fail_start(s, r, &d);
        begin_end(s);
        return;
    }
    fill_started(s, o, &m);
    user_log(LOG_INFO, s->caller.uid,
             "Session of uid %u on %s: %u zone%s, engine %d as uid %u, DNS by %s",
             (unsigned)s->caller.uid, s->launch.name, (unsigned)s->network.zone_count,
             s->network.zone_count == 1 ? "" : "s", s->launch.pid, (unsigned)s->launch.uid,
             m.dns_backend);
    answer(s, 0, NULL, &m);
}

static bool is_ending(const struct session *s)
{
    return s->end_wanted || s->state >= STATE_ENDING;
}

/* Of the same user: the one that waits, or the one that doesn't. */
static struct session *other_of(const struct session *s, bool waiting)
{
    LIST_FOR_EACH (node, &s->all->all) {
        struct session *other = LIST_ENTRY(node, struct session, node);
        if (other != s && other->caller.uid == s->caller.uid &&
            (other->state == STATE_WAITING) == waiting)
            return other;
    }
    return NULL;
}

/* It is there, and isn't just ending. */
static const struct session *in_the_way_of(const struct session *s)
{
    const struct session *other = other_of(s, false);
    return other != NULL && !is_ending(other) ? other : other_of(s, true);
}

static int check(const struct session *s, struct diag *d)
{
    const struct session *other = in_the_way_of(s);
    if (s->all->emptied != NULL)
        return diag_set(d, ERR_CLOSED, 0, "The broker is being stopped");
    if (s->all->paused)
        return diag_set(d, ERR_BUSY, 0, "The broker is cleaning up (`stile cleanup`); try again");
    if (other != NULL)
        return diag_set(d, ERR_EXISTS, 0,
                        "You have a session already (process %u). End it first: stile down",
                        (unsigned)other->caller.pid);
    if (s->all->count >= SESSIONS_MAX)
        return diag_set(d, ERR_LIMIT, 0,
                        "%d sessions run on this machine, as many as there may be; use `stile run`",
                        SESSIONS_MAX);
    return policy_check(s->all->policy, &s->network, d);
}

/* At once, or when the user's last one has ended. */
static int start(struct session *s, struct diag *d)
{
    if (other_of(s, false) != NULL) {
        s->state = STATE_WAITING;
        return 0;
    }
    s->state = STATE_APPLYING;
    int r = registry_set(&s->all->registry, s->id, &s->network, d);
    if (r == 0)
        r = launch_open(&s->launch, d);
    if (r < 0)
        return r;
    return host_apply(s->all->host, s->id, s->launch.name, &s->network, on_applied, s, d);
}

static struct session *next_waiting(const struct sessions *all)
{
    LIST_FOR_EACH (node, &all->all) {
        struct session *s = LIST_ENTRY(node, struct session, node);
        if (s->state == STATE_WAITING && other_of(s, false) == NULL)
            return s;
    }
    return NULL;
}

static void start_waiting(void *arg)
{
    struct sessions *all = arg;
    struct session *s;
    while (all->emptied == NULL && (s = next_waiting(all)) != NULL) {
        struct diag d = {0};
        int r = start(s, &d);
        if (r < 0)
            give_up(s, r, &d);
    }
}

int sessions_start(struct sessions *all, const struct session_caller *caller,
                   const struct broker_network *network, const int fds[BROKER_START_FDS],
                   const struct session_events *events, void *arg, struct session **ret,
                   struct diag *d)
{
    struct session *s = NEW(struct session);
    if (s == NULL) {
        int taken[BROKER_START_FDS];
        memcpy(taken, fds, sizeof(taken));
        patience_begin();
        fdpass_close(taken, BROKER_START_FDS);
        patience_end();
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    }
    *s = (struct session){.all = all,
                          .id = ++all->last_id,
                          .caller = *caller,
                          .started_us = clock_wall_us(),
                          .network = *network,
                          .launch = LAUNCH_NONE,
                          .events = *events,
                          .arg = arg};
    memcpy(s->fds, fds, sizeof(s->fds));
    (void)timer_init(&s->timer, all->loop, on_timer, s);
    int r = check(s, d);
    if (r == 0)
        r = start(s, d);
    if (r < 0) {
        launch_kill(&s->launch);
        registry_drop(&all->registry, s->id);
        timer_close(&s->timer, on_timer_closed);
        return r;
    }
    list_push_back(&all->all, &s->node);
    all->count++;
    set_log_level(all);
    *ret = s;
    return 0;
}

/* ---- changes ---- */

static void on_configured(void *arg, const struct host_outcome *o)
{
    struct session *s = arg;
    struct broker_started m;
    s->state = STATE_RUNNING;
    if (o->err < 0) {
        registry_settle(&s->all->registry, s->id, false);
        user_log(LOG_WARN, s->caller.uid, "The new plan of uid %u on %s was not applied: %s",
                 (unsigned)s->caller.uid, s->launch.name, o->d->text);
        answer(s, o->err, o->d, NULL);
    } else {
        s->network = s->wanted;
        registry_settle(&s->all->registry, s->id, true);
        fill_started(s, o, &m);
        user_log(LOG_INFO, s->caller.uid, "Session of uid %u on %s: %u zone%s now",
                 (unsigned)s->caller.uid, s->launch.name, (unsigned)s->network.zone_count,
                 s->network.zone_count == 1 ? "" : "s");
        answer(s, 0, NULL, &m);
    }
    if (s->end_wanted || s->launch.pid == 0)
        begin_end(s);
}

int session_configure(struct session *s, const struct broker_network *network, struct diag *d)
{
    if (s->state != STATE_RUNNING)
        return diag_set(d, ERR_BUSY, 0, "The session isn't running yet, or is ending");
    int r = policy_check(s->all->policy, network, d);
    if (r == 0)
        r = registry_change(&s->all->registry, s->id, network, d);
    if (r < 0)
        return r;
    s->wanted = *network;
    s->wanted.mtu = s->network.mtu;
    r = host_apply(s->all->host, s->id, s->launch.name, &s->wanted, on_configured, s, d);
    if (r < 0) {
        registry_settle(&s->all->registry, s->id, false);
        return r;
    }
    s->state = STATE_CONFIGURING;
    return 0;
}

void session_stop(struct session *s)
{
    s->end_wanted = true;
    begin_end(s);
}

void session_abandon(struct session *s)
{
    s->arg = NULL;
    session_stop(s);
}

/* ---- all of them ---- */

int sessions_new(struct loop *loop, const struct policy *policy, struct host *host,
                 struct sessions **ret, struct diag *d)
{
    struct sessions *all = NEW(struct sessions);
    if (all == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    all->loop = loop;
    all->policy = policy;
    all->host = host;
    all->level = log_level();
    registry_init(&all->registry);
    list_init(&all->all);
    defer_init(&all->waiting, start_waiting, all);
    int code = uv_signal_init(&loop->uv, &all->children);
    all->children.data = all;
    if (code == 0)
        code = uv_signal_start(&all->children, on_child, SIGCHLD);
    if (code < 0) {
        mem_free(all);
        return diag_set(d, loop_err(code), code, "Failed to watch for the end of processes: %s",
                        uv_strerror(code));
    }
    *ret = all;
    return 0;
}

static void on_signal_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void sessions_free(struct sessions *all)
{
    if (all == NULL)
        return;
    registry_release(&all->registry);
    defer_stop(&all->waiting);
    uv_close((uv_handle_t *)&all->children, on_signal_closed);
}

void sessions_stop_all(struct sessions *all, void (*done)(void *arg), void *arg)
{
    all->emptied = done;
    all->emptied_arg = arg;
    if (all->count == 0) {
        done(arg);
        return;
    }
    LIST_FOR_EACH (node, &all->all)
        session_stop(LIST_ENTRY(node, struct session, node));
}

void sessions_pause(struct sessions *all, bool paused)
{
    all->paused = paused;
}

void sessions_tell(struct sessions *all, uint32_t session, enum broker_event_kind kind,
                   const char *text, const struct broker_resolvers *resolvers)
{
    LIST_FOR_EACH (node, &all->all) {
        struct session *s = LIST_ENTRY(node, struct session, node);
        bool told = s->state == STATE_RUNNING || s->state == STATE_CONFIGURING;
        if (told && s->arg != NULL && (session == 0 || session == s->id))
            s->events.on_event(s->arg, kind, text, resolvers);
    }
}

void sessions_each(const struct sessions *all,
                   void (*each)(void *arg, const struct broker_session *session), void *arg)
{
    LIST_FOR_EACH (node, &all->all) {
        const struct session *s = LIST_ENTRY(node, struct session, node);
        struct broker_session shown = {.uid = s->caller.uid,
                                       .pid = s->caller.pid,
                                       .started_us = s->started_us,
                                       .zone_count = s->network.zone_count};
        broker_text_set(shown.interface_name, sizeof(shown.interface_name), s->launch.name);
        if (s->state != STATE_WAITING)
            each(arg, &shown);
    }
}
