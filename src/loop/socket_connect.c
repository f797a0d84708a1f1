/* socket_connect_*: see loop/socket.h. */
#include "base/mem.h"
#include "base/str.h"
#include "loop/socket.h"
#include "loop/socket_sys.h"
#include "loop/timer.h"

#define HOST_SIZE 256

/* Resolving → trying one address after the other → done; the object lives until its requests and handles are closed. */
struct socket_connect {
    struct loop *loop;
    char host[HOST_SIZE];
    uint16_t port;
    uint64_t deadline; /* uv_now */
    uv_getaddrinfo_t resolve;
    bool resolving;
    struct addrinfo *addresses;
    struct addrinfo *next;
    uv_poll_t *poll; /* of the attempt, or NULL; freed by its own close */
    uv_os_sock_t fd; /* valid while poll is */
    struct timer timer;
    bool timer_closed;
    bool finished; /* done was called, or it was cancelled */
    int last_code; /* why the last address failed, libuv's */
    socket_connected_fn *done;
    void *arg;
};

static void try_next(struct socket_connect *c);

static void free_if_over(struct socket_connect *c)
{
    if (!c->finished || c->resolving || !c->timer_closed)
        return;
    uv_freeaddrinfo(c->addresses);
    mem_free(c);
}

static void on_timer_closed(void *arg)
{
    struct socket_connect *c = arg;
    c->timer_closed = true;
    free_if_over(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

/* Ends the attempt; the descriptor is the caller's. */
static void drop_poll(struct socket_connect *c)
{
    uv_poll_stop(c->poll);
    uv_close((uv_handle_t *)STEAL(c->poll), on_poll_closed);
}

static void drop_attempt(struct socket_connect *c)
{
    if (c->poll == NULL)
        return;
    drop_poll(c);
    sys_socket_close(c->fd);
}

static void finish(struct socket_connect *c)
{
    c->finished = true;
    drop_attempt(c);
    if (c->resolving)
        (void)uv_cancel((uv_req_t *)&c->resolve); /* else its callback comes later */
    timer_close(&c->timer, on_timer_closed);
}

static void fail(struct socket_connect *c, int err, int code, const char *why)
{
    struct diag d;
    diag_set(&d, err, code == 0 ? 0 : sys_code(code), "Failed to connect to %s port %u: %s",
             c->host, c->port, why);
    finish(c);
    c->done(c->arg, err, (uv_os_sock_t)-1, &d);
}

static void succeed(struct socket_connect *c)
{
    uv_os_sock_t fd = c->fd;
    drop_poll(c);
    finish(c);
    c->done(c->arg, 0, fd, NULL);
}

static void fail_last(struct socket_connect *c)
{
    int err = loop_err(c->last_code);
    const char *why = uv_strerror(c->last_code);
    if (err == ERR_REFUSED)
        why = "connection refused: nothing listens there";
    else if (err == ERR_TIMEOUT)
        why = "no answer in time";
    fail(c, err, c->last_code, why);
}

static void on_timeout(void *arg)
{
    struct socket_connect *c = arg;
    c->last_code = UV_ETIMEDOUT;
    if (c->poll == NULL) {
        fail(c, ERR_TIMEOUT, 0, "the name was not resolved in time");
        return;
    }
    drop_attempt(c);
    try_next(c);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct socket_connect *c = poll->data;
    /* libuv reports a socket in error as a bad descriptor; the socket itself knows why. */
    int r = sys_socket_pending_error(c->fd);
    if (r == 0)
        r = status;
    timer_stop(&c->timer);
    if (r == 0) {
        succeed(c);
        return;
    }
    c->last_code = r;
    drop_attempt(c);
    try_next(c);
}

/* 0: the attempt is under way (or even made: then the socket is writable at once). */
static int begin_attempt(struct socket_connect *c, const struct addrinfo *address)
{
    uv_poll_t *poll = NEW(uv_poll_t);
    if (poll == NULL)
        return UV_ENOMEM;
    uv_os_sock_t fd;
    int r = sys_socket_new(address->ai_family, &fd);
    if (r < 0) {
        mem_free(poll);
        return r;
    }
    r = sys_socket_connect(fd, address->ai_addr);
    if (r == 0 || r == UV_EAGAIN)
        r = uv_poll_init_socket(&c->loop->uv, poll, fd);
    if (r < 0) {
        sys_socket_close(fd);
        mem_free(poll);
        return r;
    }
    poll->data = c;
    c->poll = poll;
    c->fd = fd;
    return uv_poll_start(poll, UV_WRITABLE, on_writable);
}

/* An equal share of the time that is left for each address that is left. */
static uint64_t share_of_time(const struct socket_connect *c, const struct addrinfo *first)
{
    uint64_t now = uv_now(&c->loop->uv);
    uint64_t left = c->deadline > now ? c->deadline - now : 0;
    uint64_t count = 0;
    for (const struct addrinfo *a = first; a != NULL; a = a->ai_next)
        count++;
    return MAX(left / count, UINT64_C(1));
}

static void try_next(struct socket_connect *c)
{
    while (c->next != NULL) {
        struct addrinfo *address = c->next;
        c->next = address->ai_next;
        int r = begin_attempt(c, address);
        if (r == 0) {
            timer_start(&c->timer, share_of_time(c, address));
            return;
        }
        c->last_code = r;
        drop_attempt(c);
    }
    fail_last(c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses)
{
    struct socket_connect *c = req->data;
    c->resolving = false;
    c->addresses = addresses;
    if (c->finished) {
        free_if_over(c);
        return;
    }
    timer_stop(&c->timer);
    if (status < 0 || addresses == NULL) {
        int err = status < 0 ? loop_err(status) : ERR_NOTFOUND;
        fail(c, err, status, err == ERR_NOTFOUND ? "no such host" : uv_strerror(status));
        return;
    }
    c->next = addresses;
    try_next(c);
}

static int begin(struct socket_connect *c, unsigned timeout_ms)
{
    char service[8];
    int r = str_format(service, sizeof(service), "%u", c->port);
    if (r < 0)
        return r;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    c->resolve.data = c;
    r = uv_getaddrinfo(&c->loop->uv, &c->resolve, on_resolved, c->host, service, &hints);
    if (r < 0)
        return loop_err(r);
    c->resolving = true;
    (void)timer_init(&c->timer, c->loop, on_timeout, c); /* libuv's timers can't fail to begin */
    uv_update_time(&c->loop->uv);
    c->deadline = uv_now(&c->loop->uv) + timeout_ms;
    timer_start(&c->timer, timeout_ms);
    return 0;
}

int socket_connect_start(struct loop *loop, const char *host, uint16_t port, unsigned timeout_ms,
                         socket_connected_fn *done, void *arg, struct socket_connect **ret)
{
    struct socket_connect *c = NEW(struct socket_connect);
    if (c == NULL)
        return ERR_NOMEM;
    c->loop = loop;
    c->port = port;
    c->done = done;
    c->arg = arg;
    int r = str_copy(c->host, sizeof(c->host), host);
    if (r == 0)
        r = begin(c, timeout_ms);
    if (r < 0) {
        mem_free(c);
        return r;
    }
    if (ret != NULL)
        *ret = c;
    return 0;
}

void socket_connect_cancel(struct socket_connect *c)
{
    if (!c->finished)
        finish(c);
}
