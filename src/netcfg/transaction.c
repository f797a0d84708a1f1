#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "netcfg/netcfg_internal.h"

/* Theory of operation.
 *
 *   clear     of exclusive kinds (one for the host), what is to go goes first: what comes must see what was there before both
 *   intend    everything that is there now is captured, the intents are written in one piece and made durable
 *   forward   changes and additions, in the order of their kinds
 *   backward  removals, in the reverse order
 *   commit    the journal is told; if that fails it only knows more than there is, which undoing again does no harm
 *
 * Nothing after `intend` needs the journal: an entry leaves it at the commit, so that the way back (the same in reverse) needs
 * neither memory nor room on the disk. */

struct action {
    enum step_verb verb;
    const struct state_item *item; /* what is wanted; of a removal: what is there */
    const struct object_ops *kind;
    struct journal_entry *entry;
    bool intended; /* its record is in the journal, or on the way */
    bool touched;  /* it was begun: it may have happened */
    bool gone;     /* REMOVE: undone */
    enum object_undone undone;
};

struct transaction {
    struct netcfg *n;
    struct action *actions; /* owned */
    size_t count;
    struct netcfg_report *report;
    struct diag *d;
};

static void say(struct transaction *t, const struct action *a, enum netcfg_what what,
                const char *why)
{
    netcfg_report_object(t->report, what, a->item->session, a->item->object, why);
}

static int transaction_init(struct transaction *t, const struct step *steps)
{
    t->actions = mem_array(t->count, sizeof(*t->actions));
    if (t->actions == NULL)
        return diag_set(t->d, ERR_NOMEM, 0, "Failed to begin a transaction: out of memory");
    for (size_t i = 0; i < t->count; i++) {
        struct action *a = &t->actions[i];
        a->verb = steps[i].verb;
        a->item = a->verb == STEP_REMOVE ? steps[i].from : steps[i].to;
        a->entry = steps[i].from == NULL ? NULL : steps[i].from->tag;
        if (a->item == NULL)
            return diag_set(t->d, ERR_INTERNAL, 0, "A step without an object");
        int r = netcfg_kind(t->n, a->item->object, &a->kind, t->d);
        if (r < 0)
            return r;
    }
    return 0;
}

static void transaction_release(struct transaction *t)
{
    mem_free(t->actions);
}

/* ---- there ---- */

static int remove_one(struct transaction *t, struct action *a)
{
    a->touched = true;
    int r = netcfg_undo(t->n, a->entry, &a->undone, t->d);
    a->gone = r == 0;
    return r;
}

static int clear_exclusive(struct transaction *t)
{
    int r = 0;
    for (size_t i = 0; i < t->count && r == 0; i++)
        if (t->actions[i].verb == STEP_REMOVE && t->actions[i].kind->exclusive)
            r = remove_one(t, &t->actions[i]);
    return r;
}

/* An exclusive object beside one that couldn't be undone would take that for what was there before. */
static int check_exclusive(const struct transaction *t, const struct action *a)
{
    const struct object *o = a->item->object;
    char text[OBJECT_TEXT_SIZE];
    LIST_FOR_EACH (node, &t->n->journal.entries) {
        const struct journal_entry *e = LIST_ENTRY(node, struct journal_entry, node);
        if (!a->kind->exclusive || e->objects[0].kind != o->kind || e->owned)
            continue;
        object_text(&e->objects[0], text);
        return diag_set(t->d, ERR_BUSY, 0,
                        "The %s of an earlier session couldn't be removed yet: run \"stile "
                        "cleanup\"",
                        text);
    }
    return 0;
}

static int intend_addition(struct transaction *t, struct action *a)
{
    struct journal_origin origin = {
        .namespace_id = t->n->namespace_id, .session = a->item->session, .time_s = clock_wall_s()};
    memcpy(origin.boot_id, t->n->boot_id, sizeof(origin.boot_id));
    CLEANUP(buf_release) struct buf undo;
    buf_init(&undo, OBJECT_UNDO_MAX);
    int r = check_exclusive(t, a);
    if (r == 0)
        r = a->kind->capture(t->n->ops.os, a->item->object, &undo, t->d);
    if (r < 0)
        return r;
    r = journal_intend(&t->n->journal, &origin, a->item->object, buf_slice(&undo), &a->entry);
    return r == 0 ? 0 : diag_set(t->d, r, 0, "Failed to write the journal: %s", err_text(r));
}

static int intend_change(struct transaction *t, struct action *a)
{
    int r = journal_change(&t->n->journal, a->entry, a->item->object);
    return r == 0 ? 0 : diag_set(t->d, r, 0, "Failed to write the journal: %s", err_text(r));
}

static int intend(struct transaction *t)
{
    int r = 0;
    for (size_t i = 0; i < t->count && r == 0; i++) {
        struct action *a = &t->actions[i];
        if (a->verb == STEP_REMOVE)
            continue;
        r = a->verb == STEP_ADD ? intend_addition(t, a) : intend_change(t, a);
        a->intended = r == 0;
    }
    if (r < 0)
        return r;
    r = journal_flush(&t->n->journal, t->d);
    if (r < 0)
        diag_prefix(t->d, "Nothing was changed, as without its journal stile couldn't undo it: ");
    return r;
}

