#include "netcfg/service.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include "net/resolv_conf.h"
#include "netcfg/repair_limit.h"

/* Theory of operation. Two loops, one letter box each. What the caller asks for is a letter to the thread, that comes back as
 * its own answer; events are letters that the thread makes. `n`, the system and all under "the thread's" are touched by the
 * thread alone, from its first letter (START) to its last (STOP); the letter that it sends as its last makes the caller join it. */

#define SETTLE_MS     200 /* so long nothing has changed */
#define SETTLE_MAX_MS 1000

enum letter_type {
    LETTER_START,
    LETTER_APPLY,
    LETTER_END,
    LETTER_RECOVER,
    LETTER_REPAIR,
    LETTER_STOP,
    LETTER_EVENT,
};

struct letter {
    struct mail mail;
    enum letter_type type;
    netcfg_done *done;
    void *arg;
    uint32_t session;
    struct plan plan;            /* APPLY */
    struct netcfg_result result; /* of a job */
    struct resolvers upstreams;  /* START and EVENT */
    struct netcfg_event event;
    char text[NETCFG_LINE_SIZE];
};

struct netcfg_service {
    struct netcfg_service_config config;

    /* the caller's: */
    struct mailbox answers;
    uv_thread_t thread;
    struct resolvers upstreams;
    bool stopping;
    struct letter *stop; /* made at the start, so that stopping can't fail */
    void (*stopped)(void *arg);
    void *stopped_arg;

    /* the thread's: */
    struct loop loop;
    struct mailbox jobs;
    struct timer settle;
    struct netcfg *n; /* NULL: starting failed, or stopped */
    const struct ops *ops;
    struct resolvers known; /* upstreams that were told */
    unsigned reasons;       /* that wait for `settle` */
    uint64_t first_change_ns;
    struct repair_limit limit;
};

static struct letter *letter_new(enum letter_type type)
{
    struct letter *l = NEW(struct letter);
    if (l != NULL)
        l->type = type;
    return l;
}

static void letter_free(struct letter *l)
{
    plan_release(&l->plan);
    mem_free(l);
}

/* ---- the thread: what it tells ---- */

static void answer(struct netcfg_service *s, struct letter *l)
{
    /* The caller's box is open until the thread has ended. */
    if (mailbox_post(&s->answers, &l->mail) < 0)
        letter_free(l);
}

static void tell(struct netcfg_service *s, enum netcfg_event_kind kind, uint32_t session,
                 unsigned reasons, const char *text)
{
    struct letter *l = letter_new(LETTER_EVENT);
    if (l == NULL)
        return;
    l->event = (struct netcfg_event){.kind = kind, .session = session, .reasons = reasons};
    l->upstreams = s->known;
    (void)str_format(l->text, sizeof(l->text), "%s", text);
    answer(s, l);
}

static void tell_repairs(struct netcfg_service *s, const struct netcfg_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct netcfg_line *line = &r->lines[i];
        if (line->what == NETCFG_REPAIRED)
            tell(s, NETCFG_EVENT_REPAIRED, line->session, 0, line->text);
        else if (line->what == NETCFG_LEFT || line->what == NETCFG_FAILED)
            tell(s, NETCFG_EVENT_LEFT_ALONE, line->session, 0, line->text);
    }
}

/* ---- the thread: the host ---- */

static bool read_upstreams(struct netcfg_service *s)
{
    struct resolvers now = {0};
    struct diag why = {0};
    const struct object *ours = netcfg_applied_object(s->n, OBJECT_DNS);
    int r = s->config.os.upstreams(s->ops->os, ours, &now, &why);
    if (r < 0)
        log_debug("the host's resolvers weren't read: %s", why.text);
    if (r < 0 || resolvers_equal(&now, &s->known))
        return false;
    s->known = now;
    return true;
}

static bool may_repair(void *arg, const struct object *o)
{
    struct netcfg_service *s = arg;
    char text[OBJECT_TEXT_SIZE];
    char line[NETCFG_LINE_SIZE];
    enum repair_verdict verdict = repair_limit_ask(&s->limit, o, clock_mono_ns());
    if (verdict == REPAIR_GIVEN_UP_NOW) {
        object_text(o, text);
        (void)str_format(line, sizeof(line),
                         "The %s was removed again and again by someone else: it is left alone "
                         "until the session starts anew",
                         text);
        tell(s, NETCFG_EVENT_LEFT_ALONE, 0, 0, line);
    }
    return verdict == REPAIR_YES;
}

static int repair(struct netcfg_service *s, struct netcfg_report *report)
{
    int r = netcfg_repair(s->n, may_repair, s, report);
    tell_repairs(s, report);
    return r;
}

