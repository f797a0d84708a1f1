#include "broker/broker.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/callers.h"
#include "broker/host.h"
#include "broker/sessions.h"
#include "platform/secrets.h"
#include "platform/service_manager.h"
#include "platform/system_socket.h"

enum { SIGNALS = 3 };

struct broker {
    const struct broker_config *config;
    struct loop loop;
    struct host *host;
    struct sessions *sessions;
    struct callers *callers; /* NULL until the host is ready */
    uv_signal_t signals[SIGNALS];
    size_t signal_count;
    bool ready; /* the host has said so, or that it never will be */
    bool stopping;
    bool served;        /* the socket has its name */
    uint32_t leftovers; /* once the sessions have ended */
    int err;
    struct diag *d;
};

/* ---- the end, step by step ---- */

static void on_callers_closed(void *arg)
{
    struct broker *b = arg;
    b->callers = NULL;
    sessions_free(b->sessions);
    b->sessions = NULL;
    for (size_t i = 0; i < b->signal_count; i++)
        uv_close((uv_handle_t *)&b->signals[i], NULL);
    b->signal_count = 0;
}

/* Callers are told the end of the broker by the end of their connections: when all is done. */
static void on_host_closed(void *arg)
{
    struct broker *b = arg;
    b->host = NULL;
    if (b->callers != NULL)
        callers_free(b->callers, on_callers_closed, b);
    else
        on_callers_closed(b);
}

static void on_sessions_ended(void *arg)
{
    struct broker *b = arg;
    b->leftovers = host_leftovers(b->host);
    host_free(b->host, on_host_closed, b);
}

static void stop(struct broker *b)
{
    if (b->stopping)
        return;
    b->stopping = true;
    service_notify("STOPPING=1");
    if (!b->ready)
        return; /* on_ready goes on */
    if (b->callers != NULL) {
        callers_stop(b->callers);
        sessions_tell(b->sessions, 0, BROKER_EVENT_STOPPING, "The broker is being stopped", NULL);
    }
    sessions_stop_all(b->sessions, on_sessions_ended, b);
}

static void fail(struct broker *b, int err)
{
    b->err = err;
    stop(b);
}

/* ---- the start ---- */

static int serve(struct broker *b)
{
    struct callers_config config = {.policy = b->config->policy,
                                    .host = b->host,
                                    .sessions = b->sessions,
                                    .peer_hold = b->config->peer_hold};
    int r = system_socket_listen(b->config->socket_path, &config.fd, b->d);
    if (r < 0)
        return r;
    r = callers_new(&b->loop, &config, &b->callers, b->d);
    if (r < 0) {
        (void)close(config.fd);
        system_socket_remove(b->config->socket_path);
    }
    b->served = r == 0;
    return r;
}

static void on_ready(void *arg, int err, const struct diag *d)
{
    struct broker *b = arg;
    if (b->sessions == NULL)
        return; /* the start has failed: the host is being closed */
    b->ready = true;
    if (err < 0)
        *b->d = *d;
    if (b->config->only_recover)
        b->stopping = true;
    if (err == 0 && !b->stopping)
        err = serve(b);
    const char *recovered = err == 0 ? host_last_recovery(b->host) : "";
    if (recovered[0] != '\0')
        log_warn("An earlier broker didn't end in order: %s", recovered);
    if (err < 0 || b->stopping) {
        b->stopping = false;
        fail(b, err);
        return;
    }
    log_info("Serving on %s; DNS by %s; %s", b->config->socket_path, host_dns_backend(b->host),
             b->config->policy->path != NULL ? b->config->policy->path
                                             : "without " POLICY_PATH ", so for root alone");
    service_notify("READY=1");
}

static void on_event(void *arg, uint32_t session, enum broker_event_kind kind, const char *text,
                     const struct broker_resolvers *resolvers)
{
    struct broker *b = arg;
    sessions_tell(b->sessions, session, kind, text, resolvers);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct broker *b = handle->data;
    if (!b->stopping)
        log_info("Stopping (%s): sessions end, and the host is put back", strsignal(number));
    stop(b);
}

static int catch_signals(struct broker *b)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < SIGNALS; i++) {
        int code = uv_signal_init(&b->loop.uv, &b->signals[i]);
        if (code == 0) {
            b->signals[i].data = b;
            b->signal_count++;
            code = uv_signal_start(&b->signals[i], on_signal, numbers[i]);
        }
        if (code < 0)
            return diag_set(b->d, loop_err(code), code, "Failed to watch signals: %s",
                            uv_strerror(code));
    }
    return 0;
}

static int start(struct broker *b)
{
    static const struct host_events events = {.on_ready = on_ready, .on_event = on_event};
    const struct broker_config *c = b->config;
    const struct host_config host = {.state_dir = c->state_dir,
                                     .dns = c->dns != NULL ? c->dns : c->policy->dns};
    int r = catch_signals(b);
    if (r == 0)
        r = host_new(&b->loop, &host, &events, b, &b->host, b->d);
    if (r == 0)
        r = sessions_new(&b->loop, c->policy, b->host, &b->sessions, b->d);
    return r;
}

/* What is in our memory is nobody's to keep on a disk. */
static void guard(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    secrets_guard_process();
    (void)signal(SIGPIPE, SIG_IGN);
}

int broker_run(const struct broker_config *config, struct diag *d)
{
    struct broker b = {.config = config, .d = d};
    guard();
    int r = loop_init(&b.loop);
    if (r < 0)
        return diag_set(d, r, 0, "Failed to start the event loop");
    r = start(&b);
    if (r < 0) {
        b.err = r;
        if (b.host != NULL)
            host_free(b.host, on_host_closed, &b);
        else
            on_callers_closed(&b);
    }
    (void)loop_run(&b.loop);
    if (b.served)
        system_socket_remove(config->socket_path);
    (void)loop_release(&b.loop);
    if (b.err == 0 && b.leftovers > 0)
        log_error("Stopped; the host isn't as it was, see above. When the cause is gone, as root: "
                  "stile cleanup");
    else if (b.err == 0)
        log_info("Stopped; the host is as it was");
    return b.err;
}