static int forward(struct transaction *t)
{
    int r = 0;
    for (size_t i = 0; i < t->count && r == 0; i++) {
        struct action *a = &t->actions[i];
        if (a->verb == STEP_REMOVE)
            continue;
        a->touched = true;
        r = a->kind->apply(t->n->ops.os, a->item->object,
                           a->verb == STEP_ADD ? NULL : &a->entry->objects[1], t->d);
    }
    return r;
}

/* What can't be removed is no reason to take all the rest back: it stays in the journal, and recovery tries again. */
static void backward(struct transaction *t)
{
    struct diag why;
    t->d = &why;
    for (size_t i = 0; i < t->count; i++) {
        struct action *a = &t->actions[i];
        why.text[0] = '\0';
        if (a->verb == STEP_REMOVE && !a->gone && remove_one(t, a) < 0)
            say(t, a, NETCFG_FAILED, why.text);
    }
    t->d = NULL;
}

static void commit_one(struct transaction *t, struct action *a)
{
    if (a->verb == STEP_REMOVE && !a->gone) {
        a->entry->owned = false;
        return;
    }
    say(t, a, a->gone ? netcfg_undone_line(a->undone) : NETCFG_APPLIED, NULL);
    if (a->gone) {
        journal_undone(&t->n->journal, a->entry);
        return;
    }
    a->entry->owned = true;
    a->entry->foreign = false;
    if (a->verb == STEP_CHANGE)
        journal_settle(&t->n->journal, a->entry, 0);
}

static void flush(struct transaction *t)
{
    struct diag why;
    if (journal_flush(&t->n->journal, &why) < 0)
        netcfg_report_note(t->report, "The journal couldn't be brought up to date: %s", why.text);
}

static void commit(struct transaction *t)
{
    for (size_t i = 0; i < t->count; i++)
        commit_one(t, &t->actions[i]);
    flush(t);
}

/* ---- and back ---- */

static int undo_addition(struct transaction *t, struct action *a, struct diag *why)
{
    enum object_undone undone = OBJECT_GONE;
    int r = a->touched ? netcfg_undo(t->n, a->entry, &undone, why) : 0;
    if (r == 0)
        journal_undone(&t->n->journal, a->entry);
    return r;
}

static int undo_change(struct transaction *t, struct action *a, struct diag *why)
{
    const struct journal_entry *e = a->entry;
    int r = 0;
    if (a->touched && e->owned)
        r = a->kind->apply(t->n->ops.os, &e->objects[1], &e->objects[0], why);
    /* One that no session owned is left as uncertain as it was. */
    if (r == 0 && (e->owned || !a->touched) && e->object_count == 2)
        journal_settle(&t->n->journal, a->entry, 1);
    return r;
}

static int undo_removal(struct transaction *t, struct action *a, struct diag *why)
{
    return a->touched ? a->kind->apply(t->n->ops.os, &a->entry->objects[0], NULL, why) : 0;
}

static void roll_back(struct transaction *t)
{
    for (size_t i = t->count; i-- > 0;) {
        struct action *a = &t->actions[i];
        struct diag why = {0};
        int r = 0;
        if (a->verb == STEP_REMOVE)
            continue;
        if (a->intended)
            r = a->verb == STEP_ADD ? undo_addition(t, a, &why) : undo_change(t, a, &why);
        if (r < 0)
            say(t, a, NETCFG_FAILED, why.text);
    }
    for (size_t i = t->count; i-- > 0;) {
        struct action *a = &t->actions[i];
        struct diag why = {0};
        if (a->verb == STEP_REMOVE && undo_removal(t, a, &why) < 0)
            say(t, a, NETCFG_FAILED, why.text);
    }
    flush(t);
}

int transaction_run(struct netcfg *n, const struct step *steps, size_t count,
                    struct netcfg_report *report, struct diag *d)
{
    CLEANUP(transaction_release)
    struct transaction t = {.n = n, .count = count, .report = report, .d = d};
    int r = count == 0 ? 0 : transaction_init(&t, steps);
    if (r < 0 || count == 0)
        return r;
    r = clear_exclusive(&t);
    if (r == 0)
        r = intend(&t);
    if (r == 0)
        r = forward(&t);
    if (r < 0) {
        roll_back(&t);
        return r;
    }
    backward(&t);
    commit(&t);
    return 0;
}

int transaction_run_each(struct netcfg *n, const struct steps *steps, struct netcfg_report *report)
{
    size_t removals = steps->count - steps->forward;
    CLEANUP(transaction_release)
    struct transaction t = {.n = n, .count = removals, .report = report};
    int r = removals == 0 ? 0 : transaction_init(&t, steps->list + steps->forward);
    if (r < 0)
        return r;
    backward(&t);
    if (removals > 0)
        commit(&t);
    for (size_t i = 0; i < steps->forward; i++) {
        const struct state_item *to = steps->list[i].to;
        struct diag why = {0};
        if (transaction_run(n, &steps->list[i], 1, report, &why) < 0)
            netcfg_report_object(report, NETCFG_FAILED, to->session, to->object, why.text);
    }
    return 0;
}
