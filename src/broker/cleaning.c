/* CLEANUP: the journal's leftovers in netcfg's thread, then what no journal knows in a thread of the pool. No session may start
 * meanwhile: its interface would be taken for one that nobody has.
 */
#include "broker/caller.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/cleanup.h"
#include "loop/work.h"

struct cleaning {
    struct callers *all;
    struct caller *caller; /* NULL: has gone */
    char owned[SESSIONS_MAX][BROKER_INTERFACE_SIZE];
    size_t owned_count;
    int err;
    struct diag d;
    struct cleanup_report report;
};

static void tell(struct cleaning *k)
{
    union broker_message m;
    broker_message_init(&m, BROKER_CLEANED);
    m.cleaned.failed = (uint32_t)k->report.failed;
    m.cleaned.total = (uint32_t)k->report.total;
    m.cleaned.count = (uint32_t)k->report.count;
    for (size_t i = 0; i < k->report.count; i++)
        broker_text_set(m.cleaned.lines[i], sizeof(m.cleaned.lines[i]), k->report.lines[i]);
    caller_answer(k->caller, &m);
}

static void finish(struct cleaning *k)
{
    struct caller *c = k->caller;
    sessions_pause(k->all->config.sessions, false);
    k->all->cleaning = NULL;
    for (size_t i = 0; i < k->report.count; i++)
        log_info("Clean-up: %s", k->report.lines[i]);
    if (c != NULL) {
        c->cleaning = NULL;
        if (k->err < 0)
            caller_answer_refused(c, k->err, k->d.text);
        else
            tell(k);
    }
    callers_release(k->all);
    mem_free(k);
}

static void remove_orphans(void *arg)
{
    struct cleaning *k = arg;
    k->err = cleanup_orphans((const char(*)[BROKER_INTERFACE_SIZE])k->owned, k->owned_count,
                             &k->report, &k->d);
}

static void on_orphans_removed(void *arg, int err)
{
    struct cleaning *k = arg;
    if (err < 0 && k->err == 0)
        k->err = diag_set(&k->d, err, 0, "The clean-up was stopped");
    finish(k);
}

static void on_recovered(void *arg, const struct host_outcome *o)
{
    struct cleaning *k = arg;
    if (o->err < 0) {
        k->err = o->err;
        k->d = *o->d;
        finish(k);
        return;
    }
    cleanup_add(&k->report, o->report);
    int r = work_start(k->all->loop, remove_orphans, on_orphans_removed, k, NULL);
    if (r < 0) {
        k->err = diag_set(&k->d, r, 0, "Out of memory");
        finish(k);
    }
}

static void add_owned(void *arg, const struct broker_session *session)
{
    struct cleaning *k = arg;
    if (k->owned_count < SESSIONS_MAX)
        memcpy(k->owned[k->owned_count++], session->interface_name, BROKER_INTERFACE_SIZE);
}

void cleaning_start(struct caller *c)
{
    struct cleaning *k = c->all->cleaning == NULL ? NEW(struct cleaning) : NULL;
    if (k == NULL) {
        caller_answer_refused(c, c->all->cleaning != NULL ? ERR_BUSY : ERR_NOMEM,
                              c->all->cleaning != NULL ? "A clean-up is running already" : "");
        return;
    }
    k->all = c->all;
    sessions_each(k->all->config.sessions, add_owned, k);
    int r = host_recover(k->all->config.host, on_recovered, k);
    if (r < 0) {
        mem_free(k);
        caller_answer_refused(c, r, "");
        return;
    }
    k->caller = c;
    c->cleaning = k;
    k->all->cleaning = k;
    k->all->open++; /* the callers live as long as it */
    sessions_pause(k->all->config.sessions, true);
}

void cleaning_forget(struct caller *c)
{
    if (c->cleaning != NULL)
        c->cleaning->caller = NULL;
    c->cleaning = NULL;
}
