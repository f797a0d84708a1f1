#include "engine/attempt.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/trust.h"
#include "loop/timer.h"

/* Theory of operation: an attempt moves through
 *
 *     begin ─► (parked) ─► asked "may it proceed?" ─► certificate and dial at once ─► home
 *
 * and every callback takes it one step. For each one that went home with "go on" a `course` stays until the worker tells how it
 * ended; others of the same program, name and port in the other address family hang on it meanwhile.
 */

#define GRACE_MS 30 /* a program whose other family has just connected drops this one at once */

/* A connection being made, from the first question to its end or establishment. */
struct course {
    struct list node; /* in attempts.courses */
    uint64_t id;
    struct names_app *app; /* a reference */
    uint32_t uid;
    uint16_t port;
    uint8_t version;
    struct list parked; /* struct attempt */
};

struct attempts {
    struct loop *loop;
    struct shared *shared;
    struct agent_client *agent;
    struct dial_channel *dialer;
    struct trust trust;
    struct list courses;
    struct list running; /* attempts that wait for callbacks */
    struct list graced;  /* attempts to be looked at when the timer fires */
    struct timer grace;
};

static void start(struct attempts *s, struct attempt *a);

struct attempt *attempt_new(void)
{
    struct attempt *a = NEW(struct attempt);
    if (a == NULL)
        return NULL;
    a->fd = -1;
    list_init(&a->node);
    return a;
}

void attempt_free(struct attempt *a)
{
    if (a == NULL)
        return;
    if (a->fd >= 0)
        close(a->fd);
    SSL_CTX_free(a->ctx);
    X509_free(a->cert);
    names_app_unref(a->app);
    mem_free(a);
}

static void run_home(struct task *t, void *worker)
{
    struct attempt *a = CONTAINER_OF(t, struct attempt, task);
    a->done(a, worker);
}

static void go_home(struct attempt *a)
{
    list_remove(&a->node);
    if (task_post(a->home, &a->task, run_home) < 0)
        attempt_free(a);
}

static void course_free(struct course *c)
{
    list_remove(&c->node);
    names_app_unref(c->app);
    mem_free(c);
}

static struct course *course_by_id(struct attempts *s, uint64_t id)
{
    LIST_FOR_EACH (node, &s->courses) {
        struct course *c = LIST_ENTRY(node, struct course, node);
        if (c->id == id)
            return c;
    }
    return NULL;
}

/* The same program's other family. */
static struct course *course_like(struct attempts *s, const struct attempt *a)
{
    LIST_FOR_EACH (node, &s->courses) {
        struct course *c = LIST_ENTRY(node, struct course, node);
        if (c->uid == a->owner.uid && c->port == a->port && c->version != a->server.addr.version &&
            name_eq(&c->app->fqdn, &a->app->fqdn))
            return c;
    }
    return NULL;
}

static void course_open(struct attempts *s, const struct attempt *a)
{
    struct course *c = NEW(struct course);
    if (c == NULL)
        return; /* nobody can hang on it then: no harm */
    c->id = a->id;
    c->app = names_app_ref(a->app);
    c->uid = a->owner.uid;
    c->port = a->port;
    c->version = a->server.addr.version;
    list_init(&c->parked);
    list_push_back(&s->courses, &c->node);
}

/* ---- answers ---- */

static void set_verdict(struct attempt *a, Stile__Vnet__V1__Verdict verdict, const char *reason)
{
    if (a->verdict != STILE__VNET__V1__VERDICT__VERDICT_UNSPECIFIED)
        return; /* the first reason stands */
    a->verdict = verdict;
    (void)str_format(a->reason, sizeof(a->reason), "%s", reason);
}

static void answer(struct attempt *a)
{
    struct attempts *s = a->attempts;
    Stile__Vnet__V1__Verdict verdict = a->verdict;
    char reason[ATTEMPT_REASON_SIZE];
    (void)str_format(reason, sizeof(reason), "%s", a->reason);
    uint64_t id = a->id;
    go_home(a);
    if (verdict != STILE__VNET__V1__VERDICT__VERDICT_UNSPECIFIED)
        attempts_ended(s, id, verdict, reason);
}

