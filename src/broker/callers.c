#include "broker/callers.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "broker/caller.h"
#include "broker/user_log.h"
#include "platform/patience.h"

enum {
    CONNECTIONS_MAX = 128,
    CONNECTIONS_PER_UID = 8,
    CONNECTIONS_FOR_ROOT = 8, /* of all of them: others can't keep root out */
    HELLO_MS = 5000,
};

#define UID_UNKNOWN UINT32_MAX

/* ---- sending ---- */

void caller_send(struct caller *c, const union broker_message *m, const int *fds, size_t fd_count)
{
    if (c->closing)
        return;
    int r = broker_message_send(c->fd, m, fds, fd_count);
    if (r == 0)
        return;
    if (r != ERR_CLOSED)
        refused_log(c->all, LOG_WARN, c->peer.uid,
                    "Failed to answer process %u of uid %u: %s; closing its connection",
                    (unsigned)c->peer.pid, (unsigned)c->peer.uid,
                    r == ERR_AGAIN ? "it doesn't read" : err_text(r));
    caller_close(c);
}

static void fill_refused(union broker_message *m, uint32_t id, int err, const char *text)
{
    broker_message_init(m, BROKER_REFUSED);
    m->header.id = id;
    m->refused.err = err < 0 && err >= ERR_LAST ? err : ERR_INTERNAL;
    broker_text_set(m->refused.text, sizeof(m->refused.text),
                    text[0] != '\0' ? text : err_text(m->refused.err));
}

void caller_refuse(struct caller *c, uint32_t id, int err, const char *text)
{
    union broker_message m;
    fill_refused(&m, id, err, text);
    caller_send(c, &m, NULL, 0);
}

/* ---- closing ---- */

void callers_release(struct callers *s)
{
    if (--s->open > 0 || !s->freed)
        return;
    void (*closed)(void *arg) = s->closed;
    void *arg = s->closed_arg;
    mem_free(s);
    closed(arg);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct caller *c = handle->data;
    struct callers *s = c->all;
    patience_close(c->fd);
    peer_release(&c->peer);
    mem_free(c);
    callers_release(s);
}

static void on_timer_closed(void *arg)
{
    struct caller *c = arg;
    uv_close((uv_handle_t *)&c->poll, on_poll_closed);
}

void caller_close(struct caller *c)
{
    if (c->closing)
        return;
    c->closing = true;
    if (c->session != NULL)
        session_abandon(c->session);
    c->session = NULL;
    cleaning_forget(c);
    list_remove(&c->node);
    c->all->count--;
    (void)uv_poll_stop(&c->poll);
    /* The caller sees the end at once, also while something else holds a copy of the descriptor. */
    (void)shutdown(c->fd, SHUT_RDWR);
    timer_close(&c->timer, on_timer_closed);
}

/* ---- the first message ---- */

static bool user_allowed(const struct caller *c)
{
    const struct policy *p = c->all->config.policy;
    if (c->peer.uid == 0)
        return true;
    for (size_t i = 0; i < p->uid_count; i++)
        if (p->uids[i] == c->peer.uid)
            return true;
    for (size_t i = 0; i < p->gid_count; i++)
        if (peer_in_group(c->fd, p->gids[i]))
            return true;
    return false;
}

static int judge(struct caller *c, const union broker_message *m, struct diag *d)
{
    int r = peer_check_executable(&c->peer, d);
    if (r < 0)
        return r;
    if (!str_eq(m->hello.version, STILE_VERSION))
        return diag_set(d, ERR_VERSION, 0,
                        "The broker is version " STILE_VERSION " and this command %s; restart the "
                        "broker (systemctl restart stile-broker)",
                        m->hello.version);
    if (!user_allowed(c))
        return diag_set(d, ERR_DENIED, 0,
                        "This machine's policy doesn't allow you (uid %u) a session; ask the "
                        "administrator to add you to allow_users in " POLICY_PATH
                        ", or use `stile run`, which needs no permission",
                        (unsigned)c->peer.uid);
    return 0;
}

static void welcome(struct caller *c, uint32_t id)
{
    const struct policy *p = c->all->config.policy;
    union broker_message m;
    broker_message_init(&m, BROKER_WELCOME);
    m.header.id = id;
    broker_text_set(m.welcome.version, sizeof(m.welcome.version), STILE_VERSION);
    broker_text_set(m.welcome.dns_backend, sizeof(m.welcome.dns_backend),
                    host_dns_backend(c->all->config.host));
    m.welcome.range_count = (uint32_t)p->range_count;
    for (size_t i = 0; i < p->range_count; i++) {
        memcpy(m.welcome.ranges[i].addr, p->ranges[i].addr.bytes, 4);
        m.welcome.ranges[i].bits = p->ranges[i].bits;
    }
    caller_send(c, &m, NULL, 0);
}

static void on_hello(struct caller *c, const union broker_message *m)
{
    struct diag d = {0};
    timer_stop(&c->timer);
    if (m->header.type != BROKER_HELLO) {
        refused_log(c->all, LOG_WARN, c->peer.uid,
                    "Process %u of uid %u said something else than who it is; closing",
                    (unsigned)c->peer.pid, (unsigned)c->peer.uid);
        caller_close(c);
        return;
    }
    int r = judge(c, m, &d);
    if (r < 0) {
        refused_log(c->all, LOG_INFO, c->peer.uid, "Refused process %u of uid %u: %s",
                    (unsigned)c->peer.pid, (unsigned)c->peer.uid, d.text);
        caller_refuse(c, m->header.id, r, d.text);
        caller_close(c);
        return;
    }
    c->greeted = true;
    user_log(LOG_DEBUG, c->peer.uid, "Process %u of uid %u is welcome", (unsigned)c->peer.pid,
             (unsigned)c->peer.uid);
    welcome(c, m->header.id);
}

