#include "base/log.h"
#include "netcfg/netcfg_internal.h"

/* What is applied is looked at, and what is missing is applied again: captured anew, since what is beneath it now is what must
 * come back one day, and not what was there an hour ago in another network. */

struct repair {
    struct netcfg *n;
    const struct state *wanted;
    bool (*may_repair)(void *arg, const struct object *o);
    void *arg;
    struct netcfg_report *report;
};

static void say(const struct repair *p, const struct journal_entry *e, enum netcfg_what what,
                const char *why)
{
    const struct state_item *item = state_get(p->wanted, &e->objects[0]);
    netcfg_report_object(p->report, what, item == NULL ? e->origin.session : item->session,
                         &e->objects[0], why);
}

static void left(const struct repair *p, struct journal_entry *e, const char *why)
{
    if (!e->foreign)
        say(p, e, NETCFG_LEFT, why);
    e->foreign = true;
}

static int apply_anew(const struct repair *p, const struct object_ops *kind,
                      struct journal_entry *e, struct diag *d)
{
    CLEANUP(buf_release) struct buf undo;
    buf_init(&undo, OBJECT_UNDO_MAX);
    int r = kind->capture(p->n->ops.os, &e->objects[0], &undo, d);
    if (r < 0)
        return r;
    r = journal_recapture(&p->n->journal, e, buf_slice(&undo));
    if (r < 0)
        return diag_set(d, r, 0, "Failed to write the journal: %s", err_text(r));
    r = journal_flush(&p->n->journal, d);
    return r < 0 ? r : kind->apply(p->n->ops.os, &e->objects[0], NULL, d);
}

static void repair_missing(const struct repair *p, const struct object_ops *kind,
                           struct journal_entry *e)
{
    struct diag why = {0};
    if (p->may_repair != NULL && !p->may_repair(p->arg, &e->objects[0]))
        return;
    int r = apply_anew(p, kind, e, &why);
    if (r == ERR_EXISTS)
        left(p, e, why.text);
    else
        say(p, e, r < 0 ? NETCFG_FAILED : NETCFG_REPAIRED, r < 0 ? why.text : NULL);
}

static void look_after(const struct repair *p, struct journal_entry *e)
{
    const struct object_ops *kind;
    enum object_presence presence = OBJECT_PRESENT;
    struct diag why = {0};
    int r = netcfg_kind(p->n, &e->objects[0], &kind, &why);
    if (r == 0)
        r = kind->verify(p->n->ops.os, &e->objects[0], buf_slice(&e->undo), &presence, &why);
    if (r < 0) /* A daemon that is being restarted: there is an event when it is back. */
        log_debug("not looked at: %s", why.text);
    else if (presence == OBJECT_FOREIGN)
        left(p, e, NULL);
    else
        e->foreign = false;
    if (r == 0 && presence == OBJECT_MISSING)
        repair_missing(p, kind, e);
}

/* What is wanted and couldn't be applied when its turn came. */
static int try_again(const struct repair *p)
{
    CLEANUP(state_release) struct state from;
    CLEANUP(steps_release) struct steps steps = {0};
    state_init(&from);
    int r = netcfg_present(p->n, &from);
    if (r == 0)
        r = state_diff(&from, p->wanted, netcfg_unsure, &steps);
    for (size_t i = 0; r == 0 && i < steps.forward; i++) {
        const struct state_item *to = steps.list[i].to;
        struct diag why = {0};
        if (p->may_repair != NULL && !p->may_repair(p->arg, to->object))
            continue;
        bool failed = transaction_run(p->n, &steps.list[i], 1, NULL, &why) < 0;
        netcfg_report_object(p->report, failed ? NETCFG_FAILED : NETCFG_REPAIRED, to->session,
                             to->object, failed ? why.text : NULL);
    }
    return r;
}

int netcfg_repair(struct netcfg *n, bool (*may_repair)(void *arg, const struct object *o),
                  void *arg, struct netcfg_report *r)
{
    CLEANUP(state_release) struct state wanted;
    state_init(&wanted);
    struct repair p = {
        .n = n, .wanted = &wanted, .may_repair = may_repair, .arg = arg, .report = r};
    int err = netcfg_wanted(n, 0, NULL, &wanted, NULL);
    if (err < 0)
        return err;
    LIST_FOR_EACH (node, &n->journal.entries) {
        struct journal_entry *e = LIST_ENTRY(node, struct journal_entry, node);
        if (e->owned)
            look_after(&p, e);
    }
    return try_again(&p);
}