static void on_settled(void *arg)
{
    struct netcfg_service *s = arg;
    unsigned reasons = s->reasons;
    struct netcfg_report *report = NEW(struct netcfg_report);
    s->reasons = 0;
    if (report != NULL && s->n != NULL)
        (void)repair(s, report);
    mem_free(report);
    if (s->n == NULL)
        return;
    if (reasons & NETCFG_CHANGED_NETWORK)
        tell(s, NETCFG_EVENT_NETWORK, 0, reasons, "The host's network has changed");
    if (read_upstreams(s))
        tell(s, NETCFG_EVENT_UPSTREAMS, 0, reasons, "The host's resolvers have changed");
}

static void on_changed(void *arg, unsigned reasons)
{
    struct netcfg_service *s = arg;
    uint64_t now = clock_mono_ns();
    if (s->reasons == 0)
        s->first_change_ns = now;
    s->reasons |= reasons;
    uint64_t waited = (now - s->first_change_ns) / NS_PER_MS;
    uint64_t left = waited < SETTLE_MAX_MS ? SETTLE_MAX_MS - waited : 0;
    timer_start(&s->settle, MIN(left, (uint64_t)SETTLE_MS));
}

/* ---- the thread: jobs ---- */

static int open_system(struct netcfg_service *s, struct letter *l)
{
    const struct netcfg_service_config *c = &s->config;
    struct netcfg_config config = {.namespace_id = c->namespace_id};
    memcpy(config.boot_id, c->boot_id, sizeof(config.boot_id));
    int r = store_open(c->directory, &config.store, &l->result.diag);
    if (r < 0)
        return r;
    r = c->os.open(&c->os, &s->ops, &l->result.diag);
    config.ops = s->ops;
    if (r == 0)
        r = netcfg_open(&config, &s->n, &l->result.diag);
    if (r < 0)
        store_close(config.store);
    return r;
}

static void close_system(struct netcfg_service *s)
{
    timer_stop(&s->settle);
    netcfg_close(STEAL(s->n));
    if (s->ops != NULL)
        s->config.os.close(s->ops->os);
    s->ops = NULL;
}

static int start(struct netcfg_service *s, struct letter *l)
{
    int r = open_system(s, l);
    if (r == 0)
        r = netcfg_recover(s->n, &l->result.report);
    if (r == 0)
        r = s->config.os.start(s->ops->os, &s->loop, on_changed, s, &l->result.diag);
    if (r < 0) {
        close_system(s);
        return r;
    }
    (void)read_upstreams(s);
    l->upstreams = s->known;
    return 0;
}

static int do_job(struct netcfg_service *s, struct letter *l)
{
    struct netcfg_report *report = &l->result.report;
    if (l->type == LETTER_START)
        return start(s, l);
    if (s->n == NULL)
        return diag_set(&l->result.diag, ERR_CLOSED, 0, "The host's configuration isn't open");
    switch (l->type) {
    case LETTER_APPLY:
        repair_limit_clear(&s->limit);
        return netcfg_apply(s->n, l->session, &l->plan, report, &l->result.diag);
    case LETTER_END:
        return netcfg_end(s->n, l->session, report);
    case LETTER_RECOVER:
        return netcfg_recover(s->n, report);
    case LETTER_REPAIR:
        return repair(s, report);
    default:
        return ERR_INTERNAL;
    }
}

static void stop(struct netcfg_service *s)
{
    if (s->n != NULL)
        (void)netcfg_end_all(s->n, NULL);
    close_system(s);
    timer_close(&s->settle, NULL);
    mailbox_close(&s->jobs, NULL);
}

static void on_job(void *arg, struct mail *mail)
{
    struct netcfg_service *s = arg;
    struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    if (l->type == LETTER_STOP) {
        stop(s); /* Its letter is the last one: sent when the loop has ended. */
        return;
    }
    netcfg_report_init(&l->result.report);
    l->result.err = do_job(s, l);
    if (l->result.err == 0)
        l->result.diag = (struct diag){0}; /* of something that was looked for and not found */
    else if (l->result.diag.text[0] == '\0')
        diag_set(&l->result.diag, l->result.err, 0, "%s", err_text(l->result.err));
    l->result.leftovers = s->n == NULL ? 0 : netcfg_leftovers(s->n);
    l->result.dns_backend = s->ops == NULL ? "" : s->config.os.dns_backend(s->ops->os);
    answer(s, l);
}

static void thread_main(void *arg)
{
    struct netcfg_service *s = arg;
    (void)loop_run(&s->loop);
    answer(s, s->stop);
}

/* ---- the caller's side ---- */

static void on_answers_closed(void *arg)
{
    struct netcfg_service *s = arg;
    void (*stopped)(void *) = s->stopped;
    void *stopped_arg = s->stopped_arg;
    mem_free(s);
    if (stopped != NULL)
        stopped(stopped_arg);
}

static void finish(struct netcfg_service *s)
{
    uv_thread_join(&s->thread);
    (void)loop_release(&s->loop);
    repair_limit_clear(&s->limit);
    letter_free(STEAL(s->stop));
    mailbox_close(&s->answers, on_answers_closed);
}

