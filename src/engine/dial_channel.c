#include "engine/dial_channel.h"

#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "platform/fdpass.h"

/* Theory of operation: questions carry ids that only grow, so `waiting` is in the order of deadlines and a timer looks at its head
 * alone. A message that doesn't fit into the socket's buffer waits in `unsent` until the channel is writable. An answer for an id that
 * isn't there (cancelled, timed out) only has its socket closed.
 */

struct dial {
    struct list node; /* in waiting, in the order of ids */
    uint32_t id;
    uint64_t deadline;
    dial_channel_done *done;
    void *arg;
};

struct unsent {
    struct list node;
    union channel_message message;
};

struct dial_channel {
    int fd; /* owned; -1 once closed */
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned handles; /* not closed yet */
    bool freed;
    bool setup_seen;
    uint32_t last_id;
    struct list waiting;
    size_t waiting_count;
    struct list unsent;
    const struct dial_channel_events *events;
    void *arg;
};

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void on_handle_closed(uv_handle_t *handle)
{
    struct dial_channel *d = handle->data;
    if (--d->handles == 0 && d->freed)
        mem_free(d);
}

int dial_channel_new(struct loop *loop, int fd, const struct dial_channel_events *events, void *arg,
                     struct dial_channel **ret)
{
    struct dial_channel *d = NEW(struct dial_channel);
    if (d == NULL)
        return ERR_NOMEM;
    list_init(&d->waiting);
    list_init(&d->unsent);
    d->events = events;
    d->arg = arg;
    int r = uv_poll_init(&loop->uv, &d->poll, fd);
    if (r < 0) {
        mem_free(d);
        return loop_err(r);
    }
    uv_timer_init(&loop->uv, &d->timer);
    d->poll.data = d;
    d->timer.data = d;
    d->handles = 2;
    d->fd = fd;
    uv_poll_start(&d->poll, UV_READABLE, on_poll);
    uv_timer_start(&d->timer, on_timer, 1000, 1000);
    *ret = d;
    return 0;
}

static void shut(struct dial_channel *d)
{
    if (d->fd < 0)
        return;
    uv_close((uv_handle_t *)&d->poll, on_handle_closed);
    uv_close((uv_handle_t *)&d->timer, on_handle_closed);
    close(d->fd);
    d->fd = -1;
}

static void dial_remove(struct dial_channel *d, struct dial *dial)
{
    list_remove(&dial->node);
    d->waiting_count--;
}

static void fail_all(struct dial_channel *d, int err, const char *reason)
{
    struct list *node;
    while ((node = list_pop_front(&d->waiting)) != NULL) {
        struct dial *dial = LIST_ENTRY(node, struct dial, node);
        d->waiting_count--;
        dial->done(dial->arg, err, -1, reason);
        mem_free(dial);
    }
}

void dial_channel_free(struct dial_channel *d)
{
    if (d == NULL)
        return;
    shut(d);
    fail_all(d, ERR_CANCELED, "the engine ends");
    struct list *node;
    while ((node = list_pop_front(&d->unsent)) != NULL)
        mem_free(LIST_ENTRY(node, struct unsent, node));
    d->freed = true;
    if (d->handles == 0)
        mem_free(d);
}

/* The channel is over: every dial fails, then the owner hears of it, and may free the dialer there. */
static void fail(struct dial_channel *d, int err)
{
    shut(d);
    fail_all(d, ERR_CLOSED, "the agent is gone");
    if (!d->freed)
        d->events->on_closed(d->arg, err);
}

static struct dial *find(struct dial_channel *d, uint32_t id)
{
    LIST_FOR_EACH (node, &d->waiting) {
        struct dial *dial = LIST_ENTRY(node, struct dial, node);
        if (dial->id == id)
            return dial;
    }
    return NULL;
}

