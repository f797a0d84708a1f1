#include "engine/engine.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/app_handler.h"
#include "engine/control.h"
#include "engine/memory.h"
#include "engine/sandbox.h"
#include "loop/timer.h"
#include "platform/fdpass.h"

#define SESSIONS_MAX     1024
#define TRIM_MS          1000
#define TRIMS            15 /* after a burst */
#define TRIM_CONNECTIONS 4  /* fewer than that are not worth it */

struct engine {
    struct loop loop;
    struct shared shared;
    struct control *control;
    struct worker *workers[WORKERS_MAX];
    struct link *links[WORKERS_MAX]; /* until a worker has it */
    unsigned link_count;
    unsigned worker_count;
    char interface_name[16];
    struct timer trim;
    unsigned busiest; /* connections since memory was last given back */
    unsigned trims_left;
    int err;
    struct diag *d;
};

/* ---- before the sandbox ---- */

/* Waits for the device; the agent's end, which shows as a hang-up, ends the wait. */
static int wait_for_device(const struct engine_config *config, struct diag *d)
{
    struct pollfd fds[] = {{.fd = config->device_fd, .events = POLLIN},
                           {.fd = config->dial_fd, .events = 0}};
    for (;;) {
        int n = poll(fds, ARRAY_LEN(fds), -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_set(d, err_from_errno(errno), errno, "Failed to wait for the device");
        if ((fds[1].revents & (POLLHUP | POLLERR)) != 0)
            return diag_set(d, ERR_CLOSED, 0, "The agent is gone");
        if (fds[0].revents != 0)
            return 0;
    }
}

static int receive_device(const struct engine_config *config, union channel_message *m, int *fds,
                          size_t *fd_count, struct diag *d)
{
    int r = wait_for_device(config, d);
    if (r < 0)
        return r;
    r = channel_recv(config->device_fd, m, fds, fd_count);
    if (r == 0 && m->header.type != CHANNEL_DEVICE) {
        fdpass_close(fds, *fd_count);
        r = ERR_PROTOCOL;
    }
    if (r == ERR_CLOSED)
        return diag_set(d, r, 0, "The launcher ended before it had made the network");
    if (r < 0)
        return diag_set(d, r, 0, "Failed to receive the network device: %s", err_text(r));
    return 0;
}

/* Every descriptor is taken, or closed. */
static int take_device(struct engine *e, const struct channel_device *m, int *fds, struct diag *d)
{
    bool vnet_hdr = (m->flags & CHANNEL_DEVICE_VNET_HDR) != 0;
    bool offload = (m->flags & CHANNEL_DEVICE_TSO) != 0;
    memcpy(e->interface_name, m->interface_name, sizeof(e->interface_name));
    memcpy(e->shared.uids, m->uids, sizeof(e->shared.uids));
    e->shared.uid_count = m->uid_count;
    int r = owner_table_new(fds[0], &e->shared.owners);
    if (r == 0)
        fds[0] = -1;
    e->shared.find_owner = owner_of_tcp;
    for (uint32_t i = 0; r == 0 && i < m->queue_count; i++) {
        r = link_tun_new(fds[1 + i], m->mtu, vnet_hdr, offload, &e->links[i]);
        if (r == 0) {
            fds[1 + i] = -1;
            e->link_count++;
        }
    }
    fdpass_close(fds, 1 + (size_t)m->queue_count);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to use the network device: %s", err_text(r));
    log_debug("device %s: mtu %u, %u queues%s", e->interface_name, m->mtu, m->queue_count,
              offload ? ", offload" : "");
    return 0;
}

static int get_device(struct engine *e, const struct engine_config *config)
{
    union channel_message m;
    int fds[CHANNEL_FDS_MAX];
    size_t fd_count = 0;
    int r = receive_device(config, &m, fds, &fd_count, e->d);
    close(config->device_fd);
    return r < 0 ? r : take_device(e, &m.device, fds, e->d);
}

/* A key press meant for the program reaches us too when we share its terminal; we end with the agent. */
static void ignore_signals(void)
{
    const int ignored[] = {SIGPIPE, SIGINT, SIGQUIT, SIGHUP, SIGTSTP};
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
}

/* Whatever libraries read or open at first use, they do now. */
static void warm_up(void)
{
    (void)OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
    SSL_CTX_free(SSL_CTX_new(TLS_method()));
}

/* ---- after the agent's setup ---- */

static int make_names(struct engine *e, const struct channel_setup *setup)
{
    struct names_config config = {.range_count = setup->range_count};
    struct ip_addr prefix6 = {.version = 6};
    memcpy(prefix6.bytes, setup->ipv6_prefix, sizeof(setup->ipv6_prefix));
    config.no_ipv4 = (setup->flags & CHANNEL_SETUP_NO_IPV4) != 0;
    config.no_ipv6 = (setup->flags & CHANNEL_SETUP_NO_IPV6) != 0;
    int r = prefix_of(&prefix6, 48, &config.prefix6);
    for (uint32_t i = 0; r == 0 && i < setup->range_count; i++) {
        struct ip_addr first = ip_addr_from(4, setup->ranges[i].addr);
        r = prefix_of(&first, (uint8_t)setup->ranges[i].bits, &config.ranges[i]);
    }
    return r < 0 ? r : names_new(&config, &e->shared.names);
}

static int start_workers(struct engine *e)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < e->link_count; i++) {
        r = worker_new(&e->shared, &app_handler_ops, e->links[i], i, &e->workers[i]);
        if (r == 0) {
            e->links[i] = NULL;
            e->worker_count++;
        }
    }
    for (unsigned i = 0; r == 0 && i < e->worker_count; i++)
        r = worker_start(e->workers[i], e->workers, e->worker_count);
    for (unsigned i = 0; r == 0 && i < e->worker_count; i++)
        worker_go(e->workers[i]);
    return r;
}

