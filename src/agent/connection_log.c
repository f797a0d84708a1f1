#include "agent/connection_log.h"

#include <jansson.h>
#include <string.h>

#include "agent/connection_file.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "base/table.h"

struct connection_log {
    struct programs *programs;
    struct connection_file *file; /* NULL: none */
    struct table open;            /* id → struct connection */
    struct list open_list;
    struct list ended;
    size_t ended_count;
    connection_watch_fn *watch; /* NULL: nobody */
    void *watch_arg;
};

static const char *const verdict_names[] = {
    [STILE__VNET__V1__VERDICT__VERDICT_UNSPECIFIED] = "unspecified",
    [STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED] = "established",
    [STILE__VNET__V1__VERDICT__VERDICT_CLOSED] = "closed",
    [STILE__VNET__V1__VERDICT__VERDICT_PORT_NOT_LISTED] = "port_not_listed",
    [STILE__VNET__V1__VERDICT__VERDICT_OWNER_REFUSED] = "owner_refused",
    [STILE__VNET__V1__VERDICT__VERDICT_DENIED] = "denied",
    [STILE__VNET__V1__VERDICT__VERDICT_APP_REFUSED] = "app_refused",
    [STILE__VNET__V1__VERDICT__VERDICT_APP_UNREACHABLE] = "app_unreachable",
    [STILE__VNET__V1__VERDICT__VERDICT_GATEWAY_UNREACHABLE] = "gateway_unreachable",
    [STILE__VNET__V1__VERDICT__VERDICT_LOGIN_REQUIRED] = "login_required",
    [STILE__VNET__V1__VERDICT__VERDICT_TLS_FAILED] = "tls_failed",
    [STILE__VNET__V1__VERDICT__VERDICT_CLIENT_GONE] = "client_gone",
    [STILE__VNET__V1__VERDICT__VERDICT_LIMIT] = "limit",
    [STILE__VNET__V1__VERDICT__VERDICT_RESET] = "reset",
    [STILE__VNET__V1__VERDICT__VERDICT_FAILED] = "failed",
};

const char *connection_verdict_name(Stile__Vnet__V1__Verdict verdict)
{
    size_t i = (size_t)verdict;
    return i < ARRAY_LEN(verdict_names) ? verdict_names[i] : "unknown";
}

static void on_programs(void *arg);

int connection_log_new(struct loop *loop, const struct home *home, struct connection_log **ret)
{
    uint8_t secret[16];
    struct connection_log *log = NEW(struct connection_log);
    if (log == NULL)
        return ERR_NOMEM;
    random_bytes(secret, sizeof(secret));
    table_init(&log->open, secret);
    list_init(&log->open_list);
    list_init(&log->ended);
    int r = programs_new(loop, on_programs, log, &log->programs);
    if (r == 0 && home != NULL)
        r = connection_file_new(loop, home, &log->file);
    if (r < 0) {
        connection_log_free(log);
        return r;
    }
    *ret = log;
    return 0;
}

static void free_list(struct list *l)
{
    for (struct list *n = list_pop_front(l); n != NULL; n = list_pop_front(l))
        mem_free(LIST_ENTRY(n, struct connection, node));
}

static struct slice id_key(const uint64_t *id)
{
    return slice_of(id, sizeof(*id));
}

void connection_log_watch(struct connection_log *log, connection_watch_fn *watch, void *arg)
{
    log->watch = watch;
    log->watch_arg = arg;
}

/* Cut to what fits; the text came from outside. */
static void take_text(char *dst, size_t size, const char *src)
{
    (void)str_format(dst, size, "%s", src != NULL ? src : "");
}

static struct connection *add(struct connection_log *log, uint64_t id)
{
    struct connection *c = table_get(&log->open, id_key(&id));
    if (c != NULL)
        return c;
    c = log->open.count < CONNECTION_LOG_OPEN_MAX ? NEW(struct connection) : NULL;
    if (c == NULL)
        return NULL;
    c->id = id;
    c->started_us = clock_wall_us();
    if (table_put(&log->open, id_key(&c->id), c) < 0) {
        mem_free(c);
        return NULL;
    }
    list_push_back(&log->open_list, &c->node);
    return c;
}

static void describe(struct connection_log *log, struct connection *c,
                     const Stile__Vnet__V1__AppKey *key, const char *fqdn, uint32_t port,
                     const Stile__Vnet__V1__Client *client)
{
    if (key != NULL) {
        take_text(c->profile, sizeof(c->profile), key->profile);
        take_text(c->app, sizeof(c->app), key->name);
    }
    take_text(c->name, sizeof(c->name), fqdn);
    c->port = (uint16_t)port;
    if (client != NULL && client->socket_inode != 0 && c->inode == 0) {
        c->inode = client->socket_inode;
        programs_ask(log->programs, c->inode);
    }
}

void connection_log_begin(struct connection_log *log,
                          const Stile__Vnet__V1__OnNewConnectionRequest *request)
{
    struct connection *c = add(log, request->connection_id);
    if (c != NULL)
        describe(log, c, request->app_key, request->fqdn, request->port, request->client);
}

void connection_log_explain(struct connection_log *log,
                            const Stile__Vnet__V1__OnInvalidLocalPortRequest *request,
                            const char *reason)
{
    struct connection *c = add(log, request->connection_id);
    if (c == NULL)
        return;
    /* The program may be gone a moment after the refusal: it is looked for now. */
    describe(log, c, request->app_info->app_key, request->app_info->app->public_name,
             request->target_port, request->client);
    take_text(c->reason, sizeof(c->reason), reason);
    c->explained = true;
}

static void look_up_program(struct connection_log *log, struct connection *c)
{
    const struct program *p = c->program_known ? NULL : programs_get(log->programs, c->inode);
    if (p == NULL)
        return;
    c->program = *p;
    c->program_known = true;
}