static void fail(struct attempt *a, Stile__Vnet__V1__Verdict verdict, const char *reason)
{
    set_verdict(a, verdict, reason);
    answer(a);
}

static Stile__Vnet__V1__Verdict verdict_of_agent(int err)
{
    switch (err) {
    case ERR_AUTH:
    case ERR_EXPIRED:
        return STILE__VNET__V1__VERDICT__VERDICT_LOGIN_REQUIRED;
    case ERR_DENIED:
    case ERR_PERM:
        return STILE__VNET__V1__VERDICT__VERDICT_DENIED;
    case ERR_CLOSED:
    case ERR_UNREACHABLE:
    case ERR_REFUSED:
    case ERR_TIMEOUT:
        return STILE__VNET__V1__VERDICT__VERDICT_GATEWAY_UNREACHABLE;
    case ERR_LIMIT:
        return STILE__VNET__V1__VERDICT__VERDICT_LIMIT;
    default:
        return STILE__VNET__V1__VERDICT__VERDICT_FAILED;
    }
}

/* ---- certificate and dial, at once ---- */

static void step(struct attempt *a)
{
    if (--a->pending == 0)
        answer(a);
}

static int take_cert(struct attempt *a, struct slice der, struct diag *d)
{
    const Stile__Vnet__V1__DialOptions *options = a->app->info->dial_options;
    if (options == NULL)
        return diag_set(d, ERR_FORMAT, 0, "The agent gave no gateway for %s", a->app->fqdn.text);
    int r = trust_cert(&a->attempts->trust, der, &a->cert, d);
    if (r < 0)
        return r;
    struct slice ca =
        slice_of(options->root_cluster_ca_cert_pool.data, options->root_cluster_ca_cert_pool.len);
    return trust_context(&a->attempts->trust, ca, &a->ctx, d);
}

static void on_cert(void *arg, int err, const char *message, struct slice der)
{
    struct attempt *a = arg;
    struct diag d = {0};
    if (err < 0) {
        set_verdict(a, verdict_of_agent(err), message);
    } else {
        int r = take_cert(a, der, &d);
        if (r < 0)
            set_verdict(a, STILE__VNET__V1__VERDICT__VERDICT_FAILED,
                        d.text[0] != '\0' ? d.text : err_text(r));
    }
    step(a);
}

static void on_dialed(void *arg, int err, int fd, const char *reason)
{
    struct attempt *a = arg;
    if (err < 0)
        set_verdict(a, STILE__VNET__V1__VERDICT__VERDICT_GATEWAY_UNREACHABLE,
                    str_is_empty(reason) ? err_text(err) : reason);
    else
        a->fd = fd;
    step(a);
}

static void fetch(struct attempt *a)
{
    struct attempts *s = a->attempts;
    a->pending = 1; /* ours: so that neither answer ends it before both were asked */
    int r = agent_client_cert(s->agent, a->app->info, a->port, on_cert, a);
    if (r == 0) {
        a->pending++;
        r = dial_channel_gateway(s->dialer, a->app->info->app_key->profile, on_dialed, a, NULL);
        if (r == 0)
            a->pending++;
    }
    if (r < 0)
        set_verdict(a, STILE__VNET__V1__VERDICT__VERDICT_FAILED, err_text(r));
    step(a);
}

/* ---- may it proceed? ---- */

static bool given_up(struct attempt *a)
{
    if (!atomic_load_explicit(&a->canceled, memory_order_relaxed))
        return false;
    fail(a, STILE__VNET__V1__VERDICT__VERDICT_CLIENT_GONE, "the program gave up");
    return true;
}

