/* What a caller may ask of the broker, and what it does: one row for each request. */
#include "broker/caller.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/user_log.h"
#include "loop/work.h"
#include "platform/fdpass.h"

void caller_answer(struct caller *c, union broker_message *m)
{
    m->header.id = c->asked_id;
    c->asked_type = 0;
    caller_send(c, m, NULL, 0);
}

void caller_answer_refused(struct caller *c, int err, const char *text)
{
    c->asked_type = 0;
    caller_refuse(c, c->asked_id, err, text);
}

/* ---- sessions ---- */

static void on_answer(void *arg, int err, const struct diag *d, const struct broker_started *s)
{
    struct caller *c = arg;
    union broker_message m;
    if (err < 0) {
        caller_answer_refused(c, err, d->text);
        return;
    }
    broker_message_init(&m, c->asked_type == BROKER_START ? BROKER_STARTED : BROKER_CONFIGURED);
    struct broker_header header = m.header;
    m.started = *s;
    m.started.header = header;
    caller_answer(c, &m);
}

static void on_event(void *arg, enum broker_event_kind kind, const char *text,
                     const struct broker_resolvers *resolvers)
{
    struct caller *c = arg;
    union broker_message m;
    broker_message_init(&m, BROKER_EVENT);
    m.event.kind = kind;
    broker_text_set(m.event.text, sizeof(m.event.text), text);
    if (resolvers != NULL)
        m.event.resolvers = *resolvers;
    caller_send(c, &m, NULL, 0);
}

static void on_ended(void *arg, bool engine_died)
{
    struct caller *c = arg;
    union broker_message m;
    c->session = NULL;
    if (c->asked_type == BROKER_STOP) {
        broker_message_init(&m, BROKER_STOPPED);
        caller_answer(c, &m);
        return;
    }
    if (c->asked_type != 0)
        caller_answer_refused(c, ERR_CLOSED, "The session has ended meanwhile");
    if (engine_died)
        on_event(c, BROKER_EVENT_ENGINE_ENDED, "The engine has ended; the host is as it was before",
                 NULL);
}

static const struct session_events session_events = {
    .on_answer = on_answer, .on_event = on_event, .on_ended = on_ended};

/* ---- descriptors that aren't wanted ---- */

static void close_them(void *arg)
{
    struct parting *p = arg;
    fdpass_close(p->fds, p->count);
}

static void on_parted(void *arg, int err)
{
    struct parting *p = arg;
    struct callers *s = p->all;
    if (err < 0)
        close_them(p);
    list_remove(&p->node);
    mem_free(p);
    callers_release(s);
}

void caller_part_with(struct caller *c, const int *fds, size_t count)
{
    struct parting *p = count > 0 ? NEW(struct parting) : NULL;
    if (p == NULL)
        return; /* without memory they stay open: there is nothing better */
    p->all = c->all;
    p->uid = c->peer.uid;
    p->count = count;
    memcpy(p->fds, fds, count * sizeof(*fds));
    if (work_start(c->all->loop, close_them, on_parted, p, NULL) < 0) {
        mem_free(p);
        return;
    }
    list_push_back(&c->all->partings, &p->node);
    c->all->open++;
}

static bool are_channels(const int *fds)
{
    enum fdpass_kind log = fdpass_kind_of(fds[2]);
    return fdpass_kind_of(fds[0]) == FDPASS_STREAM && fdpass_kind_of(fds[1]) == FDPASS_MESSAGES &&
           (log == FDPASS_PIPE || log == FDPASS_STREAM);
}

static void handle_start(struct caller *c, const union broker_message *m, int *fds)
{
    const struct session_caller caller = {.uid = c->peer.uid, .pid = c->peer.pid};
    struct diag d = {0};
    if (!are_channels(fds)) {
        caller_part_with(c, fds, BROKER_START_FDS);
        caller_answer_refused(c, ERR_PROTOCOL, "The engine's channels aren't sockets and a pipe");
        caller_close(c); /* another try is another connection, of which there aren't many */
        return;
    }
    if (c->session != NULL) {
        caller_part_with(c, fds, BROKER_START_FDS);
        caller_answer_refused(c, ERR_EXISTS, "This connection has a session already");
        return;
    }
    int r = sessions_start(c->all->config.sessions, &caller, &m->start.network, fds,
                           &session_events, c, &c->session, &d);
    if (r < 0) {
        refused_log(c->all, LOG_INFO, c->peer.uid, "Refused a session of uid %u: %s",
                    (unsigned)c->peer.uid, d.text);
        caller_answer_refused(c, r, d.text);
    }
}