static void write_down(struct connection_log *log, struct connection *c)
{
    if (log->file != NULL)
        connection_file_add(log->file, c);
    log_debug("connection %s port %u by %s (%u): %s%s%s; %llu bytes up, %llu down", c->name,
              (unsigned)c->port, c->program.path[0] != '\0' ? c->program.path : "?",
              (unsigned)c->program.pid, connection_verdict_name(c->verdict),
              c->reason[0] != '\0' ? ": " : "", c->reason, (unsigned long long)c->bytes_up,
              (unsigned long long)c->bytes_down);
    if (log->watch != NULL)
        log->watch(log->watch_arg, c);
}

/* Ended ones whose program is still being looked for are written when it is known. */
static bool is_complete(const struct connection *c)
{
    return c->program_known || c->inode == 0;
}

static void show_open(struct connection_log *log, struct connection *c)
{
    if (c->shown || c->verdict != STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED || !is_complete(c))
        return;
    c->shown = true;
    if (log->watch != NULL)
        log->watch(log->watch_arg, c);
}

/* Nobody will find its program any more. */
static void forget(struct connection_log *log, struct list *node)
{
    struct connection *c = LIST_ENTRY(node, struct connection, node);
    if (!is_complete(c))
        write_down(log, c);
    mem_free(c);
}

void connection_log_free(struct connection_log *log)
{
    if (log == NULL)
        return;
    for (struct list *n = list_pop_front(&log->ended); n != NULL; n = list_pop_front(&log->ended))
        forget(log, n);
    connection_file_free(log->file);
    programs_free(log->programs);
    table_release(&log->open);
    free_list(&log->open_list);
    mem_free(log);
}

static void end(struct connection_log *log, struct connection *c)
{
    table_remove(&log->open, id_key(&c->id));
    list_remove(&c->node);
    list_push_back(&log->ended, &c->node);
    look_up_program(log, c);
    if (is_complete(c))
        write_down(log, c);
    struct list *oldest =
        log->ended_count == CONNECTION_LOG_ENDED_MAX ? list_pop_front(&log->ended) : NULL;
    if (oldest != NULL)
        forget(log, oldest);
    else
        log->ended_count++;
}

static void on_programs(void *arg)
{
    struct connection_log *log = arg;
    LIST_FOR_EACH (n, &log->open_list) {
        look_up_program(log, LIST_ENTRY(n, struct connection, node));
        show_open(log, LIST_ENTRY(n, struct connection, node));
    }
    LIST_FOR_EACH (n, &log->ended) {
        struct connection *c = LIST_ENTRY(n, struct connection, node);
        if (is_complete(c))
            continue;
        look_up_program(log, c);
        if (is_complete(c))
            write_down(log, c);
    }
}

/* Whose program was refused is worth knowing: what the agent can't find out, since it isn't its user's. */
static void take_reason(struct connection *c, const Stile__Vnet__V1__ConnectionReport *r)
{
    bool of_other = r->verdict == STILE__VNET__V1__VERDICT__VERDICT_OWNER_REFUSED &&
                    r->client != NULL && r->client->socket_inode != 0;
    if (of_other)
        (void)str_format(c->reason, sizeof(c->reason), "%s (uid %u)", r->reason, r->client->uid);
    else
        take_text(c->reason, sizeof(c->reason), r->reason);
}

void connection_log_report(struct connection_log *log, const Stile__Vnet__V1__ConnectionReport *r)
{
    struct connection *c = add(log, r->connection_id);
    if (c == NULL)
        return;
    describe(log, c, r->app_key, r->fqdn, r->port, r->client);
    c->verdict = r->verdict;
    if (!c->explained)
        take_reason(c, r);
    c->bytes_up = r->bytes_up;
    c->bytes_down = r->bytes_down;
    if (r->started_us != 0)
        c->started_us = r->started_us;
    c->ended_us = r->ended_us;
    if (c->ended_us == 0 && c->verdict != STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED)
        c->ended_us = clock_wall_us();
    if (c->ended_us != 0) {
        end(log, c);
    } else {
        look_up_program(log, c);
        show_open(log, c);
    }
}

static void end_now(struct connection_log *log, struct connection *c,
                    Stile__Vnet__V1__Verdict verdict, const char *reason)
{
    c->verdict = verdict;
    c->ended_us = clock_wall_us();
    take_text(c->reason, sizeof(c->reason), reason);
    end(log, c);
}

void connection_log_end_all(struct connection_log *log, const char *reason)
{
    LIST_FOR_EACH (n, &log->open_list)
        end_now(log, LIST_ENTRY(n, struct connection, node),
                STILE__VNET__V1__VERDICT__VERDICT_FAILED, reason);
}

void connection_log_end_session(struct connection_log *log, const char *reason)
{
    LIST_FOR_EACH (n, &log->open_list) {
        struct connection *c = LIST_ENTRY(n, struct connection, node);
        bool open = c->verdict == STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED;
        end_now(log, c,
                open ? STILE__VNET__V1__VERDICT__VERDICT_CLOSED
                     : STILE__VNET__V1__VERDICT__VERDICT_CLIENT_GONE,
                reason);
    }
}

size_t connection_log_open_count(const struct connection_log *log)
{
    return log->open.count;
}

void connection_log_each(const struct connection_log *log,
                         void (*each)(void *arg, const struct connection *c), void *arg)
{
    LIST_FOR_EACH (n, &log->ended)
        each(arg, LIST_ENTRY(n, struct connection, node));
    LIST_FOR_EACH (n, &log->open_list)
        each(arg, LIST_ENTRY(n, struct connection, node));
}