/* ---- receiving ---- */

static void on_receive_failed(struct caller *c, int err)
{
    if (err != ERR_CLOSED)
        refused_log(c->all, LOG_WARN, c->peer.uid,
                    "Process %u of uid %u broke the protocol (%s); closing its connection",
                    (unsigned)c->peer.pid, (unsigned)c->peer.uid, err_text(err));
    caller_close(c);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct caller *c = handle->data;
    (void)events;
    union broker_message m;
    struct broker_fds fds = {.count = 0};
    m.header.type = 0;
    patience_begin();
    int r = status < 0   ? loop_err(status)
            : c->greeted ? broker_message_take(c->fd, &m, &fds)
                         : broker_message_recv_bare(c->fd, &m);
    patience_end();
    if (r == ERR_AGAIN)
        return;
    if (r < 0) {
        caller_part_with(c, fds.fds, fds.count);
        on_receive_failed(c, r);
    } else if (c->greeted) {
        caller_handle(c, &m, fds.fds, fds.count);
    } else {
        on_hello(c, &m);
    }
}

static void on_silent(void *arg)
{
    struct caller *c = arg;
    refused_log(c->all, LOG_INFO, c->peer.uid,
                "Process %u of uid %u connected and said nothing; closing", (unsigned)c->peer.pid,
                (unsigned)c->peer.uid);
    caller_close(c);
}

/* ---- accepting ---- */

static size_t count_of(const struct callers *s, uint32_t uid)
{
    size_t count = 0;
    LIST_FOR_EACH (node, &s->list)
        count += LIST_ENTRY(node, struct caller, node)->peer.uid == uid ? 1 : 0;
    LIST_FOR_EACH (node, &s->partings)
        count += LIST_ENTRY(node, struct parting, node)->uid == uid ? 1 : 0;
    return count;
}

static bool has_room(const struct callers *s, uint32_t uid)
{
    size_t max = uid == 0 ? CONNECTIONS_MAX : CONNECTIONS_MAX - CONNECTIONS_FOR_ROOT;
    return s->count < max && count_of(s, uid) < CONNECTIONS_PER_UID;
}

static void turn_away(int fd)
{
    union broker_message m;
    fill_refused(&m, 0, ERR_LIMIT,
                 "The broker has as many connections as it may have; try again when some have "
                 "ended");
    (void)broker_message_send(fd, &m, NULL, 0);
}

static int take(struct callers *s, int fd, const struct peer *peer)
{
    struct caller *c = NEW(struct caller);
    if (c == NULL)
        return ERR_NOMEM;
    *c = (struct caller){.all = s, .fd = fd, .peer = *peer};
    int r = loop_err(uv_poll_init(&s->loop->uv, &c->poll, fd));
    if (r < 0) {
        mem_free(c);
        return r;
    }
    c->poll.data = c;
    (void)timer_init(&c->timer, s->loop, on_silent, c);
    timer_start(&c->timer, HELLO_MS);
    list_push_back(&s->list, &c->node);
    s->count++;
    s->open++;
    (void)uv_poll_start(&c->poll, UV_READABLE, on_readable);
    return 0;
}

static void on_accept(void *arg, uv_os_sock_t fd)
{
    struct callers *s = arg;
    struct diag d = {0};
    struct peer peer = PEER_NONE;
    int r = peer_identify(fd, s->config.peer_hold, &peer, &d);
    if (r < 0) {
        if (log_limit_allows(&s->log_limit, UID_UNKNOWN))
            log_info("Refused a connection: %s", d.text);
    } else if (!has_room(s, peer.uid)) {
        refused_log(s, LOG_INFO, peer.uid, "Refused process %u of uid %u: too many connections",
                    (unsigned)peer.pid, (unsigned)peer.uid);
        r = ERR_LIMIT;
    } else {
        r = take(s, fd, &peer);
    }
    if (r == ERR_LIMIT)
        turn_away(fd);
    if (r < 0) {
        peer_release(&peer);
        patience_close(fd);
    }
}

/* ---- life ---- */

int callers_new(struct loop *loop, const struct callers_config *config, struct callers **ret,
                struct diag *d)
{
    struct callers *s = NEW(struct callers);
    if (s == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    *s =
        (struct callers){.loop = loop, .config = *config, .open = 1, .started_us = clock_wall_us()};
    list_init(&s->list);
    list_init(&s->partings);
    log_limit_init(&s->log_limit, loop, LOG_LIMIT_WINDOW_MS);
    int r = listener_new(loop, config->fd, on_accept, s, &s->listener);
    if (r < 0) {
        log_limit_close(&s->log_limit, mem_free, s);
        return diag_set(d, r, 0, "Failed to serve the broker's socket: %s", err_text(r));
    }
    *ret = s;
    return 0;
}

void callers_stop(struct callers *s)
{
    listener_close(s->listener);
    s->listener = NULL;
}

static void on_limit_closed(void *arg)
{
    callers_release(arg);
}

void callers_free(struct callers *s, void (*closed)(void *arg), void *arg)
{
    listener_close(s->listener);
    LIST_FOR_EACH (node, &s->list)
        caller_close(LIST_ENTRY(node, struct caller, node));
    s->freed = true;
    s->closed = closed;
    s->closed_arg = arg;
    log_limit_close(&s->log_limit, on_limit_closed, s);
}
