/* Theory of operation
 *
 * A connection of its own carries signals only. Two match rules: NameOwnerChanged of the service, which the bus itself sends, and
 * PropertiesChanged of the object. Anyone on the bus may send us something that looks like the latter, so its sender must be the
 * service's owner as the bus told it.
 *
 * The poll handle lives as long as its connection, in memory of its own, because libuv closes it a turn later. The watch is
 * freed when the timers have closed.
 */
#include "netcfg/bus_watch.h"

#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "netcfg/bus.h"
#include "netcfg/sd_bus.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

enum { QUIET_MS = 50, RETRY_FIRST_MS = 1000, RETRY_LAST_MS = 60000 };

struct bus_watch {
    struct loop *loop;
    const struct sd_bus_library *lib;
    const char *service;
    const char *path;
    bus_watch_fn *changed;
    void *arg;

    struct bus *bus; /* NULL while there is none */
    uv_poll_t *poll;
    char owner[BUS_OWNER_SIZE]; /* empty: the service isn't running */
    unsigned pending;
    struct timer quiet;
    struct timer retry;
    uint64_t retry_ms;
    unsigned timers_open;
    bool closing;
};

static const struct bus_object daemon_object = {"org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                "org.freedesktop.DBus"};

static void tell_later(struct bus_watch *w, unsigned events)
{
    w->pending |= events;
    if (!timer_active(&w->quiet))
        timer_start(&w->quiet, QUIET_MS);
}

static void on_quiet(void *arg)
{
    struct bus_watch *w = arg;
    unsigned events = w->pending;

    w->pending = 0;
    if (events != 0)
        w->changed(w->arg, events);
}

static void owner_changed(struct bus_watch *w, sd_bus_message *m)
{
    const char *name = NULL, *before = NULL, *now = NULL;

    if (w->lib->sd_bus_message_read(m, "sss", &name, &before, &now) <= 0 ||
        !str_eq(name, w->service))
        return;
    if (str_copy(w->owner, sizeof(w->owner), now) == 0 && now[0] != '\0')
        tell_later(w, BUS_WATCH_STARTED);
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *e)
{
    struct bus_watch *w = arg;
    const char *sender = w->lib->sd_bus_message_get_sender(m);

    (void)e;
    if (str_is_empty(sender))
        return 0;
    if (w->lib->sd_bus_message_is_signal(m, daemon_object.interface, "NameOwnerChanged") > 0 &&
        str_eq(sender, daemon_object.service))
        owner_changed(w, m);
    else if (w->lib->sd_bus_message_is_signal(m, PROPERTIES, "PropertiesChanged") > 0 &&
             str_eq(sender, w->owner) && str_eq(w->lib->sd_bus_message_get_path(m), w->path))
        tell_later(w, BUS_WATCH_PROPERTIES);
    return 0;
}

static void free_handle(uv_handle_t *h)
{
    mem_free(h);
}

static void disconnect(struct bus_watch *w)
{
    if (w->poll != NULL) {
        uv_poll_stop(w->poll);
        uv_close((uv_handle_t *)w->poll, free_handle);
        w->poll = NULL;
    }
    bus_close(w->bus);
    w->bus = NULL;
    w->owner[0] = '\0';
}

static void lost(struct bus_watch *w)
{
    disconnect(w);
    timer_start(&w->retry, w->retry_ms);
    w->retry_ms = MIN(w->retry_ms * 2, RETRY_LAST_MS);
}

/* Takes what has arrived. */
static void drain(struct bus_watch *w)
{
    int r;

    do
        r = w->lib->sd_bus_process(bus_connection(w->bus), NULL);
    while (r > 0);
    if (r < 0)
        lost(w);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct bus_watch *w = poll->data;

    (void)status; /* an error of the descriptor shows when it is read */
    (void)events;
    if (w->bus != NULL)
        drain(w);
}

static int add_match(struct bus_watch *w, const char *rule, struct diag *d)
{
    return bus_call(w->bus, &daemon_object, "AddMatch", NULL, d, "s", rule);
}

static int add_rules(struct bus_watch *w, struct diag *d)
{
    char owner[512], properties[512];

    if (str_format(owner, sizeof(owner),
                   "type='signal',sender='%s',interface='%s',member='NameOwnerChanged',arg0='%s'",
                   daemon_object.service, daemon_object.interface, w->service) < 0 ||
        str_format(properties, sizeof(properties),
                   "type='signal',sender='%s',interface='%s',member='PropertiesChanged',path='%s'",
                   w->service, PROPERTIES, w->path) < 0)
        return diag_set(d, ERR_TOOBIG, 0, "Failed to watch %s: its name is too long", w->service);
    int r = add_match(w, owner, d);
    return r < 0 ? r : add_match(w, properties, d);
}

static int start_poll(struct bus_watch *w, struct diag *d)
{
    int fd = w->lib->sd_bus_get_fd(bus_connection(w->bus));
    uv_poll_t *poll = NEW(uv_poll_t);

    if (poll == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to watch %s: out of memory", w->service);
    int r = uv_poll_init(&w->loop->uv, poll, fd);
    if (r < 0) {
        mem_free(poll);
        return diag_set(d, loop_err(r), 0, "Failed to watch %s", w->service);
    }
    w->poll = poll;
    poll->data = w;
    return loop_err(uv_poll_start(poll, UV_READABLE, on_readable));
}

/* The rules first, then the owner: a start in between is told, not missed. */
static int subscribe(struct bus_watch *w, struct diag *d)
{
    if (w->lib->sd_bus_add_filter(bus_connection(w->bus), NULL, on_message, w) < 0)
        return diag_set(d, ERR_NOMEM, 0, "Failed to watch %s: out of memory", w->service);
    int r = add_rules(w, d);
    if (r < 0)
        return r;
    r = bus_owner(w->bus, w->service, w->owner, d);
    return r == ERR_NOTFOUND ? 0 : r;
}

static int connect_to_bus(struct bus_watch *w, struct diag *d)
{
    int r = bus_open(&w->bus, d);

    if (r < 0)
        return r;
    r = subscribe(w, d);
    if (r == 0)
        r = start_poll(w, d);
    if (r < 0) {
        disconnect(w);
        return r;
    }
    w->retry_ms = RETRY_FIRST_MS;
    drain(w); /* what came while the calls above waited */
    return 0;
}

static void on_retry(void *arg)
{
    struct bus_watch *w = arg;

    if (connect_to_bus(w, NULL) < 0)
        lost(w);
    else if (w->owner[0] != '\0')
        tell_later(w, BUS_WATCH_STARTED | BUS_WATCH_PROPERTIES);
}

static void on_timer_closed(void *arg)
{
    struct bus_watch *w = arg;

    if (--w->timers_open == 0)
        mem_free(w);
}

void bus_watch_free(struct bus_watch *w)
{
    if (w == NULL)
        return;
    disconnect(w);
    timer_close(&w->quiet, on_timer_closed);
    timer_close(&w->retry, on_timer_closed);
}

static int init_timers(struct bus_watch *w)
{
    int r = timer_init(&w->quiet, w->loop, on_quiet, w);

    if (r < 0)
        return r;
    w->timers_open = 1;
    r = timer_init(&w->retry, w->loop, on_retry, w);
    if (r < 0)
        timer_close(&w->quiet, on_timer_closed);
    else
        w->timers_open = 2;
    return r;
}

int bus_watch_new(struct loop *loop, const char *service, const char *path, bus_watch_fn *changed,
                  void *arg, struct bus_watch **ret, struct diag *d)
{
    const struct sd_bus_library *lib = NULL;
    int r = sd_bus_library(&lib, d);

    if (r < 0)
        return r;
    struct bus_watch *w = NEW(struct bus_watch);
    if (w == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to watch %s: out of memory", service);
    *w = (struct bus_watch){.loop = loop,
                            .lib = lib,
                            .service = service,
                            .path = path,
                            .changed = changed,
                            .arg = arg,
                            .retry_ms = RETRY_FIRST_MS};
    r = init_timers(w);
    if (r < 0) {
        if (w->timers_open == 0)
            mem_free(w);
        return diag_set(d, r, 0, "Failed to watch %s", service);
    }
    r = connect_to_bus(w, d);
    if (r < 0) {
        bus_watch_free(w);
        return r;
    }
    *ret = w;
    return 0;
}