static void on_dialed(struct dial_channel *d, const struct channel_dialed *m, int fd)
{
    struct dial *dial = find(d, m->id);
    if (dial == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    dial_remove(d, dial);
    dial->done(dial->arg, m->err, fd, m->reason);
    mem_free(dial);
}

static int on_message(struct dial_channel *d, const union channel_message *m, int fd)
{
    if (m->header.type == CHANNEL_DIALED && d->setup_seen) {
        on_dialed(d, &m->dialed, fd);
        return 0;
    }
    if (m->header.type == CHANNEL_SETUP && !d->setup_seen) {
        d->setup_seen = true;
        d->events->on_setup(d->arg, &m->setup);
        return 0;
    }
    if (m->header.type == CHANNEL_RESOLVERS && d->setup_seen) {
        d->events->on_resolvers(d->arg, &m->resolvers);
        return 0;
    }
    return ERR_PROTOCOL;
}

static int receive(struct dial_channel *d)
{
    while (d->fd >= 0) {
        union channel_message m;
        int fds[CHANNEL_FDS_MAX];
        size_t fd_count = 0;
        int r = channel_recv(d->fd, &m, fds, &fd_count);
        if (r < 0)
            return r;
        r = on_message(d, &m, fd_count > 0 ? fds[0] : -1);
        if (r < 0) {
            fdpass_close(fds, fd_count);
            return r;
        }
    }
    return ERR_AGAIN;
}

static int send_unsent(struct dial_channel *d)
{
    while (!list_empty(&d->unsent)) {
        struct unsent *u = LIST_ENTRY(d->unsent.next, struct unsent, node);
        int r = channel_send(d->fd, &u->message, NULL, 0);
        if (r < 0)
            return r;
        list_remove(&u->node);
        mem_free(u);
    }
    return 0;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct dial_channel *d = poll->data;
    int r = 0;
    if (status == 0 && (events & UV_WRITABLE) != 0) {
        r = send_unsent(d);
        if (r == 0)
            uv_poll_start(&d->poll, UV_READABLE, on_poll);
    }
    /* libuv tells any error as a bad descriptor: reading tells which. */
    if ((r == 0 || r == ERR_AGAIN) && (status < 0 || (events & UV_READABLE) != 0))
        r = receive(d);
    if (status < 0 && r == ERR_AGAIN)
        r = ERR_CLOSED;
    if (r < 0 && r != ERR_AGAIN)
        fail(d, r);
}

static void on_timer(uv_timer_t *timer)
{
    struct dial_channel *d = timer->data;
    uint64_t now = clock_mono_ns();
    while (!list_empty(&d->waiting)) {
        struct dial *dial = LIST_ENTRY(d->waiting.next, struct dial, node);
        if (dial->deadline > now)
            return;
        dial_remove(d, dial);
        dial->done(dial->arg, ERR_TIMEOUT, -1, "the agent did not connect in time");
        mem_free(dial);
    }
}

static int send_later(struct dial_channel *d, const union channel_message *m)
{
    struct unsent *u = NEW(struct unsent);
    if (u == NULL)
        return ERR_NOMEM;
    u->message = *m;
    list_push_back(&d->unsent, &u->node);
    uv_poll_start(&d->poll, UV_READABLE | UV_WRITABLE, on_poll);
    return 0;
}

static int send_message(struct dial_channel *d, const union channel_message *m)
{
    if (!list_empty(&d->unsent))
        return send_later(d, m);
    int r = channel_send(d->fd, m, NULL, 0);
    return r == ERR_AGAIN ? send_later(d, m) : r;
}

static int start(struct dial_channel *d, union channel_message *m, uint32_t *id_field,
                 dial_channel_done *done, void *arg, uint32_t *ret_id)
{
    if (d->fd < 0)
        return ERR_CLOSED;
    if (d->waiting_count >= DIAL_CHANNEL_PENDING_MAX)
        return ERR_LIMIT;
    struct dial *dial = NEW(struct dial);
    if (dial == NULL)
        return ERR_NOMEM;
    dial->id = ++d->last_id;
    dial->deadline = clock_mono_ns() + DIAL_CHANNEL_TIMEOUT_MS * NS_PER_MS;
    dial->done = done;
    dial->arg = arg;
    *id_field = dial->id;
    int r = send_message(d, m);
    if (r < 0) {
        mem_free(dial);
        return r;
    }
    list_push_back(&d->waiting, &dial->node);
    d->waiting_count++;
    if (ret_id != NULL)
        *ret_id = dial->id;
    return 0;
}

int dial_channel_gateway(struct dial_channel *d, const char *profile, dial_channel_done *done,
                         void *arg, uint32_t *ret_id)
{
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_GATEWAY);
    int r = str_copy(m.dial_gateway.profile, sizeof(m.dial_gateway.profile), profile);
    return r < 0 ? r : start(d, &m, &m.dial_gateway.id, done, arg, ret_id);
}

int dial_channel_resolver(struct dial_channel *d, uint32_t index, enum channel_transport transport,
                          dial_channel_done *done, void *arg, uint32_t *ret_id)
{
    union channel_message m;
    channel_init(&m, CHANNEL_DIAL_RESOLVER);
    m.dial_resolver.index = index;
    m.dial_resolver.transport = transport;
    return start(d, &m, &m.dial_resolver.id, done, arg, ret_id);
}

void dial_channel_cancel(struct dial_channel *d, uint32_t id)
{
    struct dial *dial = find(d, id);
    if (dial == NULL)
        return;
    dial_remove(d, dial);
    mem_free(dial);
}
