#include "broker/client.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "platform/fdpass.h"
#include "platform/system_socket.h"

enum { WELCOME_MS = 10000, ANSWER_MS = 30000 };

struct broker_client {
    struct broker_client_events events;
    void *arg;
    int sock;
    uv_poll_t poll;
    struct timer timer; /* of the one answer that is awaited */
    bool ready;         /* WELCOME has come */
    bool closed;        /* on_closed was told */
    bool freed;         /* by the owner */
    unsigned open_handles;
    uint32_t last_id;
    broker_answer_fn *answer; /* NULL: no request waits */
    void *answer_arg;
    struct broker_welcome welcome;
};

static const char *path_or_default(const char *path)
{
    if (path == NULL)
        path = getenv("STILE_BROKER_SOCKET");
    return str_is_empty(path) ? BROKER_SOCKET_PATH : path;
}

static void message_hello(union broker_message *m)
{
    broker_message_init(m, BROKER_HELLO);
    broker_text_set(m->hello.version, sizeof(m->hello.version), STILE_VERSION);
}

static int refusal(const union broker_message *m, struct diag *d)
{
    return diag_set(d, m->refused.err, 0, "%s", m->refused.text);
}

/* What a broken connection means to a person. */
static int explain(int err, struct diag *d)
{
    if (err == ERR_CLOSED)
        return diag_set(d, err, 0, "The broker has ended, or closed the connection");
    if (err == ERR_TIMEOUT)
        return diag_set(
            d, err, 0, "The broker doesn't answer; look into its log (journalctl -u stile-broker)");
    return diag_set(d, err, 0, "The conversation with the broker failed: %s", err_text(err));
}

static void give_up(struct broker_client *c, int err, const struct diag *d)
{
    if (c->closed)
        return;
    c->closed = true;
    c->answer = NULL;
    (void)uv_poll_stop(&c->poll);
    timer_stop(&c->timer);
    if (c->events.on_closed != NULL)
        c->events.on_closed(c->arg, err, d);
}

static void fail(struct broker_client *c, int err)
{
    struct diag d = {0};
    (void)explain(err, &d);
    give_up(c, err, &d);
}

static void on_timeout(void *arg)
{
    fail(arg, ERR_TIMEOUT);
}

static void on_first(struct broker_client *c, const union broker_message *m)
{
    struct diag d = {0};
    if (m->header.type == BROKER_REFUSED) {
        (void)refusal(m, &d);
        give_up(c, d.err, &d);
    } else if (m->header.type != BROKER_WELCOME) {
        fail(c, ERR_PROTOCOL);
    } else {
        c->ready = true;
        c->welcome = m->welcome;
        timer_stop(&c->timer);
        if (c->events.on_welcome != NULL)
            c->events.on_welcome(c->arg, &c->welcome);
    }
}

/* Whether fd was handed on. */
static bool on_message(struct broker_client *c, const union broker_message *m, int fd)
{
    if (!c->ready) {
        on_first(c, m);
    } else if (m->header.type == BROKER_EVENT) {
        if (c->events.on_event != NULL)
            c->events.on_event(c->arg, &m->event);
    } else if (c->answer != NULL && m->header.id == c->last_id) {
        broker_answer_fn *answer = STEAL(c->answer);
        timer_stop(&c->timer);
        answer(c->answer_arg, m, fd);
        return true;
    } else {
        fail(c, ERR_PROTOCOL);
    }
    return false;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct broker_client *c = handle->data;
    (void)events;
    if (status < 0) {
        fail(c, loop_err(status));
        return;
    }
    while (!c->closed && !c->freed) {
        union broker_message m;
        int fds[BROKER_START_FDS];
        size_t fd_count = 0;
        int r = broker_message_recv(c->sock, &m, fds, &fd_count);
        if (r == ERR_AGAIN)
            return;
        if (r < 0) {
            fail(c, r);
            return;
        }
        if (!on_message(c, &m, fd_count == 1 ? fds[0] : -1))
            fdpass_close(fds, fd_count);
    }
}

