#include <string.h>

#include "netcfg/netcfg_internal.h"

/* What nobody owns is undone, the newest first; and what is owned is looked after. */

enum fate {
    FATE_UNDO,
    FATE_DROP, /* gone with the reboot */
    FATE_KEEP, /* of another network namespace, which this process doesn't see */
};

static bool is_persistent(const struct netcfg *n, const struct journal_entry *e)
{
    const struct object_ops *kind = n->ops.kinds[e->objects[0].kind];
    return kind != NULL && kind->persistent;
}

static enum fate fate_of(const struct netcfg *n, const struct journal_entry *e)
{
    if (is_persistent(n, e))
        return FATE_UNDO;
    if (memcmp(e->origin.boot_id, n->boot_id, sizeof(n->boot_id)) != 0)
        return FATE_DROP;
    return e->origin.namespace_id == n->namespace_id ? FATE_UNDO : FATE_KEEP;
}

static void say_leftover(struct netcfg_report *report, enum netcfg_what what,
                         const struct journal_entry *e, const char *why)
{
    struct netcfg_line *line =
        netcfg_report_object(report, what, e->origin.session, &e->objects[0], why);
    if (line != NULL)
        line->since_s = e->origin.time_s;
}

static void undo_leftover(struct netcfg *n, struct journal_entry *e, struct netcfg_report *report)
{
    enum object_undone undone = OBJECT_GONE;
    struct diag why = {0};
    if (netcfg_undo(n, e, &undone, &why) < 0) {
        say_leftover(report, NETCFG_FAILED, e, why.text);
        return;
    }
    say_leftover(report, netcfg_undone_line(undone), e, NULL);
    journal_undone(&n->journal, e);
}

static void say_opening(struct netcfg *n, struct netcfg_report *report)
{
    struct journal *j = &n->journal;
    if (j->damaged)
        netcfg_report_note(report, "The journal was damaged: what could be read of it is undone, "
                                   "the rest is kept in the file \"journal.damaged\" beside it");
    else if (j->torn)
        netcfg_report_note(report, "The journal's last record was cut off, before it was used");
    j->damaged = false;
    j->torn = false;
}

static void say_counts(size_t dropped, size_t kept, struct netcfg_report *report)
{
    if (dropped > 0)
        netcfg_report_note(report, "The host was restarted: %zu objects are gone with that",
                           dropped);
    if (kept > 0)
        netcfg_report_note(
            report, "%zu objects belong to another network namespace and are left to it", kept);
}

int netcfg_recover(struct netcfg *n, struct netcfg_report *r)
{
    size_t dropped = 0, kept = 0;
    struct diag why = {0};
    say_opening(n, r);
    struct list *head = &n->journal.entries;
    for (struct list *node = head->prev, *before = node->prev; node != head;
         node = before, before = node->prev) {
        struct journal_entry *e = LIST_ENTRY(node, struct journal_entry, node);
        enum fate fate = e->owned ? FATE_KEEP : fate_of(n, e);
        if (fate == FATE_UNDO)
            undo_leftover(n, e, r);
        else if (fate == FATE_DROP)
            journal_undone(&n->journal, e);
        dropped += fate == FATE_DROP;
        kept += fate == FATE_KEEP && !e->owned;
    }
    say_counts(dropped, kept, r);
    if (journal_flush(&n->journal, &why) < 0)
        netcfg_report_note(r, "The journal couldn't be brought up to date: %s", why.text);
    return 0;
}
