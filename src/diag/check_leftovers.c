/* What an earlier session has left behind: interfaces, routes and settings that belong to no one any more. */
#include <string.h>

#include "base/str.h"
#include "diag/check.h"

#define REMEDY_CLEANUP "Let the administrator remove it: sudo stile cleanup"

static bool belongs_to_session(const struct facts *f, const char *link)
{
    for (size_t i = 0; i < f->session_count; i++)
        if (f->sessions[i].err == 0 && str_eq(f->sessions[i].interface_name, link))
            return true;
    for (size_t i = 0; f->broker.err == 0 && i < f->broker.status.session_count; i++)
        if (str_eq(f->broker.status.sessions[i].interface_name, link))
            return true;
    return false;
}

/* What `stile cleanup` takes for ours, too. */
static bool is_stile_link(const struct host_link *l)
{
    size_t digits = strspn(str_starts(l->name, "stile") ? l->name + 5 : "", "0123456789");
    return digits > 0 && l->name[5 + digits] == '\0' && str_eq(l->kind, "tun");
}

static void judge_journal(const struct facts *f, struct findings *ret)
{
    if (f->broker.err < 0 || f->broker.status.leftovers == 0)
        return;
    struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "leftover-journal", "");
    finding_title(n, "The service's journal has %u change%s of sessions that are over",
                  (unsigned)f->broker.status.leftovers, f->broker.status.leftovers == 1 ? "" : "s");
    finding_remedy(n, "Let the administrator undo them: sudo stile cleanup");
}

static void judge_links(const struct facts *f, struct findings *ret)
{
    const struct host_view *v = &f->host.view;
    for (size_t i = 0; i < v->link_count; i++) {
        const char *name = v->links[i].name;
        if (!is_stile_link(&v->links[i]) || belongs_to_session(f, name))
            continue;
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "leftover-link", name);
        finding_title(n, "The interface %s belongs to no session", name);
        finding_remedy(n, REMEDY_CLEANUP);
    }
}

static void judge_routes(const struct facts *f, struct findings *ret)
{
    const struct host_view *v = &f->host.view;
    for (size_t i = 0; i < v->route_count; i++) {
        const struct host_route *r = &v->routes[i];
        const struct host_link *l = host_view_link(v, r->link_index);
        char text[PREFIX_TEXT_SIZE];
        if (!r->ours || (l != NULL && (is_stile_link(l) || belongs_to_session(f, l->name))))
            continue;
        prefix_format(&r->dst, text);
        struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "leftover-route", text);
        finding_title(n, "The route %s%s%s was made by stile and belongs to no session", text,
                      l != NULL ? " on " : "", l != NULL ? l->name : "");
        finding_remedy(n, REMEDY_CLEANUP);
    }
}

static void judge_resolv_conf(const struct facts *f, struct findings *ret)
{
    if (!facts_resolv_conf_is_left_over(f))
        return;
    struct finding *n = findings_add(ret, SEVERITY_PROBLEM, "leftover-resolv-conf", "");
    finding_title(n, "/etc/resolv.conf was written by stile, and no session runs");
    finding_detail(n, "Names may not resolve at all");
    finding_remedy(n,
                   "Let the administrator put the old one back: sudo stile cleanup. If nothing is "
                   "known of it any more, the lines that begin with #stile# are what was there");
}

static void run(const struct facts *f, struct findings *ret)
{
    judge_journal(f, ret);
    if (!facts_others_are_unknown(f)) {
        if (f->host.view_err == 0) {
            judge_links(f, ret);
            judge_routes(f, ret);
        }
        judge_resolv_conf(f, ret);
    }
    if (ret->count == 0)
        finding_title(findings_add(ret, SEVERITY_OK, "leftovers", ""),
                      "Nothing of an earlier session was left behind");
}

const struct check check_leftovers = {.id = "leftovers", .heading = "Left behind", .run = run};