static void on_allowed(void *arg, int err, const char *message)
{
    struct attempt *a = arg;
    if (given_up(a))
        return;
    if (err < 0)
        fail(a, verdict_of_agent(err), message);
    else
        fetch(a);
}

static void start(struct attempts *s, struct attempt *a)
{
    if (given_up(a))
        return;
    course_open(s, a);
    list_push_back(&s->running, &a->node);
    const struct agent_connection conn = {
        .id = a->id,
        .info = a->app->info,
        .fqdn = a->app->fqdn.text,
        .port = a->port,
        .client = a->client,
        .owner = a->owner,
    };
    int r = agent_client_new_connection(s->agent, &conn, on_allowed, a);
    if (r < 0)
        fail(a, STILE__VNET__V1__VERDICT__VERDICT_FAILED, err_text(r));
}

void attempts_begin(struct attempts *s, struct attempt *a)
{
    a->attempts = s;
    struct course *other = course_like(s, a);
    if (other != NULL)
        list_push_back(&other->parked, &a->node);
    else
        start(s, a);
}

/* ---- the other family ---- */

static bool still_connecting(struct attempts *s, const struct attempt *a)
{
    struct owner owner;
    return s->shared->find_owner(s->shared->owners, &a->client, &a->server, &owner) == 0 &&
           owner.inode == a->owner.inode;
}

static void after_grace(void *arg)
{
    struct attempts *s = arg;
    struct list *node;
    while ((node = list_pop_front(&s->graced)) != NULL) {
        struct attempt *a = LIST_ENTRY(node, struct attempt, node);
        if (still_connecting(s, a))
            start(s, a);
        else
            fail(a, STILE__VNET__V1__VERDICT__VERDICT_CLIENT_GONE,
                 "the program connected by its other address family");
    }
}

void attempts_ended(struct attempts *s, uint64_t id, Stile__Vnet__V1__Verdict verdict,
                    const char *reason)
{
    struct course *c = course_by_id(s, id);
    if (c == NULL)
        return;
    struct list parked;
    list_init(&parked);
    struct list *node;
    while ((node = list_pop_front(&c->parked)) != NULL)
        list_push_back(&parked, node);
    course_free(c);
    bool again = verdict == STILE__VNET__V1__VERDICT__VERDICT_ESTABLISHED ||
                 verdict == STILE__VNET__V1__VERDICT__VERDICT_CLIENT_GONE;
    while ((node = list_pop_front(&parked)) != NULL) {
        struct attempt *a = LIST_ENTRY(node, struct attempt, node);
        if (again)
            list_push_back(&s->graced, &a->node);
        else
            fail(a, verdict, reason);
    }
    if (!list_empty(&s->graced) && !timer_active(&s->grace))
        timer_start(&s->grace, GRACE_MS);
}

/* ---- life ---- */

int attempts_new(struct loop *loop, struct shared *shared, struct agent_client *agent,
                 struct dial_channel *dialer, struct attempts **ret)
{
    struct attempts *s = NEW(struct attempts);
    if (s == NULL)
        return ERR_NOMEM;
    s->loop = loop;
    s->shared = shared;
    s->agent = agent;
    s->dialer = dialer;
    trust_init(&s->trust);
    list_init(&s->courses);
    list_init(&s->running);
    list_init(&s->graced);
    int r = timer_init(&s->grace, loop, after_grace, s);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void free_list(struct list *l)
{
    struct list *node;
    while ((node = list_pop_front(l)) != NULL)
        attempt_free(LIST_ENTRY(node, struct attempt, node));
}

static void on_timer_closed(void *arg)
{
    mem_free(arg);
}

void attempts_free(struct attempts *s)
{
    if (s == NULL)
        return;
    free_list(&s->running);
    free_list(&s->graced);
    LIST_FOR_EACH (node, &s->courses) {
        struct course *c = LIST_ENTRY(node, struct course, node);
        free_list(&c->parked);
        course_free(c);
    }
    trust_release(&s->trust);
    timer_close(&s->grace, on_timer_closed);
}
