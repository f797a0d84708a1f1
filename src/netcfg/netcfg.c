#include "netcfg/netcfg.h"

#include <string.h>

#include "base/mem.h"
#include "netcfg/netcfg_internal.h"

/* Theory of operation: what is wanted (the sessions' plans, merged) and what is applied (the journal's entries) are two states;
 * every call computes the steps from one to the other and runs them as a transaction (transaction.c). A process that starts
 * after a crash has no sessions: recovery (recovery.c) is the way to the empty state. */

int netcfg_open(const struct netcfg_config *config, struct netcfg **ret_n, struct diag *d)
{
    struct netcfg *n = NEW(struct netcfg);
    if (n == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Failed to open the journal: out of memory");
    n->ops = *config->ops;
    n->namespace_id = config->namespace_id;
    memcpy(n->boot_id, config->boot_id, sizeof(n->boot_id));
    int r = journal_open(config->store, &n->journal, d);
    if (r < 0) {
        mem_free(n);
        return r;
    }
    *ret_n = n;
    return 0;
}

void netcfg_close(struct netcfg *n)
{
    if (n == NULL)
        return;
    for (size_t i = 0; i < n->session_count; i++)
        plan_release(&n->sessions[i].plan);
    journal_close(&n->journal);
    mem_free(n);
}

static struct netcfg_session *find_session(struct netcfg *n, uint32_t id)
{
    for (size_t i = 0; i < n->session_count; i++)
        if (n->sessions[i].id == id)
            return &n->sessions[i];
    return NULL;
}

int netcfg_wanted(const struct netcfg *n, uint32_t session, const struct plan *plan,
                  struct state *ret_s, struct diag *d)
{
    struct state_source sources[NETCFG_SESSIONS_MAX + 1];
    bool exclusive[OBJECT_KIND_COUNT] = {false};
    size_t count = 0;
    bool placed = plan == NULL;
    for (size_t i = 0; i < n->session_count; i++) {
        const struct netcfg_session *s = &n->sessions[i];
        bool replaced = s->id == session;
        if (!replaced || plan != NULL)
            sources[count++] = (struct state_source){s->id, replaced ? plan : &s->plan};
        placed |= replaced;
    }
    if (!placed)
        sources[count++] = (struct state_source){session, plan};
    for (int k = 1; k < OBJECT_KIND_COUNT; k++)
        exclusive[k] = n->ops.kinds[k] != NULL && n->ops.kinds[k]->exclusive;
    return state_merge(sources, count, exclusive, ret_s, d);
}

static bool is_here(const struct netcfg *n, const struct journal_entry *e)
{
    return e->origin.namespace_id == n->namespace_id &&
           memcmp(e->origin.boot_id, n->boot_id, sizeof(n->boot_id)) == 0;
}

int netcfg_present(const struct netcfg *n, struct state *ret_s)
{
    LIST_FOR_EACH (node, &n->journal.entries) {
        struct journal_entry *e = LIST_ENTRY(node, struct journal_entry, node);
        int r = is_here(n, e) ? state_add(ret_s, &e->objects[0], e->origin.session, e) : 0;
        if (r == ERR_NOMEM)
            return r;
    }
    return 0;
}

bool netcfg_unsure(const struct state_item *item)
{
    const struct journal_entry *e = item->tag;
    return e->object_count > 1 || !e->owned;
}

int netcfg_kind(const struct netcfg *n, const struct object *o, const struct object_ops **ret_kind,
                struct diag *d)
{
    bool valid = object_check(o) == 0;
    const struct object_ops *kind = valid ? n->ops.kinds[o->kind] : NULL;
    if (!valid)
        diag_set(d, ERR_INVAL, 0, "The plan has an object that isn't valid");
    else if (kind == NULL)
        diag_set(d, ERR_UNSUPPORTED, 0, "This system has no objects of the kind \"%s\"",
                 object_kind_name(o->kind));
    if (kind == NULL)
        return valid ? ERR_UNSUPPORTED : ERR_INVAL;
    *ret_kind = kind;
    return 0;
}

int netcfg_undo(struct netcfg *n, const struct journal_entry *e, enum object_undone *ret_undone,
                struct diag *d)
{
    enum object_undone all = OBJECT_GONE;
    const struct object_ops *kind;
    int r = netcfg_kind(n, &e->objects[0], &kind, d);
    for (size_t i = 0; i < e->object_count && r == 0; i++) {
        enum object_undone one = OBJECT_GONE;
        r = kind->undo(n->ops.os, &e->objects[i], buf_slice(&e->undo), &one, d);
        if (one == OBJECT_UNDONE || (one == OBJECT_LEFT && all == OBJECT_GONE))
            all = one;
    }
    if (r == 0)
        *ret_undone = all;
    return r;
}

enum netcfg_what netcfg_undone_line(enum object_undone undone)
{
    if (undone == OBJECT_LEFT)
        return NETCFG_LEFT;
    return undone == OBJECT_GONE ? NETCFG_GONE : NETCFG_UNDONE;
}

/* The steps from what is applied to what is wanted when `plan` is the session's. The states must outlive them. */
static int plan_steps(struct netcfg *n, uint32_t session, const struct plan *plan,
                      struct state *from, struct state *to, struct steps *ret_steps, struct diag *d)
{
    int r = netcfg_wanted(n, session, plan, to, d);
    if (r < 0)
        return r;
    r = netcfg_present(n, from);
    if (r == 0)
        r = state_diff(from, to, netcfg_unsure, ret_steps);
    return r == 0 ? 0 : diag_set(d, r, 0, "Failed to compare plans: %s", err_text(r));
}

/* What no session owns is recovery's, not a removal of this transaction's. */
static void leave_leftovers(struct steps *steps)
{
    size_t kept = 0;
    for (size_t i = 0; i < steps->count; i++) {
        const struct step *s = &steps->list[i];
        const struct journal_entry *e = s->from == NULL ? NULL : s->from->tag;
        if (s->verb != STEP_REMOVE || e == NULL || e->owned)
            steps->list[kept++] = *s;
    }
    steps->count = kept; /* removals are the last: `forward` stays right */
}

/* Of an exclusive kind another session's is applied: this one's comes when that session ends. */
static void say_waiting(const struct netcfg *n, uint32_t session, const struct plan *plan,
                        const struct state *to, struct netcfg_report *report)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct object *o = &plan->objects[i];
        const struct state_item *item = state_get(to, o);
        if (n->ops.kinds[o->kind]->exclusive && (item == NULL || item->session != session))
            netcfg_report_object(report, NETCFG_WAITS, session, o, NULL);
    }
}