static void take_event(struct netcfg_service *s, struct letter *l)
{
    if (l->event.kind == NETCFG_EVENT_UPSTREAMS)
        s->upstreams = l->upstreams;
    l->event.text = l->text;
    l->event.upstreams = l->event.kind == NETCFG_EVENT_UPSTREAMS ? &s->upstreams : NULL;
    if (!s->stopping)
        s->config.on_event(s->config.arg, &l->event);
}

static void on_answer(void *arg, struct mail *mail)
{
    struct netcfg_service *s = arg;
    struct letter *l = CONTAINER_OF(mail, struct letter, mail);
    if (l->type == LETTER_STOP) {
        finish(s);
        return;
    }
    if (l->type == LETTER_START)
        s->upstreams = l->upstreams;
    if (l->type == LETTER_EVENT)
        take_event(s, l);
    else if (l->done != NULL)
        l->done(l->arg, &l->result);
    letter_free(l);
}

static int post(struct netcfg_service *s, struct letter *l, netcfg_done *done, void *arg)
{
    if (l == NULL)
        return ERR_NOMEM;
    l->done = done;
    l->arg = arg;
    int r = s->stopping ? ERR_CLOSED : mailbox_post(&s->jobs, &l->mail);
    if (r < 0)
        letter_free(l);
    return r;
}

int netcfg_service_apply(struct netcfg_service *s, uint32_t session, const struct plan *plan,
                         netcfg_done *done, void *arg)
{
    struct letter *l = letter_new(LETTER_APPLY);
    if (l == NULL)
        return ERR_NOMEM;
    l->session = session;
    if (plan_copy(plan, &l->plan) < 0) {
        letter_free(l);
        return ERR_NOMEM;
    }
    return post(s, l, done, arg);
}

int netcfg_service_end(struct netcfg_service *s, uint32_t session, netcfg_done *done, void *arg)
{
    struct letter *l = letter_new(LETTER_END);
    if (l != NULL)
        l->session = session;
    return post(s, l, done, arg);
}

int netcfg_service_recover(struct netcfg_service *s, netcfg_done *done, void *arg)
{
    return post(s, letter_new(LETTER_RECOVER), done, arg);
}

int netcfg_service_repair(struct netcfg_service *s, netcfg_done *done, void *arg)
{
    return post(s, letter_new(LETTER_REPAIR), done, arg);
}

const struct resolvers *netcfg_service_upstreams(const struct netcfg_service *s)
{
    return &s->upstreams;
}

void netcfg_service_stop(struct netcfg_service *s, void (*stopped)(void *arg), void *arg)
{
    s->stopping = true;
    s->stopped = stopped;
    s->stopped_arg = arg;
    if (mailbox_post(&s->jobs, &s->stop->mail) < 0)
        log_debug("netcfg is stopping already");
}

/* ---- the start: what fails takes back what came before it ---- */

static int init_thread_side(struct netcfg_service *s)
{
    int r = loop_init(&s->loop);
    if (r < 0)
        return r;
    r = mailbox_init(&s->jobs, &s->loop, on_job, s);
    if (r == 0)
        r = timer_init(&s->settle, &s->loop, on_settled, s);
    if (r < 0)
        (void)loop_release(&s->loop);
    return r;
}

static void release_thread_side(struct netcfg_service *s)
{
    timer_close(&s->settle, NULL);
    mailbox_close(&s->jobs, NULL);
    (void)loop_release(&s->loop);
}

/* Takes the letter and, if it fails, frees the service, at once or in a later turn of the caller's loop. */
static int launch(struct netcfg_service *s, struct loop *loop, struct letter *first)
{
    int r = init_thread_side(s);
    if (r < 0) {
        letter_free(first);
        letter_free(s->stop);
        mem_free(s);
        return r;
    }
    r = mailbox_init(&s->answers, loop, on_answer, s);
    bool answering = r == 0;
    if (r == 0)
        r = loop_err(uv_thread_create(&s->thread, thread_main, s));
    if (r == 0)
        return mailbox_post(&s->jobs, &first->mail); /* whose box is open: this doesn't fail */
    release_thread_side(s);
    letter_free(first);
    letter_free(s->stop);
    if (answering)
        mailbox_close(&s->answers, on_answers_closed);
    else
        mem_free(s);
    return r;
}

int netcfg_service_start(struct loop *loop, const struct netcfg_service_config *config,
                         netcfg_done *ready, void *arg, struct netcfg_service **ret_s,
                         struct diag *d)
{
    struct netcfg_service *s = NEW(struct netcfg_service);
    struct letter *first = letter_new(LETTER_START), *last = letter_new(LETTER_STOP);
    int r = ERR_NOMEM;
    if (s == NULL || first == NULL || last == NULL) {
        mem_free(s);
        mem_free(first);
        mem_free(last);
    } else {
        s->config = *config;
        s->stop = last;
        first->done = ready;
        first->arg = arg;
        repair_limit_init(&s->limit);
        r = launch(s, loop, first);
    }
    if (r < 0)
        return diag_set(d, r, 0, "Failed to start the thread for the host's configuration: %s",
                        err_text(r));
    *ret_s = s;
    return 0;
}