static void on_handle_closed(struct broker_client *c)
{
    if (--c->open_handles > 0)
        return;
    (void)close(c->sock);
    mem_free(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
    on_handle_closed(handle->data);
}

static void on_timer_closed(void *arg)
{
    on_handle_closed(arg);
}

/* Poll and timer; without both there is nothing to close. */
static int watch(struct broker_client *c, struct loop *loop)
{
    int r = timer_init(&c->timer, loop, on_timeout, c);
    if (r < 0)
        return r;
    c->open_handles++;
    r = loop_err(uv_poll_init(&loop->uv, &c->poll, c->sock));
    if (r < 0)
        return r;
    c->open_handles++;
    c->poll.data = c;
    return loop_err(uv_poll_start(&c->poll, UV_READABLE, on_readable));
}

static int say_hello(struct broker_client *c, struct diag *d)
{
    union broker_message m;
    message_hello(&m);
    int r = broker_message_send(c->sock, &m, NULL, 0);
    if (r < 0)
        return explain(r, d);
    timer_start(&c->timer, WELCOME_MS);
    return 0;
}

int broker_client_new(struct loop *loop, const char *path,
                      const struct broker_client_events *events, void *arg,
                      struct broker_client **ret, struct diag *d)
{
    int sock;
    int r = system_socket_connect(path_or_default(path), &sock, d);
    if (r < 0)
        return r;
    struct broker_client *c = NEW(struct broker_client);
    if (c == NULL) {
        (void)close(sock);
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    }
    c->sock = sock;
    c->events = *events;
    c->arg = arg;
    r = watch(c, loop);
    r = r < 0 ? explain(r, d) : say_hello(c, d);
    if (r < 0) {
        broker_client_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void broker_client_free(struct broker_client *c)
{
    if (c == NULL)
        return;
    c->freed = true;
    unsigned handles = c->open_handles++; /* until all closes are asked for */
    if (handles >= 1)
        timer_close(&c->timer, on_timer_closed);
    if (handles >= 2)
        uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    on_handle_closed(c);
}

int broker_client_request(struct broker_client *c, union broker_message *m, const int *fds,
                          size_t fd_count, broker_answer_fn *answer, void *arg)
{
    if (c->closed)
        return ERR_CLOSED;
    if (!c->ready || c->answer != NULL)
        return ERR_BUSY;
    m->header.id = ++c->last_id;
    int r = broker_message_send(c->sock, m, fds, fd_count);
    if (r < 0)
        return r;
    c->answer = answer;
    c->answer_arg = arg;
    timer_start(&c->timer, ANSWER_MS);
    return 0;
}

/* ---- one question, blocking ---- */

/* The next message that is no event. fd: -1 if it has none. */
static int receive(int sock, uint64_t until_ns, union broker_message *ret_m, int *ret_fd)
{
    for (;;) {
        int fds[BROKER_START_FDS];
        size_t fd_count = 0;
        int r = broker_message_recv(sock, ret_m, fds, &fd_count);
        if (r == 0 && ret_m->header.type != BROKER_EVENT) {
            *ret_fd = fd_count == 1 ? fds[0] : -1;
            return 0;
        }
        if (r == 0)
            continue;
        uint64_t now = clock_mono_ns();
        if (r != ERR_AGAIN)
            return r;
        if (now >= until_ns)
            return ERR_TIMEOUT;
        struct pollfd p = {.fd = sock, .events = POLLIN};
        (void)poll(&p, 1, (int)((until_ns - now) / NS_PER_MS) + 1);
    }
}

/* One message and the answer that must come to it. */
static int exchange(int sock, const union broker_message *m, union broker_message *ret_answer,
                    int *ret_fd, struct diag *d)
{
    int r = broker_message_send(sock, m, NULL, 0);
    /* A refusal may have come before what we said. */
    if (r == 0 || r == ERR_CLOSED)
        r = receive(sock, clock_mono_ns() + ANSWER_MS * NS_PER_MS, ret_answer, ret_fd);
    if (r < 0)
        return explain(r, d);
    if (ret_answer->header.type == BROKER_REFUSED)
        return refusal(ret_answer, d);
    if (ret_answer->header.id != m->header.id) {
        fdpass_close(ret_fd, 1);
        return explain(ERR_PROTOCOL, d);
    }
    return 0;
}

int broker_ask(const char *path, union broker_message *request, union broker_message *ret_answer,
               int *ret_fd, struct diag *d)
{
    int sock;
    int fd = -1;
    union broker_message m;
    int r = system_socket_connect(path_or_default(path), &sock, d);
    if (r < 0)
        return r;
    message_hello(&m);
    r = exchange(sock, &m, ret_answer, &fd, d);
    fdpass_close(&fd, 1);
    request->header.id = 1;
    if (r == 0)
        r = exchange(sock, request, ret_answer, &fd, d);
    (void)close(sock);
    if (r == 0 && ret_fd != NULL) {
        *ret_fd = fd;
        fd = -1;
    }
    fdpass_close(&fd, 1);
    return r;
}
