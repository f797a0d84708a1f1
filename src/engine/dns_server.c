#include "engine/dns_server.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/table.h"

struct dns_server {
    struct names *names;
    struct resolver *resolver;
    const struct dns_server_ops *ops;
    void *ops_arg;
    struct table lookups; /* by name: what the agent is being asked */
    size_t count;
};

/* One call of the agent, and the questions that wait for it. */
struct lookup {
    struct dns_server *server;
    struct name fqdn;
    struct list waiting;
};

struct waiter {
    struct dns_server *server;
    struct list node;       /* lookup.waiting, or unlinked */
    struct dns_query query; /* borrows from message */
    bool tcp;
    dns_reply reply;
    void *reply_arg;
    size_t len;
    uint8_t message[];
};

static struct waiter *waiter_new(struct dns_server *s, struct slice message, bool tcp,
                                 dns_reply reply, void *arg)
{
    struct waiter *w = mem_zalloc(sizeof(*w) + message.len);

    if (w == NULL)
        return NULL;
    w->server = s;
    w->tcp = tcp;
    w->reply = reply;
    w->reply_arg = arg;
    w->len = message.len;
    struct wr copy = wr_init(w->message, message.len);
    wr_bytes(&copy, message);
    (void)dns_parse_query(slice_of(w->message, w->len), &w->query); /* was good before */
    list_init(&w->node);
    s->count++;
    return w;
}

/* Hands the answer on, cut for UDP where it must be. */
static void send_reply(const struct dns_query *q, bool tcp, struct slice answer, dns_reply reply,
                       void *arg)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr cut = wr_init(memory, sizeof(memory));

    if (!tcp && answer.len > q->udp_size && dns_write_truncated(&cut, q, answer) == 0)
        answer = slice_of(memory, wr_len(&cut));
    reply(arg, answer);
}

static void finish(struct waiter *w, struct slice answer)
{
    w->server->count--;
    send_reply(&w->query, w->tcp, answer, w->reply, w->reply_arg);
    mem_free(w);
}

static void finish_with_error(struct waiter *w, enum dns_rcode rcode)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr out = wr_init(memory, sizeof(memory));

    dns_answer_error(&w->query, rcode, &out);
    finish(w, slice_of(memory, wr_len(&out)));
}

static void on_forwarded(void *arg, int err, struct slice answer)
{
    struct waiter *w = arg;

    if (err == 0) {
        finish(w, answer);
        return;
    }
    log_debug("dns: name=%s: no answer from upstream: %s", w->query.name.text, err_text(err));
    finish_with_error(w, DNS_SERVFAIL);
}

static void forward(struct waiter *w, const char *why)
{
    dns_log(&w->query, NULL, why);
    resolver_ask(w->server->resolver, slice_of(w->message, w->len), w->query.question, w->tcp,
                 on_forwarded, w);
}

static void finish_with_app(struct waiter *w, const struct names_app *app)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr out = wr_init(memory, sizeof(memory));

    dns_answer_app(w->server->names, &w->query, app, &out);
    finish(w, slice_of(memory, wr_len(&out)));
}

/* What the agent's word means for a name: an app's record, or NULL and why there is none. */
static int record(struct lookup *l, Stile__Vnet__V1__AppInfo *info, struct names_app **ret)
{
    if (info->app != NULL && info->app->web) {
        stile__vnet__v1__app_info__free_unpacked(info, NULL);
        return ERR_NOTFOUND; /* listed, never virtual */
    }
    return names_put(l->server->names, &l->fqdn, info, clock_mono_ns(), ret);
}

static void on_resolved(void *arg, int err, Stile__Vnet__V1__AppInfo *info)
{
    struct lookup *l = arg;
    struct names_app *app = NULL;

    table_remove(&l->server->lookups, name_key(&l->fqdn));
    if (err == 0)
        err = record(l, info, &app);
    for (struct list *node; (node = list_pop_front(&l->waiting)) != NULL;) {
        struct waiter *w = LIST_ENTRY(node, struct waiter, node);
        if (err == 0) {
            finish_with_app(w, app);
        } else if (err == ERR_NOTFOUND) {
            forward(w, "no app, forwarded");
        } else {
            dns_log(&w->query, NULL, err_text(err));
            finish_with_error(w, DNS_SERVFAIL);
        }
    }
    names_app_unref(app);
    mem_free(l);
}

static int lookup_new(struct dns_server *s, const struct name *fqdn, struct lookup **ret)
{
    struct lookup *l = NEW(struct lookup);

    if (l == NULL)
        return ERR_NOMEM;
    l->server = s;
    l->fqdn = *fqdn;
    list_init(&l->waiting);
    int err = table_put(&s->lookups, name_key(&l->fqdn), l);
    if (err < 0) {
        mem_free(l);
        return err;
    }
    *ret = l;
    return 0;
}

static void resolve(struct waiter *w)
{
    struct dns_server *s = w->server;
    struct lookup *l = table_get(&s->lookups, name_key(&w->query.name));

    if (l != NULL) {
        list_push_back(&l->waiting, &w->node);
        return;
    }
    if (lookup_new(s, &w->query.name, &l) < 0) {
        finish_with_error(w, DNS_SERVFAIL);
        return;
    }
    list_push_back(&l->waiting, &w->node);
    s->ops->resolve(s->ops_arg, &l->fqdn, on_resolved, l);
}

static void refuse(const struct dns_query *q, dns_reply reply, void *arg)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr out = wr_init(memory, sizeof(memory));

    dns_log(q, NULL, "too many questions at once");
    dns_answer_error(q, DNS_SERVFAIL, &out);
    reply(arg, slice_of(memory, wr_len(&out)));
}

void dns_server_ask(struct dns_server *s, struct slice message, bool tcp, dns_reply reply,
                    void *arg)
{
    uint8_t memory[DNS_ANSWER_SIZE];
    struct wr out = wr_init(memory, sizeof(memory));
    struct dns_query q;
    enum dns_step step = dns_answer(s->names, message, clock_mono_ns(), &q, &out);

    if (step == DNS_DROP) {
        reply(arg, slice_of(NULL, 0));
        return;
    }
    if (step == DNS_REPLY) {
        send_reply(&q, tcp, slice_of(memory, wr_len(&out)), reply, arg);
        return;
    }
    struct waiter *w =
        s->count < DNS_SERVER_QUESTIONS_MAX ? waiter_new(s, message, tcp, reply, arg) : NULL;
    if (w == NULL)
        refuse(&q, reply, arg);
    else if (step == DNS_FORWARD)
        forward(w, "forwarded");
    else
        resolve(w);
}

int dns_server_new(struct names *names, struct resolver *resolver, const struct dns_server_ops *ops,
                   void *arg, struct dns_server **ret)
{
    uint8_t secret[16];
    struct dns_server *s = NEW(struct dns_server);

    if (s == NULL)
        return ERR_NOMEM;
    s->names = names;
    s->resolver = resolver;
    s->ops = ops;
    s->ops_arg = arg;
    random_bytes(secret, sizeof(secret));
    table_init(&s->lookups, secret);
    *ret = s;
    return 0;
}

void dns_server_free(struct dns_server *s)
{
    if (s == NULL)
        return;
    table_release(&s->lookups);
    mem_free(s);
}