static void handle_configure(struct caller *c, const union broker_message *m, int *fds)
{
    struct diag d = {0};
    (void)fds;
    int r = c->session == NULL ? diag_set(&d, ERR_NOTFOUND, 0, "There is no session to change")
                               : session_configure(c->session, &m->start.network, &d);
    if (r < 0)
        caller_answer_refused(c, r, d.text);
}

static void handle_stop(struct caller *c, const union broker_message *m, int *fds)
{
    (void)m;
    (void)fds;
    if (c->session == NULL)
        caller_answer_refused(c, ERR_NOTFOUND, "There is no session to stop");
    else
        session_stop(c->session);
}

/* ---- status ---- */

struct status {
    const struct caller *asker;
    struct broker_status_reply *reply;
};

static void add_session(void *arg, const struct broker_session *session)
{
    struct status *s = arg;
    bool shown = s->asker->peer.uid == 0 || s->asker->peer.uid == session->uid;
    if (shown && s->reply->session_count < BROKER_SESSIONS_MAX)
        s->reply->sessions[s->reply->session_count++] = *session;
    else
        s->reply->other_sessions++;
}

static void handle_status(struct caller *c, const union broker_message *m, int *fds)
{
    union broker_message reply;
    const struct host *host = c->all->config.host;
    struct status status = {.asker = c, .reply = &reply.status_reply};
    (void)m;
    (void)fds;
    broker_message_init(&reply, BROKER_STATUS_REPLY);
    broker_text_set(reply.status_reply.version, sizeof(reply.status_reply.version), STILE_VERSION);
    broker_text_set(reply.status_reply.dns_backend, sizeof(reply.status_reply.dns_backend),
                    host_dns_backend(host));
    broker_text_set(reply.status_reply.last_recovery, sizeof(reply.status_reply.last_recovery),
                    host_last_recovery(host));
    reply.status_reply.pid = (uint32_t)getpid();
    reply.status_reply.leftovers = host_leftovers(host);
    reply.status_reply.started_us = c->all->started_us;
    sessions_each(c->all->config.sessions, add_session, &status);
    caller_answer(c, &reply);
}

/* ---- the log ---- */

static void handle_get_log(struct caller *c, const union broker_message *m, int *fds)
{
    union broker_message reply;
    struct diag d = {0};
    int fd = -1;
    (void)m;
    (void)fds;
    int r = user_log_open(c->peer.uid, &fd, &d);
    if (r < 0) {
        caller_answer_refused(c, r, d.text);
        return;
    }
    broker_message_init(&reply, BROKER_LOG);
    reply.header.id = c->asked_id;
    c->asked_type = 0;
    caller_send(c, &reply, &fd, 1);
    (void)close(fd);
}

static void handle_cleanup(struct caller *c, const union broker_message *m, int *fds)
{
    (void)m;
    (void)fds;
    cleaning_start(c);
}

/* ---- the table ---- */

static const struct request {
    void (*handle)(struct caller *c, const union broker_message *m, int *fds);
    bool root_only;
    bool while_stopping;
} requests[] = {
    [BROKER_START] = {handle_start, false, false},
    [BROKER_CONFIGURE] = {handle_configure, false, false},
    [BROKER_STOP] = {handle_stop, false, true},
    [BROKER_STATUS] = {handle_status, false, true},
    [BROKER_CLEANUP] = {handle_cleanup, true, false},
    [BROKER_GET_LOG] = {handle_get_log, false, true},
};

void caller_handle(struct caller *c, const union broker_message *m, int *fds, size_t fd_count)
{
    uint32_t type = m->header.type;
    const struct request *q = type < ARRAY_LEN(requests) ? &requests[type] : NULL;
    if (q == NULL || q->handle == NULL || c->asked_type != 0) {
        refused_log(c->all, LOG_WARN, c->peer.uid,
                    "Process %u of uid %u asked what it may not, or too much at once; closing",
                    (unsigned)c->peer.pid, (unsigned)c->peer.uid);
        caller_part_with(c, fds, fd_count);
        caller_close(c);
        return;
    }
    c->asked_id = m->header.id;
    c->asked_type = type;
    if (q->root_only && c->peer.uid != 0) {
        caller_part_with(c, fds, fd_count);
        caller_answer_refused(c, ERR_PERM, "Only root may ask for this; use sudo");
    } else if (c->all->listener == NULL && !q->while_stopping) {
        caller_part_with(c, fds, fd_count);
        caller_answer_refused(c, ERR_CLOSED, "The broker is being stopped");
    } else {
        q->handle(c, m, fds);
    }
}