static int on_setup(void *arg, const struct channel_setup *setup)
{
    struct engine *e = arg;
    int r = make_names(e, setup);
    if (r == 0)
        r = start_workers(e);
    if (r == 0)
        control_report_stack(e->control, e->interface_name);
    return r;
}

static void on_closed(void *arg, int err, const char *why)
{
    struct engine *e = arg;
    log_debug("%s; the engine ends", why);
    if (err != ERR_CLOSED)
        e->err = diag_set(e->d, err, 0, "%s", why);
    loop_stop(&e->loop);
}

static const struct control_events control_events = {.on_setup = on_setup, .on_closed = on_closed};

/* After a burst of connections, caches and the allocator hold memory that nobody uses. Several times, since what lingers (TIME_WAIT,
 * tickets) frees its pages later.
 */
static void trim(void *arg)
{
    struct engine *e = arg;
    unsigned now = atomic_load_explicit(&e->shared.connections, memory_order_relaxed);
    if (e->busiest > now + TRIM_CONNECTIONS) {
        e->busiest = now;
        e->trims_left = TRIMS;
    }
    if (e->trims_left > 0) {
        e->trims_left--;
        if (e->trims_left == TRIMS / 2)
            session_cache_gather(e->shared.sessions);
        memory_give_back_all();
        for (unsigned i = 0; i < e->worker_count; i++)
            worker_trim(e->workers[i]);
    }
    e->busiest = MAX(e->busiest, now);
    timer_start(&e->trim, TRIM_MS);
}

/* ---- life ---- */

static int serve(struct engine *e, const struct engine_config *config)
{
    int r = session_cache_new(SESSIONS_MAX, &e->shared.sessions);
    if (r == 0)
        r = timer_init(&e->trim, &e->loop, trim, e);
    if (r < 0)
        return diag_set(e->d, r, 0, "Failed to start: %s", err_text(r));
    timer_start(&e->trim, TRIM_MS);
    r = control_new(&e->loop, &e->shared, config->rpc_fd, config->dial_fd, &control_events, e,
                    &e->control, e->d);
    if (r == 0)
        r = loop_run(&e->loop);
    timer_close(&e->trim, NULL);
    return r < 0 ? r : e->err;
}

static void release(struct engine *e)
{
    for (unsigned i = 0; i < e->worker_count; i++)
        worker_stop(e->workers[i]);
    control_free(e->control);
    while (uv_loop_alive(&e->loop.uv))
        loop_turn(&e->loop, true);
    for (unsigned i = 0; i < e->worker_count; i++)
        worker_free(e->workers[i]);
    for (unsigned i = 0; i < e->link_count; i++)
        link_free(e->links[i]);
    names_free(e->shared.names);
    owner_table_free(e->shared.owners);
    session_cache_free(e->shared.sessions);
    (void)loop_release(&e->loop);
}

int engine_run(const struct engine_config *config, struct diag *d)
{
    struct engine *e = NEW(struct engine);
    if (e == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    e->d = d;
    ignore_signals();
    memory_keep();
    warm_up();
    int r = loop_init(&e->loop);
    if (r < 0) {
        mem_free(e);
        return diag_set(d, r, 0, "Failed to start: %s", err_text(r));
    }
    r = get_device(e, config);
    if (r == 0)
        r = sandbox_enter(d);
    if (r == 0)
        r = serve(e, config);
    release(e);
    mem_free(e);
    return r;
}