static int run_plan(struct netcfg *n, uint32_t session, const struct plan *plan,
                    struct netcfg_report *report, struct diag *d)
{
    CLEANUP(state_release) struct state from, to;
    CLEANUP(steps_release) struct steps steps = {0};
    state_init(&from);
    state_init(&to);
    int r = plan_steps(n, session, plan, &from, &to, &steps, d);
    if (r < 0)
        return r;
    leave_leftovers(&steps);
    if (plan == NULL)
        r = transaction_run_each(n, &steps, report);
    else
        r = transaction_run(n, steps.list, steps.count, report, d);
    if (r == 0 && plan != NULL)
        say_waiting(n, session, plan, &to, report);
    if (n->journal.stale) /* it couldn't be written before: perhaps it can by now */
        (void)journal_flush(&n->journal, NULL);
    return r;
}

static int check_plan(const struct netcfg *n, const struct plan *plan, struct diag *d)
{
    const struct object_ops *kind;
    int r = 0;
    for (size_t i = 0; i < plan->count && r == 0; i++)
        r = netcfg_kind(n, &plan->objects[i], &kind, d);
    return r;
}

int netcfg_apply(struct netcfg *n, uint32_t session, const struct plan *plan,
                 struct netcfg_report *r, struct diag *d)
{
    struct netcfg_session *s = find_session(n, session);
    CLEANUP(plan_release) struct plan copy;
    plan_init(&copy);
    if (session == 0)
        return diag_set(d, ERR_INVAL, 0, "A session needs a number");
    if (s == NULL && n->session_count == NETCFG_SESSIONS_MAX)
        return diag_set(d, ERR_LIMIT, 0, "There are %d sessions already: end one",
                        NETCFG_SESSIONS_MAX);
    if (plan_copy(plan, &copy) < 0)
        return diag_set(d, ERR_NOMEM, 0, "Failed to take the plan: out of memory");
    int err = check_plan(n, &copy, d);
    if (err == 0)
        err = run_plan(n, session, &copy, r, d);
    if (err < 0)
        return err;
    if (s == NULL)
        s = &n->sessions[n->session_count++];
    else
        plan_release(&s->plan);
    *s = (struct netcfg_session){.id = session, .plan = copy};
    plan_init(&copy);
    return 0;
}

int netcfg_end(struct netcfg *n, uint32_t session, struct netcfg_report *r)
{
    struct netcfg_session *s = find_session(n, session);
    if (s == NULL)
        return 0;
    int err = run_plan(n, session, NULL, r, NULL);
    if (err < 0)
        return err;
    plan_release(&s->plan);
    n->session_count--;
    memmove(s, s + 1, (size_t)(&n->sessions[n->session_count] - s) * sizeof(*s));
    return 0;
}

int netcfg_end_all(struct netcfg *n, struct netcfg_report *r)
{
    int err = 0;
    while (n->session_count > 0 && err == 0)
        err = netcfg_end(n, n->sessions[n->session_count - 1].id, r);
    return err;
}

const struct object *netcfg_applied_object(const struct netcfg *n, enum object_kind kind)
{
    LIST_FOR_EACH (node, &n->journal.entries) {
        const struct journal_entry *e = LIST_ENTRY(node, struct journal_entry, node);
        if (e->owned && e->objects[0].kind == kind)
            return &e->objects[0];
    }
    return NULL;
}

static size_t count_owned(const struct netcfg *n)
{
    size_t owned = 0;
    LIST_FOR_EACH (node, &n->journal.entries)
        owned += LIST_ENTRY(node, struct journal_entry, node)->owned;
    return owned;
}

size_t netcfg_leftovers(const struct netcfg *n)
{
    return n->journal.count - count_owned(n);
}

size_t netcfg_applied(const struct netcfg *n)
{
    return count_owned(n);
}
