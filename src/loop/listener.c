#include "loop/listener.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/socket_sys.h"
#include "loop/timer.h"

/* One readiness serves at most so many, so that other handles of the loop get their turn. */
#define ACCEPTS_PER_TURN 64
/* How long to wait for descriptors or memory to come back. */
#define PAUSE_MS     100
#define BACKLOG_SIZE 511

struct listener {
    struct loop *loop;
    uv_poll_t poll;
    struct timer timer;
    uv_os_sock_t fd;
    listener_accept_fn *on_accept;
    void *arg;
    int handles; /* not yet closed */
    bool paused;
    bool closed;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void watch(struct listener *l)
{
    uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void on_retry(void *arg)
{
    struct listener *l = arg;
    if (!l->paused)
        watch(l);
}

static bool is_shortage(int code)
{
    return code == UV_EMFILE || code == UV_ENFILE || code == UV_ENOBUFS || code == UV_ENOMEM;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct listener *l = poll->data;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN && !l->closed && !l->paused; i++) {
        uv_os_sock_t fd;
        int r = sys_socket_accept(l->fd, &fd);
        if (r == UV_EAGAIN)
            return;
        if (is_shortage(r)) {
            log_debug("Failed to accept a connection: %s; pausing for %d ms", uv_strerror(r),
                      PAUSE_MS);
            uv_poll_stop(&l->poll);
            timer_start(&l->timer, PAUSE_MS);
            return;
        }
        /* Anything else concerns that one connection (ECONNABORTED). */
        if (r == 0)
            l->on_accept(l->arg, fd);
    }
}

static void one_closed(void *arg)
{
    struct listener *l = arg;
    if (--l->handles > 0)
        return;
    sys_socket_close(l->fd);
    mem_free(l);
}

static void poll_closed(uv_handle_t *handle)
{
    one_closed(handle->data);
}

int listener_new(struct loop *loop, uv_os_sock_t fd, listener_accept_fn *on_accept, void *arg,
                 struct listener **ret)
{
    struct listener *l = NEW(struct listener);
    if (l == NULL)
        return ERR_NOMEM;
    *l =
        (struct listener){.loop = loop, .fd = fd, .on_accept = on_accept, .arg = arg, .handles = 2};
    int r = sys_socket_set_nonblocking(fd);
    if (r == 0)
        r = uv_poll_init_socket(&loop->uv, &l->poll, fd);
    if (r < 0) {
        mem_free(l);
        return loop_err(r);
    }
    l->poll.data = l;
    (void)timer_init(&l->timer, loop, on_retry, l); /* libuv's timers can't fail to begin */
    watch(l);
    *ret = l;
    return 0;
}

void listener_close(struct listener *l)
{
    if (l == NULL || l->closed)
        return;
    l->closed = true;
    timer_close(&l->timer, one_closed);
    uv_close((uv_handle_t *)&l->poll, poll_closed);
}

void listener_pause(struct listener *l)
{
    l->paused = true;
    uv_poll_stop(&l->poll);
}

void listener_resume(struct listener *l)
{
    l->paused = false;
    if (!timer_active(&l->timer))
        watch(l);
}

static int open_failed(const char *host, uint16_t port, int uv_code, struct diag *d)
{
    int err = loop_err(uv_code);
    const char *why = uv_strerror(uv_code);
    if (err == ERR_BUSY)
        return diag_set(d, err, sys_code(uv_code),
                        "Failed to listen on %s port %u: the port is in use; stop the program that "
                        "has it or choose another port",
                        host, port);
    if (err == ERR_PERM)
        return diag_set(d, err, sys_code(uv_code),
                        "Failed to listen on %s port %u: %s; ports below 1024 need a privilege or "
                        "an inherited socket",
                        host, port, why);
    if (err == ERR_UNREACHABLE)
        return diag_set(d, err, sys_code(uv_code),
                        "Failed to listen on %s port %u: this machine has no such address", host,
                        port);
    return diag_set(d, err, sys_code(uv_code), "Failed to listen on %s port %u: %s", host, port,
                    why);
}

static int parse_address(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)ret) == 0)
        return 0;
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)ret) == 0 ? 0 : ERR_INVAL;
}

int listener_open_tcp(const char *host, uint16_t port, uv_os_sock_t *ret_fd, uint16_t *ret_port,
                      struct diag *d)
{
    struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
    if (parse_address(host, port, &addr) < 0)
        return diag_set(d, ERR_INVAL, 0, "Failed to listen on \"%s\": not an IP address", host);
    uv_os_sock_t fd;
    int r = sys_socket_new(addr.ss_family, &fd);
    if (r < 0)
        return open_failed(host, port, r, d);
    r = sys_socket_listen(fd, (const struct sockaddr *)&addr, BACKLOG_SIZE);
    uint16_t bound = port;
    if (r == 0)
        r = sys_socket_port(fd, &bound);
    if (r < 0) {
        sys_socket_close(fd);
        return open_failed(host, port, r, d);
    }
    *ret_fd = fd;
    if (ret_port != NULL)
        *ret_port = bound;
    return 0;
}
